"""One sampler actor as the driver sees it: start it, feed it units, start it again when it dies."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from ray.exceptions import RayActorError, RayError

from cluster.actors import UNITS_IN_FLIGHT, Actors
from cluster.batches import EngineReady, ModelWork
from cluster.placement import EngineSlot
from cluster.queue import ENGINE_TRIES, UnitQueue
from cluster.session import one_line
from cluster.tally import EngineTally
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Provenance, Unit
from sampling.settings import ModelSpec

AHEAD = 16  # units that one engine may have sampled and that wait for verifiers and store
COMMITS_AT_ONCE = 2  # for one engine's units: Ray starts a process for each commit, however many units end together
WATCH_S = 15.0
UNREAD_OBJECTS = 16  # batches and headers that an engine may be ahead of the driver


class RunningEngine:
    """A started sampler actor, what it says of itself, and the units that it is sampling.

    A restart makes a new RunningEngine, so reports from the units of a dead actor never reach its successor.
    """

    def __init__(self, handle: "SamplerHandle", actor: Any, ready: EngineReady) -> None:
        self.handle, self.actor, self._provenance = handle, actor, ready.provenance
        self.concurrency = ready.concurrency
        self.sampling: set[Unit] = set()
        self.broken: Exception | None = None

    @property
    def current(self) -> bool:
        """Tells whether no restart has replaced it."""
        return self.handle.engine is self

    @property
    def usable(self) -> bool:
        """Tells whether it can be given a unit."""
        return self.current and self.broken is None

    def origin(self, unit: Unit) -> Provenance:
        """Returns the provenance of a unit's samples."""
        return self.handle.work.origin(unit, self._provenance)

    def stream(self, unit: Unit) -> Any:
        """Starts sampling a unit; returns the stream of references to its headers and batches."""
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": UNREAD_OBJECTS}
        return self.actor.sample.options(**options).remote(unit)

    def unit_sampled(self, unit: Unit) -> None:
        self.sampling.discard(unit)
        self.handle.wake()

    def unit_failed(self, error: Exception) -> None:
        """Ends the engine after an engine error or its actor's death; any other error concerns the unit alone."""
        if isinstance(error, RayActorError) or isinstance(getattr(error, "cause", None), EngineError):
            self.fail(error)

    def fail(self, error: Exception) -> None:
        self.broken = error
        self.handle.wake()


StartUnit = Callable[[Unit, RunningEngine], None]


class SamplerHandle:
    """One engine over all its starts.

    ``start_unit`` starts a task that follows one unit through the engine. ``lost`` tells whether nodes have left.
    """

    def __init__(
        self,
        work: ModelWork,
        queue: UnitQueue,
        tally: EngineTally,
        makers: Actors,
        slot: EngineSlot,
        start_unit: StartUnit,
        lost: Callable[[Collection[str]], Awaitable[bool]],
    ) -> None:
        self.queue, self.tally, self.committing = queue, tally, asyncio.Semaphore(COMMITS_AT_ONCE)
        self.work, self._makers, self._slot, self._start_unit, self._lost = work, makers, slot, start_unit, lost
        self.engine: RunningEngine | None = None
        self.node_ids: tuple[str, ...] = ()  # none until the actor has its share of the cluster
        self.leaving = False
        self._actor: Any = None
        self._uncommitted = 0
        self._changed = queue.listen()
        self._failed_on: list[tuple[str, ...]] = []  # the nodes of failures since the last commit

    @property
    def units(self) -> int:
        """The number of units that it is sampling."""
        return len(self.engine.sampling) if self.engine else 0

    async def run(self) -> None:
        """Works until the model has no open unit, or until it was told to leave and has sampled its units.

        Raises EngineError after ENGINE_TRIES failures in a row; failures on nodes that have since left do not count.
        Raises EngineRefused as soon as the engine refuses its slot.
        """
        try:
            while self.queue.open and not self.leaving:
                error = await self._live_once()
                if error is not None and not self.leaving:
                    await self._count_failure(error)
            self.tally.set_state("done")
        finally:
            self._kill()
            self.queue.forget(self._changed)

    def wake(self) -> None:
        self._changed.set()

    def leave(self) -> None:
        """Takes no further unit and ends when it has none left; ends at once if it is not sampling yet."""
        self.leaving = True
        self.wake()
        if self.tally.state in {"waiting", "starting"}:
            self._kill()

    def hand_back(self) -> None:
        """Ends now; its units go to other engines."""
        self.leaving = True
        if self.engine:
            self.engine.fail(EngineError("its node leaves"))

    def unit_committed(self) -> None:
        self._failed_on.clear()

    def unit_ended(self) -> None:
        """Counts a unit that is committed or has failed: its batches are no longer kept."""
        self._uncommitted -= 1
        self.wake()

    async def _live_once(self) -> Exception | None:
        """Starts an actor and feeds it; returns the error that ended it, or None when nothing is left to do."""
        try:
            engine = await self._start()
        except (RayError, EngineError, EngineRefused) as error:
            return error
        watch = asyncio.create_task(self._watch(engine))
        try:
            await self._feed(engine)
        finally:
            watch.cancel()
        return engine.broken

    async def _start(self) -> RunningEngine:
        """Starts a new actor in place of an earlier one.

        Raises RayError if it dies or its engine cannot start, EngineError if it takes longer than it may, EngineRefused
        if it does not compute as the run does.
        """
        self._kill()
        self.node_ids = ()
        self._actor = actor = self._makers.new_sampler(self.work, self._slot)
        self.tally.set_state("waiting")
        self.node_ids = await actor.is_placed.remote()
        self.tally.set_state("starting")
        try:
            ready = await asyncio.wait_for(actor.start.remote(), self.work.model.start_timeout_s)
        except TimeoutError as error:
            raise EngineError(_too_slow(self.work.model)) from error
        self.work.check_format(ready.provenance)
        self.tally.ready(ready.start_s)
        self.engine = engine = RunningEngine(self, actor, ready)
        self.queue.engines += 1
        return engine

    async def _feed(self, engine: RunningEngine) -> None:
        """Hands out units while there are any and the engine lives, always enough to keep it full."""
        while engine.broken is None and (engine.sampling if self.leaving else self.queue.open):
            self._changed.clear()
            while self.queue.waiting and not self.leaving and self._wants_more(engine):
                unit = self.queue.take()
                engine.sampling.add(unit)
                self._uncommitted += 1
                self._start_unit(unit, engine)
            await self._changed.wait()

    def _wants_more(self, engine: RunningEngine) -> bool:
        units, rows = len(engine.sampling), sum(unit.rows for unit in engine.sampling)
        enough = units >= 2 and rows >= 2 * engine.concurrency
        last = self.queue.waiting < self.queue.engines and rows >= engine.concurrency  # they go to who runs empty first
        return not enough and not last and units < UNITS_IN_FLIGHT and self._uncommitted - units < AHEAD

    async def _watch(self, engine: RunningEngine) -> None:
        """Ends an engine that has work and yields nothing, or whose process does not even answer."""
        limit = self.work.model.stall_timeout_s
        while engine.broken is None:
            await asyncio.sleep(min(limit / 4, WATCH_S))
            try:
                stalled_s = await asyncio.wait_for(engine.actor.stalled_s.remote(), limit)
            except TimeoutError:
                stalled_s = limit
            except RayError:
                return  # the tasks of its units report this
            if stalled_s >= limit:
                engine.fail(EngineError(f"engine {self.tally.name}: no token for {limit:g} s; killed"))

    async def _count_failure(self, error: Exception) -> None:
        """Counts a failure. Failures on nodes that have since left do not count, as that may become known late."""
        refused = getattr(error, "cause", error)
        if isinstance(refused, EngineRefused):
            self.tally.set_state("failed")
            raise refused
        failed_on = [*self._failed_on, self.node_ids]
        gone = await asyncio.gather(*(self._lost(node_ids) for node_ids in failed_on))
        self._failed_on = [node_ids for node_ids, lost in zip(failed_on, gone, strict=True) if not lost]
        self.tally.restarts += 1
        if len(self._failed_on) >= ENGINE_TRIES:
            self.tally.set_state("failed")
            raise EngineError(one_line(error)) from error

    def _kill(self) -> None:
        self.queue.engines -= self.engine is not None
        self.engine = None
        if self._actor is not None:
            self._makers.end(self._actor)
            self._actor = None


def _too_slow(model: ModelSpec) -> str:
    """Says what an engine that does not start may wait for."""
    text = f"did not start within {model.start_timeout_s:g} s and was killed; start_timeout_s of the model allows more"
    if model.gpus > 1 or model.nodes > 1:
        text += "; engines on several GPUs may wait for each other: set NCCL_DEBUG=INFO, or NCCL_P2P_DISABLE=1"
    return text
