"""Gives back the indentation that a function's body has lost: a stripped first line, or a body in the first column.

Only indentation that is too small counts as lost, and only of a body that continues a prompt's own function.
"""

import ast
import re
from itertools import pairwise

from verify.programs.statements import line_starts, parse

_ENDS = re.compile(r"\b(?:return|yield|raise)\b")
_STEP = 4


def body_column(prefix: str) -> int | None:
    """Returns the column in which the body of a prefix's last function begins; None where the prefix ends otherwise."""
    nodes, incomplete = parse(prefix), False
    if nodes is None:
        nodes, incomplete = parse(prefix.rstrip() + " pass\n"), True
    node: ast.AST | None = nodes[-1] if nodes else None
    while isinstance(node, ast.ClassDef) and node.body:
        node = node.body[-1]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    return node.col_offset + _STEP if incomplete else node.body[0].col_offset


def indented_bodies(text: str, code: str, column: int) -> list[str]:
    """Returns the bodies that ``text`` may have been, best first: its first line moved, or all lines of ``code``.

    ``code`` is the part of ``text`` before any prose. A text whose first line is indented by a tab, or already far
    enough, has lost nothing.
    """
    first = text.lstrip("\n")
    line = first.lstrip(" ")
    width = len(first) - len(line)
    if width >= column or line[:1] in ("", "\t", "\n"):
        return []
    alone = " " * column + line
    together = _moved(code.lstrip("\n"), column - width)
    return [alone, together] if _is_stripped(first, width) else [together, alone]


def _is_stripped(text: str, width: int) -> bool:
    """Returns True if the first line alone is out of place: it ends the body, or the next line is indented further."""
    head, _, rest = text.partition("\n")
    following = next((line for line in rest.split("\n", 50)[:50] if line.strip()), "")
    if not following or len(following) - len(following.lstrip(" ")) > width:
        return not head.rstrip().endswith(":") or parse(text) is None
    return bool(_ENDS.match(head.strip()))


def _moved(text: str, by: int) -> str:
    lines = [text[start:end] for start, end in pairwise([*line_starts(text), len(text)])]
    return "".join(" " * by + line if line.strip() else line for line in lines)
