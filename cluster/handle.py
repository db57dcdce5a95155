"""One sampler actor as the driver sees it: starts it, feeds it units, starts it again when it dies."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ray.exceptions import RayActorError, RayError

from cluster.actors import UNITS_IN_FLIGHT, Actors
from cluster.batches import ModelWork
from cluster.placement import EnginePlace
from cluster.tally import EngineTally
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Provenance, Unit

TRIES = 3  # of a unit; and of an engine, between two committed units
UNCOMMITTED = 3 * UNITS_IN_FLIGHT  # units that one engine may be ahead of verifiers and store
COMMITS_AT_ONCE = 2  # of one engine's units: Ray starts a process for each, however many end together
WATCH_S = 15.0
UNREAD_OBJECTS = 16  # batches and headers that an engine may be ahead of the driver


class UnitQueue:
    """The units of one model: how many nobody is working on, and how many are not yet committed or set aside."""

    def __init__(self, work: ModelWork) -> None:
        self.work = work
        self.open = self.waiting = len(work.units)
        self.dropped = False
        self._fresh, self._again = iter(work.units), deque[Unit]()
        self._failures: dict[Unit, int] = {}
        self._listeners: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """An event that is set whenever something changes; each listener clears its own."""
        event = asyncio.Event()
        self._listeners.append(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        self._listeners.remove(event)

    def wake(self) -> None:
        for event in self._listeners:
            event.set()

    def take(self) -> Unit:
        """One of those that are waiting."""
        self.waiting -= 1
        return next(self._fresh, None) or self._again.popleft()

    def close_one(self) -> None:
        """Wakes nobody before the last unit: ten thousand engines would be woken for each."""
        self.open -= 1
        if not self.open:
            self.wake()

    def drop_waiting(self) -> None:
        """No further unit is started: those that nobody works on stay for the next run."""
        self.dropped = True
        self.open, self.waiting = self.open - self.waiting, 0
        self.wake()

    def put_back(self, unit: Unit, *, charged: bool = True) -> bool:
        """Queues a failed unit again; False when it has failed TRIES times, of which those not ``charged`` are none."""
        if self.dropped:
            self.close_one()
            return True
        self._failures[unit] = self._failures.get(unit, 0) + charged
        if self._failures[unit] >= TRIES:
            self.close_one()
            return False
        self._again.append(unit)
        self.waiting += 1
        self.wake()
        return True


class SamplerHandle:
    """``start_unit`` follows one unit through the engine in a task of its own; ``lost`` says if a node has left."""

    provenance: Provenance

    def __init__(
        self,
        queue: UnitQueue,
        tally: EngineTally,
        makers: Actors,
        place: EnginePlace,
        start_unit: Callable[[Unit, "SamplerHandle"], None],
        lost: Callable[[str | None], Awaitable[bool]],
    ) -> None:
        self.queue, self.tally, self.committing = queue, tally, asyncio.Semaphore(COMMITS_AT_ONCE)
        self._makers, self._place, self._start_unit, self._lost = makers, place, start_unit, lost
        self._sampling: set[Unit] = set()
        self._uncommitted = 0
        self.life = 0  # counts the actors: what a dead one's units still tell is not about its successor
        self.node_id: str | None = None
        self.leaving = False
        self._changed = queue.listen()
        self._broken: Exception | None = None
        self._actor: Any = None
        self._failed_on: list[str | None] = []  # the nodes of failures since the last commit

    @property
    def units(self) -> int:
        """How many it is sampling."""
        return len(self._sampling)

    async def run(self) -> None:
        """Until the model has no open unit, or it was told to leave and has sampled what it had.

        Raises EngineError when the engine failed TRIES times in a row: those that its node's end explains are none;
        and EngineRefused as soon as it refuses its place.
        """
        try:
            while self.queue.open and not self.leaving:
                await self._start()
                if self._broken is None:
                    await self._serve()
                if self._broken is not None and not self.leaving:
                    await self._count_failure(self._broken)
            self.tally.set_state("done")
        finally:
            self._kill()
            self.queue.forget(self._changed)

    def serves(self, life: int) -> bool:
        """Whether the actor of that life can be given a unit."""
        return life == self.life and self._actor is not None and self._broken is None

    def leave(self) -> None:
        """Takes no further unit and ends once it has none; at once where it has not begun."""
        self.leaving = True
        self._changed.set()
        if self.tally.state in {"waiting", "starting"}:
            self._kill()

    def hand_back(self) -> None:
        """Ends now: what it had is another's."""
        self.leaving = True
        self._break(EngineError("its node leaves"))

    def stream(self, unit: Unit) -> Any:
        """The unit's headers and batches, as references."""
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": UNREAD_OBJECTS}
        return self._actor.sample.options(**options).remote(unit)

    def unit_sampled(self, unit: Unit, life: int) -> None:
        if life == self.life:
            self._sampling.discard(unit)
            self._changed.set()

    def unit_committed(self) -> None:
        self._failed_on.clear()

    def unit_ended(self) -> None:
        """Committed or failed: its batches are no longer kept."""
        self._uncommitted -= 1
        self._changed.set()

    def unit_failed(self, error: Exception, life: int) -> None:
        """Engine errors and a dead actor end this engine; anything else is the unit's own trouble."""
        if life != self.life:
            return
        if isinstance(error, RayActorError) or isinstance(getattr(error, "cause", error), EngineError):
            self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken = error
        self._changed.set()

    async def _start(self) -> None:
        self._kill()
        self._broken = self.node_id = None
        self._sampling.clear()
        self.life += 1
        self._actor = actor = self._makers.new_sampler(self.queue.work, self._place)
        self.tally.set_state("waiting")
        try:
            self.node_id = await actor.is_placed.remote()
            self.tally.set_state("starting")
            ready = await actor.start.remote()
        except RayError as error:
            self._broken = error
            return
        self.provenance = ready.provenance
        self.tally.ready(ready.start_s)

    async def _serve(self) -> None:
        watch = asyncio.create_task(self._watch(self._actor))
        try:
            await self._feed()
        finally:
            watch.cancel()

    async def _feed(self) -> None:
        """Hands out units while there are any and the engine lives, always enough of them to keep it full."""
        while self._broken is None and (self._sampling if self.leaving else self.queue.open):
            self._changed.clear()
            while self.queue.waiting and not self.leaving and self._wants_more():
                unit = self.queue.take()
                self._sampling.add(unit)
                self._uncommitted += 1
                self._start_unit(unit, self)
            await self._changed.wait()

    def _wants_more(self) -> bool:
        rows = sum(unit.rows for unit in self._sampling)
        enough = self.units >= 2 and rows >= 2 * self.queue.work.model.max_num_seqs
        return not enough and self.units < UNITS_IN_FLIGHT and self._uncommitted < UNCOMMITTED

    async def _watch(self, actor: Any) -> None:
        """Ends an engine that gives nothing though it has work, or whose process does not even answer."""
        limit = self.queue.work.model.stall_timeout_s
        while self._broken is None:
            await asyncio.sleep(min(limit / 4, WATCH_S))
            try:
                stalled_s = await asyncio.wait_for(actor.stalled_s.remote(), limit)
            except TimeoutError:
                stalled_s = limit
            except RayError:
                return  # its units tell
            if stalled_s >= limit:
                self._break(EngineError(f"engine {self.tally.name}: no token for {limit:g} s; killed"))

    async def _count_failure(self, error: Exception) -> None:
        """Also of earlier failures those are none whose node has left since: its end may be known late."""
        refused = getattr(error, "cause", None)
        if isinstance(refused, EngineRefused):
            self.tally.set_state("failed")
            raise refused
        failed_on = [*self._failed_on, self.node_id]
        gone = await asyncio.gather(*(self._lost(node_id) for node_id in failed_on))
        self._failed_on = [node_id for node_id, lost in zip(failed_on, gone, strict=True) if not lost]
        self.tally.restarts += 1
        if len(self._failed_on) >= TRIES:
            self.tally.set_state("failed")
            raise EngineError(one_line(error)) from error

    def _kill(self) -> None:
        if self._actor is not None:
            self._makers.end(self._actor)
            self._actor = None


def one_line(error: BaseException) -> str:
    """The last line of an error that Ray may have wrapped into a remote traceback."""
    lines = [line.strip() for line in str(getattr(error, "cause", None) or error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
