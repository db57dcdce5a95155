"""Measures, from the kernel, what a process and all its descendants use; kills them all."""

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PROCESS_CLOCK = 2  # of clock_getcpuclockid(3): the run time of all threads, those that have ended included
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
_PSS = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds, seconds in which threads waited for a core, megabytes of private memory.

    Mapped files are not counted: every process of the machine shares them.
    """

    cpu_s: float = 0.0
    waited_s: float = 0.0
    memory_mb: float = 0.0


def usage(pid: int) -> Usage:
    """Sums the usage of ``pid`` and its descendants; a process that has ended counts nothing."""
    members = tree(pid)
    waited_s = sum(_waited_s(thread) for member in members for thread in _threads(member))
    return Usage(sum(map(cpu_s, members)), waited_s, sum(map(_memory_mb, members)))


def cpu_s(pid: int) -> float:
    """Returns the CPU seconds that all threads of one process have used; 0 for a process that has ended."""
    try:
        return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)
    except OSError:
        return 0.0


def tree_cpu_s(pid: int) -> float:
    """Sums the CPU seconds of ``pid`` and its descendants."""
    return sum(map(cpu_s, tree(pid)))


def memory_mb(pid: int) -> float:
    """Sums the private memory alone, in megabytes: cheap enough to be looked at often."""
    return sum(map(_memory_mb, tree(pid)))


def resident_mb(pid: int, enough_mb: float = 0.0) -> float:
    """Sums the megabytes that all descendants of ``pid`` hold now, mapped files included.

    Pages that forks share count once (``Pss``). Since this is costly, it is done only if the plain sum is over
    ``enough_mb``.
    """
    resident = {child: held_mb(child) for child in tree(pid)[1:]}
    if sum(resident.values()) <= enough_mb:
        return sum(resident.values())
    return sum(_proportional_mb(child, most) for child, most in resident.items())


def tree(pid: int) -> list[int]:
    """Returns ``pid`` and its descendants."""
    found = [pid]
    for member in found:
        for thread in _threads(member):
            found += [int(child) for child in _read(thread / "children").split()]
    return found


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Says whether it has ended, without collecting it: until ``kill_tree`` its pid belongs to no other process."""
    return process.returncode is not None or os.waitid(os.P_PID, process.pid, _LOOK) is not None


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kills a process that leads a session, and all its descendants, and waits for it."""
    if process.returncode is not None:
        return
    members = tree(process.pid)[1:]
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of the group may be dead already
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    process.wait()


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _memory_mb(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def held_mb(pid: int) -> float:
    """Returns the megabytes that one process holds, shared ones included; 0 for a process that has ended."""
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE_MB if fields else 0.0


def threads(pid: int) -> int:
    """Returns how many threads one process has; 0 for a process that has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208  looked at often
    except OSError:
        return 0


def _proportional_mb(pid: int, otherwise: float) -> float:
    """Returns what a process holds, shared pages in parts; ``otherwise`` if nobody may look into it, as into init."""
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
    except PermissionError:
        return otherwise
    except OSError:  # it has ended
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def _waited_s(thread: Path) -> float:
    fields = _read(thread / "schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
