"""Limits of one candidate, the end of its time, and how the kernel's report of its end is read.

Time is counted in CPU seconds, so that a busy machine changes no verdict. Wall time is bounded too, for candidates that
sleep.
"""

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from verify.verdict import Status

DEFAULT_OUTPUT = 1 << 20
MEGABYTE = 1 << 20
WALL_FACTOR = 4  # wall seconds for each CPU second of a limit
TICK_S = 0.01  # least time between two looks at the CPU time of a run
_CORES = os.cpu_count() or 1  # a run uses at most so many CPU seconds in a second
_NEAR_LIMIT = 0.9
_LIBRARIES_MB = 8  # mapped from files, and no memory of the program's
_SMALLEST_GRANT_S = 0.02


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one execution: wall seconds, megabytes, bytes of output, CPU seconds of all its processes together.

    ``cpu_s`` is the wall limit where none was given.
    """

    wall_s: float
    memory_mb: int
    output_bytes: int = DEFAULT_OUTPUT
    cpu_s: float | None = None

    @classmethod
    def from_cpu(cls, cpu_s: float, memory_mb: int, output_bytes: int = DEFAULT_OUTPUT) -> Self:
        """Returns limits by CPU time, with WALL_FACTOR times as much wall time."""
        return cls(WALL_FACTOR * cpu_s, memory_mb, output_bytes, cpu_s)

    @property
    def most_cpu_s(self) -> float:
        """CPU seconds that all processes together may use."""
        return self.wall_s if self.cpu_s is None else self.cpu_s

    @property
    def cpu_limit_s(self) -> int:
        """CPU seconds of each process, rounded up: the kernel counts whole seconds."""
        return int(self.most_cpu_s) + 1

    @property
    def last_resort_s(self) -> int:
        """CPU seconds at which the kernel ends a candidate that its supervisor should have ended before.

        The kernel counts them by ticks, which differ from the exact time by a good part.
        """
        return int(2 * self.most_cpu_s) + 1

    def over_cpu(self, cpu_s: float) -> tuple[Status, str] | None:
        """Returns the verdict on a run that used more CPU time than it may; else None."""
        if cpu_s <= self.most_cpu_s:
            return None
        return Status.TIMEOUT, _over_cpu(self.most_cpu_s, cpu_s)


def _over_cpu(most_s: float, used_s: float) -> str:
    return f"more than {most_s:.3g} s of CPU time ({used_s:.2f} s)"


class Deadline:
    """The end of a run's time: at its CPU limit or at its wall limit, whichever comes first.

    ``cpu_s`` returns the CPU seconds that all processes of the run have used so far. It is asked only when they may
    have used up what was left at the last look. ``waited_s`` returns the seconds in which the run waited for a core:
    they are given back to its wall limit, up to as much again. ``exceeded`` names the limit once no time is left.
    """

    def __init__(
        self,
        began: float,
        wall_s: float,
        most_cpu_s: float = math.inf,
        cpu_s: Callable[[], float] = lambda: 0.0,
        waited_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._began, self._at, self._wall_s = began, began + wall_s, wall_s
        self._most_cpu_s, self._cpu_s, self._look_at = most_cpu_s, cpu_s, began + most_cpu_s / _CORES
        self._waited_s, self._granted_s = waited_s, 0.0
        self.exceeded = ""

    def left_s(self) -> float:
        """Returns the seconds until the next call, 0 once a limit is exceeded."""
        now = time.monotonic()
        if now >= self._look_at:
            used = self._cpu_s()
            if used >= self._most_cpu_s:
                self.exceeded = _over_cpu(self._most_cpu_s, used)
                return 0.0
            self._look_at = now + max((self._most_cpu_s - used) / _CORES, TICK_S)
        if now >= self._at and not self._extend():
            wall = f"{now - self._began:.2f} s, of them {self._cpu_s():.2f} s of CPU time"
            self.exceeded = f"more than {self._wall_s:.3g} s of wall time ({wall})"
            return 0.0
        return max(min(self._at, self._look_at) - now, 0.001)

    def _extend(self) -> bool:
        """Grants the waiting time that was not granted before; returns False where there is too little to grant."""
        more = min(self._waited_s(), self._wall_s) - self._granted_s
        if more <= _SMALLEST_GRANT_S:
            return False
        self._granted_s, self._at = self._granted_s + more, self._at + more
        return True


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one child, as zygote and supervisor measured it from the kernel.

    ``stopped`` is the supervisor's own status and reason for killing it. ``confined`` says that its confinement was
    complete and candidate code ran: a failure before that is ours, and nothing that a candidate does can look like it.
    """

    wait_status: int
    cpu_s: float
    max_rss_mb: float
    wall_s: float
    confined: bool
    stopped: tuple[Status, str] | None = None
    held_mb: float = 0.0  # the most that it held beyond what every child does, with its files at its end

    def problem(self, quota: Quota) -> tuple[Status, str] | None:
        """Returns status and reason if it exceeded a limit or died, None if it ended by itself with exit status 0."""
        if not self.confined:
            return Status.FAULT, "the sandbox could not start the candidate"
        if self.stopped is not None:
            return self.stopped
        if over := quota.over_cpu(self.cpu_s) or self.over_memory(quota):
            return over
        if os.WIFSIGNALED(self.wait_status):
            return self._killed(os.WTERMSIG(self.wait_status), quota)
        code = os.waitstatus_to_exitcode(self.wait_status)
        return None if code == 0 else (Status.CRASH, f"exit status {code}")

    def over_memory(self, quota: Quota) -> tuple[Status, str] | None:
        """Returns the verdict on a run that held more memory than it may, where no limit of the kernel counts it.

        These are maps that could be shared, and files in scratch.
        """
        if self.held_mb <= quota.memory_mb + _LIBRARIES_MB:
            return None
        return Status.MEMORY, f"held {self.held_mb:.0f} MB with shared maps and files, more than {quota.memory_mb} MB"

    def _killed(self, number: int, quota: Quota) -> tuple[Status, str]:
        if self.max_rss_mb >= quota.memory_mb * _NEAR_LIMIT:
            return Status.MEMORY, f"killed by signal {number} near the limit of {quota.memory_mb} MB"
        return Status.CRASH, f"killed by signal {number} ({_signal_name(number)})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
