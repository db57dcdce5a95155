"""Namespaces of its own for a process: user, process, network, IPC, host name and mount, with a private root.

The root is an empty, read-only tmpfs into which readable folders are bound read-only. It holds one sized tmpfs as
scratch and, for commands that work on a tree of files, a layer over that tree that holds their changes. Root builds it
while it is still root, so that an interpreter in a folder that others cannot enter works; an ordinary user builds it
with the powers of a new user namespace.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH102, PTH103, PTH106, PTH114, PTH115, PTH120, PTH211

import _socket
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple

from verify.sandbox import kernel, scratches
from verify.sandbox.scratches import SCRATCH

NOBODY = 65534
TREE = "/testbed"  # where a tree appears that commands work on
MAX_SCRATCH_FILES, MAX_COMMAND_FILES = 256, 200_000
_SHARED = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
HOST_NAME = "sandbox"
_BUILD_AT = "/tmp"  # any directory will do: sources below it are reached through descriptors
_OLD, _COVERED = ".old", ".covered"
OURS_FROM = 20  # of descriptors that a fork server keeps and its children close
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


class Entered(NamedTuple):
    """Descriptors that a fork server keeps: its scratches, for Landlock; the file that sets the last pid (or -1)."""

    scratches: list[int]
    pids: int


def enter(
    readable: Iterable[str],
    scratch_mb: int,
    program: str | None = None,
    *,
    commands: bool = False,
    piled: bool = False,
    tree: str | None = None,
) -> Entered:
    """Moves this process into new namespaces; its next child is process 1 there. Raises OSError.

    ``program`` is what ``/proc/self/exe`` names there, for programs that look for themselves. ``commands``: several
    processes get room for many files, and a loopback. ``piled``: scratch is a pile (``scratches``). ``tree`` appears at
    ``TREE``, where it can be changed; the folder itself stays as it is (overlayfs; for an ordinary user this takes
    Linux 5.11).
    """
    files = MAX_COMMAND_FILES if commands else MAX_SCRATCH_FILES
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    pids = _last_pid(proc) if piled else -1
    options = f"size={scratch_mb}m,nr_inodes={files},mode=700,uid={_owner()}"
    own = _enter_as_root(proc, readable, options, program, commands, tree)
    if own is None:
        own = True
        become_nobody()
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | _SHARED)
        _map_users(proc, uid, gid)
        _build(readable, options, program, commands, tree)
    os.close(proc)
    return Entered(scratches.pile_up(options) if piled and own else [], pids)


def _enter_as_root(
    proc: int, readable: Iterable[str], options: str, program: str | None, commands: bool, tree: str | None
) -> bool | None:
    """Does it with root's powers. Returns whether the mounts are this process's own afterwards; None: it is not root.

    Process and mount namespaces belong to a new user namespace if the machine allows one; the others isolate root, too.
    """
    if os.geteuid() != 0 or not _may_unshare():
        return None
    _build(readable, options, program, commands, tree)
    own = _may_own_users()
    if not own:
        kernel.unshare(kernel.CLONE_NEWPID)
    become_nobody()
    if own:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
        _map_users(proc, NOBODY, NOBODY)
    return own


def _build(readable: Iterable[str], options: str, program: str | None, commands: bool, tree: str | None) -> None:
    kernel.sethostname(HOST_NAME.encode())
    _private_root(readable, options, tree, program)
    if commands:
        _raise_loopback()


def _last_pid(proc: int) -> int:
    """Opens the file that sets the last pid of the writer's namespace, if it may be written to here."""
    try:
        opened = os.open("sys/kernel/ns_last_pid", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return -1
    moved = kernel.fcntl(opened, kernel.F_DUPFD_CLOEXEC, OURS_FROM)
    os.close(opened)
    return moved


def _may_unshare() -> bool:
    """Tries as root; returns False in a container whose root lacks the capability and does as ordinary users do."""
    try:
        kernel.unshare(kernel.CLONE_NEWNS | _SHARED)
    except OSError:
        return False
    return True


def _may_own_users() -> bool:
    """Tries in a child, for there is no way back, whether nobody may make a user namespace here."""
    child = os.fork()
    if child == 0:
        try:
            become_nobody()
            kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _map_users(proc: int, uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        descriptor = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _private_root(readable: Iterable[str], options: str, tree: str | None, program: str | None) -> None:
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
    scratches.make_places(_BUILD_AT)
    _mount_scratch(_BUILD_AT + SCRATCH, options)
    if tree:
        _mount_tree(lower, options)
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
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | devices
    try:
        kernel.mount(None, target, None, flags | kernel.MS_NOATIME)  # when a file was read is nobody's business
    except PermissionError:
        kernel.mount(None, target, None, flags | _locked(target))


def _locked(target: str) -> int:
    """Returns the flags of a mount that a user namespace may not take away: containers forbid programs and devices."""
    has = os.statvfs(target).f_flag
    return sum(flag for shown, flag in kernel.MOUNT_FLAGS.items() if has & shown)


def _mount_scratch(target: str, options: str) -> None:
    os.makedirs(target, exist_ok=True)
    kernel.mount("scratch", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, options)


def _owner() -> int:
    """Returns the user id that a candidate will have."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def _mount_tree(lower: int, room: str) -> None:
    """Mounts the tree behind a descriptor under a layer in memory, which only the overlay reaches afterwards."""
    layer, target = f"{_BUILD_AT}/.layer", _BUILD_AT + TREE
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    os.mkdir(layer)
    kernel.mount("layer", layer, "tmpfs", flags, room.replace("mode=700", "mode=755"))
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
