"""A control group around a fork server and its children: bounds what the kernel holds for them, too.

Limits of a process count its own pages. Full buffers of sockets and pipes, page tables and stacks of threads are the
kernel's; only control groups (cgroups(7), version 1 or 2) count them. Groups come on top of all other limits, where
this process may make them: as root, or in a subtree that was delegated to its user. Elsewhere there are none.
"""

import atexit
import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SPARE_MB = 96  # beyond a candidate's limit: scratch, pages it shares no longer with the fork server, the kernel's own
_MEGABYTE = 1 << 20
_CGROUPS, _MOUNTS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_NUMBERS = itertools.count(1)
_IDLE: list["Group"] = []


class Controller(NamedTuple):
    """One kind of limit: the files for its largest value, what is used now, and how many were killed for it."""

    name: str
    most: str
    used: str
    events: str = ""


_PIDS = Controller("pids", "pids.max", "pids.current")
_VERSIONS = {
    1: (Controller("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"), _PIDS),
    2: (Controller("memory", "memory.max", "memory.current", "memory.events"), _PIDS),
}


class Group:
    """The groups around some processes, one folder for each controller; version 2 has both in one folder."""

    def __init__(self, folders: dict[Controller, Path]) -> None:
        self._folders = folders
        self._memory_mb = -1  # unbounded

    def add(self, pid: int) -> None:
        """Moves a process into the group; raises OSError. Its children to come are born there."""
        for folder in dict.fromkeys(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def bound_memory(self, memory_mb: int) -> None:
        """Lets all members together hold this much and SPARE_MB; the kernel kills one of them that wants more."""
        if memory_mb == self._memory_mb:
            return
        for controller, folder in self._folders.items():
            if controller.name == "memory":
                with contextlib.suppress(OSError):  # more is held at this moment: the larger limit stays
                    (folder / controller.most).write_text(str((memory_mb + SPARE_MB) * _MEGABYTE))
                    self._memory_mb = memory_mb

    def bound_processes(self, most: int) -> None:
        """Lets the group have this many processes, threads counted; raises OSError."""
        for controller, folder in self._folders.items():
            if controller.name == "pids":
                (folder / controller.most).write_text(str(most))

    def killed(self) -> int:
        """Returns how many members the kernel has killed since they together held too much."""
        words = self._said("events").split()
        return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0

    def held_mb(self) -> float:
        """Returns the megabytes that count for the group now: also what ended members have left to the kernel."""
        return int(self._said("used") or 0) / _MEGABYTE

    def _said(self, field: str) -> str:
        """Returns the text of a file of the memory controller; "" where it has none."""
        files = (folder / getattr(each, field) for each, folder in self._folders.items() if each.name == "memory")
        return next(map(_read, files), "")

    def close(self) -> None:
        """Removes the group; one whose members the kernel has not yet buried stays for ``remove_left``."""
        for folder in dict.fromkeys(self._folders.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()


def make_group(most_processes: int) -> Group | None:
    """Makes a group for at most so many processes, threads counted; returns None where no group can be made."""
    name, folders = f"troop-{os.getpid()}-{next(_NUMBERS)}", {}
    with contextlib.suppress(OSError, ValueError):
        for controller, parent in _parents(_read(_CGROUPS), _MOUNTS):
            remove_left(parent)
            (parent / name).mkdir(exist_ok=True)
            folders[controller] = parent / name
        group = Group(folders)
        group.bound_processes(most_processes)
        return group if folders else None
    Group(folders).close()
    return None


@contextlib.contextmanager
def borrowed(memory_mb: int, most_processes: int) -> Iterator[Group | None]:
    """Yields a group for a while, or None. A group that is empty again is used again: the kernel forgets one slowly.

    Buffers that a hostile member has filled are freed some time after its end, and would count for the next one.
    """
    group = _IDLE.pop() if _IDLE else make_group(most_processes)
    if group is None:
        yield None
        return
    try:
        group.bound_processes(most_processes)
        group.bound_memory(memory_mb)
        yield group
    finally:
        if group.held_mb() <= SPARE_MB:
            _IDLE.append(group)
        else:
            group.close()


@atexit.register
def _remove_idle() -> None:
    while _IDLE:
        _IDLE.pop().close()


def _parents(cgroups: str, mounts: Path) -> Iterator[tuple[Controller, Path]]:
    """Yields each controller with the folder for new groups: this process's own or, in version 2, one with room.

    ``cgroups`` is the text of /proc/self/cgroup: lines ``number:controllers:path``, controllers empty in version 2.
    """
    lines = [line.split(":", 2) for line in cgroups.splitlines()]
    own = {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}
    for controller in _VERSIONS[1]:
        if controller.name in own:
            yield controller, mounts / controller.name / own[controller.name]
    if "memory" not in own and "" in own and (parent := _with_room(mounts / own[""], mounts)):
        yield from ((controller, parent) for controller in _VERSIONS[2])


def _with_room(own: Path, mounts: Path) -> Path | None:
    """Returns the group of version 2 whose children have both controllers: ``own``, or the one above it.

    A group that has processes cannot give controllers to its children ("no internal processes").
    """
    wanted = {controller.name for controller in _VERSIONS[2]}
    for folder in (own, own.parent):
        if folder.is_relative_to(mounts) and wanted <= set(_read(folder / "cgroup.subtree_control").split()):
            return folder
    return None


def remove_left(parent: Path) -> None:
    """Removes the empty groups of processes that have ended."""
    for folder in parent.glob("troop-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
