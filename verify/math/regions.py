"""Sets of real numbers with known ends: intervals, unions, and what inequalities say about one name."""

import itertools
from dataclasses import dataclass
from fractions import Fraction

from verify.math.evaluate import Inexact, exact, names
from verify.math.tree import ORDERS, Node, Unknown
from verify.math.values import real_value

MOST = 40  # intervals of one set that are cut
NEAR = Fraction(1, 10**45)  # ends are known to sixty digits
End = tuple[Fraction | float, bool]  # the end and if it belongs to the set; infinities are floats
Interval = tuple[End, End]
_ALL: Interval = ((float("-inf"), False), (float("inf"), False))


@dataclass(frozen=True, slots=True)
class Region:
    """Intervals in order, none of which touch, and the name that they are about (or nothing)."""

    intervals: tuple[Interval, ...]
    name: str = ""


EVERYTHING = Region((_ALL,))


def region(node: Node) -> Region | None:
    """Returns the set of real numbers that ``node`` describes; None where it is no such set, or its ends have names."""
    try:
        name, intervals = _read(node)
    except Unknown:
        return None
    return Region(_merged(intervals), name)


def same_regions(left: Region, right: Region) -> bool:
    """Returns True if two sets have the same ends."""
    return len(left.intervals) == len(right.intervals) and all(
        one[1] == other[1] and _near(one[0], other[0])
        for first, second in zip(left.intervals, right.intervals, strict=True)
        for one, other in zip(first, second, strict=True)
    )


def _near(left: Fraction | float, right: Fraction | float) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return left == right
    return abs(left - right) <= NEAR * max(abs(left), abs(right))


def _read(node: Node) -> tuple[str, list[Interval]]:
    if node.op == "set" and node.text == "R":
        return "", [_ALL]
    if node.op == "group":
        return "", _group(node)
    if node.op == "list" and node.text != "or":
        return _common(node)
    if node.op == "union" or node.op == "list":
        parts = [_read(part) for part in node.args]
        if len({name for name, _ in parts}) > 1:
            raise Unknown
        return parts[0][0], [interval for _, intervals in parts for interval in intervals]
    if node.op == "without":
        name, intervals = _read(node.args[0])
        holes = node.args[1]
        if holes.op != "group":
            raise Unknown
        if holes.text != "{}":
            return name, _overlaps(intervals, _outside(_group(holes)[0]))
        for hole in holes.args:
            intervals = _without(intervals, real_value(hole))
        return name, intervals
    if node.op == "relation":
        return _relation(node)
    raise Unknown


def _common(node: Node) -> tuple[str, list[Interval]]:
    """Returns what all of ``x > 2 and x < 3`` say together; raises Unknown where that is nothing."""
    if any(part.op != "relation" for part in node.args):
        raise Unknown
    parts = [_read(part) for part in node.args]
    found = [_ALL]
    for name, intervals in parts:
        found = _overlaps(found, intervals)
        if name != parts[0][0] or not found:
            raise Unknown
    return parts[0][0], found


def _outside(interval: Interval) -> list[Interval]:
    low, high = interval
    parts = [(_ALL[0], (low[0], not low[1])), ((high[0], not high[1]), _ALL[1])]
    return [part for part in parts if part[0][0] < part[1][0]]


def _overlaps(left: list[Interval], right: list[Interval]) -> list[Interval]:
    """Returns the parts of intervals that both lists have in common."""
    found: list[Interval] = []
    for (low, high), (start, end) in itertools.product(left[:MOST], right[:MOST]):
        first, last = max(low, start, key=lambda one: (one[0], not one[1])), min(high, end)
        if first[0] < last[0] or (first[0] == last[0] and first[1] and last[1]):
            found.append((first, last))
    return found


def _group(node: Node) -> list[Interval]:
    if node.text == "{}":
        return [((value, True), (value, True)) for value in map(real_value, node.args)]
    if len(node.args) != 2 or node.text not in ("()", "[]", "(]", "[)"):
        raise Unknown
    low, high = map(_end, node.args)
    if not low < high:
        raise Unknown
    return [((low, node.text[0] == "["), (high, node.text[1] == "]"))]


def _end(node: Node) -> Fraction | float:
    if node.op == "constant" and node.text == "oo":
        return float("inf")
    if node.op == "negative" and node.args[0].op == "constant" and node.args[0].text == "oo":
        return float("-inf")
    if names(node):
        raise Unknown
    return real_value(node)


def _relation(node: Node) -> tuple[str, list[Interval]]:
    signs = node.text.split()
    if len(signs) == 1 and any(side.op == "abs" for side in node.args):
        return _distance(node.args, signs[0])
    if len(signs) == 1 and node.args[0].op == "name" and signs[0] == "in":
        return node.args[0].text, _read(node.args[1])[1]
    at = next((at for at, side in enumerate(node.args) if side.op == "name"), None)
    if at is None or not set(signs) <= ORDERS | {"="} or len(signs) > 2 or (len(signs) == 2 and at != 1):
        raise Unknown
    intervals = [_ALL]
    for side, sign in enumerate(signs):
        left_of_name = at > side
        end = _end(node.args[side if left_of_name else side + 1])
        intervals = _cut(intervals, _MIRRORED[sign] if left_of_name else sign, end)
    return node.args[at].text, intervals


def _distance(sides: tuple[Node, ...], sign: str) -> tuple[str, list[Interval]]:
    """Returns what ``|x - 2| < 1`` says about x; raises Unknown where the bars hold no linear formula of one name."""
    if sides[0].op != "abs":
        sides, sign = (sides[1], sides[0]), _MIRRORED.get(sign, "")
    inner, known = sides[0].args[0], names(sides[0])
    if len(known) != 1 or names(sides[1]) or sign not in ("<", "<=", ">", ">="):
        raise Unknown
    name, end = next(iter(known)), real_value(sides[1])
    start, one, two, three = (_at(inner, name, at) for at in (0, 1, 2, 7))
    slope = one - start
    if not slope or two - start != 2 * slope or three - start != 7 * slope or end <= 0:
        raise Unknown
    low, high = sorted(((-end - start) / slope, (end - start) / slope))
    if sign in ("<", "<="):
        return name, [((low, sign == "<="), (high, sign == "<="))]
    return name, _outside(((low, sign == ">"), (high, sign == ">")))


def _at(node: Node, name: str, value: int) -> Fraction:
    try:
        return exact(node, {name: Fraction(value)})
    except Inexact:
        raise Unknown from None


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def _cut(intervals: list[Interval], sign: str, end: Fraction | float) -> list[Interval]:
    """Returns the one interval of ``intervals`` cut by ``name sign end``."""
    if sign == "!=":
        return _without(intervals, end)
    if sign == "=":
        return [((end, True), (end, True))]
    if len(intervals) != 1:
        raise Unknown
    low, high = intervals[0]
    if sign in ("<", "<="):
        high = (end, sign == "<=")
    else:
        low = (end, sign == ">=")
    if not low[0] < high[0]:
        raise Unknown
    return [(low, high)]


def _without(intervals: list[Interval], hole: Fraction | float) -> list[Interval]:
    kept: list[Interval] = []
    for low, high in intervals:
        if low[0] < hole < high[0]:
            kept += [(low, (hole, False)), ((hole, False), high)]
        else:
            kept.append(((low[0], low[1] and low[0] != hole), (high[0], high[1] and high[0] != hole)))
    return kept


def _merged(intervals: list[Interval]) -> tuple[Interval, ...]:
    found: list[Interval] = []
    for low, high in sorted(intervals, key=lambda interval: (interval[0][0], not interval[0][1])):
        if found and (low[0] < found[-1][1][0] or (low[0] == found[-1][1][0] and (low[1] or found[-1][1][1]))):
            before = found.pop()
            high = max(before[1], high)
            low = before[0]
        found.append((low, high))
    return tuple(found)
