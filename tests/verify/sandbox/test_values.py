"""Values of the standard library and of NumPy cross exactly; subclasses and hostile parts do not."""

import itertools
import math
import re
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from verify.sandbox import values, wire


def cross(value: Any) -> Any:
    return wire.decode(wire.unpack(wire.pack(wire.encode(value))))


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(values, "as_arrays", True)
    yield


@pytest.mark.parametrize(
    "value",
    [
        Fraction(-1, 3),
        Decimal("1.500"),
        Decimal("-Infinity"),
        date(2020, 2, 29),
        time(1, 2, 3, 4, fold=1),
        datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=-3, minutes=30))),
        datetime(2020, 1, 1),
        timedelta(days=-1, microseconds=1),
        timezone(timedelta(hours=1)),
        deque([1, [2]], maxlen=3),
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("aab"),
        defaultdict(list, {1: [2]}),
        defaultdict(None, a=1),
        array("d", [0.5]),
        array("u", "aß"),
        [Fraction(1, 2), {"k": (Decimal(1), date(1, 1, 1))}],
    ],
)
def test_values_survive(value: Any) -> None:
    crossed = cross(value)
    assert (type(crossed), crossed, repr(crossed)) == (type(value), value, repr(value))


def test_views_and_matches_survive() -> None:
    made: dict[str, int] = OrderedDict(a=1, b=2)
    for given in ({"a": 1, "b": 2}, made):
        assert cross(given.keys()) == {"a", "b"}
        assert list(cross(given.values())) == [1, 2]
        assert list(cross(given.items())) == [("a", 1), ("b", 2)]
    found = re.search(r"(?P<first>a)(b)(c)?", "xabx")
    assert found
    crossed = cross(found)
    assert bool(crossed)
    assert (crossed.group(), crossed.groups(), crossed.span(), crossed["first"]) == (
        "ab",
        ("a", "b", None),
        (1, 3),
        "a",
    )
    assert (crossed.group(1, 2), crossed.groupdict(), crossed.start(2)) == (("a", "b"), {"first": "a"}, 2)
    with pytest.raises(IndexError):
        crossed.group(4)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3),
        np.array(5.5),
        np.zeros((2, 0, 3), dtype=np.float32),
        np.array([True]),
        np.array([1j]),
        np.array(["a", "bc"]),
    ],
)
def test_arrays_survive(arrays: None, value: Any) -> None:
    crossed = cross(value)
    assert (crossed.dtype, crossed.shape, crossed.tolist()) == (value.dtype, value.shape, value.tolist())


def test_arrays_are_lists_where_nobody_makes_them_anew() -> None:
    assert cross(np.array([[1, 2]])) == [[1, 2]]
    assert wire.decode({"v": ["ndarray", [1], "<U99999999", [1]]}) == [1]


class LyingFraction(Fraction):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = Fraction.__hash__


def _liar(base: type) -> type:
    return type("Liar", (base,), {"__eq__": lambda *_: True, "__hash__": lambda _: 0})


@pytest.mark.parametrize(
    "value",
    [
        LyingFraction(1, 2),
        _liar(Decimal)(1),
        _liar(date)(2020, 1, 1),
        _liar(deque)([1]),
        _liar(array)("i", [1]),
        datetime(2020, 1, 1, tzinfo=type("Zone", (type(UTC).__mro__[1],), {})()),
        Decimal("sNaN"),
        Decimal("1e200000"),
        Fraction(1, 1 << 200_000),
        1 << (1 << 21),
        lambda: 1,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_cross(value: Any) -> None:
    with pytest.raises(wire.NotPlain):
        cross([value])


def test_subclasses_of_mappings_lose_their_lies() -> None:
    for base in (OrderedDict, Counter, defaultdict):
        assert type(cross(_liar(base)())) is dict


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [[]],
        ["object"],
        ["Fraction", 1],
        ["Fraction", 1, 0],
        ["Fraction", 0.5, 1],
        ["Decimal", 1],
        ["Decimal", "x"],
        ["date", 2020, 13, 1],
        ["datetime", 2020, 1, 1],
        ["time", 1, 2, 3, 4, math.inf, 0],
        ["timedelta", "a", 1, 1],
        ["deque", {"r": [0, 1 << 60, 1]}, None],
        ["values", {"r": [0, 1 << 60, 1]}],
        ["array", "q", {"r": [0, 1 << 60, 1]}],
        ["array", "z", [1]],
        ["Counter", [1]],
        ["defaultdict", 5, {"d": []}],
        ["keys", [1]],
        ["Match", "a", [[1, 2, 3]], {"d": []}],
    ],
)
def test_hostile_parts_are_refused(parts: list[Any]) -> None:
    with pytest.raises(wire.NotPlain):
        wire.decode({"v": parts})


@pytest.mark.parametrize(
    "parts",
    [
        ["ndarray", [1], "O", [1]],
        ["ndarray", [1], 5, [1]],
        ["ndarray", [1, 2], "<i8", [3]],
        ["ndarray", [1], "<i8", [-1]],
        ["ndarray", ["a"], "<U99999999", [1]],
        ["ndarray", {"r": [0, 1 << 60, 1]}, "<i8", [1 << 60]],
        ["ndarray", [[1], [2, 3]], "<i8", [2, 1]],
        ["ndarray", [{"t": [1]}], "V8", [1]],
    ],
)
def test_hostile_arrays_are_refused(arrays: None, parts: list[Any]) -> None:
    with pytest.raises(wire.NotPlain):
        wire.decode({"v": parts})


def test_an_endless_iterator_does_not_cross_as_items() -> None:
    with pytest.raises(wire.NotPlain):
        wire.encode(itertools.count())
