"""The driver: keeps every engine supplied, every batch verified and every unit committed. It sees references only.

One asyncio task per sampler feeds it units; one per unit follows it from the first batch to the receipt. Whatever dies,
the unit goes back to the queue: what counts is only what the sink holds.
"""

import asyncio
import contextlib
from functools import partial

from ray.exceptions import RayError

from cluster.actors import Actors, Ref
from cluster.batches import SampleHeader, SetAside, Work
from cluster.handle import SamplerHandle, UnitQueue, one_line
from cluster.placement import EnginePlace, Placement
from cluster.pool import VerifierPool
from cluster.shards import OpenShards
from cluster.tally import EngineTally, OnProgress, Progress, Tally
from sampling.errors import EngineError, StoreUnusable, TroopError
from sampling.samples import Shard, Unit

BACKLOG_BATCHES = 64  # sample batches that wait for their verdicts before generation pauses
COMMITS_PER_ENGINE = 2  # at once: Ray starts a process for each, however many units end together
TICK_S = 1.0


class Pipeline:
    """One run of the work by actors that sample, verify and commit."""

    def __init__(self, work: Work, actors: Actors, placement: Placement, tally: Tally) -> None:
        self._work, self._actors, self._tally, self._placement = work, actors, tally, placement
        self._pool = VerifierPool(actors, placement)
        self._room = asyncio.Semaphore(BACKLOG_BATCHES)
        self._open_shards = OpenShards(work.open_shards)
        self._compacting = asyncio.Lock()  # one at a time: engines must not feel it
        self._committing = asyncio.Semaphore(COMMITS_PER_ENGINE * sum(place.count for place in placement.engines))

    async def run(self, on_progress: OnProgress) -> tuple[SetAside, ...]:
        """Works until every unit is committed or set aside; returns the latter.

        Raises BadInput, before any engine starts, where the verifiers cannot work, and StoreUnusable where nothing can
        be committed any more: to go on would only burn GPU hours.
        """
        ticker = asyncio.create_task(self._tick(on_progress))
        try:
            await self._pool.prepare()
            async with asyncio.TaskGroup() as group:
                self._housekeeping = group
                for work, place in zip(self._work.models, self._placement.engines, strict=True):
                    group.create_task(self._run_model(UnitQueue(work), place))
        except BaseExceptionGroup as errors:
            if unusable := errors.subgroup(StoreUnusable):
                raise StoreUnusable(one_line(_first(unusable))) from errors
            raise
        finally:
            ticker.cancel()
            self._pool.stop()
        on_progress(self._snapshot())
        return tuple(self._tally.set_aside)

    async def _tick(self, on_progress: OnProgress) -> None:
        while True:
            on_progress(self._snapshot())
            await asyncio.sleep(TICK_S)

    def _snapshot(self) -> Progress:
        return self._tally.snapshot(engines_wait=self._room.locked())

    async def _run_model(self, queue: UnitQueue, place: EnginePlace) -> None:
        """Runs all engines of one model; units that are left when the last engine has failed are set aside."""
        async with asyncio.TaskGroup() as units:
            errors = await self._run_engines(queue, place, units)
        while queue.waiting:
            unit = queue.take()
            self._tally.set_aside.append(SetAside(unit, f"model {unit.model}: {errors[0]}"))

    async def _run_engines(self, queue: UnitQueue, place: EnginePlace, units: asyncio.TaskGroup) -> list[BaseException]:
        """Until no unit is open, or every engine has failed; what ended those. ``units`` follows each unit."""
        handles = [self._handle(queue, place, number, units) for number in range(place.count)]
        results = await asyncio.gather(*(handle.run() for handle in handles), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, EngineError):
                raise error
        return errors

    def _handle(self, queue: UnitQueue, place: EnginePlace, number: int, units: asyncio.TaskGroup) -> SamplerHandle:
        tally = EngineTally(f"{queue.work.model.name}/{number}")
        self._tally.engines.append(tally)

        def start_unit(unit: Unit, sampler: SamplerHandle) -> None:
            units.create_task(self._follow(unit, sampler))

        new_actor = partial(self._actors.new_sampler, queue.work, place)
        return SamplerHandle(queue, tally, new_actor, self._actors.end, start_unit)

    async def _follow(self, unit: Unit, sampler: SamplerHandle) -> None:
        life, provenance = sampler.life, sampler.provenance
        try:
            batches = await self._sample_and_judge(unit, sampler)
            async with self._committing:
                receipt = await self._actors.commit(unit, provenance, batches)
        except StoreUnusable:
            raise
        except (RayError, TroopError) as error:
            sampler.unit_failed(error, life)
            if not sampler.queue.put_back(unit):
                self._tally.set_aside.append(SetAside(unit, one_line(error)))
        else:
            self._tally.add_receipt(receipt)
            sampler.unit_committed()
            sampler.queue.close_one()
            if self._open_shards.filled_by(unit):
                self._housekeeping.create_task(self._compact(unit.in_shard))

    async def _compact(self, shard: Shard) -> None:
        """A shard that this fails on stays as it is; whoever compacts the run next tries again, and tells."""
        async with self._compacting:
            with contextlib.suppress(RayError, TroopError):
                await self._actors.compact(shard)

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
