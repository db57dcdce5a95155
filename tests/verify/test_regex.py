"""Regular expressions: the whole answer has to match, and patterns that may take for ever are refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from sampling.errors import BadInput
from sampling.formats import RegexReference, pattern_trouble
from sampling.problems import Problem
from sampling.validate import parse
from verify.verdict import Status
from verify.verifiers import Verifiers


@pytest.fixture(scope="module")
def verifiers() -> Iterator[Verifiers]:
    with Verifiers() as verifiers:
        yield verifiers


def status(verifiers: Verifiers, text: str, pattern: str, **more: Any) -> Status:
    reference = {"pattern": pattern, **more}
    asked = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "regex", "reference": reference})
    return verifiers.verify(asked, text).status


@pytest.mark.parametrize(
    ("text", "pattern", "more", "expected"),
    [
        ("1984", "(19|20)[0-9]{2}", {}, "pass"),
        (" 1984\n", "(19|20)[0-9]{2}", {}, "pass"),
        ("in 1984", "(19|20)[0-9]{2}", {}, "fail"),
        ("1984 or 2001", "(19|20)[0-9]{2}", {}, "fail"),
        ("19845", "(19|20)[0-9]{2}", {}, "fail"),
        ("Paris", "paris", {}, "fail"),
        ("PARIS", "paris", {"case": False}, "pass"),
        ("I think.\nParis", "Paris", {"within": "last_line"}, "pass"),
        ("Paris\nI think.", "Paris", {"within": "last_line"}, "fail"),
        (r"so \boxed{1984}.", "[0-9]+", {"within": "boxed"}, "pass"),
        ("so 1984.", "[0-9]+", {"within": "boxed"}, "invalid"),
        ("<think>1984</think>1985", "1985", {}, "pass"),
        ("a\nb", "a.b", {}, "fail"),
        ("a\nb", "(?s:a.b)", {}, "pass"),
        ("", "a?", {}, "invalid"),
        ("\ud800", ".", {}, "pass"),
        ("x" * 20_000, "x+", {}, "invalid"),
        ("1\n", "1$", {}, "pass"),
    ],
)
def test_the_whole_answer_matches(
    verifiers: Verifiers, text: str, pattern: str, more: dict[str, Any], expected: str
) -> None:
    assert status(verifiers, text, pattern, **more) == expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "no regular expression"),
        ("a{2,1}", "no regular expression"),
        ("[[a]", "no regular expression"),
        ("(a+)+b", "a repetition inside a repetition"),
        ("(a*)*", "a repetition inside a repetition"),
        ("((ab?)c)*", "a repetition inside a repetition"),
        ("(a{1,3}){4}", "a repetition inside a repetition"),
        ("(ab|[ab]c)*", "alternatives inside a repetition must begin with different characters"),
        ("(ab|Ac)*", "alternatives inside a repetition"),
        ("(a|)*", "alternatives inside a repetition"),
        ("(a|[ab])*c", ""),
        ("(a.|b)*", ""),
        ("(b|.)+x", "alternatives inside a repetition"),
        (r"(a)\1", "a back-reference"),
        ("(a)?(?(1)b|c)", "a conditional group"),
        ("(?=a)a", "a look-ahead or look-behind"),
        ("(?<!a)b", "a look-ahead or look-behind"),
        (r"[0-9]{1,3}(,[0-9]{3})*", ""),
        ("(foo|bar)+", ""),
        ("a+b*c?", ""),
    ],
)
def test_patterns_that_are_refused(pattern: str, reason: str) -> None:
    found = pattern_trouble(pattern)
    assert found.startswith(reason) if reason else not found


def test_a_bad_pattern_is_one_line() -> None:
    with pytest.raises(BadInput, match=r"^own.jsonl:3: pattern: a repetition inside a repetition is refused") as error:
        parse(RegexReference, {"pattern": "(a+)+"}, "own.jsonl:3")
    assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match=r"within: Input should be 'text', 'last_line' or 'boxed'"):
        parse(RegexReference, {"pattern": "a", "within": "all"}, "here")


def test_a_slow_pattern_is_a_fault_and_the_next_verdict_is_as_ever(verifiers: Verifiers) -> None:
    assert status(verifiers, "a" * 9_999, "a*a*a*a*a*b") is Status.FAULT
    assert status(verifiers, "a" * 99, "a+") is Status.PASS
