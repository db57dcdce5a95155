"""Names that tests use without defining them: the candidate's, the standard library's, the test's own."""

import pytest

from verify.programs.task_names import missing_imports, wanted_names


@pytest.mark.parametrize(
    ("text", "wanted", "imports"),
    [
        ("assert list(map(sq, [1, 2])) == [1, 4]", ("sq",), ""),
        ("assert sorted([3, 1], key=neg) == [3, 1]", ("neg",), ""),
        ("assert add(LIMIT, 1) == 11", ("add", "LIMIT"), ""),
        ("assert math.isclose(add(1, 2), 3)", ("add",), "import math\n"),
        ("assert isclose(area(1), pi)", ("area",), "from math import isclose, pi\n"),
        ("assert Counter(f('a')) == Counter('a')", ("f",), "from collections import Counter\n"),
        ("assert isclose(1, 1)", ("isclose",), ""),
        ("assert gcd(4, 6) == 2", ("gcd",), ""),
        ("assert sum(1, 2) == 3", ("sum",), ""),
        ("from math import *\nassert isclose(f(1), pi)", ("f",), ""),
        ("c = Stack(); c.push(1); assert c.n == 1", ("Stack",), ""),
        ("try:\n    f(1)\nexcept MyError:\n    pass", ("f", "MyError"), ""),
        ("assert f(lambda x: x + 1, *[y for y in (1, 2)])", ("f",), ""),
        ("def near(a, b):\n    return abs(a - b) < LIMIT\nassert near(f(1), 1)", ("LIMIT", "f"), ""),
        ("assert calendar(1) == 2", ("calendar",), ""),
        ("string.x = 1\nassert string == f(1)", ("string", "f"), ""),
    ],
)
def test_names(text: str, wanted: tuple[str, ...], imports: str) -> None:
    """Kind: functions handed on, constants, classes, exceptions; modules and helpers of the standard library."""
    assert wanted_names("", [text], None) == wanted
    assert missing_imports("", [text], wanted) == imports


def test_the_set_up_defines_names_too() -> None:
    setup = "import math as m\nLIMIT = 3\nclass Node: pass\ndef helper(): pass"
    assert wanted_names(setup, ["assert f(LIMIT, Node(), helper(), m.pi)"], "f") == ("f",)
