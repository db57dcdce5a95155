"""Checkers of whole outputs, and comparison of plain values."""

import math
from array import array
from collections import Counter, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cost import cpu_below
from verify.compare import CHECKERS, same_output, same_value
from verify.sandbox import wire


@pytest.mark.parametrize(
    ("checker", "expected", "actual", "same"),
    [
        ("exact", "1\n", "1\n", True),
        ("exact", "1\n", "1", False),
        ("lines", "1 2\n3\n", "1 2  \n3\n\n", True),
        ("lines", "1 2\n", "1  2\n", False),
        ("lines", "1\n2\n", "1 2\n", False),
        ("lines", "", "\n", True),
        ("tokens", "1 2\n3\n", " 1  2 3", True),
        ("tokens", "1 2", "1 2 3", False),
        ("tokens", "1 2 3", "1 2", False),
        ("tokens", "YES", "Yes", False),
        ("float", "0.333333", "0.33333333", True),
        ("float", "1000000", "1000000.5", True),
        ("float", "1e-7", "0", True),
        ("float", "0.5", "0.50001", False),
        ("float", "a 1.0", "a 1", True),
        ("float", "a", "b", False),
        ("float", "1", "nan", False),
        ("float", "nan", "nan", True),
        ("float", "1000", "1_000", False),
        ("float", "1", "inf", False),
        ("float", "inf", "inf", True),
        # Kind: integers are compared exactly, however the other side writes the whole number.
        ("float", "1000000007", "1000000006", False),
        ("float", "9007199254740993", "9007199254740992", False),
        ("float", "9007199254740993", "9007199254740993.0", True),
        ("float", "1000000007", "1000000006.0", False),
        ("float", "5000000", "5e6", True),
        ("float", "5000001", "5e6", False),
        ("float", "-7", "-07", True),
        ("float", "+7", "7", True),
        ("float", "-0", "0", True),
        ("float", "1234567890123.5", "1234567890123.4", True),
        ("float", "1e20", "100000000000000000000.0", True),
        ("float", "1e400", "1" * 300, False),
        ("float", "1" * 5000, "1" * 4999 + "2", False),
        ("float", "1", "1" * 5000, False),
        ("float", "1000000007", "1000000006", False),
        ("float", "1000000007", "1000000008.0", False),
        ("float", "1000000007", "1e9", False),
        ("float", "1000000007", "+1000000007", True),
        ("float", "9007199254740993", "9007199254740992", False),
        ("float", "2.0", "2", True),
        ("float", "1" * 390, "1.5", False),
        ("float", "0.000001", "0", True),
    ],
)
def test_checkers(checker: str, expected: str, actual: str, same: bool) -> None:
    assert same_output(checker, expected, actual) is same


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (1, 1, True),
        (1, True, True),
        (True, 1, True),
        (1, 1.0, True),
        (1, 2, False),
        # Kind: integers are compared exactly with floats, fractions and decimals.
        (1000000007, 1000000008.0, False),
        (1000000007, 1000000007.0, True),
        (2**53 + 1, float(2**53), False),
        (2, 2.0000000000000004, True),
        (2, 2.000001, False),
        (0, 5e-7, False),
        (1000000007.0, 1000000008, False),
        (1e20, 10**20, True),
        (0.9999999999, 1, True),
        (1, Fraction(1), True),
        (0.5, Fraction(1, 2), True),
        (0, Fraction(1, 10**9), False),
        (10**30, Decimal(10**30), True),
        (0.1, Decimal("0.1"), True),
        (1, Decimal("1.0000001"), False),
        (1, Decimal("NaN"), False),
        ("1/2", Fraction(1, 2), False),
        # Kind: sequences of other types where a list is expected.
        ([1, 2], deque([1, 2]), True),
        ([1, 2], deque([2, 1]), False),
        ([1, 2], array("q", [1, 2]), True),
        ([0, 1], range(2), True),
        (["a"], {"a": 1}.keys(), True),
        ([1], {"a": 1}.values(), True),
        ([["a", 1]], {"a": 1}.items(), True),
        ([1], {1: 2}, False),
        ({"a": 1}, Counter("a"), True),
        (1, "1", False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        (0, None, False),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.31, False),
        (1.0, "1.0", False),
        (math.inf, math.inf, True),
        (1.0, math.nan, False),
        (1.5, 10**400, False),
        (1000000007, 1000000008.0, False),
        (1000000007, 1000000007.0, True),
        (10**18, 1e18 + 5e11, False),
        (2**53 + 1, float(2**53), False),
        (3, 3.0000000001, False),
        (3.0, 3.0000000001, True),
        (1e9 + 7, 1000000008, False),
        (0.0, 0, True),
        ([1000000007], [1000000008.0], False),
        ([1, 2], [1, 2], True),
        ([1, 2], (1, 2), True),  # JSON has one kind of sequence
        ((1, 2), [1, 2], False),
        ([[1], 2], [(1,), 2.0], True),
        ([1, 2], [1, 2, 3], False),
        ([1], {1}, False),
        ([1, 2], iter([1, 2]), True),
        ({"a": [0.3]}, {"a": [0.1 + 0.2]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"1": 1}, {1: 1}, False),
        ({1, 2}, {2, 1}, True),
        ({1}, frozenset({1}), False),
        (b"x", b"x", True),
        (b"x", "x", False),
        ("", [], False),
        (False, "", False),
        (False, [], False),
    ],
)
def test_values(expected: Any, actual: Any, same: bool) -> None:
    assert same_value(expected, actual) is same


NUMBERS = ["1", "-1.5", "1e400", "nan", "inf", "-inf", "1_0", "0x1", "٣", "1" * 500, "e", "\x1c", "\u2028", "\ud800"]


@pytest.mark.parametrize(
    "word",
    ["0" * 1_000_000 + "x", "-" + "0" * 1_000_000 + ".", "9" * 1_000_000, "1." + "0" * 1_000_000, "0" * 1_000_000],
)
@pytest.mark.parametrize("checker", sorted(CHECKERS))
def test_a_long_word_costs_little(checker: str, word: str) -> None:
    with cpu_below(2):
        assert not same_output(checker, "17", word)
        assert same_output(checker, word, word)


SPACES = st.sampled_from([" ", "\n", "\r\n", "\0"])
OUTPUTS = st.lists(st.sampled_from(NUMBERS) | st.text(max_size=4) | SPACES).map("".join)


@given(st.sampled_from(sorted(CHECKERS)), OUTPUTS, OUTPUTS)
@settings(max_examples=400, deadline=None)
def test_any_outputs_are_compared(checker: str, expected: str, actual: str) -> None:
    assert same_output(checker, expected, expected)
    same = same_output(checker, expected, actual)
    assert same is same_output(checker, actual, expected)
    assert same or not same_output("exact", expected, actual)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
KEYS = st.integers(-2, 2) | st.text(max_size=1) | st.booleans() | st.floats(-1, 1)
ANSWERS = st.recursive(
    LEAVES | st.sets(KEYS, max_size=3) | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(ANSWERS, ANSWERS)
@settings(max_examples=400, deadline=None)
def test_any_values_are_compared(expected: Any, actual: Any) -> None:
    sent = wire.decode(wire.parse(wire.pack(wire.encode(expected))[4:]))
    assert same_value(expected, sent) or "nan" in repr(expected)
    if same_value(expected, actual):
        assert not isinstance(actual, str | bytes) or actual == expected
        assert type(expected) is type(actual) or isinstance(expected, int | float | list)
