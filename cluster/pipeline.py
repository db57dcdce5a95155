"""The driver: keeps every engine supplied, every batch verified and every unit committed. It sees references only.

One asyncio task per sampler feeds it units; one per unit follows it from the first batch to the receipt. Whatever dies,
the unit goes back to the queue: what counts is only what the sink holds.
"""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.batches import SampleHeader, SetAside, Work
from cluster.handle import UNITS_IN_FLIGHT, SamplerHandle, UnitQueue, one_line
from cluster.judging import commit_unit, compact_shard
from cluster.placement import EnginePlace, Placement
from cluster.pool import Ref, VerifierPool
from cluster.sampler import Sampler
from cluster.shards import OpenShards
from cluster.sink import Sink
from cluster.spending import Spending
from cluster.tally import EngineTally, Enough, OnProgress, Progress, Tally, never
from sampling.errors import EngineError, EngineRefused, StoreError, StoreUnusable, TroopError
from sampling.samples import Shard, Unit

BACKLOG_BATCHES = 64  # sample batches that wait for their verdicts before generation pauses
COMMIT_TRIES = 5
COMMITS_PER_ENGINE = 2  # at once: Ray starts a process for each, however many units end together
TICK_S = 1.0


class Pipeline:
    """One run of the work on a cluster that is connected."""

    def __init__(
        self, work: Work, sink: Sink, placement: Placement, tally: Tally, spending: Spending | None = None
    ) -> None:
        self._work, self._tally, self._placement = work, tally, placement
        self._spending = spending or Spending(work, {}, lambda _: None)
        self._sink, self._problems = ray.put(sink), ray.put(work.problems)
        self._pool = VerifierPool(work, self._problems, placement)
        tally.verifiers = placement.verifiers
        options = {"num_cpus": 0, "max_retries": COMMIT_TRIES, "retry_exceptions": [StoreError]}
        self._commit: Any = ray.remote(commit_unit).options(**options)
        self._room = asyncio.Semaphore(BACKLOG_BATCHES)
        self._compact_shard: Any = ray.remote(compact_shard).options(num_cpus=0)
        self._open_shards = OpenShards(work.open_shards)
        self._compacting = asyncio.Lock()  # one at a time: engines must not feel it
        self._committing = asyncio.Semaphore(COMMITS_PER_ENGINE * sum(place.count for place in placement.engines))

    async def run(self, on_progress: OnProgress, enough: Enough = never) -> tuple[SetAside, ...]:
        """Works until every unit is committed or set aside, or it is enough; returns those set aside.

        Raises BadInput, before any engine starts, where the verifiers cannot work, EngineRefused where no engine of a
        model can ever run, and StoreUnusable where nothing can be committed: to go on would only burn GPU hours.
        """
        self._queues = [UnitQueue(work) for work in self._work.models]
        ticker = asyncio.create_task(self._tick(on_progress, enough))
        try:
            await self._pool.prepare()
            async with asyncio.TaskGroup() as group:
                self._housekeeping = group
                for queue, place in zip(self._queues, self._placement.engines, strict=True):
                    group.create_task(self._run_model(queue, place))
        except BaseExceptionGroup as errors:
            if unusable := errors.subgroup(StoreUnusable):
                raise StoreUnusable(one_line(_first(unusable))) from errors
            if refused := errors.subgroup(EngineRefused):
                raise _first(refused) from errors
            raise
        finally:
            ticker.cancel()
            self._pool.stop()
        on_progress(self._snapshot())
        return tuple(self._tally.set_aside)

    async def _tick(self, on_progress: OnProgress, enough: Enough) -> None:
        while True:
            on_progress(snapshot := self._snapshot())
            if enough(snapshot):
                for queue in self._queues:
                    queue.drop_waiting()
            await asyncio.sleep(TICK_S)

    def _snapshot(self) -> Progress:
        return self._tally.snapshot(engines_wait=self._room.locked())

    async def _run_model(self, queue: UnitQueue, place: EnginePlace) -> None:
        """Runs all engines of one model; units that are left when the last engine has failed are set aside."""
        async with asyncio.TaskGroup() as units:
            errors = await self._run_engines(queue, place, units)
        refused = next((error for error in errors if isinstance(error, EngineRefused)), None)
        if queue.waiting and refused:
            raise refused
        while queue.waiting:
            unit = queue.take()
            self._tally.set_aside.append(SetAside(unit, f"model {unit.model}: {errors[0]}"))

    async def _run_engines(self, queue: UnitQueue, place: EnginePlace, units: asyncio.TaskGroup) -> list[BaseException]:
        """Until no unit is open, or every engine has failed; what ended those. ``units`` follows each unit."""
        handles = [self._handle(queue, place, number, units) for number in range(place.count)]
        results = await asyncio.gather(*(handle.run() for handle in handles), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, EngineError | EngineRefused):
                raise error
        return errors

    def _handle(self, queue: UnitQueue, place: EnginePlace, number: int, units: asyncio.TaskGroup) -> SamplerHandle:
        tally = EngineTally(f"{queue.work.model.name}/{number}")
        self._tally.engines.append(tally)

        def start_unit(unit: Unit, sampler: SamplerHandle) -> None:
            units.create_task(self._follow(unit, sampler))

        return SamplerHandle(queue, tally, partial(self._new_sampler, queue, place), start_unit)

    def _new_sampler(self, queue: UnitQueue, place: EnginePlace) -> Any:
        actor: Any = ray.remote(Sampler)
        work = replace(queue.work, units=(next(iter(queue.work.units)),))  # not all travel to every engine
        arguments = (work, self._problems, self._work.seed, self._work.code_version, place)
        options = {"num_cpus": place.cpus, "num_gpus": place.gpus, "max_concurrency": UNITS_IN_FLIGHT + 2}
        return actor.options(**options).remote(*arguments)

    async def _follow(self, unit: Unit, sampler: SamplerHandle) -> None:
        if not await self._spending.start(unit):
            self._tally.set_aside.append(SetAside(unit, self._spending.refusal(unit)))
            sampler.unit_sampled(unit, sampler.life)
            sampler.queue.close_one()
            return
        life, provenance, usd = sampler.life, sampler.provenance, None
        try:
            batches = await self._sample_and_judge(unit, sampler)
            async with self._committing:
                receipt = await self._commit.remote(self._sink, unit, provenance, *batches)
        except StoreUnusable:
            raise
        except (RayError, TroopError) as error:
            sampler.unit_failed(error, life)
            if not sampler.queue.put_back(unit):
                self._tally.set_aside.append(SetAside(unit, one_line(error)))
        else:
            usd = receipt.usd
            self._tally.add_receipt(receipt)
            sampler.unit_committed()
            sampler.queue.close_one()
            if self._open_shards.filled_by(unit):
                self._housekeeping.create_task(self._compact(unit.in_shard))
        finally:
            self._spending.settle(unit, usd)

    async def _compact(self, shard: Shard) -> None:
        """A shard that this fails on stays as it is; whoever compacts the run next tries again, and tells."""
        async with self._compacting:
            with contextlib.suppress(RayError, TroopError):
                await self._compact_shard.remote(self._sink, shard)

    async def _sample_and_judge(self, unit: Unit, sampler: SamplerHandle) -> list[Ref]:
        """References to the unit's sample batches and then, in the same order, to their verdict batches."""
        samples: list[Ref] = []
        judging: list[asyncio.Task[Ref]] = []
        life, stream = sampler.life, sampler.stream(unit)
        try:
            async for header_ref in stream:
                header: SampleHeader = await header_ref
                samples.append(await anext(stream))
                self._tally.add_samples(sampler.tally, header)
                await self._room.acquire()
                judging.append(asyncio.create_task(self._judge(samples[-1], unit)))
        except BaseException:
            for task in judging:
                task.cancel()
            raise
        finally:
            sampler.unit_sampled(unit, life)
        return samples + list(await asyncio.gather(*judging))

    async def _judge(self, batch: Ref, unit: Unit) -> Ref:
        try:
            header, verdicts = await self._pool.judge(batch, unit)
        finally:
            self._room.release()
        self._tally.add_verdicts(header)
        return verdicts


def _first(errors: BaseException) -> BaseException:
    """One of many: a full disk meets every unit at once."""
    return _first(errors.exceptions[0]) if isinstance(errors, BaseExceptionGroup) else errors
