"""Ratios such as ``2:3``, and times of day, which are written in the same way."""

import re

from verify.math.tree import Node
from verify.math.values import same_value

_HALVES = {"am": 0, "pm": 12}


def same_ratios(gold: Node, given: Node) -> bool:
    """Compares ``2:3`` with ``4:6`` or 2/3; times of day, such as ``12:05``, only with equal ones."""
    if gold.op == given.op:
        if is_time(gold) or is_time(given):
            return is_time(gold) and is_time(given) and _numbers(gold) == _numbers(given)
        if len(gold.args) != len(given.args):
            return False
        return all(
            same_value(Node("mul", (left, given.args[0])), Node("mul", (right, gold.args[0])))
            for left, right in zip(gold.args, given.args, strict=True)
        )
    ratio, other = (gold, given) if gold.op == "ratio" else (given, gold)
    if len(ratio.args) != 2 or is_time(ratio) or ratio.text == "to" or other.op != "div":
        return False
    return same_value(Node("div", ratio.args), other)


def _numbers(node: Node) -> list[int]:
    return [int(part.text) for part in node.args]


def is_time(node: Node) -> bool:
    """Returns True for a ratio that may be a time of day: ``12:05``, ``7:30:00``."""
    texts = [part.text for part in node.args]
    if node.op != "ratio" or node.text or len(texts) > 3:
        return False
    if any(part.op != "number" or not re.fullmatch("[0-9]{1,4}", part.text) for part in node.args):
        return False
    return int(texts[0]) <= 24 and all(len(text) == 2 and int(text) < 60 for text in texts[1:])


def minutes_of(node: Node) -> int | None:
    """Returns the minutes since midnight of a time that says its half of the day, or that is after noon; else None."""
    half = _HALVES.get(node.text) if node.op == "unit" else None
    time = node.args[0] if node.op == "unit" else node
    if not is_time(time) or len(time.args) != 2:
        return None
    hour, minute = _numbers(time)
    if half is None:
        return 60 * hour + minute if node.op != "unit" and hour > 12 else None
    return 60 * (hour % 12 + half) + minute if 1 <= hour <= 12 else None
