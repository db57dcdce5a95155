"""Parts of an answer: the items of a list or set, the name that a value has, the two values of a sign."""

from collections.abc import Iterator, Sequence

from verify.math.evaluate import names
from verify.math.tree import Node, Unknown, written
from verify.math.values import same_value

COLUMNS = frozenset({"cases", "aligned", "gathered"})  # systems, in which each row is an item


def labelled(node: Node) -> tuple[Node | None, Node]:
    """Returns what is named, and its value: ``x = 2 + 3 = 5`` gives x and 5; no name where it is no such relation."""
    if node.op != "relation":
        return None, node
    signs = node.text.split()
    if signs == ["in"] and _is_label(node.args[0]) and items_of(node.args[1]) is not None:
        return node.args[0], node.args[1]
    if not set(signs) <= {"=", "~"}:
        return None, node
    sides = list(node.args)
    if signs[-1] == "~" and not (len(sides) == 2 and _is_label(sides[0])):
        sides.pop()  # an approximation stands behind the exact value
    if len(sides) == 1:
        return Node("name", text="="), sides[0]
    if contradicts_itself(Node("relation", tuple(sides), "=")):
        return None, node
    if len(sides) == 2 and sides[1].op == "name" and not names(sides[0]):  # "5 = x"
        sides.reverse()
    if _is_label(sides[0]) or not names(sides[0]):
        label = sides[0] if names(sides[0]) or sides[0].op == "words" else Node("name", text="=")
        return label, sides[-1]
    return None, node


def as_function_of(label: Node, other: Node, said: Node) -> Node | None:
    """Returns the value of a function as ``label`` names it; None where ``other`` names something else.

    ``f(x)`` and ``f(t)`` name the same function, with another letter; ``y`` names the value of ``f(x)``.
    """
    for one, two in ((label, other), (other, label)):
        if one == Node("name", text="y") and two.op == "applied" and two.text in "fgh" and two.args[0] in named(said):
            return said
    if label.op != "applied" or other.op != "applied" or label.text != other.text:
        return None
    old, new = other.args[0], label.args[0]
    if old not in named(said) or new.op != "name" or new.text in names(said):
        return None
    return _renamed(said, old, new)


def named(node: Node) -> set[Node]:
    """Returns the names in a formula as nodes."""
    return {part for part in _parts(node) if part.op == "name"}


def _renamed(node: Node, old: Node, new: Node) -> Node:
    return new if node == old else Node(node.op, tuple(_renamed(part, old, new) for part in node.args), node.text)


def contradicts_itself(node: Node) -> bool:
    """Returns True for a chain of equal signs between constants that are not equal: ``8 = 7``."""
    if node.op != "relation" or not set(node.text.split()) <= {"="}:
        return False
    constants = [side for side in node.args if not names(side) and items_of(side) is None and side.op != "words"]
    return any(not same_value(constants[0], side) for side in constants[1:])


def _is_label(node: Node) -> bool:
    """Returns True for what can be asked for by name: ``x``, ``f(3)``, ``m + n``, ``\\sin A``; not ``2x``, ``x^2``."""
    if node.op in ("name", "applied", "words", "abs"):
        return True
    if node.op == "group":
        return all(map(_is_label, node.args))
    if node.op == "function":
        return node.text in ("sin", "cos", "tan", "cot", "sec", "csc") and len(names(node)) == 1
    parts = list(_parts(node))
    return len(names(node)) > 1 and not any(part.op in ("number", "constant", "power") for part in parts)


def residue(node: Node) -> tuple[Node | None, Node]:
    if node.op == "relation" and node.text in ("==", "=") and len(node.args) == 2:
        return node.args
    return None, node


def items_of(node: Node) -> tuple[Node, ...] | None:
    """Returns the items of a list, tuple, set or interval, and both values of ``\\pm``; None for a single value."""
    if node.op == "group":
        return node.args
    if node.op in COLUMNS and all(len(row.args) == 1 for row in node.args):
        return tuple(row.args[0] for row in node.args)
    if node.op == "list":
        return tuple(item for part in node.args for item in (_variants(part) or (part,)))
    if node.op in ("union", "both", "without", "set"):
        return (node,)
    return _variants(node)


def shape_of(node: Node) -> str:
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


def without_labels(items: Sequence[Node]) -> Sequence[Node] | None:
    """Returns the values of ``x = 2 or x = 3``; None where several names occur."""
    pairs = [labelled(item) if item.op == "relation" else (None, item) for item in items]
    if any(label is None and item.op == "relation" for (label, _), item in zip(pairs, items, strict=True)):
        return None
    if len({written(label) for label, _ in pairs if label is not None}) > 1:
        return None
    return [value for _, value in pairs]
