"""Exact-match verdicts."""

import pytest

from sampling.problems import Problem
from verify.exact import ExactVerifier
from verify.verdict import Status


def verdict(answer: str, text: str, **policy: object) -> tuple[Status, str | None]:
    data = {"id": "p", "prompt": "?", "verifier": "exact", "reference": {"answer": answer, **policy}}
    found = ExactVerifier().verify(Problem.model_validate(data), text)
    return found.status, found.answer


@pytest.mark.parametrize("text", ["two\nlines", " two\r\nlines\n", "one</think>two\nlines"])
def test_blanks_around_and_line_ends_do_not_matter(text: str) -> None:
    assert verdict("two\nlines\n", text) == (Status.PASS, "two\nlines")


@pytest.mark.parametrize("text", ["Two\nlines", "two lines", "two\nlines.", "\0two\nlines"])
def test_everything_else_matters(text: str) -> None:
    assert verdict("two\nlines", text)[0] is Status.FAIL


@pytest.mark.parametrize("text", ["", "  \n", "thinking</think> "])
def test_an_empty_completion_is_invalid(text: str) -> None:
    assert verdict("two", text) == (Status.INVALID, None)


def test_long_and_broken_texts_are_no_answers_to_count() -> None:
    assert verdict("a", "a" * 50_000_000) == (Status.FAIL, None)
    assert verdict("a", "a\ud800\0") == (Status.FAIL, "a?")


@pytest.mark.parametrize(
    ("policy", "text", "expected"),
    [
        ({"case": "ignore"}, "PARIS", (Status.PASS, "PARIS")),
        ({}, "PARIS", (Status.FAIL, "PARIS")),
        ({"accept": ["Lutetia"]}, "Lutetia", (Status.PASS, "Lutetia")),
        ({"accept": ["Lutetia"]}, "London", (Status.FAIL, "London")),
        ({"pattern": r"City: (\w+)"}, "City: Rome\nCity: Paris", (Status.PASS, "Paris")),
        ({"pattern": r"City: (\w+)", "which": "first"}, "City: Rome\nCity: Paris", (Status.FAIL, "Rome")),
        ({"pattern": r"City: (\w+)"}, "Paris", (Status.INVALID, None)),
        ({"pattern": r"(\w+)"}, "<think>Paris", (Status.INVALID, None)),
    ],
)
def test_policies(policy: dict[str, object], text: str, expected: tuple[Status, str | None]) -> None:
    assert verdict("Paris", text, **policy) == expected


def test_special_tokens_and_unfinished_thoughts_are_no_text() -> None:
    assert verdict("Paris", "<think>a</think>Paris<|im_end|>") == (Status.PASS, "Paris")
    assert verdict("Paris", "<think>Paris") == (Status.INVALID, None)
