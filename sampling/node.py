"""Shared by the processes of one machine: a cache folder that outlives a run, and locks.

A lock is a kernel lock on a file: it is released when its process ends, whatever the reason.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def cache_folder() -> Path:
    """Returns ``TROOP_CACHE``, or ``troop`` in the user's cache folder. On a local disk it is filled once per node."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TROOP_CACHE") or Path(home) / "troop")


@contextmanager
def only_one(names: Sequence[str], patience_s: float = -1) -> Iterator[None]:
    """Holds the locks of these names; waits while other processes hold them, or goes on after ``patience_s`` seconds.

    Locks are always taken in the same order, so that two processes cannot wait for each other. -1 waits for ever.
    """
    from filelock import FileLock, Timeout

    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for name in sorted(names):
            with suppress(Timeout):
                locks.enter_context(FileLock(folder / f"{name}.lock", timeout=patience_s))
        yield


def one_first(name: str, done: Path, start: Callable[[], T], patience_s: float = -1) -> T:
    """Calls ``start()``: one process at a time until the first success, which creates ``done``; then at once.

    A process that has waited ``patience_s`` seconds for another one calls it all the same.
    """
    if not done.exists():
        with only_one([name], patience_s):
            if not done.exists():
                started = start()
                done.parent.mkdir(parents=True, exist_ok=True)
                done.touch()
                return started
    return start()
