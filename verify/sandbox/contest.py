"""Provides, in a harmless form, what a few programs expect and the sandbox refuses."""

import builtins
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/0": 0, "/proc/self/fd/0": 0}


def open_standard_files() -> None:
    """Lets a program open its standard streams by their names: it may have no /proc, where these lead."""
    real, real_os = io.open, os.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        place = _STANDARD.get(str(file))
        if place is not None and set(mode) <= set("rbt" if place == 0 else "wabt"):
            file = os.dup(place)
        return real(file, mode, *arguments, **named)

    def os_opened(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        place = _STANDARD.get(str(path))
        if place is not None and flags & os.O_ACCMODE == (os.O_WRONLY if place else os.O_RDONLY):
            return os.dup(place)
        return real_os(path, flags, *arguments, **named)

    vars(builtins)["open"] = vars(io)["open"] = opened
    vars(os)["open"] = os_opened


def allow_limits() -> None:
    """Lets a program ask for a larger stack, as many do before they recurse: where it is refused, nothing happens."""
    import resource

    real = resource.setrlimit

    def setrlimit(what: int, limits: tuple[int, int]) -> None:
        with contextlib.suppress(ValueError, OSError):
            real(what, limits)

    vars(resource)["setrlimit"] = setrlimit


def provide(source: str) -> None:
    """Lets a program that mentions them have databases in its own files, and flush these."""
    if "fsync" in source or "fdatasync" in source:
        _allow_flushes()
    if "sqlite3" in source:
        _open_databases_alone()


def _allow_flushes() -> None:
    """Takes a flush of a file that the program may write to for done: scratch is memory."""
    for name in ("fsync", "fdatasync"):
        vars(os)[name] = _flush(getattr(os, name))


def _flush(real: Callable[[Any], None]) -> Callable[[Any], None]:
    def flush(file: Any) -> None:
        import fcntl

        descriptor = file if isinstance(file, int) else file.fileno()
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            real(descriptor)

    return flush


def _open_databases_alone() -> None:
    """Opens databases in files without locks and flushes, for nobody else has them open."""
    import sqlite3
    from urllib.parse import quote

    real = sqlite3.connect

    def connect(database: Any, *arguments: Any, **named: Any) -> Any:
        name = os.fsdecode(database)
        if name in ("", ":memory:") or named.get("uri") or len(arguments) > 6:
            return real(database, *arguments, **named)
        opened = real(f"file:{quote(name)}?vfs=unix-none", *arguments, **{**named, "uri": True})
        opened.execute("PRAGMA synchronous = OFF")
        return opened

    vars(sqlite3)["connect"] = connect


def operated(made: type) -> Callable[..., Any]:
    """A class as LeetCode calls it: names of operations and a list of arguments for each give a list of results."""

    def operate(names: list[str], arguments: list[list[Any]]) -> list[Any]:
        first = names[:1] == [made.__name__]
        subject = made(*arguments[0]) if first else made()
        calls = list(zip(names, arguments, strict=True))[first:]
        return [None] * first + [getattr(subject, name)(*given) for name, given in calls]

    return operate
