"""Channels between a supervisor and one child: bounded streams, the pipes of one sample, files in memory."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

SEAL_TRIES = 10
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(slots=True)
class Stream:
    """One pipe from a child: the first ``limit`` bytes are kept, more end the child."""

    descriptor: int
    limit: int
    data: bytearray = field(default_factory=bytearray)
    open: bool = True

    def read(self) -> bool:
        """Takes what is there; returns False if the child has written more than ``limit``."""
        try:
            part = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:  # empty: a process that may still hold the other end is not waited for
            part = b""
        self.open = bool(part)
        self.data += part
        return len(self.data) <= self.limit


class Writer:
    """The end of a pipe that a child gets. It is closed here as soon as it was sent, once or more often."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def result_pipe() -> Iterator[tuple[int, Writer]]:
    """Opens a fresh pipe for one sample; yields the descriptor to read, which does not block, and the child's end."""
    reader, descriptor = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    writer = Writer(descriptor)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        writer.close()


def memory_file(data: bytes) -> int:
    """Makes a sealed file in memory, which nobody can change; returns its descriptor, at the beginning.

    The kernel answers EBUSY while it holds a page itself, for a moment on a busy machine (memfd_wait_for_pins
    in its mm/memfd.c): then another file is made.
    """
    for left in reversed(range(SEAL_TRIES)):
        descriptor = os.memfd_create("data", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            _write_whole(descriptor, data)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBUSY or not left:
                raise
        else:
            return descriptor
    raise AssertionError("unreachable")


def _write_whole(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
