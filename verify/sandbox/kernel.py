"""System calls that Python's standard library does not offer, through ctypes.

The zygote imports it, so nothing heavy is imported here. Every function raises OSError with the call's name in its
message: the user reads these words where a tier is not available.
"""

import ctypes
import errno
import os
import resource
import struct

from verify.sandbox.syscalls import machine, numbers, supported

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x400, 0x1000, 0x2000, 0x4000, 0x40000
# Flags that statvfs shows (statvfs(3)), as mount takes them.
MOUNT_FLAGS = {4: MS_NODEV, 8: MS_NOEXEC, 1024: 1024, 2048: 2048, 4096: 1 << 21}  # and noatime, nodiratime, relatime
MNT_DETACH = 2
SECCOMP_MODE_FILTER = 2
F_SETFL, F_SETOWN, F_DUPFD_CLOEXEC = 4, 8, 1030
_CAPABILITY_VERSION_3 = 0x20080522
_CHECKPOINT_RESTORE = 1 << 40 - 32  # in the second word: the capability to set the last pid of an own namespace
_HERE, _MTIME, MTIME_AT, MTIME_BYTES, STATX_BYTES = ctypes.c_int(-100), ctypes.c_uint(0x40), 112, 12, 256

Address = ctypes.c_void_p
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_prctl = _libc.prctl
_ZERO = ctypes.c_ulong(0)
_numbers = numbers(machine()) if supported(machine()) else {}


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _path(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def syscall(name: str, *arguments: object) -> int:
    """Makes a raw call by name and returns its result; arguments are ctypes values or byte strings."""
    if name not in _numbers:
        raise OSError(f"{name}: unknown on {machine()}")
    return _check(_libc.syscall(ctypes.c_long(_numbers[name]), *arguments), name)


def prctl(option: int, argument: int = 0, second: ctypes.c_ulong = _ZERO) -> None:
    """Calls prctl with small integers, except ``second``: passing them as they are costs a child fewer pages."""
    _check(_prctl(option, argument, second, _ZERO, _ZERO), "prctl")


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    code = _libc.mount(_path(source), _path(target), _path(kind), ctypes.c_ulong(flags), _path(data))
    _check(code, f"mount {target}")


def pivot_root(new: str, old: str) -> None:
    syscall("pivot_root", _path(new), _path(old))


def detach(target: str) -> None:
    """Unmounts now, even if it is still in use."""
    _check(_libc.umount2(_path(target), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def sethostname(name: bytes) -> None:
    _check(_libc.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")


_capabilities = (
    ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), 8),
    ctypes.create_string_buffer(24),  # none
)


def drop_capabilities() -> None:
    """Gives up every capability for good: with no_new_privs nothing can bring one back."""
    syscall("capset", *_capabilities)


def keep_last_pid() -> None:
    """Gives up every capability but the one to set the last pid of a namespace; that too where it is not ours."""
    only = struct.pack("<6I", 0, 0, 0, _CHECKPOINT_RESTORE, _CHECKPOINT_RESTORE, 0)
    try:
        syscall("capset", _capabilities[0], ctypes.create_string_buffer(only, len(only)))
    except PermissionError:
        drop_capabilities()


# ---- how a child ended, without an object that would stay in the memory of those that follow


def address(buffer: bytearray, at: int = 0) -> Address:
    """Returns an address in a buffer, whose size stays as it is from now on."""
    return ctypes.c_void_p(ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer)) + at)


def wait(pid: int, status: Address, usage: Address) -> None:
    """Waits for a child's end; the kernel writes its status and ``struct rusage`` to these addresses."""
    while _libc.wait4(pid, status, 0, usage) < 0:
        if ctypes.get_errno() != errno.EINTR:
            _check(-1, "wait4")


def look_at_folder(path: bytes, about: Address) -> None:
    """Writes a folder's ``struct statx`` to an address; its time of change is at MTIME_AT."""
    syscall("statx", _HERE, path, ctypes.c_int(0), _MTIME, about)


def look_at_room(path: bytes, room: Address) -> None:
    """Writes ``struct statvfs`` of the file system of a path to an address."""
    _check(_libc.statvfs(path, room), "statvfs")


def is_zero(place: Address, zeros: Address, size: int) -> bool:
    return bool(_libc.memcmp(place, zeros, ctypes.c_size_t(size)) == 0)


def landlock_abi() -> int:
    """Returns the kernel's Landlock version, 0 if it has none."""
    try:
        return syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def tidy_heap() -> None:
    """Returns free memory to the kernel now: in a child, an allocation would do it and touch many pages."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(ctypes.c_size_t(0))


def fcntl(descriptor: int, command: int, argument: int) -> int:
    """Calls fcntl as the standard library does, whose module would be one more library for every fork to map."""
    return _check(_libc.fcntl(descriptor, command, argument), "fcntl")


def ioctl(descriptor: int, request: int, argument: bytes) -> None:
    """Calls ioctl with an argument that the kernel reads and does not write to."""
    _check(_libc.ioctl(descriptor, ctypes.c_ulong(request), ctypes.c_char_p(argument)), f"ioctl {request:#x}")


def lower_limit(what: int, value: int) -> None:
    """Lowers a resource limit to ``value`` for good; leaves a limit of this process that is lower already."""
    hard = resource.getrlimit(what)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (most, most))
