"""Equality of two parsed answers: by their structure (lists, intervals, equations, matrices), then by their values."""

import re
from collections.abc import Sequence
from fractions import Fraction

from sampling.policy import MathPolicy
from verify.math.evaluate import names
from verify.math.regions import region, same_regions
from verify.math.shapes import contradicts_itself, items_of, labelled, residue, shape_of, without_labels
from verify.math.tree import ORDERS, Node, Unknown, written
from verify.math.units import contradict
from verify.math.values import close, points, real_value, same_value, values_at

MAX_ITEMS = 40  # of a list; longer ones are compared in order
ENOUGH = 4
_NUMBER_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = _NUMBER_NAMES.split()
_EMPTY = frozenset({"no solution", "no solutions", "no real solution", "no real solutions", "empty set"})
_SINGLE_LABELS = frozenset({"name", "applied", "group", "words", "abs", "function"})
_ALL_NUMBERS = frozenset({"all real numbers", "all reals", "real numbers", "all real"})
_ARTICLE = re.compile(r"\A(?:a|an|the) ", re.IGNORECASE)
_UNORDERED = frozenset({"list", "{}"})
_VECTORS = frozenset({"()", "<>"})


def same_answer(gold: Node, given: Node, policy: MathPolicy) -> bool:
    """Returns True if two answers say the same by ``policy``; False where that is in doubt."""
    try:
        return _Comparison(policy).same(gold, given)
    except (Unknown, RecursionError):
        return False


class _Comparison:
    def __init__(self, policy: MathPolicy) -> None:
        self.policy = policy

    def same(self, gold: Node, given: Node) -> bool:
        """Compares two items, lists or relations."""
        gold, given = _plain(gold), _plain(given)
        if written(gold) == written(given):
            return not contradicts_itself(given)
        if gold.op == "relation" or given.op == "relation":
            return self.related(gold, given)
        if gold.op == "words" or given.op == "words":
            return self.same_words(gold, given)
        listed = items_of(gold), items_of(given)
        if any(items is not None for items in listed):
            return self.same_lists(gold, given)
        return self.same_items(gold, given)

    # Relations

    def related(self, gold: Node, given: Node) -> bool:
        """Compares equations, inequalities, and what a relation says about a name with a bare value."""
        if (left := region(gold)) is not None and (right := region(given)) is not None:
            return left.name in (right.name, "") or right.name == "" if same_regions(left, right) else False
        (label, value), (other, said) = labelled(gold), labelled(given)
        if label is not None and other is not None:
            if written(label) == written(other):
                return self.same(value, said)
            return self.same_equations(gold, given)
        if gold.op == given.op:
            return self.same_equations(gold, given)
        if (gold.op == "relation" and label is None) or (given.op == "relation" and other is None):
            return False
        segment = label is not None and label.op == "mul" and all(map(str.isupper, names(label)))
        if label is not None and label.op not in _SINGLE_LABELS and not segment:
            return False  # "x + y = 7" is a line, which 7 is not
        return self.same(value, said)

    def same_equations(self, gold: Node, given: Node) -> bool:
        """Compares relations with equal signs: side by side, turned round, or as multiples of each other."""
        signs, others = gold.text.split(), given.text.split()
        if len(signs) != len(others):
            return False
        if signs == others and all(map(self.same, gold.args, given.args)):
            return True
        turned = [_TURNED.get(sign, "") for sign in reversed(others)]
        if signs == turned and all(map(self.same, gold.args, reversed(given.args))):
            return True
        if len(signs) > 1:
            return False
        if signs == others:
            return _multiples(gold, given, signs[0] in ORDERS - {"!="}, 1)
        return signs == turned and _multiples(gold, given, signs[0] in ORDERS - {"!="}, -1)

    # Lists

    def same_lists(self, gold: Node, given: Node) -> bool:
        """Compares lists, tuples, sets and intervals; a single value is a list of one."""
        if (left := region(gold)) is not None and (right := region(given)) is not None and _wide(gold, given):
            return same_regions(left, right)
        first, second = items_of(gold) or (gold,), items_of(given) or (given,)
        shapes = shape_of(gold), shape_of(given)
        if shapes[0] in _UNORDERED and shapes[1] in _UNORDERED:
            return self.same_collections(first, second)
        if not (shapes[0] == shapes[1] or set(shapes) <= _VECTORS or set(shapes) == {"()", "list"}):
            return False
        return len(first) == len(second) > 1 and all(map(self.same, first, second))

    def same_collections(self, first: Sequence[Node], second: Sequence[Node]) -> bool:
        dotted = any(item.op == "dots" for item in (*first, *second))
        if self.policy.order == "strict" or dotted or max(len(first), len(second)) > MAX_ITEMS:
            return len(first) == len(second) and all(map(self.same, first, second))
        wanted, said = without_labels(first), without_labels(second)
        if wanted is not None and said is not None:
            first, second = wanted, said
        left, right = self.distinct(first), self.distinct(second)
        if len(left) != len(right):
            return False
        for item in left:
            found = next((at for at, other in enumerate(right) if self.same(item, other)), None)
            if found is None:
                return False
            del right[found]
        return True

    def distinct(self, items: Sequence[Node]) -> list[Node]:
        kept: list[Node] = []
        for item in items:
            if not any(self.same(item, other) for other in kept):
                kept.append(item)
        return kept

    # Single items

    def same_items(self, gold: Node, given: Node) -> bool:
        if gold.op == "unit" or given.op == "unit":
            return self.same_quantities(gold, given)
        if gold.op == "percent" or given.op == "percent":
            return self.same_percents(gold, given)
        if {gold.op, given.op} == {"based", "number"}:
            based, number = (gold, given) if gold.op == "based" else (given, gold)
            return based.args[0].text == number.text and len(number.text) > 1
        if "ratio" in (gold.op, given.op):
            return _same_ratios(gold, given)
        if "congruence" in (gold.op, given.op):
            return self.same_congruences(gold, given)
        if gold.op == given.op and gold.op in _STRUCTURES:
            shapes = [[len(row.args) for row in node.args] for node in (gold, given)]
            pairs = zip(gold.args, given.args, strict=shapes[0] == shapes[1])
            return shapes[0] == shapes[1] and all(
                all(map(self.same, left.args, right.args)) if left.op == "row" else self.same(left, right)
                for left, right in pairs
            )
        return self.within_tolerance(gold, given) or same_value(gold, given)

    def same_words(self, gold: Node, given: Node) -> bool:
        """Compares words; a number word equals its number, and "no solution" the empty set."""
        if gold.op == given.op:
            texts = [_ARTICLE.sub("", node.text) for node in (gold, given)]
            if self.policy.case == "strict" or min(map(len, texts)) < 3:
                return texts[0] == texts[1]
            small = {text.casefold() for text in texts}
            return len(small) == 1 or small <= _EMPTY
        words, other = (gold, given) if gold.op == "words" else (given, gold)
        said = words.text.casefold()
        if other.op == "number":
            return said in _NUMBER_WORDS and str(_NUMBER_WORDS.index(said)) == other.text
        if said in _ALL_NUMBERS:
            return other == Node("set", text="R")
        return said in _EMPTY and other == Node("group", (), "{}")

    def within_tolerance(self, gold: Node, given: Node) -> bool:
        policy = self.policy
        if not (policy.tolerance or policy.relative_tolerance) or names(gold) or names(given):
            return False
        wanted, said = real_value(gold), real_value(given)
        most = max(Fraction(policy.tolerance), Fraction(policy.relative_tolerance) * abs(wanted))
        return abs(said - wanted) <= most

    def same_quantities(self, gold: Node, given: Node) -> bool:
        units = tuple(node.text if node.op == "unit" else None for node in (gold, given))
        if self.policy.units == "strict" and units[0] != units[1]:
            return False
        if contradict(units[0], units[1]):
            return False
        return self.same(*(node.args[0] if node.op == "unit" else node for node in (gold, given)))

    def same_percents(self, gold: Node, given: Node) -> bool:
        """Compares values of which at least one has a percent sign: it means a hundredth, or is left out."""
        if gold.op == given.op:
            return self.same(gold.args[0], given.args[0])
        if same_value(gold, given) or self.within_tolerance(gold, given):
            return True
        bare = [node.args[0] if node.op == "percent" else node for node in (gold, given)]
        return self.policy.percent == "same" and self.same(*bare)

    def same_congruences(self, gold: Node, given: Node) -> bool:
        """Compares ``n \\equiv 1 \\pmod 4`` by name, modulus and remainder."""
        if gold.op != given.op or not self.same(gold.args[1], given.args[1]):
            return False
        (label, rest), (other, left) = residue(gold.args[0]), residue(given.args[0])
        if label is not None and other is not None and written(label) != written(other):
            return False
        if names(rest) or names(left) or names(gold.args[1]):
            return self.same(rest, left)
        modulus = real_value(gold.args[1])
        return modulus > 0 and not (real_value(rest) - real_value(left)) % modulus


_STRUCTURES = frozenset({"matrix", "cases", "aligned", "gathered", "union", "both", "without", "row"})
_TURNED = {"=": "=", "==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _plain(node: Node) -> Node:
    """Returns a node without what does not change it: the sign of degrees at its end, brackets of one item."""
    while node.op == "degree":
        node = node.args[0]
    return node


def _wide(gold: Node, given: Node) -> bool:
    """Returns True if one of two sets is more than a pair of numbers in brackets, so that brackets mean intervals."""
    return any(node.op in ("union", "both", "without", "set", "list") for node in (gold, given))


def _same_ratios(gold: Node, given: Node) -> bool:
    """Compares ``2:3`` with ``4:6`` or 2/3; times of day, such as ``12:05``, only with equal ones."""
    if gold.op == given.op:
        if _is_time(gold):
            same = [int(part.text) for part in gold.args] == [int(part.text or -1) for part in given.args]
            return same and _is_time(given)
        if len(gold.args) != len(given.args):
            return False
        return all(
            same_value(Node("mul", (left, given.args[0])), Node("mul", (right, gold.args[0])))
            for left, right in zip(gold.args, given.args, strict=True)
        )
    ratio, other = (gold, given) if gold.op == "ratio" else (given, gold)
    return (
        len(ratio.args) == 2
        and not _is_time(ratio)
        and other.op == "div"
        and same_value(Node("div", ratio.args), other)
    )


def _is_time(node: Node) -> bool:
    texts = [part.text for part in node.args]
    if any(part.op != "number" or not part.text.isdigit() for part in node.args) or len(texts) > 3:
        return False
    return int(texts[0]) <= 24 and all(len(text) == 2 and int(text) < 60 for text in texts[1:])


def _multiples(gold: Node, given: Node, ordered: bool, direction: int) -> bool:
    """Returns True if one equation is a multiple of the other; ``ordered`` ones only by a number of one sign."""
    sides = [Node("add", (node.args[0], Node("negative", (node.args[1],)))) for node in (gold, given)]
    known = names(gold) | names(given)
    if not known:
        return False
    factor, used = None, 0
    for point in points(known):
        pair = values_at(point, *sides)
        if pair is None or (not pair[0] and not pair[1]):
            continue
        if not pair[0] or not pair[1]:
            return False
        ratio = pair[0] / pair[1]
        if factor is None:
            factor = ratio
        elif not close(factor, ratio):
            return False
        used += 1
    if used < ENOUGH or factor is None:
        return False
    return not ordered or (not getattr(factor, "imag", 0) and factor * direction > 0)
