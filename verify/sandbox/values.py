"""Values of the standard library and of NumPy that cross between processes, taken apart into plain built-in values.

Only exact types cross. The other side makes each value anew from its parts, so a subclass that is equal to everything
cannot come along. Modules are imported only where such a value is there: every fork pays for what its process has
imported.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MAX_EXPONENT = 100_000  # of a Decimal: int() of a larger one would take all memory
MAX_BITS = 1 << 17  # of each part of a Fraction, whose common divisor takes quadratic time
MAX_ARRAY = 1 << 24  # bytes
CHANGEABLE = frozenset({"deque", "OrderedDict", "Counter", "defaultdict", "array", "ndarray"})
_ITEMS = "biufcU"  # kinds of a NumPy array's items
_EMPTY: tuple[dict[Any, Any], ...] = ({}, OrderedDict())
_VIEWS: dict[type, str] = {
    type(getattr(empty, name)()): name for empty in _EMPTY for name in ("keys", "values", "items")
}
# NumPy arrays cross as arrays between a candidate and a test. Elsewhere they cross as lists, as nobody makes them anew.
as_arrays = False


class Match:
    """A match of a regular expression, by its texts and places."""

    def __init__(self, string: str, spans: list[list[int]], names: dict[str, int]) -> None:
        self.string, self._spans, self._names = string, spans, names

    def span(self, group: int | str = 0) -> tuple[int, int]:
        number = self._names.get(group, -1) if isinstance(group, str) else group
        if not 0 <= number < len(self._spans):
            raise IndexError("no such group")
        start, end = self._spans[number]
        return start, end

    def start(self, group: int | str = 0) -> int:
        return self.span(group)[0]

    def end(self, group: int | str = 0) -> int:
        return self.span(group)[1]

    def __getitem__(self, group: int | str) -> Any:
        start, end = self.span(group)
        return None if start < 0 else self.string[start:end]

    def group(self, *groups: int | str) -> Any:
        found = tuple(self[group] for group in groups or (0,))
        return found[0] if len(found) == 1 else found

    def groups(self, default: Any = None) -> tuple[Any, ...]:
        found = (self[number] for number in range(1, len(self._spans)))
        return tuple(default if text is None else text for text in found)

    def groupdict(self, default: Any = None) -> dict[str, Any]:
        return {name: default if self[name] is None else self[name] for name in self._names}


def take_apart(value: Any, kind: type, named: dict[Any, str]) -> list[Any] | None:
    """Returns a type's name and the parts of its value; None for a type that does not cross."""
    if kind in _VIEWS:
        return [_VIEWS[kind], list(value) if _VIEWS[kind] == "values" else dict(_pairs(value, _VIEWS[kind]))]
    name = kind.__name__
    if name not in _PARTS or kind is not getattr(sys.modules.get(kind.__module__), name, None):
        return None
    module, parts_of = _PARTS[name]
    unknown = name == "defaultdict" and value.default_factory is not None and value.default_factory not in named
    return None if kind.__module__ != module or unknown else [name, *parts_of(value)]


def _pairs(view: Any, name: str) -> Any:
    return view if name == "items" else ((key, None) for key in view)


def put_together(data: list[Any]) -> Any:
    """Returns the value whose name and parts ``data`` holds; raises TypeError, ValueError and their like."""
    name, *parts = data
    return _MAKERS[name](*parts)


def is_array(kind: type) -> bool:
    return kind.__module__ == "numpy" and kind is getattr(sys.modules.get("numpy"), "ndarray", None)


def array_parts(value: Any) -> list[Any] | None:
    """Returns the parts of a NumPy array, or None where its items are no plain values or lists are wanted."""
    if not as_arrays or value.dtype.kind not in _ITEMS or value.nbytes > MAX_ARRAY:
        return None
    return ["ndarray", value.tolist(), value.dtype.str, list(value.shape)]


def _zone(zone: Any) -> Any:
    """Returns a fixed zone's offset in microseconds; None for no zone."""
    if zone is None:
        return None
    if type(zone).__name__ != "timezone":
        raise ValueError("a time zone that is no fixed offset")
    return zone.utcoffset(None) // sys.modules["datetime"].timedelta(microseconds=1)


def _clock(value: Any) -> list[Any]:
    return [value.hour, value.minute, value.second, value.microsecond, _zone(value.tzinfo), value.fold]


def _match_parts(value: Any) -> list[Any]:
    return [value.string, [list(span) for span in value.regs], dict(value.re.groupindex)]


# The module of each type, and its value's parts.
_PARTS: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
    "Fraction": ("fractions", lambda value: [value.numerator, value.denominator]),
    "Decimal": ("decimal", lambda value: [str(value)]),
    "date": ("datetime", lambda value: [value.year, value.month, value.day]),
    "time": ("datetime", _clock),
    "datetime": ("datetime", lambda value: [value.year, value.month, value.day, *_clock(value)]),
    "timedelta": ("datetime", lambda value: [value.days, value.seconds, value.microseconds]),
    "timezone": ("datetime", lambda value: [_zone(value)]),
    "deque": ("collections", lambda value: [list(value), value.maxlen]),
    "OrderedDict": ("collections", lambda value: [dict(value)]),
    "Counter": ("collections", lambda value: [dict(value)]),
    "defaultdict": ("collections", lambda value: [value.default_factory, dict(value)]),
    "array": ("array", lambda value: [value.typecode, value.tolist()]),
    "Match": ("re", _match_parts),
}


def _made(module: str, name: str) -> Callable[..., Any]:
    """Returns a function that calls a module's type with the parts as arguments."""

    def make(*parts: Any, **named: Any) -> Any:
        return getattr(__import__(module), name)(*parts, **named)

    return make


def _fraction(numerator: Any, denominator: Any) -> Any:
    if type(numerator) is not int or type(denominator) is not int:
        raise TypeError("no fraction")
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_BITS:
        raise ValueError("too many digits")
    return _made("fractions", "Fraction")(numerator, denominator)


def _decimal(text: Any) -> Any:
    if type(text) is not str:
        raise TypeError("no decimal")
    value = _made("decimal", "Decimal")(text)
    if value.is_snan() or (value.is_finite() and abs(value.adjusted()) > MAX_EXPONENT):
        raise ValueError("no number that can be worked with")
    return value


def _in_zone(offset: Any) -> Any:
    datetime: Any = __import__("datetime")
    return None if offset is None else datetime.timezone(datetime.timedelta(microseconds=offset))


def _time(hour: Any, minute: Any, second: Any, microsecond: Any, offset: Any, fold: Any) -> Any:
    return _made("datetime", "time")(hour, minute, second, microsecond, _in_zone(offset), fold=fold)


def _datetime(year: Any, month: Any, day: Any, *clock: Any) -> Any:
    hour, minute, second, microsecond, offset, fold = clock
    return _made("datetime", "datetime")(
        year, month, day, hour, minute, second, microsecond, _in_zone(offset), fold=fold
    )


def _mapping(name: str) -> Callable[..., Any]:
    def make(*parts: Any) -> Any:
        return _made("collections", name)(*parts[:-1], _dict(parts[-1]))

    return make


def _array(typecode: Any, items: Any) -> Any:
    if type(typecode) is not str or type(items) not in (list, str):
        raise TypeError("no array")
    return _made("array", "array")(typecode, items)


def _match(string: Any, spans: Any, names: Any) -> Match:
    fits = type(string) is str and type(spans) is list and type(names) is dict
    if not fits or not all(type(span) is list and [type(at) for at in span] == [int, int] for span in spans):
        raise TypeError("no match")
    return Match(string, spans, names)


def _ndarray(items: Any, kind: Any, shape: Any) -> Any:
    """Returns an array, or its items as lists where this process makes no arrays or has no NumPy."""
    numpy: Any = sys.modules.get("numpy")
    if not as_arrays or numpy is None:
        return items
    if type(kind) is not str or kind.lstrip("<>|=")[:1] not in _ITEMS or not _fits(items, shape):
        raise TypeError("no array")
    made = numpy.dtype(kind)
    if made.itemsize * numpy.prod(shape, dtype=float) > MAX_ARRAY:
        raise ValueError("too large")
    return numpy.array(items, dtype=made).reshape(shape)


def _fits(items: Any, shape: Any) -> bool:
    """Returns True for lists of exactly this shape: what NumPy would make of other things has no bounds."""
    if type(shape) is not list or not all(type(size) is int and size >= 0 for size in shape):
        return False
    if not shape:
        return type(items) in (bool, int, float, complex, str)
    return type(items) is list and len(items) == shape[0] and all(_fits(item, shape[1:]) for item in items)


def _deque(items: Any, most: Any) -> Any:
    return _made("collections", "deque")(_list(items), most)


def _list(items: Any) -> list[Any]:
    if type(items) is not list:  # a range would be a list without bounds
        raise TypeError("no list")
    return items


def _dict(pairs: Any) -> dict[Any, Any]:
    if type(pairs) is not dict:
        raise TypeError("no mapping")
    return pairs


_MAKERS: dict[str, Callable[..., Any]] = {
    "Fraction": _fraction,
    "Decimal": _decimal,
    "date": _made("datetime", "date"),
    "time": _time,
    "datetime": _datetime,
    "timedelta": _made("datetime", "timedelta"),
    "timezone": _in_zone,
    "deque": _deque,
    "OrderedDict": _mapping("OrderedDict"),
    "Counter": _mapping("Counter"),
    "defaultdict": _mapping("defaultdict"),
    "array": _array,
    "Match": _match,
    "ndarray": _ndarray,
    "keys": lambda pairs: _dict(pairs).keys(),
    "items": lambda pairs: _dict(pairs).items(),
    "values": lambda items: dict(enumerate(_list(items))).values(),
}
