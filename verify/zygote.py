"""The fork server: a freshly executed, single-threaded interpreter, confined once, that forks a child per sample.

It starts with a cleared environment and no inherited descriptors but two: CONTROL, over which requests and their
descriptors come and results go, and KILL, over which the supervisor orders the running child's end. It never looks
into a request: the child reads that itself, so no sample finds an earlier one's code in inherited memory.

Every byte of this process is copied or faulted in by every fork: it imports little, and nothing after it was frozen.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH123, PTH208

import _socket
import array
import fcntl
import gc
import marshal
import mmap
import os
import resource
import select
import signal
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from verify import kernel, landlock, namespaces, preload
from verify.child import run_cases, run_serve, run_shared, run_stdio
from verify.filters import Filter, child_program, zygote_program
from verify.tester import run_test

READY, FAILED = b"+", b"-"
MAX_REQUEST = 1 << 14
ANCILLARY = _socket.CMSG_SPACE(4 * array.array("i").itemsize)
MAX_DESCRIPTORS = 128
KEPT_FROM = 100  # descriptors from here on stay open in children
RESULT = struct.Struct("<iddqB")  # wait status, user and system seconds, peak KiB, how far the child came
KILL_ORDER = struct.Struct("<Q")
HEADROOM = 64 << 20  # address space beyond the memory limit: thread stacks, allocator slack
STACK = 64 << 20
READ_REQUEST, CONFINED = 1, 2
# What runs in each mode, and which descriptors it is given: the first one's number and how many.
MODES: dict[str, tuple[Callable[[Any], NoReturn], int, int]] = {
    "stdio": (run_stdio, 0, 3),
    "cases": (run_cases, 3, 1),
    "serve": (run_serve, 3, 1),
    "test": (run_test, 3, 2),
    "shared": (run_shared, 3, 1),
}
_FIRST_FREE, _OURS_FROM = 5, 20  # 0-2 are standard streams, 3 and 4 a mode's own


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
        self.serial = 0
        self.pid = os.getpid()

    def serve(self) -> NoReturn:
        """One child after another, until the supervisor goes away."""
        while self.control.recv(1, _socket.MSG_PEEK):
            self.serial += 1
            self.stage[0] = 0
            pid = os.fork()
            if pid == 0:
                self._be_child()
            status, usage = self._await(pid)
            if self.stage[0] < READ_REQUEST:
                self.control.recv(1)  # died before it read its request: drop it with its descriptors
            if self.tier == "isolated" and os.listdir(namespaces.SCRATCH):
                namespaces.empty(namespaces.SCRATCH)
                os.chdir(namespaces.SCRATCH)
            self.control.send(RESULT.pack(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, self.stage[0]))
        os._exit(0)

    def _await(self, pid: int) -> tuple[int, resource.struct_rusage]:
        """The child's end, which comes by itself or by the supervisor's order (or with the supervisor's own end)."""
        ended = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self.kill, select.POLLIN)
        while all(descriptor != ended for descriptor, _ in poll.poll()):
            order = os.read(self.kill, KILL_ORDER.size)
            if not order or KILL_ORDER.unpack(order)[0] == self.serial:
                os.kill(pid, signal.SIGKILL)
                poll.unregister(self.kill)
        os.close(ended)
        _, status, usage = os.wait4(pid, 0)
        return status, usage

    def _be_child(self) -> NoReturn:
        try:
            run, payload = self._prepare()
        except BaseException:  # noqa: BLE001
            os._exit(1)  # the stage tells the supervisor that this was our failure
        run(payload)

    def _prepare(self) -> tuple[Callable[[Any], NoReturn], Any]:
        """Reads the request and gives up everything but what it names."""
        message, descriptors = self._receive()
        self.stage[0] = READ_REQUEST
        mode, limits, payload = marshal.loads(message)
        run, first, count = MODES[mode]
        if payload is None:
            payload = marshal.loads(_read_all(descriptors[-1]))
        for at, descriptor in enumerate(descriptors[:count], start=first):
            os.dup2(descriptor, at)
        os.closerange(first + count, KEPT_FROM)
        if self.tier != "isolated":  # there the zygote is process 1: its end is everyone's end
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
        self._limit(*limits)
        if self.filter:
            self.filter.install()
        self.stage[0] = CONFINED
        self.stage.close()
        gc.enable()
        return run, payload

    def _receive(self) -> tuple[bytes, "array.array[int]"]:
        """``socket.recv_fds`` without what it touches besides."""
        message, ancillary, _, _ = self.control.recvmsg(MAX_REQUEST, ANCILLARY)
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        return message, descriptors

    def _limit(self, memory: int, cpu_s: int) -> None:
        """Memory without cgroups: data at the limit, address space a little above, held seven kinds of bombs."""
        address_space = self.base_address_space + memory + HEADROOM
        data = self.base_data + memory
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
        _confine(config, readable)
    except (OSError, ImportError, RuntimeError) as error:
        channel.send(FAILED + f"{step}: {error}".encode())
        os._exit(1)
    channel.send(READY)
    channel.close()
    zygote.serve()


def _continue_as_first_process(channel: _socket.socket) -> None:
    """The new process namespace begins with the next child; this process only waits for its end."""
    pid = os.fork()
    if pid:
        channel.close()
        os.closerange(3, MAX_DESCRIPTORS)
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _arrange(control: int, kill: int) -> tuple[int, int]:
    """Moves our descriptors out of the way: what a child receives must not lie where it has to end up."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OURS_FROM) for descriptor in (control, kill)]
    os.closerange(3, _OURS_FROM)
    for at in range(3, _FIRST_FREE):
        os.dup2(0, at, inheritable=False)
    return moved[0], moved[1]


def _confine(config: dict[str, Any], readable: list[str]) -> None:
    """All that is done once and holds for every child."""
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
    gc.freeze()
    gc.disable()
    if tier != "none":
        Filter(zygote_program(scratch)).install()


def _limits_of_all(file_size: int) -> None:
    for what, value in (
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(what, (value, value))
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    stack = STACK if hard == resource.RLIM_INFINITY else min(STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (max(soft, stack) if soft != resource.RLIM_INFINITY else stack, stack))
