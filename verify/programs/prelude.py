"""Imports that a candidate may leave out: names of ``typing``, or all that LeetCode has in scope.

Only the names that a program mentions are imported, so that the others cost its process nothing. They are bound before
the program runs: its own imports and definitions replace them.
"""

import builtins
import importlib
import re
import typing
from functools import cache

from sampling.references import PythonReference

_WORD = re.compile(r"[A-Za-z_]\w*")
_TYPING = frozenset(name for name in typing.__all__ if name[0].isupper())
_TYPING_WORD = re.compile(rf"\b(?:{'|'.join(sorted(_TYPING))})\b")
# LeetCode imports all names of these, in this order, then the modules themselves; built-in names stay as they are.
_STARS = """string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys
json""".split()  # noqa: SIM905
_CLASSES = {
    "ListNode": "def __init__(self, val=0, next=None):\n        self.val, self.next = val, next",
    "TreeNode": "def __init__(self, val=0, left=None, right=None):\n"
    "        self.val, self.left, self.right = val, left, right",
}


def prelude(reference: PythonReference, source: str) -> str:
    """Returns source that binds the names that ``source`` mentions and the reference's ``prelude`` promises."""
    kind = reference.prelude or _default(reference)
    if kind == "none" or (kind == "typing" and not _TYPING_WORD.search(source)):
        return ""
    words = set(_WORD.findall(source))
    lines = [f"from typing import {', '.join(names)}"] if (names := sorted(words & _TYPING)) else []
    if kind == "leetcode":
        lines += [line for name, line in _leetcode().items() if name in words]
    return "".join(f"{line}\n" for line in lines)


def _default(reference: PythonReference) -> str:
    if reference.entry_point and "." in reference.entry_point:
        return "leetcode"
    return "typing" if reference.cases is not None and not reference.prefix else "none"


@cache
def _leetcode() -> dict[str, str]:
    """Returns the line that binds each name."""
    lines: dict[str, str] = {}
    for module in _STARS:
        loaded = importlib.import_module(module)
        public = getattr(loaded, "__all__", None) or [name for name in vars(loaded) if not name.startswith("_")]
        lines |= {name: f"from {module} import {name}" for name in public if not hasattr(builtins, name)}
    lines |= {module: f"import {module}" for module in _STARS}
    return lines | {name: f"class {name}:\n    {body}" for name, body in _CLASSES.items()}
