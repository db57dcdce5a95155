"""Landlock: limits the part of the file system that a process may touch, whatever its user id.

Landlock does not cover chmod, utime, setxattr or stat, and before ABI 3 not truncation by open. The seccomp filter
takes these away (``verify.sandbox.filters``), except stat, which tells the size and owner of a file but no contents.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from verify.sandbox.kernel import landlock_abi, syscall

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1, 2, 4, 8, 16, 32
MAKE_DIR, MAKE_REG, MAKE_SYM, TRUNCATE = 1 << 7, 1 << 8, 1 << 12, 1 << 14
READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | TRUNCATE
ALL = (1 << 16) - 1
_ON_FILES = WRITE_FILE | READ_FILE | TRUNCATE | EXECUTE

_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many access rights each ABI knows; 16 from ABI 5 on
_NET_TCP = 3  # bind and connect
_SCOPED = 3  # abstract sockets and signals stay within


def restrict(
    readable: Iterable[str], writable: Iterable[str | int], *, programs: bool = False, commands: bool = False
) -> None:
    """Confines this process and its descendants for good. Needs no_new_privs; raises OSError.

    ``writable`` may hold descriptors too. ``programs``: files in ``readable`` may also be executed. ``commands``: files
    in both may be executed, files of any kind may be made in ``writable``, and TCP is allowed: for processes in a
    network of their own.
    """
    ruleset, handled = _ruleset(landlock_abi(), network=not commands)
    read = READ | EXECUTE if programs or commands else READ
    try:
        for paths, access in ((readable, read), (writable, ALL if commands else WRITE)):
            for path in paths:
                _allow(ruleset, path, access & handled)
        syscall("landlock_restrict_self", ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _ruleset(abi: int, *, network: bool) -> tuple[int, int]:
    """Makes an empty ruleset for all rights that this kernel knows; returns its descriptor and the file rights."""
    if not abi:
        raise OSError("the kernel has no Landlock (Linux 5.13 or newer with landlock enabled is needed)")
    handled = (1 << _FS_BITS.get(abi, 16)) - 1
    attributes = struct.pack("<QQQ", handled, _NET_TCP if abi >= 4 and network else 0, _SCOPED if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    created = syscall("landlock_create_ruleset", ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    return created, handled


def _allow(ruleset: int, path: str | int, access: int) -> None:
    """Adds a folder or a file to the ruleset; skips a path that does not exist here."""
    try:
        beneath = os.dup(path) if isinstance(path, int) else os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            access &= _ON_FILES
        rule = struct.pack("<Qi", access, beneath)
        syscall("landlock_add_rule", ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.c_char_p(rule), ctypes.c_uint32(0))
    finally:
        os.close(beneath)
