"""One sampler actor as the driver sees it: starts it, feeds it units, starts it again when it dies."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ray.exceptions import RayActorError, RayError

from cluster.batches import ModelWork
from cluster.tally import EngineTally
from sampling.errors import EngineError
from sampling.samples import Provenance, Unit

TRIES = 3  # of a unit; and of an engine, between two committed units
UNITS_IN_FLIGHT = 8  # at most, on one engine
UNREAD_OBJECTS = 16  # batches and headers that an engine may be ahead of the driver


class UnitQueue:
    """The units of one model: how many nobody is working on, and how many are not yet committed or set aside."""

    def __init__(self, work: ModelWork) -> None:
        self.work = work
        self.open = self.waiting = len(work.units)
        self._fresh, self._again = iter(work.units), deque[Unit]()
        self._failures: dict[Unit, int] = {}
        self._listeners: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        """An event that is set whenever something changes; each listener clears its own."""
        event = asyncio.Event()
        self._listeners.append(event)
        return event

    def wake(self) -> None:
        for event in self._listeners:
            event.set()

    def take(self) -> Unit:
        """One of those that are waiting."""
        self.waiting -= 1
        return next(self._fresh, None) or self._again.popleft()

    def close_one(self) -> None:
        self.open -= 1
        self.wake()

    def put_back(self, unit: Unit) -> bool:
        """Queues a failed unit again; False when it has failed TRIES times."""
        self._failures[unit] = self._failures.get(unit, 0) + 1
        if self._failures[unit] >= TRIES:
            self.close_one()
            return False
        self._again.append(unit)
        self.waiting += 1
        self.wake()
        return True


class SamplerHandle:
    """``new_actor`` makes a sampler actor and ``end_actor`` kills it; ``start_unit`` follows one unit through it in a
    task of its own."""

    provenance: Provenance

    def __init__(
        self,
        queue: UnitQueue,
        tally: EngineTally,
        new_actor: Callable[[], Any],
        end_actor: Callable[[Any], None],
        start_unit: Callable[[Unit, "SamplerHandle"], None],
    ) -> None:
        self.queue, self.tally = queue, tally
        self._new_actor, self._end_actor, self._start_unit = new_actor, end_actor, start_unit
        self._in_flight: set[Unit] = set()
        self.life = 0  # counts the actors: what a dead one's units still tell is not about its successor
        self._changed = queue.listen()
        self._broken: Exception | None = None
        self._actor: Any = None
        self._failures = 0

    async def run(self) -> None:
        """Until the model has no open unit; raises EngineError when the engine failed TRIES times in a row."""
        try:
            while self.queue.open:
                await self._start()
                if self._broken is None:
                    await self._feed()
                if self._broken is not None:
                    self._count_failure(self._broken)
            self.tally.set_state("done")
        finally:
            self._kill()

    def stream(self, unit: Unit) -> Any:
        """The unit's headers and batches, as references."""
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": UNREAD_OBJECTS}
        return self._actor.sample.options(**options).remote(unit)

    def unit_sampled(self, unit: Unit, life: int) -> None:
        if life == self.life:
            self._in_flight.discard(unit)
            self._changed.set()

    def unit_committed(self) -> None:
        self._failures = 0

    def unit_failed(self, error: Exception, life: int) -> None:
        """Engine errors and a dead actor end this engine; anything else is the unit's own trouble."""
        if life != self.life:
            return
        if isinstance(error, RayActorError) or isinstance(getattr(error, "cause", error), EngineError):
            self._broken = error
            self._changed.set()

    async def _start(self) -> None:
        self._kill()
        self._broken = None
        self._in_flight.clear()
        self.life += 1
        self._actor = self._new_actor()
        self.tally.set_state("waiting")
        try:
            await self._actor.is_placed.remote()
            self.tally.set_state("starting")
            ready = await self._actor.start.remote()
        except RayError as error:
            self._broken = error
            return
        self.provenance = ready.provenance
        self.tally.ready(ready.start_s)

    async def _feed(self) -> None:
        """Hands out units while there are any and the engine lives, always enough of them to keep it full."""
        while self.queue.open and self._broken is None:
            self._changed.clear()
            while self.queue.waiting and self._wants_more():
                unit = self.queue.take()
                self._in_flight.add(unit)
                self._start_unit(unit, self)
            await self._changed.wait()

    def _wants_more(self) -> bool:
        rows = sum(unit.rows for unit in self._in_flight)
        enough = len(self._in_flight) >= 2 and rows >= 2 * self.queue.work.model.max_num_seqs
        return not enough and len(self._in_flight) < UNITS_IN_FLIGHT

    def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        self.tally.restarts += 1
        if self._failures >= TRIES:
            self.tally.set_state("failed")
            raise EngineError(one_line(error)) from error

    def _kill(self) -> None:
        if self._actor is not None:
            self._end_actor(self._actor)
            self._actor = None


def one_line(error: BaseException) -> str:
    """The last line of an error that Ray may have wrapped into a remote traceback."""
    lines = [line.strip() for line in str(getattr(error, "cause", None) or error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
