"""Provides what programs for contests expect of a judge, for the few programs that need it."""

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


def operated(made: type) -> Callable[..., Any]:
    """A class as LeetCode calls it: names of operations and a list of arguments for each give a list of results."""

    def operate(names: list[str], arguments: list[list[Any]]) -> list[Any]:
        first = names[:1] == [made.__name__]
        subject = made(*arguments[0]) if first else made()
        calls = list(zip(names, arguments, strict=True))[first:]
        return [None] * first + [getattr(subject, name)(*given) for name, given in calls]

    return operate
