"""The scratch folder of ``isolated``: a pile of equal, empty file systems in memory, all made before the first sample.

Who has emptied a folder leaves traces in it: the next inode number, offsets of entries, times. So one that was written
to is taken off the pile, and the next candidate meets the one below. All are of one age, and in a random order, so that
neither times nor device numbers tell how many are gone. When the last is gone, the fork server ends.

Taking off takes a power that the fork server has not: its *keeper* does it, the process that waits for its end outside
of its process namespace. They talk over a pair of sockets, a byte each way.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH103

import os
from typing import NoReturn

from verify.sandbox import kernel

SCRATCH = "/tmp"  # where programs look for a place to write
PILED = 32
PILE = "/.pile"
_ASK, _TAKEN, _NONE_LEFT = b"?", b"+", b"-"
_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC | kernel.MS_NOATIME


def make_places(root: str) -> None:
    """Makes the folders on which the pile is built, in a root that cannot be changed afterwards."""
    for number in range(PILED):
        os.makedirs(f"{root}{PILE}/{number}")


def pile_up(options: str) -> list[int]:
    """Mounts the pile over SCRATCH; returns a descriptor of each, for Landlock. Raises OSError."""
    opened = []
    for number in range(PILED):
        place = f"{PILE}/{number}"
        kernel.mount("scratch", place, "tmpfs", _FLAGS, options)
        os.utime(place, (0, 0))  # any change shows, however soon it comes
        opened.append(os.open(place, os.O_PATH | os.O_CLOEXEC))
    for number in _shuffled(PILED):
        kernel.mount(f"{PILE}/{number}", SCRATCH, None, kernel.MS_MOVE)
    return opened


def _shuffled(count: int) -> list[int]:
    """Returns the numbers below ``count`` in an order that nobody can know; ``random`` would cost forks its pages."""
    return sorted(range(count), key=lambda _: os.urandom(8))


def keep(channel: int, child: int) -> NoReturn:
    """Takes a scratch off the pile whenever the fork server asks; ends as the fork server does."""
    os.closerange(0, channel)
    os.closerange(channel + 1, 1 << 16)
    left = PILED
    while os.read(channel, 1):
        left -= 1
        os.write(channel, _TAKEN if left > 0 and _take_off() else _NONE_LEFT)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


def _take_off() -> bool:
    try:
        kernel.detach(SCRATCH)
    except OSError:
        return False
    return True


class Scratch:
    """The fork server's side. It makes no objects of what it learns, which later children would inherit."""

    def __init__(self, keeper: int) -> None:
        """``keeper`` is the connection to it, -1 where there is none and the first change is the last."""
        self.keeper = keeper
        self._about, self._zeros = bytearray(kernel.STATX_BYTES), bytearray(kernel.STATX_BYTES)
        self._path = os.fsencode(SCRATCH)
        self._addresses = [kernel.address(self._about), kernel.address(self._about, kernel.MTIME_AT)]
        self._addresses.append(kernel.address(self._zeros))

    def renew(self, room: "kernel.Address") -> bool:
        """Replaces scratch if the last child wrote to it, whose files' size goes to ``room``; False: it cannot."""
        about, changed, zeros = self._addresses
        kernel.look_at_folder(self._path, about)
        if kernel.is_zero(changed, zeros, kernel.MTIME_BYTES):
            return True
        self._about[:] = self._zeros
        kernel.look_at_room(self._path, room)
        os.chdir("/")
        if self.keeper < 0:
            return False
        os.write(self.keeper, _ASK)
        taken = os.read(self.keeper, 1) == _TAKEN
        os.chdir(SCRATCH)
        return taken
