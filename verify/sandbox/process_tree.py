"""What a process and all its descendants use, from the kernel, and their end."""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds, seconds in which a thread could have run but had no core, megabytes of memory of their own.

    Mapped files are not counted: every process of the machine shares them.
    """

    cpu_s: float = 0.0
    waited_s: float = 0.0
    memory_mb: float = 0.0


def usage(pid: int) -> Usage:
    """Of the whole tree below ``pid``; whoever is gone has used nothing."""
    members = tree(pid)
    waited_s = sum(_waited_s(thread) for member in members for thread in _threads(member))
    return Usage(sum(map(_cpu_s, members)), waited_s, sum(map(_memory_mb, members)))


def memory_mb(pid: int) -> float:
    """The memory in use alone: for those who look often."""
    return sum(map(_memory_mb, tree(pid)))


def tree(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    found = [pid]
    for member in found:
        for thread in _threads(member):
            found += [int(child) for child in _read(thread / "children").split()]
    return found


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Without collecting it: until ``end`` its number, and its group's, are nobody else's."""
    return process.returncode is not None or os.waitid(os.P_PID, process.pid, _LOOK) is not None


def end(process: "subprocess.Popen[bytes]") -> None:
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


def _cpu_s(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / _TICKS


def _memory_mb(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _waited_s(thread: Path) -> float:
    fields = _read(thread / "schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
