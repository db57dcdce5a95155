"""The supervisor's end of a zygote: starts it, hands it children to run, collects their bounded output, ends them.

If the zygote dies, its user hears ``ZygoteDied`` and starts another.
"""

import contextlib
import marshal
import math
import os
import resource
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.sandbox.channels import Stream, Writer, memory_file
from verify.sandbox.confinement import PROGRAMS, READY, Profile
from verify.sandbox.groups import make_group
from verify.sandbox.launch import StartFailed, start
from verify.sandbox.limits import MEGABYTE, Deadline, Ended, Quota
from verify.sandbox.packages import NO_PACKAGES, Packages
from verify.sandbox.process_tree import cpu_s, held_mb, threads, tree
from verify.sandbox.programs import DEVICES, Runtime
from verify.sandbox.zygote import CONFINED, MAX_DESCRIPTORS, MAX_REQUEST, RESULT, STACK, TOKEN_BYTES
from verify.verdict import Status

KILL_S = 10.0  # how long the kernel may take to end a killed process
PATIENCE_MS = 5
LOOK_MS = 20  # between two looks at the memory of a child, where its address space bounds that too little
SCRATCH_MB = 16
MAX_PROCESSES_ISOLATED, MAX_THREADS_CONFINED = 256, 1024
_OURS_IN_GROUP = 32  # the zygote, its keeper, and a child that the kernel has not yet buried
_ROOM_FOR_NEIGHBOURS = 16_384  # threads of one user that may run beside those that run now
_INLINE = MAX_REQUEST - 1024  # larger requests travel in a memfd
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # repeatable verdicts: the order of sets is the same every time
    "PYTHONUTF8": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TOP_PAD_": "1048576",  # grow the heap seldom, and serve the compiler's arenas from it
    "MALLOC_MMAP_THRESHOLD_": "1048576",
}


class ZygoteDied(Exception):
    """The fork server has ended, and with it the child that it ran."""


@dataclass(frozen=True, slots=True)
class Times:
    """CPU seconds that all threads of a process have used, and seconds that its first one waited for a core."""

    cpu_s: float = 0.0
    waited_s: float = 0.0


class Supervisor:
    """One zygote and, at most, one running child of it."""

    def __init__(
        self, tier: str, modules: Sequence[str], packages: Packages = NO_PACKAGES, runtime: Runtime | None = None
    ) -> None:
        """Starts the zygote with modules and packages imported, or for programs of a runtime. Raises StartFailed."""
        self.tier = tier
        self._token = b""
        self._began = 0.0
        self._before = Times()
        self._child = 0  # the running child's pid, once it was looked for
        self._own_mb = runtime.resident_mb if runtime and runtime.reserve_mb else None
        self._measures = runtime is None
        self._least_mb = math.inf  # what a child holds that does nothing
        self.running = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kill_reader, self._kill = os.pipe2(os.O_CLOEXEC)
        values = (list(modules), packages.as_values(), _room(runtime), _max_processes(tier))
        descriptors = (theirs.fileno(), kill_reader)
        try:
            self._process = start(
                "zygote", _profile(tier, runtime), values, descriptors, success=READY, environment=_ENVIRONMENT
            )
        except StartFailed:
            self._close_channels()
            raise
        finally:
            theirs.close()
            os.close(kill_reader)
        self._join_group()
        self._patience = select.poll()
        self._patience.register(self._control, select.POLLIN)

    def _join_group(self) -> None:
        """Moves the zygote, which has no child yet, into a group of its own, where one can be made."""
        most = MAX_PROCESSES_ISOLATED if self.tier == "isolated" else MAX_THREADS_CONFINED
        self._group = group = None if self.tier == "none" else make_group(most + _OURS_IN_GROUP)
        if group is None:
            return
        try:
            for member in tree(self._process.pid):
                group.add(member)
        except OSError:
            group.close()
            self._group = None

    def _close_channels(self) -> None:
        self._control.close()
        with contextlib.suppress(OSError):
            os.close(self._kill)
        self._kill = -1

    def close(self) -> None:
        """Ends the zygote and the child that it runs."""
        self._close_channels()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._group:
            self._group.close()

    def start(self, mode: str, payload: Any, descriptors: Sequence["int | Writer"], quota: Quota) -> None:
        """Forks a child that runs ``payload`` in ``mode`` with these descriptors. Raises ZygoteDied."""
        limits = (quota.memory_mb * MEGABYTE, quota.last_resort_s)
        if self._group:
            self._group.bound_memory(quota.memory_mb + int(self._own_mb or 0))
        self._token = os.urandom(TOKEN_BYTES)  # no number: it would tell a candidate how many came before
        request = marshal.dumps((mode, limits, payload))
        sent = [item if isinstance(item, int) else item.fileno() for item in descriptors]
        with contextlib.ExitStack() as stack:
            if len(request) > _INLINE:
                large = memory_file(marshal.dumps(payload))
                stack.callback(os.close, large)
                request = marshal.dumps((mode, limits, None))
                sent.append(large)
            self._began, self._before, self._child = time.monotonic(), Times(), 0
            try:
                socket.send_fds(self._control, [self._token, request], sent)
            except OSError as error:
                raise ZygoteDied from error
        self.running = True

    def restart_clock(self) -> None:
        """Counts the running child's times from now: it is about to be given more to do."""
        self._began, self._before = time.monotonic(), self._times()

    def wait(self, quota: Quota, streams: Iterable[Stream] = (), partners: Sequence["Supervisor"] = ()) -> Ended:
        """Waits for the child's end, by itself or at its limit of time or output. Raises ZygoteDied.

        The times of the child and of its ``partners`` count together.
        """
        readers = {stream.descriptor: stream for stream in streams}
        if self._patience.poll(PATIENCE_MS):  # most are done by then, and what they wrote still lies in the pipe
            return self._collect(readers.values(), None)
        ended = self._watch(quota, readers, partners, None)
        assert ended is not None
        return ended

    def wait_closed(self, quota: Quota, stream: Stream, partners: Sequence["Supervisor"] = ()) -> Ended | None:
        """Returns None as soon as the child has closed ``stream`` and goes on; if it ends, the same as ``wait``."""
        return self._watch(quota, {stream.descriptor: stream}, partners, stream)

    def _watch(
        self, quota: Quota, readers: dict[int, Stream], partners: Sequence["Supervisor"], until: Stream | None
    ) -> Ended | None:
        poll = select.poll()
        for descriptor in (self._control.fileno(), *readers):
            poll.register(descriptor, select.POLLIN)
        deadline = self._deadline(quota, (self, *partners))
        stopped: tuple[Status, str] | None = None
        while True:
            left = deadline.left_s()
            if not left:
                if stopped:
                    raise ZygoteDied("the fork server does not answer")
                stopped, deadline = (Status.TIMEOUT, deadline.exceeded), self._order_end()
            for descriptor, _ in poll.poll(min(left * 1000 + 1, LOOK_MS) if self._looks else left * 1000 + 1):
                if descriptor not in readers:
                    return self._collect(readers.values(), stopped)
                if not readers[descriptor].read() and not stopped:
                    stopped, deadline = _too_much(readers[descriptor]), self._order_end()
                if stopped or not readers[descriptor].open:
                    if until is not None and not stopped:
                        return None
                    poll.unregister(descriptor)
            if not stopped and (stopped := self._too_much_memory(quota) or self._too_many_threads()):
                deadline = self._order_end()

    @property
    def _looks(self) -> bool:
        """Says that the kernel does not bound all that a child may take, so that it has to be looked at."""
        return self._own_mb is not None or self.tier == "confined"

    def _too_many_threads(self) -> tuple[Status, str] | None:
        """Looks at a child whose threads the kernel counts together with those of its user's other processes.

        That limit is far off, so that a child that takes too many is ended before another one gets none.
        """
        if self.tier != "confined" or not self._known_child() or threads(self._known_child()) <= MAX_THREADS_CONFINED:
            return None
        return Status.CRASH, f"more than {MAX_THREADS_CONFINED} threads"

    def _too_much_memory(self, quota: Quota) -> tuple[Status, str] | None:
        """Looks at a child whose runtime reserves address space: shared and read-only pages count as no data there."""
        held = held_mb(self._known_child()) if self._own_mb is not None and self._known_child() else 0.0
        if held <= quota.memory_mb + (self._own_mb or 0):
            return None
        return Status.MEMORY, f"held {held:.0f} MB, more than {quota.memory_mb} MB"

    def end(self) -> Ended:
        """Ends the running child, whatever it does. Raises ZygoteDied."""
        self._order_end()
        self._control.settimeout(KILL_S)
        try:
            return self._collect((), None)
        except TimeoutError as error:
            raise ZygoteDied("the fork server does not answer") from error
        finally:
            self._control.settimeout(None)

    def _deadline(self, quota: Quota, runs: Sequence["Supervisor"]) -> Deadline:
        return Deadline(
            self._began,
            quota.wall_s,
            quota.most_cpu_s,
            lambda: sum(run.cpu_s() for run in runs),
            lambda: sum(run.waited_s() for run in runs),
        )

    def _order_end(self) -> Deadline:
        """Orders the child's end, and returns when it has to have come."""
        with contextlib.suppress(OSError):
            os.write(self._kill, self._token)
        return Deadline(time.monotonic(), KILL_S)

    def _collect(self, streams: Iterable[Stream], stopped: tuple[Status, str] | None) -> Ended:
        """Receives how the child ended, and the rest of what it wrote. Raises ZygoteDied."""
        try:
            report = self._control.recv(RESULT.size + 1)
        except ConnectionError:
            report = b""
        self.running = False
        if len(report) != RESULT.size:
            if over := self._over_group():  # the kernel chose the zygote, which holds little else than its child
                return Ended(signal.SIGKILL, 0.0, 0.0, time.monotonic() - self._began, True, over)
            raise ZygoteDied
        for stream in streams:  # the child has ended: all that it wrote is there
            while stream.open and not stopped:
                if not stream.read():
                    stopped = _too_much(stream)
        status, user_s, user_us, system_s, system_us, peak_kib, block, blocks, free, stage = RESULT.unpack(report)
        wall_s = time.monotonic() - self._began
        used_s = user_s + system_s + (user_us + system_us) / 1e6 - self._before.cpu_s
        peak_mb, files_mb = peak_kib / 1024, (blocks - free) * block / MEGABYTE
        self._least_mb = min(self._least_mb, peak_mb)
        if status == signal.SIGKILL:
            stopped = stopped or self._over_group()
        held_mb = peak_mb - self._least_mb + files_mb if self._measures else 0.0
        return Ended(status, used_s, peak_mb, wall_s, stage == CONFINED, stopped, held_mb)

    def _over_group(self) -> tuple[Status, str] | None:
        """Says that the kernel has killed a member of the group, as all held too much, and gives the zygote up.

        What the kernel held is freed some time later, and would count for the next child.
        """
        if not self._group or not self._group.killed():
            return None
        self._control.close()
        return Status.MEMORY, "held more than its limit with what the kernel held for it"

    def cpu_s(self) -> float:
        """Returns the CPU seconds that the running child has used in its present piece of work."""
        child = self._known_child()
        return max(cpu_s(child) - self._before.cpu_s, 0.0) if child else 0.0

    def waited_s(self) -> float:
        """Returns the seconds for which the running child, in its present piece of work, waited for a core."""
        return max(_waited_s(self._known_child()) - self._before.waited_s, 0.0)

    def _times(self) -> Times:
        """Reads the running child's times; zeros where there is none."""
        child = self._known_child()
        return Times(cpu_s(child), _waited_s(child)) if child else Times()

    def _known_child(self) -> int:
        """Returns the running child's pid, looked for once; 0 before it was forked."""
        if not self._child:
            with contextlib.suppress(OSError, IndexError):
                self._child = self.child_pid()
        return self._child

    def child_pid(self) -> int:
        """Returns the running child's pid as this process sees it; raises OSError or IndexError if none runs."""
        pid = self._process.pid
        return _children(_children(pid)[0] if self.tier == "isolated" else pid)[0]


def _too_much(stream: Stream) -> tuple[Status, str]:
    return Status.OUTPUT, f"more than {stream.limit} bytes of output"


def _profile(tier: str, runtime: Runtime | None) -> Profile:
    limits = (
        (resource.RLIMIT_FSIZE, SCRATCH_MB * MEGABYTE),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_STACK, STACK),
    )
    if runtime is None:
        return Profile(tier, "zygote", readable=(), limits=limits, scratch_mb=SCRATCH_MB)
    files, executes = (*DEVICES, *runtime.readable), runtime.executable is not None
    return Profile(tier, PROGRAMS, files, limits, SCRATCH_MB, executes=executes, exe=runtime.executable)


def _room(runtime: Runtime | None) -> tuple[int, int]:
    """Returns the bytes of address space and of data that a runtime needs beyond a sample's limit."""
    return (runtime.reserve_mb * MEGABYTE, runtime.own_mb * MEGABYTE) if runtime else (0, 0)


def _max_processes(tier: str) -> int:
    """Returns how many processes the child's user may have. The kernel counts threads, and in a namespace only its own.

    Elsewhere the user's other processes count too: all that run on this machine now are allowed, and many more.
    """
    if tier == "isolated":
        return MAX_PROCESSES_ISOLATED
    running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[1]
    return int(running) + _ROOM_FOR_NEIGHBOURS


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _waited_s(pid: int) -> float:
    """Returns the seconds for which a process's first thread waited for a core; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
