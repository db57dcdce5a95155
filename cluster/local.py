"""The pipeline's in-process twin: the same contract, no Ray, one thing after another. For debugging and tests."""

import asyncio
import time
from collections.abc import Iterator

from cluster.batches import ModelWork, SampleBatch, SampleHeader, VerdictBatch, Work
from cluster.placement import local_slot
from cluster.queue import Allowance, OpenShards, SetAside, UnitQueue, UnitQueues
from cluster.sampler import Sampler
from cluster.sink import AllPlanned, Alone, Claim, Leases, Receipt, Rounds, Sink, committed_elsewhere
from cluster.spending import Spending
from cluster.tally import EngineTally, Enough, OnProgress, Progress, Tally, never
from cluster.verifier import VerifierWorker, commit_unit, compact_shard
from sampling.samples import Unit

RECALL_S = 1.0  # between two looks at units on which other drivers work


def run_local(
    work: Work,
    sink: Sink,
    tally: Tally,
    on_progress: OnProgress,
    enough: Enough = never,
    spending: Spending | None = None,
    leases: Leases | None = None,
    rounds: Rounds | None = None,
    allowance: Allowance | None = None,
) -> tuple[SetAside, ...]:
    """Samples, verifies and commits every unit in this process, until ``enough`` says so; returns the units set aside.

    Raises EngineError where the pipeline would try again.
    """
    spending = spending or Spending(work, {}, lambda _: None)
    local = _LocalRun(work, sink, tally, on_progress, spending, leases or Alone())
    return local.run(enough, rounds or AllPlanned(), allowance or Allowance())


class _LocalRun:
    """One run of the work in this process."""

    def __init__(
        self, work: Work, sink: Sink, tally: Tally, on_progress: OnProgress, spending: Spending, leases: Leases
    ) -> None:
        self._work, self._sink, self._tally, self._on_progress = work, sink, tally, on_progress
        self._spending, self._leases, self._queues = spending, leases, UnitQueues(work.models)
        self._verifier = VerifierWorker(work.problems, work.tier, work.judge)
        self._enough: Enough = never
        self._rounds: Rounds = AllPlanned()
        self._allowance = Allowance()

    def run(self, enough: Enough, rounds: Rounds, allowance: Allowance) -> tuple[SetAside, ...]:
        shards, self._enough = OpenShards(self._work.open_shards), enough
        self._rounds, self._allowance = rounds, allowance
        try:
            self._verifier.prepare()
            self._plan_rounds(None)
            for model, queue in zip(self._work.models, self._queues, strict=True):
                for unit in self._run_model(model, queue):
                    if shards.filled_by(unit) and self._leases.claim(unit.in_shard) is not Claim.HELD:
                        compact_shard(self._sink, unit.in_shard)
                    if enough(self._snapshot()):
                        self._queues.stop()
        finally:
            self._verifier.close()
        return self._queues.set_aside

    def _run_model(self, model: ModelWork, queue: UnitQueue) -> Iterator[Unit]:
        """Yields each unit once it is committed."""
        if not queue.waiting:
            return
        work = self._work
        sampler = Sampler(model, work.problems, work.seed, work.code_version, local_slot(model.model))
        engine = EngineTally(f"{model.model.name}/0")
        self._tally.engines.append(engine)
        engine.set_state("starting")
        self._on_progress(self._snapshot())
        ready = sampler.start()
        model.check_format(ready.provenance)
        engine.ready(ready.start_s)
        try:
            while unit := self._next(queue):
                if not asyncio.run(self._spending.start(unit)):
                    queue.give_up(unit, self._spending.refusal(unit))
                    self._leases.release(unit)
                    continue
                batches = self._sample_and_verify(unit, sampler, engine)
                receipt = commit_unit(self._sink, unit, model.origin(unit, ready.provenance), *batches)
                self._spending.settle(unit, receipt.usd, receipt.judge_usd)
                self._tally.add_receipt(receipt)
                self._plan_rounds(receipt)
                queue.close(unit)
                self._on_progress(self._snapshot())
                yield unit
        finally:
            sampler.stop()
        engine.set_state("done")

    def _next(self, queue: UnitQueue) -> Unit | None:
        """Returns a unit that no other driver has, or None at the end; waits for units that another one holds."""
        while queue.open:
            if not queue.waiting:
                self._wait(queue)
                continue
            unit = queue.take()
            match self._leases.claim(unit):
                case Claim.MINE if self._allowance.take(unit.rows):
                    return unit
                case Claim.MINE:
                    self._leases.release(unit)
                    self._queues.stop()
                    queue.put_back(unit)
                case Claim.COMMITTED:
                    self._tally.add_receipt(committed_elsewhere(unit))
                    self._allowance.take(unit.rows)
                    self._plan_rounds(committed_elsewhere(unit))
                    queue.close(unit)
                case Claim.HELD:
                    queue.postpone(unit)
        return None

    def _plan_rounds(self, receipt: Receipt | None) -> None:
        """Counts a committed unit, and adds what it calls for once no unit waits."""
        if receipt:
            self._rounds.count(receipt)
        if self._rounds.due and self._queues.hungry:
            news = self._rounds.extend()
            self._tally.add_rounds(self._queues.add(news.units), news.standing)

    def _wait(self, queue: UnitQueue) -> None:
        """Waits for other drivers, until ``enough`` says so."""
        time.sleep(RECALL_S)
        self._on_progress(snapshot := self._snapshot())
        if self._enough(snapshot):
            self._queues.stop()
        queue.recall()

    def _sample_and_verify(self, unit: Unit, sampler: Sampler, engine: EngineTally) -> list[SampleBatch | VerdictBatch]:
        samples: list[SampleBatch | VerdictBatch] = []
        verdicts: list[SampleBatch | VerdictBatch] = []
        for item in sampler.sample(unit):
            if isinstance(item, SampleHeader):
                self._tally.add_samples(engine, item)
                continue
            header, verdict_batch = self._verifier.verify(item)
            self._tally.add_verdicts(header)
            samples.append(item)
            verdicts.append(verdict_batch)
        return samples + verdicts

    def _snapshot(self) -> Progress:
        return self._tally.snapshot(engines_wait=False, set_aside=len(self._queues.set_aside))
