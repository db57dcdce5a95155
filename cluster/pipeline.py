"""The driver: keeps every engine supplied, every batch verified and every unit committed. It sees references only.

One asyncio task per sampler feeds it units; one per unit follows it from the first batch to the receipt; one steers:
every second it looks at nodes, work and backlog. Whatever dies, the unit goes back to the queue: what counts is only
what the sink holds.
"""

import asyncio
import contextlib
from functools import partial

from ray.exceptions import RayError

from cluster.actors import Actors, Ref
from cluster.backlog import Backlog
from cluster.batches import SampleHeader, SetAside, Work
from cluster.fleet import Fleet
from cluster.handle import SamplerHandle, one_line
from cluster.placement import Placement
from cluster.pool import VerifierPool
from cluster.shards import OpenShards
from cluster.sharing import verifier_rooms
from cluster.spending import Spending
from cluster.tally import Enough, OnProgress, Progress, Tally, never
from sampling.errors import EngineRefused, StoreError, StoreUnusable, TroopError
from sampling.samples import Shard, Unit

TICK_S = 1.0


class Pipeline:
    """One run of the work by actors that sample, verify and commit."""

    def __init__(
        self, work: Work, actors: Actors, placement: Placement, tally: Tally, spending: Spending | None = None
    ) -> None:
        self._work, self._actors, self._tally, self._placement = work, actors, tally, placement
        self._spending = spending or Spending(work, {}, lambda _: None)
        self._pool = VerifierPool(actors, placement, work.verifiers)
        self._backlog = Backlog()
        self._open_shards = OpenShards(work.open_shards)
        self._compacting = asyncio.Lock()  # one at a time: engines must not feel it
        self._fleet = Fleet(work.models, placement, actors, tally, self._start_unit)

    async def run(self, on_progress: OnProgress, enough: Enough = never) -> tuple[SetAside, ...]:
        """Works until every unit is committed or set aside, or it is enough; returns those set aside.

        Raises BadInput, before any engine starts, where the verifiers cannot work, EngineRefused where no engine of a
        model can ever run, and StoreUnusable where nothing can be committed: to go on would only burn GPU hours.
        """
        self._ticker = asyncio.create_task(self._tick(on_progress, enough))
        try:
            await self._fleet.look()
            await self._pool.prepare(self._rooms())
            async with asyncio.TaskGroup() as self._tasks:
                await self._steer()
        except BaseExceptionGroup as errors:
            if unusable := errors.subgroup(StoreUnusable):
                raise StoreUnusable(one_line(_first(unusable))) from errors
            if refused := errors.subgroup(EngineRefused):
                raise _first(refused) from errors
            raise
        finally:
            self._ticker.cancel()
            self._pool.stop()
        on_progress(self._snapshot())
        return tuple(self._tally.set_aside)

    async def _tick(self, on_progress: OnProgress, enough: Enough) -> None:
        while True:
            on_progress(snapshot := self._snapshot())
            if enough(snapshot):
                self._fleet.drop_waiting()
            await asyncio.sleep(TICK_S)

    def _snapshot(self) -> Progress:
        return self._tally.snapshot(engines_wait=self._backlog.full)

    async def _steer(self) -> None:
        while self._fleet.open:
            if self._ticker.done():  # without it no limit would be kept
                self._ticker.result()
            self._fleet.steer(self._tasks)
            self._pool.steer(self._rooms(), self._backlog.batches)
            self._backlog.set_verifiers(self._pool.size)
            self._tally.verifiers = self._pool.size
            await asyncio.sleep(TICK_S)
            await self._fleet.look()
        self._fleet.close()

    def _rooms(self) -> dict[str, int]:
        """How many verifiers each node holds."""
        placement, nodes = self._placement, self._fleet.census.staying
        return verifier_rooms(nodes, placement.engines, placement.verifier_cpus, self._work.verifier_nodes)

    def _start_unit(self, unit: Unit, sampler: SamplerHandle) -> None:
        self._tasks.create_task(self._follow(unit, sampler))

    async def _follow(self, unit: Unit, sampler: SamplerHandle) -> None:
        life, losses, receipt = sampler.life, self._fleet.census.losses, None
        if not await self._may_start(unit, sampler):
            sampler.unit_sampled(unit, life)
            sampler.unit_ended()
            return
        provenance = sampler.provenance
        try:
            batches = await self._sample_and_judge(unit, sampler)
            async with sampler.committing:
                receipt = await self._actors.commit(unit, provenance, batches)
        except StoreUnusable:
            raise
        except (RayError, TroopError) as error:
            sampler.unit_failed(error, life)
            charged = not await self._node_was_lost(error, losses)
            if not sampler.queue.put_back(unit, charged=charged):
                self._tally.set_aside.append(SetAside(unit, one_line(error)))
        else:
            self._tally.add_receipt(receipt)
            sampler.unit_committed()
            sampler.queue.close_one()
            if self._open_shards.filled_by(unit):
                self._tasks.create_task(self._compact(unit.in_shard))
        finally:
            self._spending.settle(unit, *((receipt.usd, receipt.judge_usd) if receipt else (None,)))
            sampler.unit_ended()

    async def _may_start(self, unit: Unit, sampler: SamplerHandle) -> bool:
        """Whether there is money for the unit, and still an engine when there is; else it is set aside or put back."""
        life = sampler.life
        try:
            if not await self._spending.start(unit):
                self._tally.set_aside.append(SetAside(unit, self._spending.refusal(unit)))
                sampler.queue.close_one()
                return False
        except StoreUnusable:
            raise
        except StoreError as error:  # what was reserved could not be kept, so nothing was sent
            self._spending.settle(unit, 0.0)
            if not sampler.queue.put_back(unit):
                self._tally.set_aside.append(SetAside(unit, one_line(error)))
            return False
        if sampler.queue.dropped or not sampler.serves(life):
            self._spending.settle(unit, 0.0)
            sampler.queue.put_back(unit, charged=False)
            return False
        return True

    async def _node_was_lost(self, error: Exception, losses: int) -> bool:
        """Whether a node has left since: engine, verifier or batches of a unit that failed may have been there."""
        if not isinstance(error, RayError) or isinstance(getattr(error, "cause", None), TroopError):
            return False
        await self._fleet.lost(None)
        return self._fleet.census.losses > losses

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
                self._tally.add_samples(sampler.tally if life == sampler.life else None, header)
                await self._backlog.enter(header.size)
                judging.append(asyncio.create_task(self._judge(samples[-1], unit)))
                judging[-1].add_done_callback(partial(self._backlog.leave, header.size))
        except BaseException:
            for task in judging:
                task.cancel()
            raise
        finally:
            sampler.unit_sampled(unit, life)
        return samples + list(await asyncio.gather(*judging))

    async def _judge(self, batch: Ref, unit: Unit) -> Ref:
        header, verdicts = await self._pool.judge(batch, unit)
        self._tally.add_verdicts(header)
        return verdicts


def _first(errors: BaseException) -> BaseException:
    """One of many: a full disk meets every unit at once."""
    return _first(errors.exceptions[0]) if isinstance(errors, BaseExceptionGroup) else errors
