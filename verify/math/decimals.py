"""Decimals as they are written: which values a rounded number stands for.

``0.333333`` can stand for 1/3, because it shows six digits after the point and rounds correctly. ``0.33`` stands for
33/100 alone. Two decimals with equally many digits are equal only if their digits are.
"""

from dataclasses import dataclass
from fractions import Fraction

from verify.math.tree import Node

MIN_PLACES = 6  # digits after the point from which a decimal can be a rounded value
MIN_DIGITS = 2  # of these, without zeros at the front
NOISE_DIGITS = 12  # digits from which the last ones can be noise of floating-point arithmetic
NOISE = Fraction(1, 10**10)  # relative
NEAR_WHOLE = Fraction(1, 2_000_000)  # a computed decimal this near to a whole number is that number


@dataclass(frozen=True, slots=True)
class Decimal:
    """A written decimal: its value, the value of one unit of its last digit, and how many digits it shows."""

    value: Fraction
    unit: Fraction
    places: int
    digits: int


def written_decimal(node: Node) -> Decimal | None:
    """Returns a decimal such as ``-0.25`` or ``6.02 \\times 10^{23}``; None for anything else, whole numbers too."""
    if node.op == "negative":
        inner = written_decimal(node.args[0])
        return inner and Decimal(-inner.value, inner.unit, inner.places, inner.digits)
    if node.op == "number" and "." in node.text:
        whole, _, places = node.text.partition(".")
        digits = (whole + places).lstrip("0")
        return Decimal(Fraction(node.text), Fraction(1, 10 ** len(places)), len(places), len(digits))
    if node.op == "mul" and (scale := _power_of_ten(node.args[1])) is not None:
        inner = written_decimal(node.args[0])
        return inner and Decimal(inner.value * scale, inner.unit * scale, inner.places, inner.digits)
    return None


def _power_of_ten(node: Node) -> Fraction | None:
    if node.op != "power" or node.args[0] != Node("number", text="10"):
        return None
    exponent = node.args[1]
    negative = exponent.op == "negative"
    exponent = exponent.args[0] if negative else exponent
    if exponent.op != "number" or not exponent.text.isdigit() or len(exponent.text) > 3:
        return None
    return Fraction(10) ** (-int(exponent.text) if negative else int(exponent.text))


def rounds_to(value: Fraction, decimal: Decimal, *, computed: bool = False) -> bool:
    """Returns True if ``decimal`` is ``value`` rounded to enough digits, or ``value`` with floating-point noise.

    A ``computed`` one is a model's; the digits of a right answer mean themselves, and 1.0000001 is not 1.
    """
    error = abs(decimal.value - value)
    if not error or decimal.places < MIN_PLACES or not value:
        return not error
    if decimal.digits >= MIN_DIGITS and error <= decimal.unit / 2:
        return True
    if decimal.digits >= NOISE_DIGITS and error <= NOISE * abs(value):
        return True
    return computed and value.denominator == 1 and error <= NEAR_WHOLE


def same_decimals(left: Decimal, right: Decimal) -> bool:
    """Returns True if two decimals are equal, or the one with more digits rounds to the other."""
    if left.value == right.value:
        return True
    fine, coarse = (left, right) if left.unit < right.unit else (right, left)
    if fine.unit == coarse.unit or not coarse.value:
        return False
    error = abs(fine.value - coarse.value)
    rounded = coarse.places >= MIN_PLACES and coarse.digits >= MIN_DIGITS and error <= coarse.unit / 2
    return rounded or (fine.digits >= NOISE_DIGITS and error <= NOISE * abs(coarse.value))
