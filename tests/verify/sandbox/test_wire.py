"""Plain values survive the wire exactly; everything else, and every hostile message, is refused within bounds."""

import contextlib
import json
import math
import os
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.cost import cpu_below
from verify.sandbox import wire

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
    st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9)),
)
KEYS = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(), st.floats(allow_nan=False), st.binary()),
    lambda keys: st.lists(keys, max_size=3).map(tuple) | st.frozensets(keys, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=4)
        | st.lists(values, max_size=4).map(tuple)
        | st.dictionaries(KEYS, values, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=20,
)


def cross(value: Any) -> Any:
    return wire.decode(wire.unpack(wire.pack(wire.encode(value))))


def shape(value: Any) -> Any:
    """Returns a value together with all its types, since 1 == True == 1.0."""
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    return type(value), value


@given(VALUES)
def test_values_and_their_types_survive(value: Any) -> None:
    assert shape(cross(value)) == shape(value)


def test_nan_types_and_mutable_bytes_survive() -> None:
    assert math.isnan(cross(math.nan))
    assert cross([int, dict]) == [int, dict]
    assert shape(cross(bytearray(b"x"))) == (bytearray, bytearray(b"x"))
    assert list(cross(iter([1, (2,)]))) == [1, (2,)]


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 1003


class LyingList(list[int]):
    def __iter__(self) -> Any:
        return iter([1, 2])

    def __len__(self) -> int:
        return 2


class LyingText(str):
    def __str__(self) -> str:
        return "right"


def test_subclasses_lose_their_lies() -> None:
    assert shape(cross(Liar(5))) == (int, 5)
    assert cross(LyingList([7])) == [7]
    assert shape(cross(LyingText("wrong"))) == (str, "wrong")


def circle() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("value", [object(), lambda: 1, type("C", (), {})(), open, Exception("x"), circle()])
def test_what_is_not_plain_cannot_leave(value: object) -> None:
    with pytest.raises(wire.NotPlain):
        wire.encode([value])


@pytest.mark.parametrize(
    "data",
    [
        {"t": {"t": 1}},
        {"t": 1},
        {"d": [[{"d": []}, 1]]},
        {"d": [[1]]},
        {"d": [1]},
        {"s": [[1]]},
        {"i": "zz"},
        {"i": 5},
        {"i": "1" * (wire.MAX_DIGITS + 1)},
        {"b": "0"},
        {"c": [1, 2]},
        {"r": [1, 2, 0]},
        {"r": [1, 2]},
        {"T": "object"},
        {"T": ["int"]},
        {"x": []},
        {},
        {"t": [], "s": []},
        {"s": list(range(wire.MAX_KEYS + 1))},
    ],
)
def test_hostile_forms_are_refused(data: Any) -> None:
    with pytest.raises(wire.NotPlain):
        wire.decode(data)


def test_depth_is_bounded_on_both_sides() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(wire.NotPlain):
        wire.encode(deep)
    with pytest.raises(wire.NotPlain):
        wire.decode(deep)
    with pytest.raises(wire.NotPlain):
        wire.parse(b"[" * 100_000)


def test_equal_hashes_are_refused_quickly() -> None:
    modulus = (1 << 61) - 1
    colliding = [number * modulus + 1 for number in range(50_000)]
    with cpu_below(3):
        for data in ({"s": wire.encode(colliding)}, {"d": [[wire.encode(key), 0] for key in colliding]}):
            with pytest.raises(wire.NotPlain):
                wire.decode(data)


def test_many_honest_keys_are_fine() -> None:
    value = {number: str(number) for number in range(50_000)}
    assert cross(value) == value


@pytest.mark.parametrize("message", [b"", b"123", struct.pack("<I", 9) + b"[]", struct.pack("<I", 2) + b"[]x"])
def test_only_one_whole_message_is_a_message(message: bytes) -> None:
    with pytest.raises(wire.NotPlain):
        wire.unpack(message)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(wire.NotPlain):
        wire.decode(wire.parse(body))


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda j: st.lists(j) | st.dictionaries(
    st.sampled_from(["t", "d", "s", "z", "b", "m", "i", "c", "r", "T", "I", "x"]), j, max_size=2)))  # fmt: skip
def test_any_json_ends_in_a_value_or_a_refusal(data: Any) -> None:
    with contextlib.suppress(wire.NotPlain):
        wire.decode(json.loads(json.dumps(data)))


def test_messages_cross_a_pipe_and_too_large_ones_do_not() -> None:
    reader, writer = os.pipe()
    wire.send(writer, [1, "x"])
    assert wire.receive(reader, 100) == [1, "x"]
    wire.send(writer, "y" * 200)
    with pytest.raises(wire.NotPlain):
        wire.receive(reader, 100)
    os.read(reader, 1000)
    os.close(writer)
    assert wire.receive(reader, 100) is None
    os.close(reader)


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration", "SystemExit", "print", "Nonsense", 3, None])
def test_exceptions_that_may_not_cross(name: object) -> None:
    assert wire.builtin_exception(name) is None
    assert wire.builtin_exception("ValueError") is ValueError
