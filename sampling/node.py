"""What the processes of one machine share: a folder that outlives a run, and locks for what only one may do at a time.

A lock is a lock of the kernel on a file: it ends with the process that holds it, however that ends.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def cache_folder() -> Path:
    """``TROOP_CACHE``, or ``troop`` in the user's cache folder: on a local disk it is filled once per node."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TROOP_CACHE") or Path(home) / "troop")


@contextmanager
def only_one(names: Sequence[str]) -> Iterator[None]:
    """Holds the locks of these names, waiting for those who have them. All take them in the same order."""
    from filelock import FileLock

    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for name in sorted(names):
            locks.enter_context(FileLock(folder / f"{name}.lock"))
        yield


def one_first(name: str, done: Path, start: Callable[[], T]) -> T:
    """``start()``, one process at a time until the first has come through and ``done`` is there; then all at once."""
    if not done.exists():
        with only_one([name]):
            if not done.exists():
                started = start()
                done.parent.mkdir(parents=True, exist_ok=True)
                done.touch()
                return started
    return start()
