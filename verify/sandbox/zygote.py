"""The fork server: a freshly executed, single-threaded interpreter, confined once, that forks a child per sample.

It starts with a cleared environment and three descriptors: a report (``confinement``), CONTROL, over which requests
and their descriptors come and results go, and KILL, over which the supervisor orders the running child's end.

A child inherits this process's memory, so nothing may stay in it that depends on an earlier sample. A request is never
looked into, and wiped once the child has its copy. How a child ended goes from the kernel to the supervisor in one
buffer, as raw bytes, and no object is ever made of it. A request is told from others by a random token, not by a count.
In ``isolated`` every child has the same pid and, after one that wrote to scratch, another scratch (``scratches``).

Every fork copies or faults in the pages of this process: it imports little, and nothing after it was frozen.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH123

import _signal  # type: ignore[import-not-found]  # without the enumerations that ``signal`` wraps around everything
import _socket
import gc
import marshal
import mmap
import os
import resource
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from verify.sandbox import kernel, memory, preload, scratches
from verify.sandbox.child import make_streams, run_cases, run_serve, run_shared, run_stdio
from verify.sandbox.confinement import PROGRAMS, Confinement, Profile
from verify.sandbox.execute import run_binary
from verify.sandbox.filters import Filter, child_program
from verify.sandbox.rehearsal import rehearse
from verify.sandbox.tester import DESCRIPTOR_BYTES, HOST, read_descriptors, run_tests

MAX_REQUEST = 1 << 14
ANCILLARY = _socket.CMSG_SPACE(4 * DESCRIPTOR_BYTES)
MAX_DESCRIPTORS = 128
KEPT_FROM = 100  # descriptors from here on stay open in children
# As the kernel writes them: the wait status; ``struct rusage`` (user and system time in seconds and microseconds, peak
# KiB); of a scratch that was written to, ``struct statvfs`` (size of a block, all blocks, free ones). Then the child's
# progress.
RESULT = struct.Struct("<i4x5q104x8x3Q80xB")
_USAGE_AT, _FILES_AT, _STAGE_AT = 8, 152, 264
TOKEN_BYTES = 8  # at the beginning of a request; an order to end a child is the token alone
HEADROOM = 64 << 20  # address space beyond the memory limit: thread stacks, allocator slack
STACK = 64 << 20
CONFINED = 1
_LAST_PID = b"1"  # this process's own, in its namespace: every child is process 2
PACKAGES = "loading packages"  # a step whose failure is the packages', not the machine's
# The function of each mode, and the descriptors it is given: the first one's number and how many.
MODES: dict[str, tuple[Callable[[Any], NoReturn], int, int]] = {
    "stdio": (run_stdio, 0, 3),
    "cases": (run_cases, 3, 1),
    "serve": (run_serve, 3, 1),
    "test": (run_tests, HOST, 1),
    "shared": (run_shared, 3, 1),
    "program": (run_binary, 0, 4),
}
_FIRST_FREE, _OURS_FROM = 6, 20  # 0-2 are standard streams, 3 to 5 a mode's own


class Zygote:
    """The fork server's state, and what its children share."""

    def __init__(self, control: int, kill: int, size: tuple[int, int], confinement: Confinement, most: int) -> None:
        profile = confinement.profile
        self.control = _socket.socket(fileno=control)
        self.kill = kill
        self.isolated = profile.isolated
        self.max_processes = most
        self.stage = mmap.mmap(-1, mmap.PAGESIZE)  # written by the child until its confinement is complete
        self.filter = Filter(child_program()) if profile.sealed else None
        self.base_address_space, self.base_data = size
        self.scratch = scratches.Scratch(confinement.keeper) if profile.isolated else None
        self.pids = confinement.pids
        self.request, self.order, self.result = bytearray(MAX_REQUEST), bytearray(TOKEN_BYTES), bytearray(RESULT.size)
        self.addresses = [kernel.address(self.result, at) for at in (0, _USAGE_AT, _FILES_AT)]
        self.descriptors: tuple[int, ...] = ()
        self.abandoned, self.child = False, 0
        self.pid = os.getpid()
        self._hear_orders()
        for owner in (self, self.stage, self.filter, self.descriptors, self.control, self.request, self.order):
            for name in dir(owner):  # Python finds a name again without a write to its cache of names
                getattr(owner, name)

    def count_pids_anew(self) -> None:
        """Finds out whether each child can have the same pid: the last one given is this process's to set, or not."""
        try:
            if self.pids >= 0:
                os.pwrite(self.pids, _LAST_PID, 0)
        except OSError:
            os.close(self.pids)
            self.pids = -1

    def serve(self, _kept: object) -> NoReturn:
        """Runs one child after another, until the supervisor goes away."""
        while size := self._receive():
            self.stage[0] = 0
            if self.pids >= 0:
                os.pwrite(self.pids, _LAST_PID, 0)
            self.child = os.fork()
            if self.child == 0:
                self._be_child(size)
            self._obey()  # the order may have come before this process knew the child's pid
            self._forget_request(size)
            self._report_end()
        os._exit(0)

    def _report_end(self) -> None:
        """Waits for the child and sends how it ended; keeps nothing of it."""
        status, usage, files = self.addresses
        kernel.wait(self.child, status, usage)
        self.child = 0
        clean = self.scratch is None or self.scratch.renew(files)
        self.result[_STAGE_AT] = self.stage[0]
        self.control.send(self.result)
        self.result[:] = bytes(RESULT.size)
        self.order[:] = bytes(TOKEN_BYTES)
        if not clean:
            os._exit(0)  # no clean scratch is left; the supervisor starts another fork server when it needs one

    def _receive(self) -> int:
        """Receives a request into ``request`` and ``descriptors``; returns its bytes, 0 when no more will come.

        The bytes are not looked at here: they go where they can be wiped, so that no later child finds them.
        """
        size, ancillary, _, _ = self.control.recvmsg_into((self.request,), ANCILLARY)
        self.descriptors = read_descriptors(ancillary)
        return size

    def _forget_request(self, size: int) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.request[TOKEN_BYTES:size] = bytes(size - TOKEN_BYTES)

    def _hear_orders(self) -> None:
        """Asks for a signal at every order and at the supervisor's end, so that waiting takes one system call."""
        _signal.signal(_signal.SIGIO, self._obey)
        kernel.fcntl(self.kill, kernel.F_SETOWN, self.pid)
        kernel.fcntl(self.kill, kernel.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def _obey(self, *_: object) -> None:
        """Ends the child that an order names, if it still runs; any child if the supervisor is gone."""
        try:
            while os.readv(self.kill, (self.order,)):
                pass
            self.abandoned = True
        except BlockingIOError:
            pass
        if self.child and (self.abandoned or self.order == self.request[:TOKEN_BYTES]):
            self._end_child()

    def _end_child(self) -> None:
        """Kills the child unless it was waited for: its pid may then belong to another process."""
        try:
            os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(self.child, _signal.SIGKILL)
        except ChildProcessError:
            pass

    def _be_child(self, size: int) -> NoReturn:
        try:
            run, payload = self._prepare(size)
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the stage byte tells the supervisor that this was our failure
        run(payload)

    def _prepare(self, size: int) -> tuple[Callable[[Any], NoReturn], Any]:
        """Reads the request and gives up everything that it does not name; returns what to run, and with what."""
        self.order[:] = bytes(TOKEN_BYTES)
        mode, limits, payload = marshal.loads(memoryview(self.request)[TOKEN_BYTES:size])
        run, first, count = MODES[mode]
        if payload is None:
            payload = marshal.loads(_read_all(self.descriptors[-1]))
        for at, descriptor in enumerate(self.descriptors[:count], start=first):
            os.dup2(descriptor, at)
        os.closerange(first + count, KEPT_FROM)
        _signal.signal(_signal.SIGIO, _signal.SIG_DFL)
        if not self.isolated:  # in ``isolated`` the zygote is process 1: the kernel ends everyone with it
            kernel.prctl(kernel.PR_SET_PDEATHSIG, _signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
        self._limit(*limits)
        if self.pids >= 0:
            kernel.drop_capabilities()
        if self.filter:
            self.filter.install()
        self.stage[0] = CONFINED
        self.stage.close()
        gc.enable()
        return run, payload

    def _limit(self, most: int, cpu_s: int) -> None:
        """Bounds memory without cgroups: data at the limit, address space a little above held seven kinds of bombs."""
        address_space = self.base_address_space + most + HEADROOM
        data = self.base_data + most
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # SIGXCPU; SIGKILL for a child that ignores it
        if self.max_processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (self.max_processes, self.max_processes))


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _own_size() -> tuple[int, int]:
    """Returns the bytes of address space and of data of this process, with which every child starts."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = [int(field) for field in file.read().split()]
    return pages[0] * mmap.PAGESIZE, pages[5] * mmap.PAGESIZE


def main(
    report: int,
    control: int,
    kill: int,
    profile: tuple[Any, ...],
    modules: list[str],
    packages: tuple[list[str], list[tuple[str, str]], list[str]],
    room: tuple[int, int],
    most: int,
) -> NoReturn:
    """Becomes a zygote, or reports the step that failed and ends.

    ``modules`` are imported for all children. ``packages`` are those outside the standard library: modules to import,
    modules by name with their paths, other paths to read. ``room`` is address space and data beyond a sample's limit,
    in bytes. ``most`` is the largest number of processes of the user, threads included (0: not limited).
    """
    report, control, kill = _move_away(report, control, kill)
    with Confinement(Profile._make(profile), report) as confinement:
        confinement.step = "loading modules"
        preload.settle()
        outside = [*(path for _, path in packages[1]), *packages[2]]
        interpreter = preload.load(modules)
        if confinement.profile.filter != PROGRAMS:  # another program has no use for the files of this one
            confinement.readable = [*interpreter, *outside]
        confinement.step = PACKAGES
        preload.load_packages(*packages)
        confinement.step = "preparing memory"
        rehearse()
        make_streams()
        memory.inherit_code(outside)
        address_space, data = _own_size()
        size = address_space + room[0], data + room[1]
        confinement.step = "confining the fork server"
        _enter(confinement)
        zygote = Zygote(control, kill, size, confinement, most)
        confinement.seal()
        zygote.count_pids_anew()
        kept = _settle_memory()
    zygote.serve(kept)


def _enter(confinement: Confinement) -> None:
    """Enters the namespaces, and follows the interpreter's files to their new names. Raises OSError, RuntimeError."""
    if confinement.profile.filter == PROGRAMS:
        confinement.enter()
        return
    if not confinement.profile.isolated:
        preload.keep_reachable(confinement.readable, KEPT_FROM)
    before = confinement.readable
    confinement.enter()
    preload.follow(before, confinement.readable)
    preload.check_reachable()


def _move_away(*descriptors: int) -> list[int]:
    """Moves our descriptors to where children close them, and away from where children's own have to end up.

    Without this, a supervisor with many open files would give numbers beyond KEPT_FROM, which stay open in candidates.
    """
    moved = [kernel.fcntl(descriptor, kernel.F_DUPFD_CLOEXEC, _OURS_FROM) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for at in range(3, _FIRST_FREE):
        os.dup2(0, at, inheritable=False)
    return moved


def _settle_memory() -> list[object]:
    """Leaves memory as all children shall find it; the result has to be kept."""
    preload.forget_path()
    gc.collect()
    kernel.tidy_heap()
    full = memory.fill_pools()
    gc.freeze()
    gc.disable()
    return full
