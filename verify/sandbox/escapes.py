"""Attempts that have to fail in every confined program: a sandbox is tried with them before it is used.

A tool's process tries it on itself. For a zygote the text of this file is sent as a candidate, so it imports nothing
of ours.
"""

# Small enough for a tool's process, and text for a candidate: no pathlib.
# ruff: noqa: PTH208

import _socket
import os
from collections.abc import Callable

TRIES: dict[str, Callable[[], object]] = {
    "read /etc/passwd": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
    "list /proc": lambda: os.listdir("/proc"),
    "write outside of scratch": lambda: os.close(os.open("/dev/shm/troop-probe", os.O_CREAT | os.O_WRONLY)),
    "open a socket": lambda: _socket.socket().close(),
    "fork": lambda: os.fork() or os._exit(0),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "execute a program": lambda: os.execv("/bin/true", ["true"]),
    "become root": lambda: os.setuid(0),
}


def try_all(allowed: tuple[str, ...] = ()) -> list[str]:
    """Tries everything that is not ``allowed``; returns the names of what worked, best none."""
    worked = []
    for name, attempt in TRIES.items():
        try:
            if name not in allowed:
                attempt()
                worked.append(name)
        except OSError:
            continue
    return worked
