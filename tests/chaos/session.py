"""One command and all its descendants, by role: the processes that the injector may touch, and no others.

The driver's Ray outlives a killed driver for a moment, and a frozen worker outlives it until it is thawed. This process
is their subreaper: a process that loses its parent becomes its child, so that the tree stays whole and nothing is left.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DRIVER = "driver"
TITLES = {  # titles that Ray gives to the processes of each role
    "sampler": ("ray::Sampler",),
    "verifier": ("ray::VerifierWorker",),
    "committer": ("ray::commit_unit", "ray::compact_shard"),
}
ROLES = (*TITLES, DRIVER)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_REFRESH_S = 0.3  # listing all processes costs milliseconds, checking known ones nearly nothing


@dataclass(frozen=True, slots=True)
class Target:
    """A process held by its descriptor, so that another process with a reused number is never hit."""

    pid: int
    fd: int

    def send(self, number: signal.Signals) -> bool:
        """Sends a signal; returns False if the process has ended."""
        try:
            signal.pidfd_send_signal(self.fd, number)
        except ProcessLookupError:
            return False
        return True

    def forget(self) -> None:
        os.close(self.fd)


class Session:
    """A running command; its processes are found by walking down from it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self._known: list[int] = []
        self._looked = 0.0

    @property
    def exit_code(self) -> int | None:
        """Exit code as in subprocess: negative where a signal ended it, None while it runs."""
        return self._process.poll()

    def find(self, role: str) -> list[int]:
        """Returns the living processes of a role, oldest first."""
        if role == DRIVER:
            return [self._process.pid] if self.exit_code is None else []
        if time.monotonic() - self._looked > _REFRESH_S:
            self._known, self._looked = descendants(self._process.pid), time.monotonic()
        return [pid for pid in self._known if _title(pid).startswith(TITLES[role])]

    def hold(self, pid: int, role: str) -> Target | None:
        """Opens the process, or returns None if it no longer has this role."""
        try:
            target = Target(pid, os.pidfd_open(pid))
        except ProcessLookupError:
            return None
        if pid in self.find(role):
            return target
        target.forget()
        return None


def become_subreaper() -> None:
    """Makes this process the parent of all descendants whose own parent dies."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(pid: int) -> list[int]:
    """Returns all descendants of a process, sorted by number."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, below = list[int](), list(children.get(pid, ()))
    while below:
        found.append(below.pop())
        below += children.get(found[-1], ())
    return sorted(found)


@contextlib.contextmanager
def nothing_left_behind(patience_s: float) -> Iterator[None]:
    """Waits at the end for all processes started inside; kills those that remain after ``patience_s`` seconds."""
    before = set(descendants(os.getpid()))
    try:
        yield
    finally:
        deadline = time.monotonic() + patience_s
        while left := [pid for pid in descendants(os.getpid()) if pid not in before]:
            for pid in left:
                _reap(pid)
                if time.monotonic() > deadline:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = (folder / "stat").read_text(errors="replace")
            yield int(folder.name), int(stat.rpartition(")")[2].split()[1])


def _title(pid: int) -> str:
    """Returns a process's command line, "" where it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""
