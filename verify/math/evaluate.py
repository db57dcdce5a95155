"""Values of formulas: exact fractions where arithmetic gives one, else numbers to as many digits as asked for.

Everything is bounded: the digits of integers, the sizes of exponents and arguments, and the number of operations. What
exceeds a bound raises Unknown, and an unknown value equals nothing.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mpmath.ctx_mp import MPContext

from verify.math.tree import Node, Unknown

MAX_BITS = 100_000  # of an exact integer
MAX_FACTORIAL = 3_000
MAX_ARGUMENT = 10**6  # of exp, sin and their like
MAX_OPERATIONS = 20_000
MAX_DEGREE = 1_000  # of a root

Values = Mapping[str, Fraction]


class Inexact(Exception):
    """Raised where a value is no fraction, or is not known to be one."""


def exact(node: Node, values: Values) -> Fraction:
    """Returns the value as a fraction; raises Inexact or Unknown. ``values`` are those of the names."""
    if node.op in ("number", "repeating"):
        return number_of(node)
    if node.op in ("name", "applied"):
        return _value_of(node, values)
    if node.op in _EXACT:
        return _bounded(_EXACT[node.op](*(exact(part, values) for part in node.args)))
    if node.op == "function" and node.text in _EXACT_FUNCTIONS:
        return _bounded(_EXACT_FUNCTIONS[node.text](*(exact(part, values) for part in node.args)))
    raise Inexact


def number_of(node: Node) -> Fraction:
    """Returns the value of a written number; ``0.1|6`` is 0.1666…"""
    if node.op == "number":
        return Fraction(node.text)
    start, _, period = node.text.partition("|")
    places = len(start.partition(".")[2])
    return Fraction(start.rstrip(".")) + Fraction(int(period), (10 ** len(period) - 1) * 10**places)


def _value_of(node: Node, values: Values) -> Fraction:
    name = name_of(node)
    if name not in values:
        raise Unknown
    return values[name]


def name_of(node: Node) -> str:
    """Returns the name of a variable, or of a function's value such as ``f(x)``, whose value nobody knows."""
    return node.text if node.op == "name" else f"{node.text}({node.args[0]!r})"


def names(node: Node) -> frozenset[str]:
    """Returns the names in a formula whose values are not known."""
    if node.op in ("name", "applied"):
        return frozenset({name_of(node)})
    return frozenset().union(*map(names, node.args))


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Unknown
    return value


def _divided(top: Fraction, bottom: Fraction) -> Fraction:
    if not bottom:
        raise Unknown
    return top / bottom


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return _root(_power(base, Fraction(exponent.numerator)), Fraction(exponent.denominator))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(exponent.numerator) > MAX_BITS:
        raise Unknown
    if not base and exponent <= 0:
        raise Unknown
    return Fraction(base ** (exponent.numerator if bits > 1 else exponent.numerator % 2 if base < 0 else 1))


def _radical(base: Fraction, degree: Fraction) -> Fraction:
    """Returns the real root that a radical sign means, of negative numbers too where the degree is odd."""
    if base < 0 and degree.denominator == 1 and degree.numerator % 2:
        return -_root(-base, degree)
    return _root(base, degree)


def _root(base: Fraction, degree: Fraction) -> Fraction:
    if degree.denominator != 1 or not 1 <= degree.numerator <= MAX_DEGREE or base < 0:
        raise Inexact  # of negative numbers, the root is complex, or a convention
    return Fraction(_whole_root(base.numerator, degree.numerator), _whole_root(base.denominator, degree.numerator))


def _whole_root(number: int, degree: int) -> int:
    """Returns the root of a perfect power; raises Inexact where there is none."""
    if degree == 2:
        root = math.isqrt(number)
    else:
        low, high = 0, 1 << (number.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= number else (low, middle - 1)
        root = low
    if root**degree != number:
        raise Inexact
    return root


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or value < 0:
        raise Inexact
    if value > MAX_FACTORIAL:
        raise Unknown
    return Fraction(math.factorial(value.numerator))


def _binomial(top: Fraction, bottom: Fraction) -> Fraction:
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        raise Inexact
    if top > MAX_FACTORIAL:
        raise Unknown
    return Fraction(math.comb(top.numerator, bottom.numerator))


def _whole(function: Callable[..., int]) -> Callable[..., Fraction]:
    def applied(*values: Fraction) -> Fraction:
        if any(value.denominator != 1 for value in values):
            raise Unknown
        return Fraction(function(*(value.numerator for value in values)))

    return applied


_EXACT: dict[str, Callable[..., Fraction]] = {
    "add": lambda left, right: left + right,
    "mul": lambda left, right: left * right,
    "negative": lambda value: -value,
    "div": _divided,
    "power": _power,
    "root": _radical,
    "factorial": _factorial,
    "binomial": _binomial,
    "abs": abs,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "percent": lambda value: value / 100,
}
_EXACT_FUNCTIONS: dict[str, Callable[..., Fraction]] = {
    "max": max,
    "min": min,
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
}


class Approximation:
    """Values of formulas to ``digits`` digits, with names replaced by ``values``. Complex where a value is."""

    def __init__(self, digits: int, values: Values) -> None:
        self.context = MPContext()
        self.context.dps = digits
        self.values = values
        self.operations = 0
        self.largest = 0  # binary exponent of the largest value on the way
        self.complex = False  # the imaginary unit occurs
        self.unreal = False  # a root, power or logarithm of real numbers is not real

    def of(self, node: Node) -> Any:
        """Returns the value as one of mpmath's numbers; raises Unknown."""
        try:
            return self._of(node)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise Unknown from error

    def _of(self, node: Node) -> Any:
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise Unknown
        value = self._compute(node)
        self.unreal = self.unreal or bool(not self.complex and self.context.im(value))
        if not self.context.isfinite(value):
            raise Unknown
        if value:
            self.largest = max(self.largest, int(self.context.mag(value)))
        return value

    def _compute(self, node: Node) -> Any:
        if node.op in ("number", "repeating"):
            return self._fraction(number_of(node))
        if node.op in ("name", "applied"):
            return self._fraction(_value_of(node, self.values))
        if node.op == "constant":
            return self._constant(node.text)
        if node.op == "degree":
            return self._of(node.args[0]) * self.context.pi / 180
        parts = [self._of(part) for part in node.args]
        if node.op == "function":
            return self._function(node.text, *parts)
        return self._operation(node.op, parts)

    def _fraction(self, value: Fraction) -> Any:
        return self.context.mpf(value.numerator) / value.denominator

    def _constant(self, name: str) -> Any:
        if name == "oo":
            raise Unknown
        self.complex = self.complex or name == "i"
        return {"pi": +self.context.pi, "e": +self.context.e, "i": self.context.mpc(0, 1)}[name]

    def _operation(self, op: str, parts: list[Any]) -> Any:
        context = self.context
        if op in ("add", "mul", "negative", "div", "percent"):
            return _EXACT[op](*parts) if op != "div" else parts[0] / parts[1]
        if op == "power":
            return self._power(*parts)
        if op == "root":
            return self._radical(*parts)
        if op in ("floor", "ceil"):
            return getattr(context, op)(self._real(parts[0]))
        if op == "abs":
            return abs(parts[0])
        if op in ("factorial", "binomial"):
            return getattr(context, op)(*(self._small(part, 1_000) for part in parts))
        raise Unknown

    def _radical(self, base: Any, degree: Any) -> Any:
        context = self.context
        odd = (
            not context.im(degree) and context.isint(degree) and int(degree) % 2 if abs(degree) <= MAX_DEGREE else False
        )
        if odd and not context.im(base) and context.re(base) < 0 and not self.complex:
            return -self._power(-base, 1 / degree)
        return self._power(base, 1 / degree)

    def _power(self, base: Any, exponent: Any) -> Any:
        if not base:
            if self.context.re(exponent) > 0:
                return base
            raise Unknown
        self._small(exponent * self.context.log(base))
        return self.context.power(base, exponent)

    def _function(self, name: str, argument: Any, *more: Any) -> Any:
        context = self.context
        if name in ("max", "min"):
            return (max if name == "max" else min)(map(self._real, (argument, *more)))
        if name in ("log", "ln", "lg"):
            if not argument:
                raise Unknown
            base = more[0] if more else context.e if name == "ln" else context.mpf(10)
            return context.log(argument) / context.log(base)
        called = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(name, name)
        if called in ("gcd", "lcm"):
            raise Unknown
        return getattr(context, called)(self._small(argument))

    def _small(self, value: Any, most: int = MAX_ARGUMENT) -> Any:
        if abs(value) > most:
            raise Unknown
        return value

    def _real(self, value: Any) -> Any:
        if self.context.im(value):
            raise Unknown
        return self.context.re(value)
