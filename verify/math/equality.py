"""Equality of two parsed answers: by their structure (lists, intervals, equations, matrices), then by their values."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from sampling.policy import MathPolicy
from verify.math.evaluate import names
from verify.math.formula import ORDERS, Node, Unknown, written
from verify.math.regions import region, same_regions
from verify.math.units import contradict
from verify.math.values import close, points, real_value, same_value, values_at

MAX_ITEMS = 40  # of a list; longer ones are compared in order
ENOUGH = 4
_NUMBER_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = _NUMBER_NAMES.split()
_EMPTY = frozenset({"no solution", "no solutions", "no real solution", "no real solutions", "empty set"})
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
            return not _contradicts_itself(given)
        if gold.op == "relation" or given.op == "relation":
            return self.related(gold, given)
        if gold.op == "words" or given.op == "words":
            return self.same_words(gold, given)
        listed = _items(gold), _items(given)
        if any(items is not None for items in listed):
            return self.same_lists(gold, given)
        return self.same_items(gold, given)

    # Relations

    def related(self, gold: Node, given: Node) -> bool:
        """Compares equations, inequalities, and what a relation says about a name with a bare value."""
        if (left := region(gold)) is not None and (right := region(given)) is not None:
            return left.name in (right.name, "") or right.name == "" if same_regions(left, right) else False
        (label, value), (other, said) = _labelled(gold), _labelled(given)
        if label is not None and other is not None:
            if written(label) == written(other):
                return self.same(value, said)
            return self.same_equations(gold, given)
        if gold.op == "relation" and given.op == "relation" and label is None and other is None:
            return self.same_equations(gold, given)
        if gold.op == "relation" and given.op == "relation":
            return self.same_equations(gold, given)
        if (gold.op == "relation" and label is None) or (given.op == "relation" and other is None):
            return False
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
        first, second = _items(gold) or (gold,), _items(given) or (given,)
        shapes = _shape(gold), _shape(given)
        if shapes[0] in _UNORDERED and shapes[1] in _UNORDERED:
            return self.same_collections(first, second)
        if not (shapes[0] == shapes[1] or set(shapes) <= _VECTORS or set(shapes) == {"()", "list"}):
            return False
        return len(first) == len(second) > 1 and all(map(self.same, first, second))

    def same_collections(self, first: Sequence[Node], second: Sequence[Node]) -> bool:
        dotted = any(item.op == "dots" for item in (*first, *second))
        if self.policy.order == "strict" or dotted or max(len(first), len(second)) > MAX_ITEMS:
            return len(first) == len(second) and all(map(self.same, first, second))
        wanted, said = _without_labels(first), _without_labels(second)
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
        (label, rest), (other, left) = _residue(gold.args[0]), _residue(given.args[0])
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


def _labelled(node: Node) -> tuple[Node | None, Node]:
    """Returns what is named, and its value: ``x = 2 + 3 = 5`` gives x and 5; no name where it is no such relation."""
    if node.op != "relation":
        return None, node
    signs = node.text.split()
    if signs == ["in"] and _is_label(node.args[0]) and _items(node.args[1]) is not None:
        return node.args[0], node.args[1]
    if not set(signs) <= {"=", "~"}:
        return None, node
    sides = list(node.args)
    if signs[-1] == "~" and not (len(sides) == 2 and _is_label(sides[0])):
        sides.pop()  # an approximation stands behind the exact value
    if len(sides) == 1:
        return Node("name", text="="), sides[0]
    if _contradicts_itself(Node("relation", tuple(sides), "=")):
        return None, node
    if _is_label(sides[0]) or not names(sides[0]):
        return (sides[0] if names(sides[0]) else Node("name", text="=")), sides[-1]
    return None, node


def _contradicts_itself(node: Node) -> bool:
    """Returns True for a chain of equal signs between constants that are not equal: ``8 = 7``."""
    if node.op != "relation" or not set(node.text.split()) <= {"="}:
        return False
    constants = [side for side in node.args if not names(side) and _items(side) is None]
    return any(not same_value(constants[0], side) for side in constants[1:])


def _is_label(node: Node) -> bool:
    """Returns True for what can be asked for by name: ``x``, ``f(3)``, ``m + n``, ``\\sin A``; not ``2x``, ``x^2``."""
    if node.op in ("name", "applied", "words", "abs"):
        return True
    if node.op == "group":
        return all(map(_is_label, node.args))
    if node.op == "function":
        return node.text in ("sin", "cos", "tan", "cot", "sec", "csc") and len(names(node)) == 1
    if node.op == "power":
        return False
    return len(names(node)) > 1 and not any(leaf.op in ("number", "constant") for leaf in _leaves(node))


def _leaves(node: Node) -> Iterator[Node]:
    """Yields the names and numbers in a formula, without exponents."""
    if not node.args:
        yield node
    for part in node.args[:1] if node.op == "power" else node.args:
        yield from _leaves(part)


def _residue(node: Node) -> tuple[Node | None, Node]:
    if node.op == "relation" and node.text in ("==", "=") and len(node.args) == 2:
        return node.args
    return None, node


def _items(node: Node) -> tuple[Node, ...] | None:
    """Returns the items of a list, tuple, set or interval, and both values of ``\\pm``; None for a single value."""
    if node.op == "group":
        return node.args
    if node.op == "list":
        return tuple(item for part in node.args for item in (_variants(part) or (part,)))
    if node.op in ("union", "both", "without", "set"):
        return (node,)
    return _variants(node)


def _shape(node: Node) -> str:
    """Returns brackets; ``list`` for bare lists and single values."""
    return node.text if node.op == "group" else node.op if node.op in ("union", "both", "without", "set") else "list"


def _variants(node: Node) -> tuple[Node, Node] | None:
    """Returns the two values of a formula with one sign ``\\pm``; None where there is none, or more than one."""
    count = sum(1 for part in _parts(node) if part.op == "pm")
    if count == 0:
        return None
    if count > 1:
        raise Unknown
    if node.op == "relation" and node.text == "=" and _is_label(node.args[0]):
        plus, minus = _variants(node.args[1]) or (node.args[1],) * 2
        return Node("relation", (node.args[0], plus), "="), Node("relation", (node.args[0], minus), "=")
    return _with_sign(node, False), _with_sign(node, True)


def _parts(node: Node) -> Iterator[Node]:
    yield node
    for part in node.args:
        yield from _parts(part)


def _with_sign(node: Node, negative: bool) -> Node:
    if node.op == "pm":
        right = Node("negative", (node.args[1],)) if negative else node.args[1]
        return Node("add", (node.args[0], right))
    return Node(node.op, tuple(_with_sign(part, negative) for part in node.args), node.text)


def _without_labels(items: Sequence[Node]) -> Sequence[Node] | None:
    """Returns the values of ``x = 2 or x = 3``; None where several names occur."""
    labelled = [_labelled(item) if item.op == "relation" else (None, item) for item in items]
    if any(label is None and item.op == "relation" for (label, _), item in zip(labelled, items, strict=True)):
        return None
    if len({written(label) for label, _ in labelled if label is not None}) > 1:
        return None
    return [value for _, value in labelled]


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
