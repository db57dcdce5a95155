"""Objects that stay in the candidate's process, and the candidate's way to functions of the test.

Some results are no data: iterators that may be endless, functions, coroutines, objects of a class that the test itself
makes. They stay here under a number; the test's side holds a handle (``verify.sandbox.handles``) and asks for one item,
call or attribute at a time. What comes back is again only plain values.
"""

import os
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from verify.sandbox import wire

MAX_KEPT = 100_000
SINGLE = 32  # items of an iterator that are taken one by one, as each may be the last that ends
_MOST, _BRIEF_S = 1024, 0.001  # items that are taken together after that, and how long they may take
# Names of requests for kept objects; no function of a candidate has such a name.
NEXT, CALL, AWAIT, GET, SET = "\0next", "\0call", "\0await", "\0get", "\0set"
METHOD, TRUTH = "\0method", "\0truth"
# What a number stands for: an object of the candidate, or a function that the test has given to it.
ITERATOR, FUNCTION, COROUTINE, OBJECT, GIVEN = "n", "f", "c", "o", "g"


class Kept:
    """The kept objects of one candidate."""

    def __init__(
        self, descriptor: int, limit: int, serve: Callable[[list[Any]], list[Any]], classes: list[type]
    ) -> None:
        self.objects: list[Any] = []
        self.classes = classes
        self.taken: dict[int, int] = {}
        self._known: dict[int, list[Any]] = {}  # by an object's id, which stays its own as long as it is kept
        self._descriptor, self._limit, self._serve = descriptor, limit, serve

    @property
    def requests(self) -> dict[str, Callable[..., Any]]:
        """The functions behind the requests' names."""
        return {
            NEXT: self._next,
            CALL: lambda number, *arguments, **named: self.objects[number](*arguments, **named),
            AWAIT: self._await,
            GET: self._get,
            TRUTH: lambda number: bool(self.objects[number]),
            SET: lambda number, name, value: setattr(self.objects[number], name, value),
            METHOD: lambda number, name, *given, **named: getattr(self.objects[number], name)(*given, **named),
        }

    def keep(self, value: Any) -> list[Any] | None:
        """Returns the letter and number of an object that is kept from now on; None for one that cannot be asked."""
        if id(value) in self._known:
            return self._known[id(value)]
        letter = self._letter(value, type(value))
        return None if letter is None else self._keep(value, letter, len(self.objects))

    def _keep(self, value: Any, letter: str, number: int) -> list[Any]:
        if len(self.objects) >= MAX_KEPT:
            raise wire.NotPlain("too many objects")
        self.objects.append(value)
        self._known[id(value)] = [letter, number]
        return [letter, number]

    def _letter(self, value: Any, kind: type) -> str | None:
        if hasattr(kind, "__next__"):
            return ITERATOR
        if kind is types.CoroutineType:
            return COROUTINE
        if kind in self.classes:
            return OBJECT
        return FUNCTION if is_function(value) else None

    def hold(self, letter: str, number: int) -> Any:
        """Returns our own object that the test passes on, or a function that calls the test's function ``number``."""
        if letter != GIVEN:
            return self.objects[number]
        callback = self._callback(number)
        self._keep(callback, GIVEN, number)
        return callback

    def _callback(self, number: int) -> Callable[..., Any]:
        def callback(*arguments: Any, **named: Any) -> Any:
            request = [CALL, number, wire.encode(list(arguments)), wire.encode(named)]
            wire.send(self._descriptor, request)
            while (reply := wire.receive(self._descriptor, self._limit)) is not None:
                if type(reply[0]) is not str:  # no request that the test makes before it answers
                    return _result(reply)
                wire.send(self._descriptor, self._serve(reply))
            os._exit(0)

        return callback

    def _next(self, number: int) -> list[Any]:
        """Returns the next items of an iterator; fewer than asked for at its end."""
        iterator: Iterator[Any] = self.objects[number]
        taken = self.taken.get(number, 0)
        most = min(taken - SINGLE + 1, _MOST) if taken >= SINGLE else 1
        items: list[Any] = []
        began = time.monotonic()
        try:
            while len(items) < most:
                items.append(next(iterator))
                if time.monotonic() - began > _BRIEF_S:
                    break
        except StopIteration:
            self.objects[number] = iter(())
        except BaseException as error:
            if not items:
                raise
            self.objects[number] = _Raising(error)
        self.taken[number] = taken + len(items)
        return items

    def _await(self, number: int) -> Any:
        import asyncio

        return asyncio.run(self.objects[number])

    def _get(self, number: int, name: str) -> list[Any]:
        """Returns whether an attribute is a method, and the value of any other."""
        value = getattr(self.objects[number], name)
        return [True, None] if is_function(value) else [False, value]


def is_function(value: Any) -> bool:
    """Returns True for functions, methods and what ``functools`` makes of them; not for classes and other objects."""
    return callable(value) and not isinstance(value, type) and type(value).__module__ in ("builtins", "functools")


def _result(reply: list[Any]) -> Any:
    """Returns the value of the test's function; raises what it raised."""
    if reply[0] == 0:
        return wire.decode(reply[1])
    kind = wire.builtin_exception(reply[1]) or Exception
    raise kind(reply[2])


@dataclass(frozen=True)
class _Raising(Iterator[Any]):
    """An iterator that raises the candidate's error where the test asks for its next item."""

    error: BaseException

    def __next__(self) -> Any:
        raise self.error


def base_of(error: type[BaseException]) -> str:
    """Returns the name of the built-in exception that a candidate's own exception derives from."""
    return next(kind.__name__ for kind in error.__mro__ if kind.__module__ == "builtins")


def seed(value: Any) -> None:
    """Seeds ``random`` as the test has seeded its own."""
    random: Any = sys.modules.get("random")
    if random is not None:
        random.seed(value)
