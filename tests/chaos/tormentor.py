"""Kills and freezes the processes of a session by a schedule that a seed replays."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.session import DRIVER, ROLES, Session, Victim

WEIGHTS = {"sampler": 4, "verifier": 6, "committer": 9, DRIVER: 1}
KILLED = 0.5  # of all strokes; the others freeze
LONG = 0.1  # of the freezes: long enough that a successor may do the frozen one's work
POLL_S = 0.01
MOST_WAITING = 6  # strokes that wait for a victim of their role


@dataclass(frozen=True, slots=True)
class Stroke:
    """One choice: whom, and how, ``pause_s`` after the one before.

    ``freeze_s`` None kills; ``which`` in [0, 1) picks among those of the role.
    """

    pause_s: float
    role: str
    which: float
    freeze_s: float | None


def strokes(seed: int, mean_pause_s: float) -> Iterator[Stroke]:
    """The schedule, without end."""
    draw = random.Random(seed)
    while True:
        pause, which = draw.expovariate(1 / mean_pause_s), draw.random()
        (role,) = draw.choices(ROLES, [WEIGHTS[role] for role in ROLES])
        kill, seconds = draw.random() < KILLED, draw.uniform(0.05, 1.5) * (8 if draw.random() < LONG else 1)
        yield Stroke(pause, role, which, None if kill else seconds)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that is to go on at a time of the monotonic clock."""

    victim: Victim
    until: float


class Tormentor:
    """``left`` is how often it may still strike; ``kills`` and ``freezes`` count by role what has hit."""

    def __init__(self, schedule: Iterator[Stroke]) -> None:
        self._schedule, self.left = schedule, 0
        self.kills, self.freezes = Counter[str](), Counter[str]()
        self._waiting: list[Stroke] = []
        self._next = next(schedule, None)
        self._due = 0.0
        self._frozen: list[Frozen] = []

    @property
    def struck(self) -> int:
        return self.kills.total() + self.freezes.total()

    def torment(self, session: Session) -> int:
        """Until the session has ended, whose exit code it returns."""
        while (code := session.exit_code) is None:
            self._draw()
            for stroke in self._waiting[: self.left]:
                if self._strike(session, stroke):
                    self._waiting.remove(stroke)
                    self.left -= 1
            self.thaw(time.monotonic())
            time.sleep(POLL_S)
        return code

    def _draw(self) -> None:
        """The next stroke, when its time has come; those whose victims are not there yet do not hold up the others."""
        if self._next and len(self._waiting) < min(self.left, MOST_WAITING) and time.monotonic() >= self._due:
            self._waiting.append(self._next)
            self._next = next(self._schedule, None)
            self._due = time.monotonic() + (self._next.pause_s if self._next else 0)

    def thaw(self, now: float) -> None:
        """Lets all go on whose time has come."""
        for frozen in [frozen for frozen in self._frozen if frozen.until <= now]:
            frozen.victim.send(signal.SIGCONT)
            frozen.victim.forget()
            self._frozen.remove(frozen)

    def _strike(self, session: Session, stroke: Stroke) -> bool:
        """Whether it hit: at times there is nobody of that role."""
        held = {frozen.victim.pid for frozen in self._frozen}
        found = [pid for pid in session.find(stroke.role) if pid not in held]
        victim = session.hold(found[int(stroke.which * len(found))], stroke.role) if found else None
        if victim is None:
            return False
        if stroke.freeze_s is None:
            hit = victim.send(signal.SIGKILL)
            victim.forget()
            self.kills[stroke.role] += hit
        else:
            hit = victim.send(signal.SIGSTOP)
            self._frozen.append(Frozen(victim, time.monotonic() + stroke.freeze_s))
            self.freezes[stroke.role] += hit
        return hit
