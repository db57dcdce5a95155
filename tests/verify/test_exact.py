"""Exact-match verdicts."""

import pytest

from sampling.problems import Problem
from verify.exact import ExactVerifier
from verify.verdict import Status


def verdict(answer: str, text: str) -> tuple[Status, str | None]:
    data = {"id": "p", "prompt": "?", "verifier": "exact", "reference": {"answer": answer}}
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
