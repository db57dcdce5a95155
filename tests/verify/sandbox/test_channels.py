"""Files in memory: sealed, and made again while the kernel holds a page of them."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from verify.sandbox import channels
from verify.sandbox.channels import SEAL_TRIES, memory_file


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_in_memory_holds_its_data_and_cannot_be_changed() -> None:
    descriptor = memory_file(b"data" * 1000)
    try:
        assert os.read(descriptor, 8000) == b"data" * 1000
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("busy", [1, SEAL_TRIES - 1, SEAL_TRIES])
def test_a_busy_page_is_no_failure_and_no_leak(monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    answers, real, before = iter(range(busy)), fcntl.fcntl, open_files()

    def seal(descriptor: int, command: int, argument: int) -> int:
        if next(answers, None) is not None:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return int(real(descriptor, command, argument))

    monkeypatch.setattr(channels.fcntl, "fcntl", seal)
    if busy == SEAL_TRIES:
        with pytest.raises(OSError, match="busy"):
            memory_file(b"data")
    else:
        os.close(memory_file(b"data"))
    assert open_files() == before
