"""Equality of two parsed answers: by their structure (lists, intervals, equations, matrices), then by their values."""

import re
from collections.abc import Sequence
from fractions import Fraction

from sampling.policy import MathPolicy
from verify.math.evaluate import names
from verify.math.number_words import ABSENT, ALL_NUMBERS, EMPTY, ENDLESS, number_in_words
from verify.math.regions import EVERYTHING, Region, region, same_regions
from verify.math.shapes import as_function_of, contradicts_itself, items_of, labelled, residue, shape_of, without_labels
from verify.math.times import minutes_of, same_ratios
from verify.math.tree import ORDERS, Node, Unknown, written
from verify.math.units import contradict
from verify.math.values import close, points, real_value, same_value, values_at
from verify.math.vectors import as_matrix, components, rows_of_lists, transposed

MAX_ITEMS = 40  # of a list; longer ones are compared in order
ENOUGH = 4
_SINGLE_LABELS = frozenset({"name", "applied", "group", "words", "abs", "function"})
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
        if (matrices := _matrices(gold, given)) is not None:
            return self.same_rows(*matrices)
        if (vectors := _vectors(gold, given)) is not None:
            return all(map(self.same, *vectors))
        listed = items_of(gold), items_of(given)
        if any(items is not None for items in listed):
            return self.same_lists(gold, given)
        return self.same_items(gold, given)

    # Relations

    def related(self, gold: Node, given: Node) -> bool:
        """Compares equations, inequalities, and what a relation says about a name with a bare value."""
        if (left := region(gold)) is not None and (right := region(given)) is not None:
            return _same_sets(left, right)
        (label, value), (other, said) = labelled(gold), labelled(given)
        if label is not None and other is not None:
            if written(label) == written(other):
                return self.same(value, said)
            if (renamed := as_function_of(label, other, said)) is not None:
                return self.same(value, renamed)
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
        if _wide(gold, given):
            left, right = _regions(gold, given)
            if left is not None and right is not None:
                return _same_sets(left, right)
        first, second = items_of(gold), items_of(given)
        first, second = (gold,) if first is None else first, (given,) if second is None else second
        shapes = shape_of(gold), shape_of(given)
        if shapes[0] in _UNORDERED and shapes[1] in _UNORDERED:
            return self.same_collections(first, second)
        if not (shapes[0] == shapes[1] or set(shapes) <= _VECTORS or set(shapes) == {"()", "list"}):
            return False
        return len(first) == len(second) > 1 and all(map(self.same, first, second))

    def same_collections(self, first: Sequence[Node], second: Sequence[Node]) -> bool:
        dotted = any(item.op == "dots" for item in (*first, *second))
        told = _names_told(first), _names_told(second)
        if all(told) and told[0].isdisjoint(told[1]):
            return False  # "a = 1 or a = 2" for "b = 1 or b = 2"
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
            return same_ratios(gold, given)
        if "congruence" in (gold.op, given.op):
            return self.same_congruences(gold, given)
        gold, given = _as_binomial(gold), _as_binomial(given)
        if gold.op == given.op and gold.op in _STRUCTURES:
            return self.same_rows(gold, given) or (gold.op == "cases" and self.same_cases(gold, given))
        return self.within_tolerance(gold, given) or same_value(gold, given)

    def same_rows(self, gold: Node, given: Node) -> bool:
        """Compares two structures part by part, in order."""
        shapes = [[len(row.args) for row in node.args] for node in (gold, given)]
        if shapes[0] != shapes[1]:
            return False
        return all(
            all(map(self.same, left.args, right.args)) if left.op == "row" else self.same(left, right)
            for left, right in zip(gold.args, given.args, strict=True)
        )

    def same_cases(self, gold: Node, given: Node) -> bool:
        """Compares the cases of a function in any order."""
        left = list(given.args)
        for row in gold.args:
            alike = (
                at
                for at, other in enumerate(left)
                if len(other.args) == len(row.args) and all(map(self.same, row.args, other.args))
            )
            if (found := next(alike, None)) is None:
                return False
            del left[found]
        return not left

    def same_words(self, gold: Node, given: Node) -> bool:
        """Compares words; a number word equals its number, and "no solution" the empty set."""
        if gold.op == given.op:
            texts = [_ARTICLE.sub("", node.text) for node in (gold, given)]
            if self.policy.case == "strict" or min(map(len, texts)) < 3:
                return texts[0] == texts[1]
            small = {text.casefold() for text in texts}
            return len(small) == 1 or small <= EMPTY or small <= ABSENT or small <= ALL_NUMBERS
        words, other = (gold, given) if gold.op == "words" else (given, gold)
        said = words.text.casefold()
        if other.op == "number":
            number = number_in_words(said)
            return number is not None and str(number) == other.text
        if said in ALL_NUMBERS:
            return (every := region(other)) is not None and same_regions(every, EVERYTHING)
        if said in ENDLESS:
            return other == Node("constant", text="oo")
        return said in EMPTY and other == Node("group", (), "{}")

    def within_tolerance(self, gold: Node, given: Node) -> bool:
        policy = self.policy
        if not (policy.tolerance or policy.relative_tolerance) or names(gold) or names(given):
            return False
        wanted, said = real_value(gold), real_value(given)
        most = max(Fraction(policy.tolerance), Fraction(policy.relative_tolerance) * abs(wanted))
        return abs(said - wanted) <= most

    def same_quantities(self, gold: Node, given: Node) -> bool:
        if (times := [minutes_of(node) for node in (gold, given)]) != [None, None]:
            return times[0] == times[1]
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


def _regions(gold: Node, given: Node) -> tuple[Region | None, Region | None]:
    """Returns two sets of numbers; beside a union, a list of intervals is one too."""
    if gold.op == "union":
        given = _as_union(given)
    elif given.op == "union":
        gold = _as_union(gold)
    return region(gold), region(given)


def _as_union(node: Node) -> Node:
    listed = node.op == "list" and all(part.op == "group" for part in node.args)
    return Node("list", node.args, "or") if listed else node


def _same_sets(left: Region, right: Region) -> bool:
    return (left.name == right.name or "" in (left.name, right.name)) and same_regions(left, right)


def _wide(gold: Node, given: Node) -> bool:
    """Returns True if one of two sets is more than a pair of numbers in brackets, so that brackets mean intervals."""
    return any(node.op in ("union", "both", "without", "set", "list") for node in (gold, given))


def _names_told(items: Sequence[Node]) -> set[str]:
    """Returns the names that items of a list are said to be values of: x for ``x = 2 or x = 3`` and ``x = 2, 3``."""
    return {written(label) for label, _ in map(labelled, items) if label is not None}


def _as_binomial(node: Node) -> Node:
    """Returns ``C(5,2)`` as a binomial coefficient."""
    if node.op != "applied" or node.text != "C" or node.args[0].op != "list" or len(node.args[0].args) != 2:
        return node
    return node if names(node.args[0]) else Node("binomial", node.args[0].args)


def _matrices(gold: Node, given: Node) -> tuple[Node, Node] | None:
    """Returns two matrices, of which one may be a nested list or a vector ``\\langle 1, 2\\rangle``; else None."""
    left, right = as_matrix(gold), as_matrix(given)
    if left is None and right is None:
        return None
    left, right = left or rows_of_lists(gold), right or rows_of_lists(given)
    if left is None or right is None:
        return None
    if "<>" in (gold.text, given.text):  # a vector, which is a column where the other is one
        vector, matrix = (left, right) if gold.text == "<>" else (right, left)
        if all(len(row.args) == 1 for row in matrix.args):
            return transposed(vector), matrix
    return left, right


def _vectors(gold: Node, given: Node) -> tuple[Sequence[Node], Sequence[Node]] | None:
    """Returns the components of a tuple and of a sum of unit vectors, or of a point with its name; else None."""
    for vector, other in ((gold, given), (given, gold)):
        if vector.op != "group" or vector.text not in _VECTORS:
            continue
        if other.op == "applied" and other.text.isupper() and other.args[0].op == "list":
            parts: Sequence[Node] | None = other.args[0].args
        else:
            parts = components(other, len(vector.args))
        if parts is not None and len(parts) == len(vector.args):
            return vector.args, parts
    return None


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
