"""The driver: keeps every engine supplied, every batch verified and every unit committed. It sees references only.

One asyncio task for each sampler feeds it units. One for each unit follows it from the first batch to the receipt. One
steers: every second it looks at nodes, work and backlog. Whatever dies, its units go back to their queue: only what the
sink holds counts.
"""

import asyncio
import contextlib
import time
from functools import partial

from ray.exceptions import RayError

from cluster.actors import Actors, Ref
from cluster.backlog import Backlog
from cluster.batches import SampleHeader, Work
from cluster.fleet import Fleet
from cluster.handle import RunningEngine
from cluster.placement import Placement
from cluster.pool import VerifierPool
from cluster.queue import Allowance, OpenShards, SetAside, UnitQueue, UnitQueues
from cluster.session import one_line
from cluster.sharing import verifier_slots
from cluster.sink import AllPlanned, Alone, Claim, Leases, Receipt, Rounds, committed_elsewhere
from cluster.spending import Spending
from cluster.tally import Enough, OnProgress, Progress, Tally, never
from sampling.errors import EngineRefused, StoreError, StoreUnusable, TroopError
from sampling.samples import Unit

TICK_S = 1.0
ROUNDS_S = 5.0  # between two layers of the plan, while every engine has units
PLAN_TRIES = 10  # failures of the store in a row to add a round, each tried for long, after which a run ends
PLANNING_SHARE = 0.05  # of the time, at most, that goes into layers while engines wait for units


class Pipeline:
    """One run of the work by actors that sample, verify and commit."""

    def __init__(
        self,
        work: Work,
        actors: Actors,
        placement: Placement,
        tally: Tally,
        spending: Spending | None = None,
        leases: Leases | None = None,
        rounds: Rounds | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._work, self._actors, self._tally, self._placement = work, actors, tally, placement
        self._leases, self._claimed = leases or Alone(), set[Unit]()
        self._rounds, self._allowance = rounds or AllPlanned(), allowance or Allowance()
        self._planning, self._planned_at, self._planning_s, self._plan_failures = asyncio.Lock(), 0.0, 0.0, 0
        self._spending = spending or Spending(work, {}, lambda _: None)
        self._queues = UnitQueues(work.models)
        self._pool = VerifierPool(actors, placement, work.verifiers)
        self._backlog = Backlog()
        self._streams = 0  # units that engines are sampling
        self._open_shards = OpenShards(work.open_shards)
        self._compacting = asyncio.Lock()  # one shard at a time: engines must not feel it
        self._fleet = Fleet(work.models, self._queues, placement, actors, tally, self._follow)

    async def run(self, on_progress: OnProgress, enough: Enough = never) -> tuple[SetAside, ...]:
        """Works until every unit is committed or set aside, or ``enough`` says so; returns the units set aside.

        Raises BadInput, before any engine starts, if the verifiers cannot work. Raises EngineRefused if no engine of a
        model can ever run, and StoreUnusable if nothing can be committed: to go on would only burn GPU hours.
        """
        ticker = asyncio.create_task(self._tick(on_progress, enough))
        try:
            await self._fleet.update_census()
            await self._pool.prepare(self._verifier_slots())
            async with asyncio.TaskGroup() as tasks:
                await self._steer(tasks, ticker)
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
        return self._queues.set_aside

    async def _tick(self, on_progress: OnProgress, enough: Enough) -> None:
        while True:
            on_progress(snapshot := self._snapshot())
            if enough(snapshot):
                self._queues.stop()
            await asyncio.sleep(TICK_S)

    def _snapshot(self) -> Progress:
        full, aside = self._backlog.full, len(self._queues.set_aside)
        return self._tally.snapshot(engines_wait=full, set_aside=aside, bottleneck=self._bottleneck())

    def _bottleneck(self) -> str:
        """Returns the side that the others wait for; "" once nothing waits."""
        if self._queues.open and all(queue.open == len(queue.held) for queue in self._queues):
            return "another driver"
        if self._streams or any(queue.waiting for queue in self._queues):
            return "verifiers" if self._backlog.full else "engines"
        return "verifiers" if self._backlog.batches else "store" if self._queues.open else ""

    async def _steer(self, tasks: asyncio.TaskGroup, ticker: "asyncio.Task[None]") -> None:
        while self._queues.open or (self._rounds.due and not self._queues.stopped):
            if ticker.done():  # without the ticker no limit would be kept
                ticker.result()
            for queue in self._queues:
                queue.recall()
            await self._release_set_aside()
            await self._plan_rounds()
            self._fleet.steer(tasks, verifiers_lag=self._backlog.batches > self._pool.size)
            self._pool.steer(self._verifier_slots(), self._backlog.batches)
            self._backlog.set_verifiers(self._pool.size)
            self._tally.verifiers = self._pool.size
            await asyncio.sleep(TICK_S)
            await self._fleet.update_census()
        self._fleet.close()

    def _verifier_slots(self) -> dict[str, int]:
        """Returns how many verifiers each node holds, by node id."""
        placement, nodes = self._placement, self._fleet.census.staying
        return verifier_slots(nodes, placement.engines, placement.verifier_cpus, self._work.verifier_nodes)

    async def _follow(self, unit: Unit, engine: RunningEngine) -> None:
        """Sees one unit to its end, whatever that is."""
        losses, handle = self._fleet.census.losses, engine.handle
        if not await self._is_ours(unit, engine) or not await self._may_start(unit, engine):
            engine.unit_sampled(unit)
            handle.unit_ended()
            return
        receipt: Receipt | None = None
        try:
            batches = await self._sample_and_verify(unit, engine)
            async with handle.committing:
                receipt = await self._actors.commit(unit, engine.origin(unit), batches)
        except StoreUnusable:
            raise
        except (RayError, TroopError) as error:
            engine.unit_failed(error)
            if await self._node_was_lost(error, losses):
                handle.queue.put_back(unit)
            else:
                handle.queue.fail(unit, one_line(error))
        else:
            self._tally.add_receipt(receipt)
            self._claimed.discard(unit)
            handle.unit_committed()
            await self._close(receipt, handle.queue)
        finally:
            self._allowance.give_back(0 if receipt else unit.rows)
            self._spending.settle(unit, *((receipt.usd, receipt.judge_usd) if receipt else (None,)))
            handle.unit_ended()
        if receipt:
            await self._compact_if_full(unit)

    async def _is_ours(self, unit: Unit, engine: RunningEngine) -> bool:
        """Returns whether no other driver has the unit; one that has is closed, or postponed until that driver is done.

        The driver asks the store itself: a task for each unit would cost more. A store that is down stops no unit.
        """
        claim, queue = Claim.MINE, engine.handle.queue
        with contextlib.suppress(StoreError):
            claim = await asyncio.to_thread(self._leases.claim, unit)
        if claim is Claim.COMMITTED:
            self._tally.add_receipt(committed_elsewhere(unit))
            self._allowance.take(unit.rows)
            await self._close(committed_elsewhere(unit), queue)
            await self._compact_if_full(unit)
        elif claim is Claim.HELD:
            queue.postpone(unit)
        else:
            self._claimed.add(unit)
        return claim is Claim.MINE

    async def _close(self, receipt: Receipt, queue: UnitQueue) -> None:
        """Closes a committed unit, after what it calls for was planned: a queue must not seem to be at its end."""
        self._rounds.count(receipt)
        await self._plan_rounds()
        queue.close(receipt.unit)

    async def _plan_rounds(self) -> None:
        """Adds to the plan what committed units call for: soon where a model has no unit waiting, else now and then.

        A store that is down for a while stops nothing: the next look tries again.
        """
        async with self._planning:
            if not self._rounds.due or self._queues.stopped:
                return
            begun = time.monotonic()
            if not self._queues.hungry and begun - self._planned_at < ROUNDS_S:
                return
            await asyncio.sleep(min(TICK_S, self._planned_at + self._planning_s / PLANNING_SHARE - begun))
            begun = time.monotonic()
            try:
                news = await asyncio.to_thread(self._rounds.extend)
                self._tally.add_rounds(self._queues.add(news.units), news.standing)
                self._plan_failures = 0
            except StoreUnusable:
                raise
            except StoreError as error:
                self._plan_failures += 1
                if self._plan_failures >= PLAN_TRIES:
                    raise StoreUnusable(f"a round could not be added to the plan: {one_line(error)}") from error
                await asyncio.sleep(TICK_S)
            self._planned_at = time.monotonic()
            self._planning_s = self._planned_at - begun

    async def _release_set_aside(self) -> None:
        """Lets other drivers try the units that this one has set aside: two drivers must not wait for each other."""
        aside = {item.unit for item in self._queues.set_aside} & self._claimed if self._claimed else ()
        for unit in aside:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self._leases.release, unit)
                self._claimed.discard(unit)

    async def _may_start(self, unit: Unit, engine: RunningEngine) -> bool:
        """Returns whether the unit has its money and still an engine; otherwise sets it aside or puts it back."""
        queue = engine.handle.queue
        try:
            if not await self._spending.start(unit):
                queue.give_up(unit, self._spending.refusal(unit))
                return False
        except StoreUnusable:
            raise
        except StoreError as error:  # the reservation could not be stored, so no request was sent
            self._spending.settle(unit, 0.0)
            queue.fail(unit, one_line(error))
            return False
        if not queue.stopped and not self._allowance.take(unit.rows):
            self._queues.stop()
        if queue.stopped or not engine.usable:
            self._allowance.give_back(0 if queue.stopped else unit.rows)
            self._spending.settle(unit, 0.0)
            queue.put_back(unit)
            return False
        return True

    async def _node_was_lost(self, error: Exception, losses: int) -> bool:
        """Returns whether a node has left since: it may have held the failed unit's engine, verifier or batches."""
        if not isinstance(error, RayError) or isinstance(getattr(error, "cause", None), TroopError):
            return False
        await self._fleet.lost(())
        return self._fleet.census.losses > losses

    async def _compact_if_full(self, unit: Unit) -> None:
        """Compacts the shard that a committed unit fills, unless another driver does.

        On failure it stays as it is: the run's next compaction tries again, and reports.
        """
        if not self._open_shards.filled_by(unit):
            return
        async with self._compacting:
            with contextlib.suppress(RayError, TroopError):
                if await asyncio.to_thread(self._leases.claim, unit.in_shard) is not Claim.HELD:
                    await self._actors.compact(unit.in_shard)

    async def _sample_and_verify(self, unit: Unit, engine: RunningEngine) -> list[Ref]:
        """Returns references to the unit's sample batches and then, in the same order, to their verdict batches."""
        samples: list[Ref] = []
        verifying: list[asyncio.Task[Ref]] = []
        stream = engine.stream(unit)
        self._streams += 1
        try:
            async for header_ref in stream:
                header: SampleHeader = await header_ref
                samples.append(await anext(stream))
                self._tally.add_samples(engine.handle.tally if engine.current else None, header)
                await self._backlog.enter(header.size)
                verifying.append(asyncio.create_task(self._verify(samples[-1], unit)))
                verifying[-1].add_done_callback(partial(self._backlog.leave, header.size))
        except BaseException:
            for task in verifying:
                task.cancel()
            raise
        finally:
            self._streams -= 1
            engine.unit_sampled(unit)
        return samples + list(await asyncio.gather(*verifying))

    async def _verify(self, batch: Ref, unit: Unit) -> Ref:
        header, verdicts = await self._pool.verify(batch, unit)
        self._tally.add_verdicts(header)
        return verdicts


def _first(errors: BaseException) -> BaseException:
    """Returns one error of a group: a full disk ends every unit at once."""
    return _first(errors.exceptions[0]) if isinstance(errors, BaseExceptionGroup) else errors
