"""The fork server: a freshly executed, single-threaded interpreter, confined once, that forks a child per sample.

It starts with a cleared environment and no inherited descriptors but two: CONTROL, over which requests and their
descriptors come and results go, and KILL, over which the supervisor orders the running child's end. It never looks
into a request, and wipes it once the child has its copy: no sample finds an earlier one's code in inherited memory.

Every byte of this process is copied or faulted in by every fork: it imports little, and nothing after it was frozen.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH123, PTH208

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

from verify.sandbox import kernel, landlock, memory, namespaces, preload
from verify.sandbox.child import make_streams, run_cases, run_serve, run_shared, run_stdio
from verify.sandbox.filters import Filter, child_program, zygote_program
from verify.sandbox.rehearsal import rehearse
from verify.sandbox.tester import DESCRIPTOR_BYTES, HOST, received, run_tests

READY, FAILED = b"+", b"-"
MAX_REQUEST = 1 << 14
ANCILLARY = _socket.CMSG_SPACE(4 * DESCRIPTOR_BYTES)
MAX_DESCRIPTORS = 128
KEPT_FROM = 100  # descriptors from here on stay open in children
RESULT = struct.Struct("<iddqB")  # wait status, user and system seconds, peak KiB, how far the child came
KILL_ORDER = struct.Struct("<Q")
EVERYONE = 1 << 64
HEADROOM = 64 << 20  # address space beyond the memory limit: thread stacks, allocator slack
STACK = 64 << 20
CONFINED = 1
# What runs in each mode, and which descriptors it is given: the first one's number and how many.
MODES: dict[str, tuple[Callable[[Any], NoReturn], int, int]] = {
    "stdio": (run_stdio, 0, 3),
    "cases": (run_cases, 3, 1),
    "serve": (run_serve, 3, 1),
    "test": (run_tests, HOST, 1),
    "shared": (run_shared, 3, 1),
}
_FIRST_FREE, _OURS_FROM = 6, 20  # 0-2 are standard streams, 3 to 5 a mode's own


class Zygote:
    """One confined process with what its children share."""

    def __init__(self, control: int, kill: int, size: tuple[int, int], tier: str, max_processes: int) -> None:
        self.control = _socket.socket(fileno=control)
        self.kill = kill
        self.tier = tier
        self.max_processes = max_processes
        self.stage = mmap.mmap(-1, mmap.PAGESIZE)  # written by the child until its confinement is complete
        self.filter = Filter(child_program()) if tier != "none" else None
        self.base_address_space, self.base_data = size
        self.request = bytearray(MAX_REQUEST)
        self.descriptors: tuple[int, ...] = ()
        self.serial = self.ordered = self.child = 0
        self.pid = os.getpid()
        self._hear_orders()
        for owner in (self, self.stage, self.filter, self.descriptors, self.control):
            for name in dir(owner):  # a name that was looked up once is found without a write to the cache of names
                getattr(owner, name)

    def serve(self, _kept: object) -> NoReturn:
        """One child after another, until the supervisor goes away."""
        while size := self._receive():
            self.serial += 1
            self.stage[0] = 0
            pid = os.fork()
            if pid == 0:
                self._be_child(size)
            self.child = pid
            if self.ordered >= self.serial:  # said before this process knew whom to end
                self._end_child()
            self._forget_request(size)
            _, status, usage = os.wait4(pid, 0)
            self.child = 0
            if self.tier == "isolated" and os.listdir(namespaces.SCRATCH):
                namespaces.empty(namespaces.SCRATCH)
                os.chdir(namespaces.SCRATCH)
            self.control.send(RESULT.pack(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, self.stage[0]))
        os._exit(0)

    def _receive(self) -> int:
        """The next request's size; 0 when there is none any more. Sets ``request`` and ``descriptors``.

        The bytes are not looked at here: they go where they can be wiped, so that no later child finds them.
        """
        size, ancillary, _, _ = self.control.recvmsg_into((self.request,), ANCILLARY)
        self.descriptors = received(ancillary)
        return size

    def _forget_request(self, size: int) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.request[:size] = bytes(size)

    def _hear_orders(self) -> None:
        """A signal for every order of the supervisor, and for its end: waiting takes no more than one system call."""
        _signal.signal(_signal.SIGIO, self._obey)
        kernel.fcntl(self.kill, kernel.F_SETOWN, self.pid)
        kernel.fcntl(self.kill, kernel.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def _obey(self, *_: object) -> None:
        """Ends the child that an order names, if it still runs; where the supervisor is gone, whatever runs."""
        try:
            while order := os.read(self.kill, KILL_ORDER.size):
                (self.ordered,) = KILL_ORDER.unpack(order)
            self.ordered = EVERYONE
        except BlockingIOError:
            pass
        if self.child and self.ordered >= self.serial:
            self._end_child()

    def _end_child(self) -> None:
        """Kills the child as long as it is ours: once it was waited for, its number may be another process's."""
        try:
            os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(self.child, _signal.SIGKILL)
        except ChildProcessError:
            pass

    def _be_child(self, size: int) -> NoReturn:
        try:
            run, payload = self._prepare(size)
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the stage tells the supervisor that this was our failure
        run(payload)

    def _prepare(self, size: int) -> tuple[Callable[[Any], NoReturn], Any]:
        """Reads the request and gives up everything but what it names."""
        mode, limits, payload = marshal.loads(memoryview(self.request)[:size])
        run, first, count = MODES[mode]
        if payload is None:
            payload = marshal.loads(_read_all(self.descriptors[-1]))
        for at, descriptor in enumerate(self.descriptors[:count], start=first):
            os.dup2(descriptor, at)
        os.closerange(first + count, KEPT_FROM)
        _signal.signal(_signal.SIGIO, _signal.SIG_DFL)
        if self.tier != "isolated":  # there the zygote is process 1: its end is everyone's end
            kernel.prctl(kernel.PR_SET_PDEATHSIG, _signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
        self._limit(*limits)
        if self.filter:
            self.filter.install()
        self.stage[0] = CONFINED
        self.stage.close()
        gc.enable()
        return run, payload

    def _limit(self, most: int, cpu_s: int) -> None:
        """Memory without cgroups: data at the limit, address space a little above, held seven kinds of bombs."""
        address_space = self.base_address_space + most + HEADROOM
        data = self.base_data + most
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # SIGXCPU, then for those that ignore it SIGKILL
        if self.max_processes:
            resource.setrlimit(resource.RLIMIT_NPROC, (self.max_processes, self.max_processes))


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _own_size() -> tuple[int, int]:
    """Bytes of address space and of data that this process has, and every child starts with."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = [int(field) for field in file.read().split()]
    return pages[0] * mmap.PAGESIZE, pages[5] * mmap.PAGESIZE


def main(control: int, kill: int, config: dict[str, Any]) -> NoReturn:
    """Becomes a zygote, or says over CONTROL which step failed and why, and ends."""
    control, kill = _arrange(control, kill)
    channel = _socket.socket(fileno=os.dup(control))
    step = "loading modules"
    try:
        preload.settle()
        readable = preload.load(config["modules"], config["extra"])
        rehearse()
        make_streams()
        memory.inherit_code(config["extra"])
        size = _own_size()
        step = "confining itself"
        if config["tier"] == "isolated":
            step = "entering namespaces of its own"
            namespaces.enter(readable, config["scratch_mb"])
            preload.rename(readable, namespaces.shown_at)
            _continue_as_first_process(channel)
        else:
            preload.keep_reachable(readable, KEPT_FROM)
            namespaces.become_nobody()
        preload.check_reachable()
        zygote = Zygote(control, kill, size, config["tier"], config["max_processes"])
        full = _confine(config, readable)
    except (OSError, ImportError, RuntimeError) as error:
        channel.send(FAILED + f"{step}: {error}".encode())
        os._exit(1)
    channel.send(READY)
    channel.close()
    zygote.serve(full)


def _continue_as_first_process(channel: _socket.socket) -> None:
    """The new process namespace begins with the next child; this process only waits for its end."""
    pid = os.fork()
    if pid:
        channel.close()
        os.closerange(3, MAX_DESCRIPTORS)
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, _signal.SIGKILL)


def _arrange(control: int, kill: int) -> tuple[int, int]:
    """Moves our descriptors out of the way: what a child receives must not lie where it has to end up."""
    moved = [kernel.fcntl(descriptor, kernel.F_DUPFD_CLOEXEC, _OURS_FROM) for descriptor in (control, kill)]
    os.closerange(3, _OURS_FROM)
    for at in range(3, _FIRST_FREE):
        os.dup2(0, at, inheritable=False)
    return moved[0], moved[1]


def _confine(config: dict[str, Any], readable: list[str]) -> list[object]:
    """All that is done once and holds for every child; what it returns has to be kept."""
    tier, scratch = config["tier"], config["tier"] == "isolated"
    os.chdir(namespaces.SCRATCH if scratch else "/")
    _limits_of_all(config["scratch_mb"] << 20)
    if tier != "none":
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        kernel.drop_capabilities()
        landlock.restrict(readable, ["/dev/null", *([namespaces.SCRATCH] if scratch else [])])
    preload.forget_path()
    gc.collect()
    kernel.tidy_heap()
    full = memory.fill_pools()
    gc.freeze()
    gc.disable()
    if tier != "none":
        Filter(zygote_program(scratch)).install()
    return full


def _limits_of_all(file_size: int) -> None:
    for what, value in (
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        kernel.lower_limit(what, value)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    stack = STACK if hard == resource.RLIM_INFINITY else min(STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (max(soft, stack) if soft != resource.RLIM_INFINITY else stack, stack))
