"""Limits of one candidate, the end of its time, and how the kernel's report of its end is read."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from verify.verdict import Status

DEFAULT_OUTPUT = 1 << 20
MEGABYTE = 1 << 20
# Process seconds that ``_work`` takes on the machine for which time limits are written.
_REFERENCE_S = 0.01
_MAX_SCALE = 5.0
_NEAR_LIMIT = 0.9
# The kernel enforces CPU limits by counted ticks and reports exact run time, and the two differ by a good part.
_NEARLY_ALL = 0.6
_SMALLEST_GRANT_S = 0.02


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one execution: wall and CPU seconds (already scaled to this machine), megabytes, bytes of output."""

    wall_s: float
    memory_mb: int
    output_bytes: int = DEFAULT_OUTPUT
    cpu_s: float | None = None

    @property
    def cpu_limit_s(self) -> int:
        """CPU seconds, rounded up, since the kernel counts whole seconds; the wall limit where none was given."""
        return int(self.wall_s if self.cpu_s is None else self.cpu_s) + 1


class Deadline:
    """The end of a wall time limit. Time in which the candidate found no free core is given back, up to as much again.

    ``waited_s`` returns the seconds that the candidate has so far waited for a core.
    """

    def __init__(self, began: float, wall_s: float, waited_s: Callable[[], float] = lambda: 0.0) -> None:
        self._at, self._most_s, self._waited_s, self._granted_s = began + wall_s, wall_s, waited_s, 0.0

    def left_s(self) -> float:
        """Returns the seconds that are left, 0 at the end; looks at the waiting time only when none would be left."""
        left = self._at - time.monotonic()
        return left if left > 0 else max(left + self._extend(), 0.0)

    def _extend(self) -> float:
        """Grants the waiting time that was not granted before; returns it in seconds."""
        more = min(self._waited_s(), self._most_s) - self._granted_s
        if more <= _SMALLEST_GRANT_S:
            return 0.0
        self._granted_s, self._at = self._granted_s + more, self._at + more
        return more


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one child, as zygote and supervisor measured it from the kernel.

    ``stopped`` is the supervisor's own reason for killing it. ``confined`` says that its confinement was complete and
    candidate code ran: a failure before that is ours, and nothing that a candidate does can look like it.
    """

    wait_status: int
    cpu_s: float
    max_rss_mb: float
    wall_s: float
    confined: bool
    stopped: Status | None = None

    def problem(self, quota: Quota) -> tuple[Status, str] | None:
        """Returns status and reason if it exceeded a limit or died, None if it ended by itself with exit status 0."""
        if not self.confined:
            return Status.FAULT, "the sandbox could not start the candidate"
        if self.stopped is not None:
            return self.stopped, _stopped_reason(self.stopped, quota)
        if os.WIFSIGNALED(self.wait_status):
            return self._killed(os.WTERMSIG(self.wait_status), quota)
        code = os.waitstatus_to_exitcode(self.wait_status)
        return None if code == 0 else (Status.CRASH, f"exit status {code}")

    def _killed(self, number: int, quota: Quota) -> tuple[Status, str]:
        used_up = number == signal.SIGKILL and self.cpu_s >= quota.cpu_limit_s * _NEARLY_ALL
        if number == signal.SIGXCPU or used_up:
            return Status.TIMEOUT, f"more than {quota.cpu_limit_s} s of CPU time"
        if self.max_rss_mb >= quota.memory_mb * _NEAR_LIMIT:
            return Status.MEMORY, f"killed by signal {number} near the limit of {quota.memory_mb} MB"
        return Status.CRASH, f"killed by signal {number} ({_signal_name(number)})"


def _stopped_reason(status: Status, quota: Quota) -> str:
    if status is Status.TIMEOUT:
        return f"more than {quota.wall_s:.3g} s"
    return f"more than {quota.output_bytes} bytes of output"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


@cache
def time_scale() -> float:
    """Returns the factor by which time limits are longer here: 1 on the reference machine or a faster one, at most 5.

    It is the best of five tries in CPU time, so that a busy machine is not taken for a slow one.
    """
    best = min(_time_work() for _ in range(5))
    return min(max(best / _REFERENCE_S / 1.25, 1.0), _MAX_SCALE)


def _time_work() -> float:
    began = time.thread_time()
    _work()
    return time.thread_time() - began


def _work() -> int:
    total = 0
    for number in range(200_000):
        total += number & 7
    return total
