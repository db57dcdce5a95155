"""The pipeline's in-process twin: same contract, no Ray, one thing after another. For debugging and for tests."""

import asyncio
from collections.abc import Iterator

from cluster.batches import ModelWork, SampleBatch, SampleHeader, SetAside, VerdictBatch, Work
from cluster.placement import place_here
from cluster.sampler import Sampler
from cluster.shards import OpenShards
from cluster.sink import Sink
from cluster.spending import Spending
from cluster.tally import EngineTally, Enough, OnProgress, Tally, never
from cluster.verifier import VerifierWorker, commit_unit, compact_shard
from sampling.samples import Unit


def run_local(
    work: Work,
    sink: Sink,
    tally: Tally,
    on_progress: OnProgress,
    enough: Enough = never,
    spending: Spending | None = None,
) -> tuple[SetAside, ...]:
    """Samples, judges and commits every unit in this process, until it is enough.

    Raises EngineError where the pipeline would retry.
    """
    judge, shards = VerifierWorker(work.problems, work.tier, work.judge), OpenShards(work.open_shards)
    spending = spending or Spending(work, {}, lambda _: None)
    try:
        judge.prepare()
        for model in work.models:
            for unit in _run_model(model, work, judge, sink, tally, on_progress, spending):
                if shards.filled_by(unit):
                    compact_shard(sink, unit.in_shard)
                if enough(tally.snapshot(engines_wait=False)):
                    return tuple(tally.set_aside)
    finally:
        judge.close()
    return tuple(tally.set_aside)


def _run_model(
    model: ModelWork,
    work: Work,
    judge: VerifierWorker,
    sink: Sink,
    tally: Tally,
    on_progress: OnProgress,
    spending: Spending,
) -> Iterator[Unit]:
    """Yields each unit once it is committed."""
    sampler = Sampler(model, work.problems, work.seed, work.code_version, place_here(model.model))
    engine = EngineTally(f"{model.model.name}/0")
    tally.engines.append(engine)
    engine.set_state("starting")
    on_progress(tally.snapshot(engines_wait=False))
    ready = sampler.start()
    engine.ready(ready.start_s)
    try:
        for unit in model.units:
            if not asyncio.run(spending.start(unit)):
                tally.set_aside.append(SetAside(unit, spending.refusal(unit)))
                continue
            batches = _sample_and_judge(unit, sampler, judge, engine, tally)
            receipt = commit_unit(sink, unit, ready.provenance, *batches)
            spending.settle(unit, receipt.usd, receipt.judge_usd)
            tally.add_receipt(receipt)
            on_progress(tally.snapshot(engines_wait=False))
            yield unit
    finally:
        sampler.stop()
    engine.set_state("done")


def _sample_and_judge(
    unit: Unit, sampler: Sampler, judge: VerifierWorker, engine: EngineTally, tally: Tally
) -> list[SampleBatch | VerdictBatch]:
    samples: list[SampleBatch | VerdictBatch] = []
    verdicts: list[SampleBatch | VerdictBatch] = []
    for item in sampler.sample(unit):
        if isinstance(item, SampleHeader):
            tally.add_samples(engine, item)
            continue
        header, judged = judge.judge(item)
        tally.add_verdicts(header)
        samples.append(item)
        verdicts.append(judged)
    return samples + verdicts
