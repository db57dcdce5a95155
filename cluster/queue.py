"""The fate of units: waiting, in flight, failed, set aside or committed. Plain data and asyncio events, no Ray.

A queue alone decides and remembers this. The pipeline, its in-process twin, the scoring of stored samples and the
progress display read it here.
"""

import asyncio
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cluster.batches import ModelWork
from sampling.samples import Shard, Unit

UNIT_TRIES = 3  # failures after which a unit is set aside
RECALLS, LEAST_RECALLED = 30, 8  # recalls until each of many held units was looked at; units of one recall
ENGINE_TRIES = 3  # failures in a row, without a committed unit between, after which an engine is given up


@dataclass(frozen=True, slots=True)
class SetAside:
    """A unit that this run does not try again, with its last error. The next run tries it."""

    unit: Unit
    error: str


_Source = tuple[int, int, Unit, Iterator[Unit]]  # its next unit's first sample, its number, that unit, the rest


class UnitQueue:
    """The units of one model, up to millions; new ones are read from ``units`` only when they are taken.

    ``waiting`` counts the units that nobody works on, ``open`` these and the ones in flight. ``failures`` counts the
    failures of each open unit. ``held`` are open units on which another driver works, until they are recalled.
    ``stopped`` means that no further unit is started. ``engines`` are ready to take units.
    """

    def __init__(self, units: Collection[Unit]) -> None:
        self.planned = self.open = self.waiting = len(units)
        self.failures: Counter[Unit] = Counter()
        self.set_aside: list[SetAside] = []
        self.stopped = False
        self.engines = 0
        self.held = deque[Unit]()
        self._new, self._returned = list[_Source](), deque[Unit]()
        self._sources = itertools.count()
        self._push(next(self._sources), iter(units))
        self._listeners: list[asyncio.Event] = []

    @property
    def in_flight(self) -> int:
        return self.open - self.waiting - len(self.held)

    @property
    def closed(self) -> int:
        return self.planned - self.open

    def take(self) -> Unit:
        """Hands out a waiting unit: new ones in their order, then those that came back.

        Of units that were added later, the ones whose problems have the fewest samples go first.
        """
        self.waiting -= 1
        if not self._new:
            return self._returned.popleft()
        _, number, unit, rest = heapq.heappop(self._new)
        self._push(number, rest)
        return unit

    def add(self, units: Collection[Unit]) -> None:
        """Adds units that were planned since. A stopped queue leaves them to the next run."""
        if not self.stopped:
            self.planned, self.open, self.waiting = (
                count + len(units) for count in (self.planned, self.open, self.waiting)
            )
            self._push(next(self._sources), iter(units))
            self.wake()

    def _push(self, number: int, units: Iterator[Unit]) -> None:
        """Keeps the next unit of a source: of several sources, the problems with the fewest samples come first."""
        if (unit := next(units, None)) is not None:
            heapq.heappush(self._new, (unit.first_sample, number, unit, units))

    def close(self, unit: Unit) -> None:
        """Ends a taken unit that is committed."""
        self.failures.pop(unit, None)
        self._end_one()

    def give_up(self, unit: Unit, error: str) -> None:
        """Sets a taken unit aside."""
        self.set_aside.append(SetAside(unit, error))
        self.close(unit)

    def fail(self, unit: Unit, error: str) -> None:
        """Counts a failure of a taken unit. Queues it again; sets it aside after UNIT_TRIES failures."""
        if not self.stopped:
            self.failures[unit] += 1
        if self.failures[unit] >= UNIT_TRIES:
            self.give_up(unit, error)
        else:
            self.put_back(unit)

    def put_back(self, unit: Unit) -> None:
        """Queues a taken unit again, behind the new ones. A stopped queue leaves it to the next run."""
        if self.stopped:
            self.close(unit)
            return
        self._returned.append(unit)
        self.waiting += 1
        self.wake()

    def postpone(self, unit: Unit) -> None:
        """Keeps a taken unit on which another driver works. A stopped queue leaves it to that driver."""
        if self.stopped:
            self.close(unit)
        else:
            self.held.append(unit)

    def recall(self) -> None:
        """Queues held units again once no other unit waits, the longest held first: many, but not all at once."""
        if not self.waiting:
            for _ in range(min(len(self.held), max(LEAST_RECALLED, len(self.held) // RECALLS))):
                self.put_back(self.held.popleft())

    def stop(self) -> None:
        """Starts no further unit: the waiting ones are left to the next run, those in flight may still end."""
        self.stopped = True
        self.open, self.waiting = self.in_flight, 0
        self.held.clear()
        self.wake()

    def listen(self) -> asyncio.Event:
        """Returns an event that is set whenever units come back or the last one ends; the listener clears it."""
        event = asyncio.Event()
        self._listeners.append(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        self._listeners.remove(event)

    def wake(self) -> None:
        for event in self._listeners:
            event.set()

    def _end_one(self) -> None:
        """Wakes listeners only for the last unit: otherwise every unit would wake ten thousand engines."""
        self.open -= 1
        if not self.open:
            self.wake()


class UnitQueues:
    """One queue for each model of a run, in the order of the models."""

    def __init__(self, models: Sequence[ModelWork]) -> None:
        self._queues = tuple(UnitQueue(work.units) for work in models)
        self._stopped = False
        self._by_model = {
            member.model.name: queue
            for work, queue in zip(models, self._queues, strict=True)
            for member in work.members
        }

    def __iter__(self) -> Iterator[UnitQueue]:
        return iter(self._queues)

    @property
    def hungry(self) -> bool:
        """True where a model's engines may soon want for units, or all models seem to be at their end."""
        left = [queue for queue in self._queues if queue.open]
        return not left or any(not queue.waiting for queue in left)

    @property
    def stopped(self) -> bool:
        """True once no further unit is started."""
        return self._stopped

    @property
    def open(self) -> int:
        return sum(queue.open for queue in self._queues)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        return tuple(item for queue in self._queues for item in queue.set_aside)

    def add(self, units: Sequence[Collection[Unit]]) -> list[Unit]:
        """Adds units, each part of one model; returns them. Models that this driver does not sample get none."""
        added = []
        for part in units:
            first = next(iter(part))
            if (queue := self._by_model.get(first.model)) is not None:
                queue.add(part)
                added += list(part)
        return added

    def stop(self) -> None:
        self._stopped = True
        for queue in self._queues:
            queue.stop()


class Allowance:
    """The samples that a run may still draw; None for any number. A unit starts while one is left."""

    def __init__(self, left: int | None = None) -> None:
        self._left = left

    def take(self, rows: int) -> bool:
        """Reserves the rows of a unit that starts; returns False if nothing is left."""
        if self._left is not None and self._left <= 0:
            return False
        self.give_back(-rows)
        return True

    def give_back(self, rows: int) -> None:
        """Returns the rows of a unit that was not committed."""
        if self._left is not None:
            self._left += rows


class OpenShards:
    """Counts down to full shards from receipts, so that a running sweep lists nothing in its store.

    ``missing`` holds how many units each shard lacks; only shards whose units are all planned are in it.
    """

    def __init__(self, missing: Mapping[Shard, int]) -> None:
        self._missing = dict(missing)

    def filled_by(self, unit: Unit) -> bool:
        """Counts a committed unit; returns True when its shard lacks no more."""
        left = self._missing.get(unit.in_shard, 0)
        self._missing[unit.in_shard] = left - 1
        return left == 1
