"""The seccomp programs answer as they should on both architectures, checked by interpreting them."""

import errno
import os
import struct
from collections.abc import Callable

import pytest

from verify.sandbox import filters
from verify.sandbox.filters import (
    ALLOW,
    EPERM,
    EROFS,
    ERRNO,
    OWN_PID,
    child_program,
    command_program,
    zygote_program,
)
from verify.sandbox.syscalls import AARCH64, X86_64, audit_arch, numbers

ARCHES = ["x86_64", "aarch64"]
THREAD = 0x003D0F00  # what glibc passes for a new thread
FORK = 0x01200011


def simulate(program: bytes, number: int, arguments: tuple[int, ...] = (), arch: str = "x86_64") -> int:
    """Returns what the kernel would answer, for any architecture."""
    record = struct.pack("<IIQ6Q", number, audit_arch(arch), 0, *(*arguments, *[0] * 6)[:6])
    jumps: dict[int, Callable[[int, int], bool]] = {
        filters._JEQ: lambda a, k: a == k,
        filters._JGE: lambda a, k: a >= k,
        filters._JSET: lambda a, k: bool(a & k),
    }
    at = accumulator = 0
    while True:
        op, true, false, k = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        if op == filters._RETURN:
            return int(k)
        if op == filters._LOAD:
            accumulator = struct.unpack_from("<I", record, k)[0]
        elif op == filters._AND:
            accumulator &= k
        elif op == filters._JUMP:
            at += k
        else:
            at += true if jumps[op](accumulator, k) else false


def test_tables_name_each_call_once() -> None:
    for table in (X86_64, AARCH64):
        names = [entry.split("=")[0] for entry in table.split()]
        values = [entry.split("=")[1] for entry in table.split()]
        assert len(set(names)) == len(names)
        assert len(set(values)) == len(values)


def answer(program: bytes, arch: str, call: str, *arguments: int) -> int:
    return simulate(program, numbers(arch)[call], arguments, arch)


@pytest.mark.parametrize("arch", ARCHES)
def test_zygote_allows_what_programs_need_and_no_more(arch: str) -> None:
    program = zygote_program(scratch=False, arch=arch)
    for call in ("read", "write", "mmap", "futex", "openat", "exit_group", "getrandom", "wait4", "kill"):
        assert answer(program, arch, call) == ALLOW, call
    for call in ("socket", "execve", "ptrace", "connect"):
        assert answer(program, arch, call) == EPERM, call
    assert answer(program, arch, "mkdirat") == EROFS
    assert answer(zygote_program(scratch=True, arch=arch), arch, "mkdirat") == ALLOW
    assert simulate(program, 449 + 100, (), arch) == ERRNO | errno.ENOSYS


def test_dangerous_calls_do_not_exist() -> None:
    program = zygote_program(scratch=True, arch="x86_64")
    names = {"io_uring_setup": 425, "memfd_create": 319, "userfaultfd": 323, "keyctl": 250, "bpf": 321, "unshare": 272}
    names |= {
        "process_vm_readv": 310,
        "pidfd_getfd": 438,
        "mount": 165,
        "setxattr": 188,
        "utimensat": 280,
        "shmget": 29,
    }
    for name, number in names.items():
        assert simulate(program, number, (), "x86_64") == ERRNO | errno.ENOSYS, name


@pytest.mark.parametrize("arch", ARCHES)
def test_arguments_decide(arch: str) -> None:
    program = zygote_program(scratch=True, arch=arch)
    assert answer(program, arch, "clone", THREAD) == ALLOW
    assert answer(program, arch, "clone", FORK) == ALLOW
    assert answer(program, arch, "clone", FORK | 0x10000000) == EPERM
    assert answer(program, arch, "prlimit64", 0) == ALLOW
    assert answer(program, arch, "prlimit64", 1) == EPERM
    assert answer(program, arch, "socketpair", 1, 1 | os.O_NONBLOCK) == ALLOW
    assert answer(program, arch, "socketpair", 1, 2) == EPERM
    assert answer(program, arch, "socketpair", 2, 1) == EPERM
    assert [answer(program, arch, "fcntl", 3, command) for command in (1031, 5, 6, 7)] == [EPERM] * 4
    for call in ("flock", "fsync", "fdatasync", "sysinfo"):
        assert answer(program, arch, call) == EPERM, call
    for call in ("mincore", "membarrier"):
        assert answer(program, arch, call) == ERRNO | errno.ENOSYS, call
    for call, flags in (("sendto", (3, 0, 9)), ("recvfrom", (3, 0, 9)), ("recvmsg", (3, 0))):
        assert [answer(program, arch, call, *flags, out_of_band) for out_of_band in (0, 1)] == [ALLOW, EPERM], call
    for name in ("uname", "readlinkat"):
        confined = answer(zygote_program(scratch=False, arch=arch), arch, name)
        assert [answer(program, arch, name), confined] == [ALLOW, ERRNO | errno.EINVAL], name
    assert answer(program, arch, "openat", 0, 0, os.O_TMPFILE | os.O_RDWR) == EROFS
    for call in ("getpgid", "getsid", "sched_getparam", "sched_getscheduler"):
        assert [answer(program, arch, call, pid) for pid in (0, 1)] == [ALLOW, EPERM], call
    assert [answer(program, arch, "getpriority", 0, pid) for pid in (0, 1)] == [ALLOW, EPERM]
    for call in ("clock_gettime", "clock_getres", "clock_nanosleep"):
        assert [answer(program, arch, call, clock & 0xFFFFFFFF) for clock in (1, 2, ~1 << 3 | 2)] == [
            *(ALLOW, ALLOW, ERRNO | errno.EINVAL)
        ], call
    assert [answer(program, arch, "close_range", 3, 9, flags) for flags in (0, 4, 2, 6)] == [ALLOW] * 2 + [EPERM] * 2
    assert answer(program, arch, "openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == EROFS
    assert answer(program, arch, "openat", 0, 0, os.O_WRONLY | os.O_TRUNC | os.O_CREAT) == ALLOW


@pytest.mark.parametrize("arch", ARCHES)
def test_commands_may_start_others_but_no_worlds(arch: str) -> None:
    program = command_program(arch)
    for call in ("execve", "linkat", "utimensat", "fchmodat", "bind", "kill", "wait4", "mkdirat", "flock"):
        assert answer(program, arch, call) == ALLOW, call
    assert answer(program, arch, "ptrace") == EPERM
    assert answer(program, arch, "clone", FORK) == ALLOW
    assert answer(program, arch, "clone", FORK | 0x10000000) == EPERM
    for call in ("clone3", "seccomp", "pivot_root", "landlock_create_ruleset"):
        assert answer(program, arch, call) == ERRNO | errno.ENOSYS, call
    assert [answer(program, arch, "socket", family) for family in (1, 2, 10, 16, 17, 40)] == [ALLOW] * 3 + [EPERM] * 3
    assert answer(program, arch, "prlimit64", 1) == EPERM
    assert answer(program, arch, "prctl", 22) == EPERM


@pytest.mark.parametrize("arch", ARCHES)
def test_children_lose_what_only_a_fork_server_needs(arch: str) -> None:
    program = child_program(arch)
    for call in ("read", "openat", "mmap", "wait4"):
        assert answer(program, arch, call) == ALLOW
    for call in ("seccomp", "pidfd_open", "fchmodat", "fchmod", "capset"):
        assert answer(program, arch, call) == EPERM
    assert answer(program, arch, "clone", THREAD) == ALLOW
    assert answer(program, arch, "clone", FORK) == EPERM
    assert answer(program, arch, "clone", THREAD & ~0x400) == EPERM  # with descriptors of its own
    for call in ("kill", "tgkill"):
        assert answer(program, arch, call, OWN_PID) == ALLOW
        assert answer(program, arch, call, 1) == EPERM
    assert answer(program, arch, "prctl", 15) == ALLOW
    assert answer(program, arch, "prctl", 22) == EPERM


def test_another_architecture_is_killed() -> None:
    program = zygote_program(scratch=False, arch="x86_64")
    assert simulate(program, 0, (), "aarch64") == 0x80000000
    assert simulate(program, 0x40000000, (), "x86_64") == 0x80000000
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
