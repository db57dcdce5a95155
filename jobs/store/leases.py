"""Leases: the drivers of one run share its units, so that two of them do not sample the same one.

Before a driver starts a unit, it creates the unit's lease, an object that holds the driver's name and that only one
driver can create. It writes an object of its own every BEAT_S seconds. A driver is over once it says so, once its
process is gone from this machine, or once its object has stayed the same for EXPIRY_S seconds of this process's own
clock; times of two machines are never compared. The units of a driver that is over are taken over by creating the
lease of the next turn.

A lease saves work and decides nothing: the commit does. A driver that was frozen and wakes up may sample a unit that
another one has taken over; then one of them loses at the commit. A store whose creates are not atomic has no leases.
"""

import contextlib
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.sink import Claim
from jobs.store.base import Store
from jobs.store.commit import RunSink
from jobs.store.layout import LEASES, lease_key
from sampling.errors import BadInput, NoSuchObject, StoreError
from sampling.samples import Shard, Unit
from sampling.validate import Plain, parse_json

BEAT_S, EXPIRY_S = 10.0, 40.0
LOOK_S = 5.0  # for how long the last look at another driver counts
RELEASED = b""
_NAME = re.compile(r"\w[\w.-]{0,99}")


class Driver(Plain):
    """A driver under way, stored as ``leases/drivers/NAME.json``, where NAME is the one of its session."""

    beat: int = 0
    """Number of times that the driver has said that it lives; it does so every 10 seconds."""

    process: str = ""
    """Boot of the machine, process namespace, process and its start; only a driver in the same namespace reads it."""

    ended: bool = False
    """True once the driver has ended, done or interrupted. False for ever if it was killed."""


class Leases:
    """The leases of one driver, named as its session; implements cluster.sink.Leases."""

    def __init__(self, sink: RunSink, name: str) -> None:
        self._sink, self._store, self._name = sink, sink.store, name
        self._others, self._turns = OtherDrivers(sink.store), dict[Unit | Shard, int]()
        self._met, self._stop = set[str](), threading.Event()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Says that this driver lives until the end of the block, whatever ends it; raises StoreError at its start."""
        if self._store.is_weak:
            yield
            return
        self._say(0)
        beats = threading.Thread(target=self._beat, name="lease", daemon=True)
        beats.start()
        try:
            yield
        finally:
            self._stop.set()
            beats.join(LOOK_S)
            with contextlib.suppress(StoreError):  # others find out by waiting
                self._say(0, ended=True)

    def meet(self, names: Iterable[str]) -> bool:
        """Watches drivers of which it is not known whether they live; returns whether any of them may."""
        self._met = {name for name in names if not self._others.is_over(name)}
        return bool(self._met)

    def claim(self, unit: Unit | Shard) -> Claim:
        """Creates the unit's lease: one request where no other driver had it, and some more where one had.

        The lease of a shard is to compact it; it is never committed, since a compaction that died may have to be ended.
        """
        if self._store.is_weak:
            return Claim.COMMITTED if self._is_committed(unit) else Claim.MINE
        for turn in itertools.count(1):
            key = lease_key(self._sink.version, unit, turn)
            if self._store.put_new(key, self._name.encode()):
                if turn > 1:
                    self._turns[unit] = turn
                return Claim.COMMITTED if turn > 1 and self._is_committed(unit) else Claim.MINE
            if turn == 1 and self._is_committed(unit):
                return Claim.COMMITTED
            holder = self._store.get(key).decode(errors="replace")
            if holder != self._name:
                if not self._others.is_over(holder):
                    return Claim.HELD
            elif self._store.head(lease_key(self._sink.version, unit, turn + 1)) is None:  # not taken over meanwhile
                return Claim.MINE
        raise AssertionError("turns have no end")

    def release(self, unit: Unit) -> None:
        """Empties the lease of a unit that this driver has claimed."""
        if not self._store.is_weak:
            self._store.put(lease_key(self._sink.version, unit, self._turns.pop(unit, 1)), RELEASED)

    def _is_committed(self, place: Unit | Shard) -> bool:
        return isinstance(place, Unit) and self._sink.is_committed(place)

    def _beat(self) -> None:
        """Says every BEAT_S seconds that this driver lives, and looks whether the others do that may live."""
        for beat in itertools.count(1):
            if self._stop.wait(BEAT_S):
                return
            with contextlib.suppress(StoreError):
                self._say(beat)
                self.meet(self._met)

    def _say(self, beat: int, *, ended: bool = False) -> None:
        said = Driver(beat=beat, process=own_process(), ended=ended)
        self._store.put(_driver_key(self._name), said.model_dump_json().encode())


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last look at a driver, by this process's clock, and the time since when it looks the same.

    ``ended`` says that it is over for good; one that was not heard of for long may come back.
    """

    content: bytes | None
    looked: float
    since: float
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.ended or self.content is None or self.looked - self.since >= EXPIRY_S


class OtherDrivers:
    """Tells which drivers are over, from looks at their objects; one look serves for LOOK_S seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._seen, self._lock = dict[str, _Seen](), threading.Lock()

    def is_over(self, name: str) -> bool:
        """Returns whether a driver has ended, died, or not been heard of for EXPIRY_S; raises StoreError."""
        if not _NAME.fullmatch(name):  # released, or nothing that Troop wrote
            return True
        with self._lock:
            seen = self._seen.get(name)
            if seen is None or (not seen.ended and self._clock() - seen.looked >= LOOK_S):
                seen = self._seen[name] = self._look(name, seen)
            return seen.over

    def _look(self, name: str, before: _Seen | None) -> _Seen:
        asked = self._clock()
        try:
            content = self._store.get(_driver_key(name))
        except NoSuchObject:  # a driver writes its object before its first lease
            return _Seen(None, asked, asked)
        ended, now = _has_ended(content, name), self._clock()
        if before is None or content != before.content:
            return _Seen(content, now, now, ended)
        return _Seen(content, asked, before.since, ended)


def _has_ended(content: bytes, name: str) -> bool:
    """Returns whether a driver says that it has ended, or was a process of this machine that is gone."""
    try:
        driver = parse_json(Driver, content, name)
    except BadInput:  # of a later Troop: what it says is unknown, that it changes is not
        return False
    here, _, process = driver.process.rpartition("/")
    mine, _, _ = own_process().rpartition("/")
    return driver.ended or (bool(here) and here == mine and not _runs(process))


def own_process() -> str:
    """Returns this process as ``BOOT/NAMESPACE/PID-START``; "" where the system does not tell."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink().name
        return f"{boot}/{space}/{os.getpid()}-{_started(os.getpid())}"
    return ""


def _runs(process: str) -> bool:
    pid, _, start = process.partition("-")
    try:
        return _started(int(pid)) == start
    except (OSError, ValueError):
        return False


def _started(pid: int) -> str:
    """Returns the start of a process in ticks since boot, "" for one that waits to be reaped; raises OSError."""
    state, *rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]


def _driver_key(name: str) -> str:
    return f"{LEASES}drivers/{name}.json"
