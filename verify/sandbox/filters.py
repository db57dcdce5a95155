"""Seccomp filters: an allow-list for the zygote, and a small second one that a child adds on top.

The kernel runs a filter once for each call number when it is installed (to cache constant answers), so the cost of an
installation is the program's *depth*: both filters are balanced trees over call numbers. Everything costly is in the
first filter, installed once per zygote. With the second a child gives up what only a zygote needs (fork, kill, pidfd).
Unknown calls answer ENOSYS, which programs and libc take as "this kernel is older".
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping

from verify.sandbox.kernel import PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prctl
from verify.sandbox.syscalls import audit_arch, machine, numbers

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k
_PID = struct.Struct("<I")
Rule = int | list[Instruction]

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EINVAL, ENOSYS, EPERM, EROFS = ERRNO | errno.EINVAL, ERRNO | errno.ENOSYS, ERRNO | errno.EPERM, ERRNO | errno.EROFS
_LOAD, _JEQ, _JGE, _JSET, _JUMP, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x05, 0x06, 0x54
_NUMBER, _ARCH, _X32 = 0, 4, 0x40000000

# Stands in a program for the pid of the process that installs it.
OWN_PID = 0x7A5A5A5A

_CLONE_FILES, _CLONE_THREAD = 0x00000400, 0x00010000
_CLONE_NEW_ANY = 0x7E020080
_AT_EMPTY_PATH = 0x1000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_MSG_OOB, _O_TMPFILE = 1, 0x400000
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)  # dup, flags, pipe size; never locks, ownership, leases, seals
_LOCKS = (5, 6, 7)
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # tcgets, window size, fionread, fionbio, fio(n)clex
_PRCTL = (15, 16, 0x53564D41)  # names of threads and mappings

_PLAIN = """read write close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend pread64 pwrite64 readv writev access pipe select sched_yield
mremap madvise dup dup2 dup3 pause nanosleep getitimer alarm setitimer getpid
shutdown getsockname getpeername getsockopt exit exit_group ftruncate getdents
getdents64 getcwd chdir fchdir umask gettimeofday getrlimit getrusage times getuid getgid
geteuid getegid getppid getpgrp getgroups getresuid getresgid sigaltstack statfs fstatfs
sched_get_priority_max sched_get_priority_min gettid time futex sched_getaffinity set_tid_address restart_syscall
fadvise64 epoll_wait epoll_ctl epoll_pwait epoll_create1 eventfd2 newfstatat faccessat faccessat2 pselect6 ppoll
set_robust_list pipe2 getcpu getrandom statx rseq wait4 waitid arch_prctl"""
_CHANGES_FILES = "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat"
# EPERM tells more than ENOSYS. sendmsg is refused because a descriptor that is under way in a ring of sockets outlives
# its process; setsockopt because larger socket buffers are memory that nobody counts.
# A lock on a file of the machine would join samples, and a flush of one holds up everybody's disk.
_REFUSED = "socket connect execve ptrace fork vfork link truncate sendmsg setsockopt flock fsync fdatasync sysinfo"
# Runtimes want to know the machine that they run on. What it is called is hidden in ``isolated`` only.
_RUNTIMES = "uname sysinfo readlink readlinkat mincore membarrier flock fsync fdatasync"
# Commands of several processes need these too. They run in namespaces of their own, with nobody else to reach.
_COMMANDS = """fork vfork execve link linkat truncate sendmsg setsockopt connect bind listen accept accept4 sendmmsg
recvmmsg sendfile setpgid setsid setrlimit msync chmod fchmod fchmodat chown lchown fchown fchownat utime utimes
futimesat utimensat fallocate copy_file_range getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
inotify_init1 inotify_add_watch inotify_rm_watch timer_create timer_settime timer_gettime timer_getoverrun timer_delete
timerfd_create timerfd_settime timerfd_gettime signalfd4 eventfd epoll_create sched_setaffinity setpriority preadv
pwritev splice tee creat capget sync_file_range kill tgkill fcntl recvfrom recvmsg sendto"""
# What a process may ask about itself, by the number 0 at this place; the answer about others would show who is there.
_ABOUT_ITSELF = {"getpgid": 0, "getsid": 0, "getpriority": 1, "sched_getparam": 0, "sched_getscheduler": 0}
_MESSAGES = {"sendto": 3, "recvfrom": 3, "recvmsg": 2}  # and the place of their flags
_CLOCKS = "clock_gettime clock_getres clock_nanosleep"
_CLOSE_RANGE = (0, 4)  # now or at exec; never in a table of the thread's own, for which no limit of descriptors counts
_SOCKETS = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_COMMANDS_PRCTL = (1, 3, *_PRCTL, 38)  # also: signal at the parent's death, dumpable, no_new_privs
_FORK_SERVER = "kill tgkill prctl seccomp pidfd_open chmod fchmod fchmodat capset"


def zygote_program(scratch: bool, arch: str | None = None) -> bytes:
    """Returns the allow-list of the zygote, and through it of every child; ``scratch``: some folder is writable."""
    return _program(_of_a_zygote(scratch), ENOSYS, arch or machine())


def tool_program(scratch: bool, arch: str | None = None) -> bytes:
    """Returns the allow-list of a program that is executed with it: it may start threads but no processes."""
    rules = _of_a_zygote(scratch) | _each(_RUNTIMES, ALLOW) | _of_a_child()
    return _program(rules | {"execve": ALLOW, "fcntl": _one_of(1, _FCNTL + _LOCKS)}, ENOSYS, arch or machine())


def program_program(scratch: bool, arch: str | None = None) -> bytes:
    """Returns the allow-list of a zygote whose children become other programs, once, by a descriptor."""
    rules = _of_a_zygote(scratch) | _each(_RUNTIMES, ALLOW) | {"execveat": _bits(4, _AT_EMPTY_PATH)}
    return _program(rules | {"fcntl": _one_of(1, _FCNTL + _LOCKS)}, ENOSYS, arch or machine())


def _of_a_zygote(scratch: bool) -> dict[str, Rule]:
    rules = _each(_PLAIN, ALLOW)
    rules |= _each(_CHANGES_FILES, ALLOW if scratch else EROFS)
    rules |= _each(_REFUSED, EPERM)
    rules |= _each(_FORK_SERVER, ALLOW)
    rules |= _each("uname readlink readlinkat", ALLOW if scratch else EINVAL)
    rules |= {name: _bits(place, forbidden=_MSG_OOB) for name, place in _MESSAGES.items()}
    rules |= {name: _one_of(place, (0,)) for name, place in _ABOUT_ITSELF.items()}
    rules |= _each(_CLOCKS, _own_clock())
    return rules | {
        "close_range": _one_of(2, _CLOSE_RANGE),
        "clone": _bits(0, forbidden=_CLONE_NEW_ANY),
        "ioctl": _one_of(1, _IOCTL),
        "fcntl": _one_of(1, _FCNTL),
        "prlimit64": _one_of(0, (0,)),
        "socketpair": _stream_pair(),
        "open": _no_silent_truncation(1, _O_TMPFILE),
        "openat": _no_silent_truncation(2, _O_TMPFILE),
    }


def child_program(arch: str | None = None) -> bytes:
    """Returns what a child gives up beside ``zygote_program``; the kernel takes the stricter answer."""
    return _program(_of_a_child(), ALLOW, arch or machine())


def _of_a_child() -> dict[str, Rule]:
    return _each(_FORK_SERVER, EPERM) | {
        "clone": _bits(0, _CLONE_THREAD, _CLONE_FILES, forbidden=_CLONE_NEW_ANY),
        "kill": _one_of(0, (OWN_PID,)),
        "tgkill": _one_of(0, (OWN_PID,)),
        "prctl": _one_of(0, _PRCTL),
    }


def command_program(arch: str | None = None) -> bytes:
    """Returns the allow-list of commands in namespaces of their own: several processes, no tracing or mounts."""
    rules = _each(_PLAIN, ALLOW) | _each(_CHANGES_FILES, ALLOW) | _each("ptrace", EPERM) | _each(_COMMANDS, ALLOW)
    rules |= _each(_RUNTIMES, ALLOW)
    rules |= dict.fromkeys((*_ABOUT_ITSELF, *_CLOCKS.split(), "close_range"), ALLOW)
    rules |= {
        "clone": _bits(0, forbidden=_CLONE_NEW_ANY),
        "ioctl": _one_of(1, _IOCTL),
        "prlimit64": _one_of(0, (0,)),
        "prctl": _one_of(0, _COMMANDS_PRCTL),
        "socket": _one_of(0, _SOCKETS),
        "socketpair": _one_of(0, _SOCKETS[:1]),
        "open": _no_silent_truncation(1),
        "openat": _no_silent_truncation(2),
    }
    return _program(rules, ENOSYS, arch or machine())


class Filter:
    """A program that is ready to be installed many times: only the pid is filled in each time."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        mark = struct.pack("<I", OWN_PID)
        self._marks = [at + 4 for at in range(0, len(program), 8) if program[at + 4 : at + 8] == mark]
        head = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(self._code))
        self._head = ctypes.create_string_buffer(head, len(head))
        self._address = ctypes.c_ulong(ctypes.addressof(self._head))

    def install(self) -> None:
        """Installs the program for this thread and all that it starts. Needs no_new_privs; raises OSError."""
        for at in self._marks:
            _PID.pack_into(self._code, at, os.getpid())
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self._address)


def _each(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


def _program(rules: Mapping[str, Rule], default: int, arch: str) -> bytes:
    """Assembles a program that checks the architecture and finds the call's rule; leaves out names that it lacks."""
    known = numbers(arch)
    by_number = {known[name]: rule for name, rule in rules.items() if name in known}
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JEQ, 1, 0, audit_arch(arch)),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JGE, 0, 1, _X32),
        (_RETURN, 0, 0, KILL),
        *_tree(_ranges(by_number, default)),
    ]
    return b"".join(struct.pack("<HBBI", op, true, false, k & 0xFFFFFFFF) for op, true, false, k in code)


def _ranges(rules: Mapping[int, Rule], default: int) -> list[tuple[int, Rule]]:
    """Joins neighbouring call numbers with the same answer, as (first number, answer), over all numbers."""
    ranges: list[tuple[int, Rule]] = []
    for number in range(max(rules) + 2):
        rule = rules.get(number, default)
        if not ranges or ranges[-1][1] != rule:
            ranges.append((number, rule))
    return ranges


def _tree(ranges: list[tuple[int, Rule]]) -> list[Instruction]:
    """Builds a binary search over the ranges. Its leaves return, or look at the arguments and return."""
    if len(ranges) == 1:
        rule = ranges[0][1]
        return [(_RETURN, 0, 0, rule)] if isinstance(rule, int) else rule
    middle = len(ranges) // 2
    left, right = _tree(ranges[:middle]), _tree(ranges[middle:])
    first = ranges[middle][0]
    if len(left) < 256:
        return [(_JGE, len(left), 0, first), *left, *right]
    return [(_JGE, 0, 1, first), (_JUMP, 0, 0, len(left)), *left, *right]


def _load_argument(index: int) -> Instruction:
    """Loads the low half of an argument: the calls judged here take 32-bit values."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _one_of(index: int, values: tuple[int, ...]) -> list[Instruction]:
    jumps = [(_JEQ, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_load_argument(index), *jumps, (_RETURN, 0, 0, EPERM), (_RETURN, 0, 0, ALLOW)]


def _own_clock() -> list[Instruction]:
    """Refuses negative numbers, which are clocks of any process, as the kernel does where there is none."""
    return [_load_argument(0), (_JGE, 0, 1, 0x80000000), (_RETURN, 0, 0, EINVAL), (_RETURN, 0, 0, ALLOW)]


def _bits(index: int, *required: int, forbidden: int = 0) -> list[Instruction]:
    """Allows arguments with all the required bits and none of the forbidden ones."""
    needed = [step for bit in required for step in ((_JSET, 1, 0, bit), (_RETURN, 0, 0, EPERM))]
    refused = [(_JSET, 0, 1, forbidden), (_RETURN, 0, 0, EPERM), (_RETURN, 0, 0, ALLOW)]
    return [_load_argument(index), *needed, *refused]


def _stream_pair() -> list[Instruction]:
    """Allows stream pairs only (asyncio wants one): a datagram socket could send to any abstract address."""
    return [
        _load_argument(0),
        (_JEQ, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, EPERM),
        _load_argument(1),
        (_AND, 0, 0, _SOCK_TYPE),
        (_JEQ, 1, 0, _SOCK_STREAM),
        (_RETURN, 0, 0, EPERM),
        (_RETURN, 0, 0, ALLOW),
    ]


def _no_silent_truncation(index: int, forbidden: int = 0) -> list[Instruction]:
    """Refuses a read-only open with O_TRUNC, which Landlock before ABI 3 takes for a read, and ``forbidden`` flags.

    A file without a name (O_TMPFILE) uses up an inode number, and its folder does not show it.
    """
    return [
        _load_argument(index),
        *([(_JSET, 0, 1, forbidden), (_RETURN, 0, 0, EROFS)] if forbidden else []),
        (_JSET, 0, 2, os.O_TRUNC),
        (_JSET, 1, 0, os.O_WRONLY | os.O_RDWR),
        (_RETURN, 0, 0, EROFS),
        (_RETURN, 0, 0, ALLOW),
    ]
