"""The test's handles on objects that stay in the candidate's process (``verify.sandbox.kept``).

What a handle gives is the candidate's word, item by item, as plain values. A handle is equal to nothing: comparing one
ends the test with a fail, as the candidate would decide the comparison. A function or coroutine that the test never
calls counts as a value that cannot cross.
"""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from verify.sandbox import wire
from verify.sandbox.kept import (
    AWAIT,
    CALL,
    COROUTINE,
    FUNCTION,
    GET,
    GIVEN,
    ITERATOR,
    METHOD,
    NEXT,
    OBJECT,
    SET,
    TRUTH,
    is_function,
)

Ask = Callable[[str, list[Any], dict[str, Any]], Any]
Refuse = Callable[[str], NoReturn]


class Handles:
    """All handles that one candidate has given to the test, and all functions that the test has given to it."""

    def __init__(self, ask: Ask, refuse: Refuse, objects: bool) -> None:
        self._ask, self._refuse, self._objects = ask, refuse, objects
        self.offered: list[Callable[..., Any]] = []
        self.unused: dict[int, str] = {}
        self._functions: dict[Callable[..., Any], int] = {}
        wire.keep, wire.hold = self.keep, self.hold

    def keep(self, value: Any) -> list[Any] | None:
        """Returns the candidate's own number of a handle, or that of a function which it may call from now on."""
        if type(value) is Object:
            return [OBJECT, _inside(value)[2]]
        if not is_function(value) or getattr(value, "__module__", None) == "builtins":
            return None
        if value in self._functions:
            self.unused.pop(self._functions[value], None)
            return [FUNCTION, self._functions[value]]
        self.offered.append(value)
        return [GIVEN, len(self.offered) - 1]

    def hold(self, letter: str, number: int) -> Any:
        """Returns a handle on the candidate's object ``number``; raises NotPlain."""
        if letter == GIVEN and 0 <= number < len(self.offered):
            return self.offered[number]
        if letter == ITERATOR:
            return self._iterator(number)
        if letter == OBJECT and self._objects:
            return Object(self._ask, self._refuse, number)
        if letter == FUNCTION:
            return self._function(number)
        if letter == COROUTINE:
            return self._coroutine(number)
        raise wire.NotPlain("an object of the candidate's own class")

    def _iterator(self, number: int) -> Iterator[Any]:
        while items := self._items(number):
            yield from items

    def _items(self, number: int) -> list[Any]:
        items = self._ask(NEXT, [number], {})
        if type(items) is not list:
            self._refuse("sent what is no items of an iterator")
        return items

    def _function(self, number: int) -> Callable[..., Any]:
        def function(*arguments: Any, **named: Any) -> Any:
            self.unused.pop(number, None)
            return self._ask(CALL, [number, *arguments], named)

        self.unused[number] = "function"
        self._functions[function] = number
        return function

    def _coroutine(self, number: int) -> Any:
        async def coroutine() -> Any:
            self.unused.pop(number, None)
            return self._ask(AWAIT, [number], {})

        self.unused[number] = "coroutine"
        return coroutine()


class Object:
    """A handle on an object of a class that the test itself calls by its name."""

    def __init__(self, ask: Ask, refuse: Refuse, number: int) -> None:
        object.__setattr__(self, _INSIDE, (ask, refuse, number))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # libraries take such attributes for more than data
            raise AttributeError(name)
        ask, refuse, number = _inside(self)
        found = ask(GET, [number, name], {})
        if type(found) is not list or len(found) != 2:
            refuse("sent what is no attribute")
        if found[0] is not True:
            return found[1]
        return lambda *arguments, **named: ask(METHOD, [number, name, *arguments], named)

    def __setattr__(self, name: str, value: Any) -> None:
        ask, _, number = _inside(self)
        ask(SET, [number, name, value], {})

    def __bool__(self) -> bool:
        ask, _, number = _inside(self)
        return ask(TRUTH, [number], {}) is True

    def __eq__(self, other: object) -> bool:
        _inside(self)[1]("objects of the candidate's own class are not compared across processes")

    __hash__ = object.__hash__


_INSIDE = "__troop"


def _inside(handle: Object) -> tuple[Ask, Refuse, int]:
    inside: tuple[Ask, Refuse, int] = object.__getattribute__(handle, _INSIDE)
    return inside


def _forwarded(name: str) -> Callable[..., Any]:
    def method(self: Object, *arguments: Any) -> Any:
        ask, _, number = _inside(self)
        return ask(METHOD, [number, name, *arguments], {})

    return method


for _name in ("len", "str", "repr", "getitem", "setitem", "delitem", "contains", "iter", "call"):
    setattr(Object, f"__{_name}__", _forwarded(f"__{_name}__"))
