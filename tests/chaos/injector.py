"""Kills and freezes the processes of a session by a schedule that a seed determines."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.session import DRIVER, ROLES, Session, Target

WEIGHTS = {"sampler": 4, "verifier": 6, "committer": 9, DRIVER: 1}
KILLED = 0.5  # share of strikes that kill; the others freeze
LONG = 0.1  # share of freezes so long that another process may do the frozen one's work
POLL_S = 0.01
MOST_WAITING = 6  # strikes that may wait for a target of their role


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill or freeze, ``pause_s`` seconds after the one before.

    ``which`` in [0, 1) picks among the processes of the role. ``freeze_s`` is the length of a freeze; None kills.
    """

    pause_s: float
    role: str
    which: float
    freeze_s: float | None


def strikes(seed: int, mean_pause_s: float) -> Iterator[Strike]:
    """Yields an endless schedule."""
    draw = random.Random(seed)
    while True:
        pause, which = draw.expovariate(1 / mean_pause_s), draw.random()
        (role,) = draw.choices(ROLES, [WEIGHTS[role] for role in ROLES])
        kill, seconds = draw.random() < KILLED, draw.uniform(0.05, 1.5) * (8 if draw.random() < LONG else 1)
        yield Strike(pause, role, which, None if kill else seconds)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen process, to be thawed at a time of the monotonic clock."""

    target: Target
    until: float


class Injector:
    """Strikes at most ``left`` more times; ``kills`` and ``freezes`` count the hits by role."""

    def __init__(self, schedule: Iterator[Strike]) -> None:
        self._schedule, self.left = schedule, 0
        self.kills, self.freezes = Counter[str](), Counter[str]()
        self._waiting: list[Strike] = []
        self._next = next(schedule, None)
        self._due = 0.0
        self._frozen: list[Frozen] = []

    @property
    def struck(self) -> int:
        return self.kills.total() + self.freezes.total()

    def disturb(self, sessions: Sequence[Session]) -> Session:
        """Strikes until one of the sessions has ended; returns that one."""
        while not (ended := [session for session in sessions if session.exit_code is not None]):
            self._draw()
            for strike in self._waiting[: self.left]:
                if self._strike(sessions, strike):
                    self._waiting.remove(strike)
                    self.left -= 1
            self.thaw(time.monotonic())
            time.sleep(POLL_S)
        return ended[0]

    def _draw(self) -> None:
        """Takes the next strike when its time has come; strikes without a target yet do not delay the others."""
        if self._next and len(self._waiting) < min(self.left, MOST_WAITING) and time.monotonic() >= self._due:
            self._waiting.append(self._next)
            self._next = next(self._schedule, None)
            self._due = time.monotonic() + (self._next.pause_s if self._next else 0)

    def thaw(self, now: float) -> None:
        """Thaws the processes whose time has come."""
        for frozen in [frozen for frozen in self._frozen if frozen.until <= now]:
            frozen.target.send(signal.SIGCONT)
            frozen.target.forget()
            self._frozen.remove(frozen)

    def _strike(self, sessions: Sequence[Session], strike: Strike) -> bool:
        """Strikes; returns False where no process has that role."""
        held = {frozen.target.pid for frozen in self._frozen}
        found = [(session, pid) for session in sessions for pid in session.find(strike.role) if pid not in held]
        session, pid = found[int(strike.which * len(found))] if found else (None, 0)
        target = session.hold(pid, strike.role) if session else None
        if target is None:
            return False
        if strike.freeze_s is None:
            hit = target.send(signal.SIGKILL)
            target.forget()
            self.kills[strike.role] += hit
        else:
            hit = target.send(signal.SIGSTOP)
            self._frozen.append(Frozen(target, time.monotonic() + strike.freeze_s))
            self.freezes[strike.role] += hit
        return hit
