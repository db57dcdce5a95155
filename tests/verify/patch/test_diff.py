"""The diff in a completion, with no character changed; and the changes that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.patches import DECIDES_HOW_TESTS_RUN
from verify.patch.diff import MAX_DIFF, Change, NotRaw, extract_diff, read_changes, refusal

DIFF = """diff --git a/calc.py b/calc.py
--- a/calc.py
+++ b/calc.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""
OTHER = DIFF.replace("calc", "other")
README = """--- a/README.md
+++ b/README.md
@@ -1,4 +1,4 @@
 ```diff
--- a/x
+```patch
 ```

"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DIFF, DIFF),
        (DIFF.removesuffix("\n"), DIFF),
        (f"I change this:\n{DIFF}", DIFF),
        (f"```diff\n{DIFF}```\nDone.", DIFF),
        (f"```diff\n{DIFF}", DIFF),
        (f"~~~~patch\n{DIFF}~~~~\n", DIFF),
        (f"```\n{DIFF}```", DIFF),
        (f"```python\nprint(1)\n```\n{DIFF}", DIFF),
        (f"```diff\n{OTHER}```\nNo, rather:\n```diff\n{DIFF}```", DIFF),
        (f"```diff\n{DIFF}```\nas in\n```\n{OTHER}```", DIFF),
        (f"```diff\n{OTHER}```\n</think>\n```diff\n{DIFF}```", DIFF),
        (f"<patch>\n{DIFF}</patch>\nand {OTHER}", DIFF),
        (f"<patch>\n```diff\n{DIFF}```\n</patch>", DIFF),
        (f"<patch>\n{DIFF}", DIFF),
        (README, README),
        (f"```diff\n{README}```", README),
        (DIFF.replace("\n", "\r\n"), DIFF.replace("\n", "\r\n")),  # git's to refuse
        (DIFF.replace("a + b\n", "a + b\r\n"), DIFF.replace("a + b\n", "a + b\r\n")),
        ("", None),
        ("```diff\n```", None),
        ("```python\ndef add(a, b):\n    return a + b\n```", None),
        (f"```python\n{DIFF}```", None),
        (DIFF + "\0", None),
        (DIFF + "\ud800", None),
        (DIFF + "+x\n" * MAX_DIFF, None),
    ],
)
def test_the_diff_of_a_completion(text: str, expected: str | None) -> None:
    assert extract_diff(text) == expected


@given(st.lists(st.sampled_from([" ", "+", "-", "\\", "@@"]), max_size=30), st.data())
def test_no_line_of_a_diff_is_lost(signs: list[str], data: st.DataObject) -> None:
    """Fences and marks behind a sign are only lines of files."""
    hostile = st.sampled_from(
        ["```", "~~~~", "```diff", "<patch>", "</patch>", "diff --git a/x b/x", "</answer>", "x", ""]
    )
    lines = [sign + data.draw(hostile) for sign in signs]
    diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n" + "".join(f"{line}\n" for line in lines)
    for text in (diff, f"```diff\n{diff}```\n", f"Here:\n````patch\n{diff}````", f"<patch>\n{diff}</patch>"):
        assert extract_diff(text) == diff


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    found = extract_diff(text)
    assert found is None or found.rstrip("\n") in text


def raw(*changes: tuple[str, str, str]) -> str:
    return "".join(f":{old} {new} {'0' * 40} {'0' * 40} M\0{path}\0" for path, old, new in changes)


def test_changes_are_read_as_git_tells_them() -> None:
    odd = "a b\n:100644 x\tü"
    assert read_changes("") == ()
    assert read_changes(raw((odd, "000000", "100644"), ("b", "100644", "100755"))) == (
        Change(odd, "000000", "100644"),
        Change("b", "100644", "100755"),
    )
    for broken in ("x", ":1 2 3\0a\0", raw(("a", "1", "2")) + "more", raw(("a", "1", "2"))[:-1], "a\0b\0"):
        with pytest.raises(NotRaw):
            read_changes(broken)


FILE = ("100644", "100644")


@pytest.mark.parametrize(
    ("path", "modes", "reason"),
    [
        ("calc.py", FILE, None),
        ("calc.py", ("100644", "100755"), None),
        ("src/new.py", ("000000", "100644"), None),
        ("tests/other.py", FILE, None),
        ("pytest_calc.py", FILE, None),
        ("calc/pytest/x.py", FILE, None),
        ("tests/test_calc.py", FILE, "a file of the tests"),
        ("tests/test_calc.py", ("100644", "000000"), "a file of the tests"),
        ("tests/test_calc.py", ("100644", "100755"), "a file of the tests"),
        ("tests", ("000000", "100644"), "a file of the tests"),
        ("tests/test_calc.py/x.py", ("000000", "100644"), "a file of the tests"),
        ("tests/test_calc/__init__.py", ("000000", "100644"), "stand in"),
        ("tests/test_calc.so", ("000000", "100755"), "stand in"),
        ("conftest.py", ("000000", "100644"), "how tests run"),
        ("a/b/ConfTest.py", ("000000", "100644"), "how tests run"),
        ("setup.cfg", FILE, "how tests run"),
        ("x.egg-info/entry_points.txt", ("000000", "100644"), "how tests run"),
        ("tests/__pycache__/helper.cpython-311.pyc", ("000000", "100644"), "how tests run"),
        ("pytest/__init__.py", ("000000", "100644"), "how tests run"),
        ("link", ("000000", "120000"), "symbolic link"),
        ("link", ("120000", "100644"), "symbolic link"),
        ("module", ("000000", "160000"), "submodule"),
    ],
)
def test_what_may_be_changed(path: str, modes: tuple[str, str], reason: str | None) -> None:
    changes = (Change("fine.py", *FILE), Change(path, *modes))
    said = refusal(changes, ["tests/test_calc.py"], DECIDES_HOW_TESTS_RUN)
    assert (said is None) if reason is None else (said is not None and reason in said and repr(path) in said)


def test_a_diff_that_changes_nothing_is_refused() -> None:
    assert refusal((), [], ()) == "the diff changes nothing"


def test_what_is_protected_is_for_the_task_to_say() -> None:
    assert refusal((Change("setup.cfg", *FILE),), [], ()) is None
    assert "docs/*" in str(refusal((Change("docs/a/b.md", *FILE),), [], ("docs/*",)))
