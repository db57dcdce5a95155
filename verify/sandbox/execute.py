"""The confined child that becomes a program which is not Python: a native one, or one that a runtime executes.

The program comes as a file in memory. A native one is executed from there, and no path leads to it. A runtime gets it
as descriptor PROGRAM or, if it wants a path, under the name that stands for ``{program}`` in its words.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
import ctypes
import os
from typing import NoReturn

from verify.sandbox import kernel
from verify.sandbox.scratches import SCRATCH

PROGRAM = 3
PLACE = "{program}"
_AT_EMPTY_PATH = 0x1000
_FAILED = 127

Payload = tuple[str | None, list[str], dict[str, str]]


def run_binary(payload: Payload) -> NoReturn:
    """Becomes the runtime at a path (None: the program itself), with these words and variables."""
    runtime, words, environment = payload
    try:
        if any(PLACE in word for word in words):
            place = _path_of_program()
            words = [word.replace(PLACE, place) for word in words]
        descriptor = os.open(runtime, os.O_RDONLY | os.O_CLOEXEC) if runtime else _closing(PROGRAM)
        kernel.syscall(
            "execveat",
            ctypes.c_int(descriptor),
            b"",
            _array(words),
            _array([f"{name}={value}" for name, value in environment.items()]),
            ctypes.c_int(_AT_EMPTY_PATH),
        )
    except BaseException as error:  # noqa: BLE001
        os.write(2, f"cannot be executed: {error}\n".encode())
    os._exit(_FAILED)


def _path_of_program() -> str:
    """Returns a path of the program: a copy in scratch, or the descriptor's own path where there is no scratch."""
    if os.getcwd() != SCRATCH:  # noqa: PTH109
        return f"/proc/self/fd/{PROGRAM}"
    path = f"{SCRATCH}/program"
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    size, at = os.fstat(PROGRAM).st_size, 0
    while at < size:
        at += os.write(target, os.pread(PROGRAM, 1 << 20, at))
    os.close(target)
    os.close(PROGRAM)
    return path


def _closing(descriptor: int) -> int:
    os.set_inheritable(descriptor, False)
    return descriptor


def _array(words: list[str]) -> "ctypes.Array[ctypes.c_char_p]":
    encoded = [word.encode() for word in words]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)
