"""Names in scope without an import: only what a program mentions, and only where the problem promises it."""

from typing import Any

import pytest

from sampling.references import PythonReference
from verify.programs.prelude import prelude

CASES = [{"args": [], "expected": 1}]


def reference(**more: Any) -> PythonReference:
    return PythonReference.model_validate({"entry_point": "f", "cases": CASES, **more})


@pytest.mark.parametrize(
    ("more", "source", "lines"),
    [
        ({}, "def f(a: List[int]) -> Optional[int]: pass", "from typing import List, Optional\n"),
        ({}, "def f(a): return defaultdict(a)", ""),
        ({"prefix": "def f(a):\n"}, "def f(a: List[int]): pass", ""),
        ({"cases": None, "asserts": ["f(1)"]}, "def f(a: List[int]): pass", ""),
        ({"prelude": "none"}, "def f(a: List[int]): pass", ""),
        ({"entry_point": "Solution.f"}, "defaultdict, heappush", None),
        ({"prelude": "leetcode"}, "x = pow(2, 3, 5); y = [len(z) for z in w]", ""),
        ({"prelude": "leetcode"}, "copy.deepcopy(a)", "import copy\nfrom copy import deepcopy\n"),
    ],
)
def test_lines(more: dict[str, Any], source: str, lines: str | None) -> None:
    given = prelude(reference(**more), source)
    if lines is None:
        assert given.split("\n") == ["from collections import defaultdict", "from heapq import heappush", ""]
    else:
        assert given == lines


def test_leetcodes_classes() -> None:
    scope: dict[str, Any] = {}
    exec(prelude(reference(prelude="leetcode"), "ListNode TreeNode"), scope)  # noqa: S102
    assert scope["ListNode"](1, scope["ListNode"](2)).next.val == 2
    assert scope["TreeNode"](1).left is None
