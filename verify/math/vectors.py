"""Matrices and vectors in their several notations: products with a number, transposes, nested lists, unit vectors."""

from collections.abc import Callable, Mapping

from verify.math.evaluate import names
from verify.math.tree import Node

UNIT_VECTORS = ("unit i", "unit j", "unit k")  # names of \mathbf{i}, \hat{j}, \vec{k} in trees
_ZERO, _ONE = Node("number", text="0"), Node("number", text="1")


def as_matrix(node: Node) -> Node | None:
    """Returns a matrix with what stands before or behind it worked in: ``\\frac12 A``, ``-A``, ``A/2``, ``A^T``."""
    if node.op == "matrix":
        return node
    if node.op == "negative":
        inner = as_matrix(node.args[0])
        return inner and _mapped(inner, lambda cell: Node("negative", (cell,)))
    if node.op in ("mul", "div"):
        return _scaled(node)
    if node.op == "power" and node.args[1] in (Node("name", text="T"), Node("name", text="top")):
        inner = as_matrix(node.args[0]) or rows_of_lists(node.args[0], tuples=True)
        return inner and transposed(inner)
    return None


def _scaled(node: Node) -> Node | None:
    left, right = node.args
    first, second = as_matrix(left), as_matrix(right)
    if first is None and second is not None and node.op == "mul":
        return _mapped(second, lambda cell: Node("mul", (left, cell)))
    if first is not None and second is None:
        return _mapped(first, lambda cell: Node(node.op, (cell, right)))
    return None


def _mapped(matrix: Node, change: Callable[[Node], Node]) -> Node:
    return Node("matrix", tuple(Node("row", tuple(map(change, row.args))) for row in matrix.args))


def transposed(matrix: Node) -> Node:
    """Returns a matrix with its rows as columns."""
    columns = zip(*(row.args for row in matrix.args), strict=True)
    return Node("matrix", tuple(Node("row", cells) for cells in columns))


def rows_of_lists(node: Node, *, tuples: bool = False) -> Node | None:
    """Returns ``[[1,2],[3,4]]`` as a matrix and ``\\langle 1,2\\rangle`` as a row, ``(1,2)`` only with ``tuples``."""
    if node.op != "group" or not node.args:
        return None
    nested = node.text == "[]" and all(row.op == "group" and row.text == "[]" for row in node.args)
    if nested and len({len(row.args) for row in node.args}) == 1:
        return Node("matrix", tuple(Node("row", row.args) for row in node.args))
    return (
        Node("matrix", (Node("row", node.args),))
        if node.text == "<>" or (tuples and node.text in ("()", "[]"))
        else None
    )


def components(node: Node, size: int) -> tuple[Node, ...] | None:
    """Returns the components of ``2\\mathbf{i}+3\\mathbf{j}``; None where unit vectors do not occur linearly."""
    known = names(node)
    if not known or not known <= set(UNIT_VECTORS[:size]) or not _is_linear(node):
        return None
    return tuple(
        _replaced(node, {name: _ONE if at == axis else _ZERO for at, name in enumerate(UNIT_VECTORS)})
        for axis in range(size)
    )


def _is_linear(node: Node) -> bool:
    if node.op == "name":
        return True
    if node.op in ("add", "negative"):
        return all(map(_is_linear, node.args))
    if node.op == "mul":
        return any(not names(one) and _is_linear(other) for one, other in (node.args, node.args[::-1]))
    return node.op == "div" and not names(node.args[1]) and _is_linear(node.args[0])


def _replaced(node: Node, values: Mapping[str, Node]) -> Node:
    if node.op == "name":
        return values[node.text]
    return Node(node.op, tuple(_replaced(part, values) for part in node.args), node.text)
