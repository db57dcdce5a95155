"""Compares actual with expected results: whole outputs by one of five checkers, and plain built-in values.

The code runs in the supervisor, over data that a stranger wrote: every comparison is linear in its size.
"""

import math
import re
from array import array
from collections import deque
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

RELATIVE, ABSOLUTE = 1e-6, 1e-6
NOISE_ULPS, NOISE = 8, 1e-9  # rounding of a float in place of an expected integer: units in the last place, and at most
_MAX_NUMBER = 400  # characters; no float has more, and int() of longer ones is slow
_INTEGER = re.compile(r"(?P<sign>[-+]?)0*(?P<digits>[0-9]+)", re.ASCII)
_SEQUENCES = (tuple, deque, array, range, KeysView, ValuesView, ItemsView)  # what JSON writes as a list


def same_output(checker: str, expected: str, actual: str) -> bool:
    """Returns True if a program's output is right by ``checker``, one of ``CHECKERS``."""
    return CHECKERS[checker](expected, actual)


def _exact(expected: str, actual: str) -> bool:
    """Accepts only the same characters."""
    return expected == actual


def _lines(expected: str, actual: str) -> bool:
    """Compares line by line; ignores white space at the ends of lines and empty lines at the end."""
    return _stripped_lines(expected) == _stripped_lines(actual)


def _stripped_lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _tokens(expected: str, actual: str) -> bool:
    """Compares word by word; any white space separates words."""
    return expected.split() == actual.split()


def _caseless(expected: str, actual: str) -> bool:
    """Compares word by word, without upper and lower case."""
    return expected.casefold().split() == actual.casefold().split()


def _float(expected: str, actual: str) -> bool:
    """Compares word by word; decimal numbers may differ by a relative or absolute error of a millionth.

    Integers are compared exactly, and so is an integer with a decimal number that has the value of an integer.
    """
    wanted, given = expected.split(), actual.split()
    return len(wanted) == len(given) and all(map(_same_word, wanted, given))


def _same_word(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    integers = [_INTEGER.fullmatch(word) for word in (expected, actual)]
    if all(integers):
        first, second = (_canonical(integer) for integer in integers if integer)
        return first == second
    wanted, given = _number(expected), _number(actual)
    if wanted is None or given is None:
        return False
    if any(integers) and _is_whole(expected) and _is_whole(actual):
        return Decimal(expected) == Decimal(actual)
    try:
        return close(wanted, given)
    except OverflowError:  # an integer beyond every float
        return False


def _canonical(integer: re.Match[str]) -> tuple[bool, str]:
    return integer["sign"] == "-" and integer["digits"] != "0", integer["digits"]


def _is_whole(word: str) -> bool:
    """Returns True for a decimal number without a fraction, however it is written: ``7``, ``7.0``, ``7e3``."""
    try:
        _, digits, exponent = Decimal(word).as_tuple()
    except InvalidOperation:
        return False
    return isinstance(exponent, int) and (exponent >= 0 or not any(digits[exponent:]))


def _number(word: str) -> int | float | None:
    """Returns a number as programs print it; None for other words, ``nan`` and ``1_000``."""
    if len(word) > _MAX_NUMBER or "_" in word:
        return None
    if _INTEGER.fullmatch(word):
        return int(word)
    try:
        value = float(word)
    except ValueError:
        return None
    return None if math.isnan(value) else value


CHECKERS: dict[str, Callable[[str, str], bool]] = {
    "exact": _exact,
    "lines": _lines,
    "tokens": _tokens,
    "float": _float,
    "caseless": _caseless,
}


def close(expected: float, actual: float) -> bool:
    """Returns True within a relative or absolute error of a millionth; an infinity equals only itself."""
    return math.isclose(expected, actual, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def same_value(expected: Any, actual: Any) -> bool:
    """Compares like Python's ``==`` over exact types, with exceptions because expectations are JSON.

    - Floats are equal within a millionth. An expected integer equals the same integer, and a float or another number
      of its value, but for the noise of a float's last digits.
    - An expected list equals any sequence with the same items: a tuple, a deque, an array, a range, a view of a dict.
      An iterator is compared by the items that it yields.
    - ``True`` equals 1, as with ``==``.
    """
    if hasattr(actual, "__next__"):
        actual = list(actual)
    if isinstance(actual, Fraction | Decimal):
        return _same_exact(expected, actual)
    if isinstance(expected, float) or isinstance(actual, float):
        return _same_float(expected, actual)
    if isinstance(expected, list | tuple):
        fits = isinstance(actual, type(expected)) or (isinstance(expected, list) and isinstance(actual, _SEQUENCES))
        return fits and len(expected) == len(actual) and all(map(same_value, expected, actual))
    if isinstance(expected, dict):
        return isinstance(actual, dict) and _same_dict(expected, actual)
    if type(expected) is bool or type(actual) is bool:
        return isinstance(expected, int) and isinstance(actual, int) and expected == actual
    return type(expected) is type(actual) and bool(expected == actual)


def _same_float(expected: Any, actual: Any) -> bool:
    if not (isinstance(expected, int | float) and isinstance(actual, int | float)):
        return False
    try:
        if isinstance(expected, int):
            return bool(expected == actual) or (abs(expected) < 1 << 52 and _is_noise(expected, actual))
        if isinstance(actual, int) and expected.is_integer():
            return bool(expected == actual)
        return close(expected, float(actual))
    except OverflowError:  # an integer beyond every float
        return bool(expected == actual)


def _is_noise(expected: int, actual: float) -> bool:
    return abs(actual - expected) <= min(NOISE, NOISE_ULPS * math.ulp(max(1.0, abs(expected))))


def _same_exact(expected: Any, actual: Fraction | Decimal) -> bool:
    """Compares a fraction or a decimal: with an integer exactly, with a float within a millionth."""
    if not isinstance(expected, int | float) or (isinstance(actual, Decimal) and not actual.is_finite()):
        return False
    try:
        return close(expected, float(actual)) if isinstance(expected, float) else bool(expected == actual)
    except OverflowError:
        return False


def _same_dict(expected: dict[Any, Any], actual: dict[Any, Any]) -> bool:
    return expected.keys() == actual.keys() and all(same_value(item, actual[key]) for key, item in expected.items())
