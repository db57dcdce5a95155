"""Trees of formulas, and the tokens that both layers of the parser know."""

from dataclasses import dataclass

RELATIONS = {
    **{"=": "=", "<": "<", ">": ">", "\\lt": "<", "\\gt": ">", "\\in": "in", "\\equiv": "==", "\\mid": "divides"},
    **{"\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">="},
    **{"\\ne": "!=", "\\neq": "!=", "\\approx": "~", "\\sim": "~~", "\\to": "->", "\\rightarrow": "->"},
}
ORDERS = frozenset({"<", ">", "<=", ">=", "!="})
JOINS = frozenset({",", ";", "\\lor", "\\vee", "\\land", "\\wedge", "and", "or"})


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a formula: an operation, what it is applied to, and its text (a number, a name, brackets)."""

    op: str
    args: tuple["Node", ...] = ()
    text: str = ""


class Unknown(Exception):
    """Raised where a formula is not understood, or where its value cannot be found within bounds."""


def written(node: Node) -> str:
    """Returns a text that is the same for the same trees only."""
    return (
        f"{node.op}:{node.text}({','.join(map(written, node.args))})" if node.args or node.op != "number" else node.text
    )


def signed(sign: str | None, node: Node) -> Node:
    if sign in ("\\pm", "\\mp"):
        return Node("pm", (Node("number", text="0"), node), sign)
    return Node("negative", (node,)) if sign == "-" else node
