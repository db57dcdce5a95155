"""Equality of values: constants to the last digit, and formulas with variables at many points."""

import random
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from verify.math.decimals import rounds_to, same_decimals, written_decimal
from verify.math.evaluate import Approximation, Inexact, Values, exact, names
from verify.math.tree import Node, Unknown

DIGITS = (60, 160)  # of the two values of a constant that are compared; noise shrinks from one to the other
MOST_DIGITS = 4_000
POINT_DIGITS = 100
AGREED = 35  # digits to which two formulas agree at a point
POINTS = 14
ENOUGH = 4  # points at which both formulas have a value
MOST_NAMES = 12


def same_value(gold: Node, given: Node) -> bool:
    """Returns True if two formulas have the same value, for all values of their names; False where in doubt."""
    try:
        known = names(gold) | names(given)
        if not known:
            return same_constant(gold, given)
        return len(known) <= MOST_NAMES and _same_at_points(gold, given, known)
    except (Unknown, RecursionError):
        return False


def same_constant(gold: Node, given: Node) -> bool:
    """Compares two values without names exactly; a written decimal may be a rounded value (see ``decimals``)."""
    left, right = written_decimal(gold), written_decimal(given)
    if left and right:
        return same_decimals(left, right)
    if left or right:
        decimal, other = (left, given) if left else (right, gold)
        assert decimal is not None
        return rounds_to(real_value(other), decimal, computed=left is None) or (
            _is_inexact(other) and _same_number(gold, given)
        )
    try:
        return exact(gold, {}) == exact(given, {})
    except Inexact:
        return _same_number(gold, given)


def _is_inexact(node: Node) -> bool:
    """Returns True for a formula such as ``\\cos \\frac{\\pi}{3}``, whose value may still be a short decimal."""
    try:
        exact(node, {})
    except Inexact:
        return True
    return False


def real_value(node: Node) -> Fraction:
    """Returns the value of a constant, to 60 digits where it is no fraction; raises Unknown where it is not real."""
    try:
        return exact(node, {})
    except Inexact:
        value = Approximation(DIGITS[0], {}).of(node)
        return fraction_of(value)


def fraction_of(value: Any) -> Fraction:
    """Returns one of mpmath's numbers as a fraction; raises Unknown for a complex or a huge one."""
    if getattr(value, "imag", 0):
        raise Unknown
    sign, mantissa, exponent, _ = value.real._mpf_
    if abs(exponent) > 20_000:
        raise Unknown
    size: Fraction = Fraction(mantissa) * Fraction(2) ** exponent
    return -size if sign else size


def _same_number(gold: Node, given: Node) -> bool:
    """Compares constants that are no fractions, with so many digits that nothing on the way hides a difference."""
    difference = Node("add", (gold, Node("negative", (given,))))
    first = Approximation(DIGITS[0], {})
    first.of(difference)
    extra = 2 * (abs(first.largest) * 3 // 10)
    if extra > MOST_DIGITS:
        raise Unknown
    coarse, fine = (Approximation(digits + extra, {}) for digits in DIGITS)
    rough, better = coarse.of(difference), fine.of(difference)
    if not better:
        return True
    if rough and abs(rough - better) <= abs(better) * coarse.context.mpf(10) ** -10:
        return False  # the difference stays the same with more digits
    return bool(
        abs(better) <= fine.context.mpf(2) ** max(fine.largest, 0) * fine.context.mpf(10) ** -(DIGITS[1] + extra - 20)
    )


def _same_at_points(gold: Node, given: Node, known: frozenset[str]) -> bool:
    used = 0
    for point in points(known):
        pair = values_at(point, gold, given)
        if pair is None:
            continue
        if not close(*pair):
            return False
        used += 1
    return used >= ENOUGH


def points(known: Iterable[str]) -> Iterator[Values]:
    """Yields values for the names, the same every time: fractions and whole numbers, of both signs, small and large."""
    source = random.Random("points")
    for at in range(POINTS):
        yield {name: _coordinate(source, at) for name in sorted(known)}


def _coordinate(source: random.Random, at: int) -> Fraction:
    whole, part = source.randint(2, 19), Fraction(source.randint(1, 96), 97)
    choices = (part, whole + part, Fraction(whole), -whole - part, -part, Fraction(-whole), 10 * whole + part)
    return choices[at % len(choices)]


def values_at(point: Values, *nodes: Node) -> tuple[Any, ...] | None:
    """Returns the values of formulas at a point, all exact or all approximate; None where one has no real value."""
    try:
        return tuple(exact(node, point) for node in nodes)
    except Inexact:
        pass
    except Unknown:
        return None
    approximation = Approximation(POINT_DIGITS, point)
    try:
        values = tuple(approximation.of(node) for node in nodes)
    except Unknown:
        return None
    context = approximation.context
    noise = context.mpf(2) ** max(approximation.largest, 0) * context.mpf(10) ** (5 - POINT_DIGITS)
    if approximation.unreal and not approximation.complex:
        return None  # outside the reals, roots and logarithms follow conventions
    return tuple(context.mpf(0) if abs(value) <= noise else value for value in values)


def close(left: Any, right: Any) -> bool:
    """Compares two values at a point: exact ones exactly."""
    if isinstance(left, Fraction):
        return bool(left == right)
    scale = max(abs(left), abs(right))
    return bool(abs(left - right) <= scale * (scale * 0 + 10) ** -AGREED)
