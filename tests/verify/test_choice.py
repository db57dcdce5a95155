"""Multiple choice verdicts."""

import pytest

from sampling.problems import Problem
from verify.choice import ChoiceVerifier
from verify.verdict import Status


def verdict(answer: str, text: str) -> tuple[Status, str | None]:
    data = {"id": "p", "prompt": "?", "verifier": "choice", "reference": {"answer": answer}}
    found = ChoiceVerifier().verify(Problem.model_validate(data), text)
    return found.status, found.answer


@pytest.mark.parametrize("gold", ["B", "b", "(B)", " B. "])
def test_the_right_letter_passes_however_it_is_written(gold: str) -> None:
    for text in ("B", "(B) because", "The answer is b.", "\\boxed{B}", "Hm.\n\n**B**"):
        assert verdict(gold, text) == (Status.PASS, "B")


def test_another_letter_fails() -> None:
    assert verdict("B", "The answer is (C)") == (Status.FAIL, "C")
    assert verdict("1", "0") == (Status.FAIL, "0")


@pytest.mark.parametrize("text", ["", "no letter to be seen", "\0\ud800", "A, B or C", "x" * 5_000_000])
def test_no_choice_is_invalid(text: str) -> None:
    assert verdict("B", text) == (Status.INVALID, None)


def test_a_reference_that_is_no_choice_is_our_fault() -> None:
    assert verdict("both", "B")[0] is Status.FAULT
