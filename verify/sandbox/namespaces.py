"""Namespaces of its own for a process: user, process, network, IPC, host name and mount, with a private root.

The root is an empty, read-only tmpfs into which readable folders are bound read-only. It holds one sized tmpfs as
scratch and, for commands that work on a tree of files, a layer over that tree that holds their changes. Root builds it
while it is still root, so that an interpreter in a folder that others cannot enter works; an ordinary user builds it
with the powers of a new user namespace.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH101, PTH102, PTH103, PTH106, PTH108, PTH114, PTH115, PTH120, PTH208, PTH211

import _socket
import os
import stat
import struct
from collections.abc import Iterable

from verify.sandbox import kernel

NOBODY = 65534
SCRATCH = "/tmp"  # where programs look for a place to write
TREE = "/testbed"  # where a tree appears that commands work on
MAX_SCRATCH_FILES, MAX_COMMAND_FILES = 256, 200_000
_SHARED = kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
_BUILD_AT = "/tmp"  # any directory will do: sources below it are reached through descriptors
_OLD, _COVERED = ".old", ".covered"
_SIOCSIFFLAGS, _IFF_UP, _IFREQ = 0x8914, 1, struct.Struct("16sh22x")


def shown_at(path: str) -> str:
    """Returns the path at which an old path appears in the new namespace: another one if scratch would cover it."""
    return f"/{_COVERED}{path}" if f"{path}/".startswith(f"{SCRATCH}/") else path


def become_nobody() -> None:
    """Gives root's identity up for good; does nothing for an ordinary user."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # /proc/self has to be our own to write the maps of a user namespace


def enter(
    readable: Iterable[str],
    scratch_mb: int,
    program: str | None = None,
    *,
    commands: bool = False,
    tree: str | None = None,
) -> None:
    """Moves this process into new namespaces; its next child is process 1 there. Raises OSError.

    ``program`` is what ``/proc/self/exe`` names there, for programs that look for themselves. ``commands``: several
    processes get room for many files, and a loopback. ``tree`` appears at ``TREE``, where it can be changed; the folder
    itself stays as it is (overlayfs; for an ordinary user this takes Linux 5.11).
    """
    files = MAX_COMMAND_FILES if commands else MAX_SCRATCH_FILES
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    if os.geteuid() == 0 and _may_unshare():
        _private_root(readable, scratch_mb, files, tree, program)
        if commands:
            _raise_loopback()
        become_nobody()
        _own_users_if_possible(proc)
    else:
        become_nobody()
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | _SHARED)
        _map_users(proc, uid, gid)
        _private_root(readable, scratch_mb, files, tree, program)
        if commands:
            _raise_loopback()
    os.close(proc)


def _may_unshare() -> bool:
    """Tries as root; returns False in a container whose root lacks the capability and does as ordinary users do."""
    try:
        kernel.unshare(kernel.CLONE_NEWNS | _SHARED)
    except OSError:
        return False
    return True


def _own_users_if_possible(proc: int) -> None:
    """Adds a user namespace for root if the machine allows it; the other namespaces already isolate root."""
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
    except OSError:
        return
    _map_users(proc, NOBODY, NOBODY)


def _map_users(proc: int, uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        descriptor = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _private_root(readable: Iterable[str], scratch_mb: int, files: int, tree: str | None, program: str | None) -> None:
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    lower = os.open(tree, os.O_PATH | os.O_CLOEXEC) if tree else -1
    sources = {path: os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) for path in _outermost(readable)}
    links = {path: os.readlink(path) for path in sources if os.path.islink(path)}
    kernel.mount("troop", _BUILD_AT, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=1024,mode=755")
    for path, source in sources.items():
        _place(path, source, links.get(path))
        os.close(source)
    for name in ("self", "1") if program else ():
        os.makedirs(f"{_BUILD_AT}/proc/{name}")
        os.symlink(str(program), f"{_BUILD_AT}/proc/{name}/exe")
    _mount_scratch(_BUILD_AT + SCRATCH, scratch_mb, files)
    if tree:
        _mount_tree(lower, scratch_mb, files)
        os.close(lower)
    os.mkdir(f"{_BUILD_AT}/{_OLD}")
    os.chdir(_BUILD_AT)
    kernel.pivot_root(".", _OLD)
    os.chdir("/")
    kernel.detach(f"/{_OLD}")
    os.rmdir(f"/{_OLD}")
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount(None, "/", None, flags)


def _outermost(paths: Iterable[str]) -> list[str]:
    """Returns the existing paths that lie in no other of them: a bound folder brings along all below it."""
    chosen: list[str] = []
    for path in sorted(set(paths)):
        inside = any(path.startswith(tree + "/") and not os.path.islink(tree) for tree in chosen)
        if os.path.lexists(path) and not inside:
            chosen.append(path)
    return chosen


def _place(path: str, source: int, link: str | None) -> None:
    """Makes an old path appear in the new root, read-only."""
    target = _BUILD_AT + shown_at(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if link is not None:
        os.symlink(link, target)
        return
    if stat.S_ISDIR(os.fstat(source).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    kernel.mount(f"/proc/self/fd/{source}", target, None, kernel.MS_BIND | kernel.MS_REC)
    devices = 0 if path.startswith("/dev/") else kernel.MS_NODEV
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID
    kernel.mount(None, target, None, flags | devices | _locked(target))


def _locked(target: str) -> int:
    """Returns the flags of a mount that a user namespace may not take away: containers forbid programs and devices."""
    has = os.statvfs(target).f_flag
    return sum(flag for shown, flag in kernel.MOUNT_FLAGS.items() if has & shown)


def _mount_scratch(target: str, scratch_mb: int, files: int) -> None:
    os.makedirs(target, exist_ok=True)
    options = f"size={scratch_mb}m,nr_inodes={files},mode=700,uid={_owner()}"
    kernel.mount("scratch", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, options)


def _owner() -> int:
    """Returns the user id that a candidate will have."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def _mount_tree(lower: int, size_mb: int, files: int) -> None:
    """Mounts the tree behind a descriptor under a layer in memory, which only the overlay reaches afterwards."""
    layer, target = f"{_BUILD_AT}/.layer", _BUILD_AT + TREE
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    os.mkdir(layer)
    kernel.mount("layer", layer, "tmpfs", flags, f"size={size_mb}m,nr_inodes={files},mode=755")
    for name in ("upper", "work"):
        os.mkdir(f"{layer}/{name}")
    os.chown(f"{layer}/upper", _owner(), -1)
    os.mkdir(target)
    options = f"lowerdir=/proc/self/fd/{lower},upperdir={layer}/upper,workdir={layer}/work"
    kernel.mount("tree", target, "overlay", flags, options + ("" if os.geteuid() == 0 else ",userxattr"))
    kernel.detach(layer)
    os.rmdir(layer)


def _raise_loopback() -> None:
    """Switches on the loopback, the only device of the new network: test suites talk to themselves over it."""
    any_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    kernel.ioctl(any_socket.fileno(), _SIOCSIFFLAGS, _IFREQ.pack(b"lo", _IFF_UP))
    any_socket.close()


def empty(directory: str) -> None:
    """Removes all that a dead candidate left: at most MAX_SCRATCH_FILES entries, at any depth, of any mode.

    It walks by ``chdir``, since a deep tree's paths are longer than the kernel takes. No other process is alive there.
    """
    os.chdir(directory)
    _empty_here()


def _empty_here() -> None:
    for name in os.listdir("."):
        try:
            os.unlink(name)
        except (IsADirectoryError, PermissionError):
            os.chmod(name, 0o700)
            os.chdir(name)
            _empty_here()
            os.chdir("..")
            os.rmdir(name)
