"""Compares actual with expected results: whole outputs by one of five checkers, and plain built-in values.

The code runs in the supervisor, over data that a stranger wrote: every comparison is linear in its size.
"""

import math
import re
from collections.abc import Callable
from typing import Any

RELATIVE, ABSOLUTE = 1e-6, 1e-6
_MAX_NUMBER = 400  # characters; no float has more, and int() of longer ones is slow
_INTEGER = re.compile(r"[-+]?[0-9]+")


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
    """Compares word by word; decimals may differ by a relative or absolute error of a millionth, integers not."""
    wanted, given = expected.split(), actual.split()
    return len(wanted) == len(given) and all(map(_same_word, wanted, given))


def _same_word(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    wanted, given = _number(expected), _number(actual)
    if wanted is None or given is None:
        return False
    if isinstance(wanted, int) and isinstance(given, int):
        return wanted == given
    try:
        return close(float(wanted), float(given))
    except OverflowError:  # an integer beyond every float
        return False


def _number(word: str) -> int | float | None:
    """Returns a number as programs print it, a whole one as an integer; None for other words, ``nan`` and ``1_000``."""
    if len(word) > _MAX_NUMBER or "_" in word:
        return None
    if _INTEGER.fullmatch(word):
        return int(word)
    try:
        value = float(word)
    except ValueError:
        return None
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value


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
    """Compares like Python's ``==`` over exact built-in types, with two exceptions because expectations are JSON.

    A number is equal to an expected float within a millionth, unless both are whole; a tuple equals a list with the
    same items if the list is expected. As with ``==``, ``True`` equals 1 and 1 equals 1.0. An iterator is compared by
    the items that it yields.
    """
    if hasattr(actual, "__next__"):
        actual = list(actual)
    if isinstance(expected, float) or isinstance(actual, float):
        return _same_float(expected, actual)
    if isinstance(expected, list | tuple):
        fits = isinstance(actual, type(expected)) or (isinstance(expected, list) and isinstance(actual, tuple))
        return fits and len(expected) == len(actual) and all(map(same_value, expected, actual))
    if isinstance(expected, dict):
        return isinstance(actual, dict) and _same_dict(expected, actual)
    if type(expected) is bool or type(actual) is bool:
        return isinstance(expected, int) and isinstance(actual, int) and expected == actual
    return type(expected) is type(actual) and bool(expected == actual)


def _same_float(expected: Any, actual: Any) -> bool:
    numbers = isinstance(expected, int | float) and isinstance(actual, int | float)
    if not numbers or isinstance(expected, int) or (isinstance(actual, int) and expected.is_integer()):
        return numbers and bool(expected == actual)
    try:
        return close(float(expected), float(actual))
    except OverflowError:  # an integer beyond every float
        return bool(expected == actual)


def _same_dict(expected: dict[Any, Any], actual: dict[Any, Any]) -> bool:
    return expected.keys() == actual.keys() and all(same_value(item, actual[key]) for key, item in expected.items())
