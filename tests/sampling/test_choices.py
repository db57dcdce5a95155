"""References of multiple choice: what may be written, what is refused, and which options are the right ones."""

from typing import Any

import pytest

from sampling.choices import ChoiceReference, labels_of, option_lines, reordered
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.validate import parse

THREE = ["red", "green", "blue"]


def reference(**data: Any) -> ChoiceReference:
    return ChoiceReference.model_validate(data)


@pytest.mark.parametrize(
    ("answer", "options", "right"),
    [
        *(("b", None, "B"), ("(C)", None, "C"), ("3.", None, "3"), ("10", None, "10"), ("both", None, "")),
        *(
            ("AC", None, "A C"),
            ("A, C", None, "A C"),
            ("C and A", None, "A C"),
            ("1, 12", None, "1 12"),
            ("", None, ""),
        ),
        *((["A", "C"], None, "A C"), ("c", THREE, "C"), ("blue", THREE, "C"), (["red", "B"], THREE, "A B")),
        *(("AC", THREE, "A C"), ("2", {"1": "x", "2": "y"}, "2"), ("-1", {"A": "1", "B": "-1"}, "B")),
        (["a", "b"], {"a": "x", "b": "y", "c": "z"}, "a b"),
    ],
)
def test_right_options(answer: object, options: object, right: str) -> None:
    assert reference(answer=answer, options=options).right == tuple(right.split())


def test_lists_get_labels() -> None:
    assert reference(answer="B", options=THREE).options == {"A": "red", "B": "green", "C": "blue"}
    assert labels_of(27)[-1] == "27" and labels_of(26)[-1] == "Z"
    assert option_lines({"A": "x", "B": "y"}) == "A) x\nB) y"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"answer": "D", "options": THREE}, "answer 'D' is none of the options; allowed: A, B, C"),
        ({"answer": "A", "options": ["one"]}, "at least 2"),
        ({"answer": "A", "options": ["one", " "]}, "option B: its text is empty"),
        ({"answer": "A", "options": {"A": "x", "a": "y"}}, "two labels differ only in case"),
        ({"answer": "A", "options": {"A": "x", "(B)": "y"}}, "label '(B)': one to four letters or digits are needed"),
        ({"answer": "A", "options": [1, 2]}, "valid string"),
        ({"answer": "A", "options": THREE, "order": ["A"]}, "order: one label for each option is needed"),
        ({"answer": "A", "choices": THREE}, "choices: unknown key; allowed: answer, options, order"),
    ],
)
def test_bad_references_are_refused_in_one_line(data: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=r"^here: ") as error:
        parse(ChoiceReference, data, "here")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_given_is_not_stored() -> None:
    """The digest of a problem with an answer alone is what it was before options existed."""
    problem = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "choice", "reference": {"answer": "B"}})
    assert problem.reference.model_dump(mode="json") == {"answer": "B"}
    assert "options" in reference(answer="B", options=THREE).model_dump(mode="json")


def test_another_order_keeps_the_right_option() -> None:
    moved = reordered(reference(answer="A, C", options=THREE), ["C", "A", "B"])
    assert moved.options == {"A": "blue", "B": "red", "C": "green"}
    assert (moved.right, moved.order) == (("A", "B"), ("C", "A", "B"))
    assert ChoiceReference.model_validate(moved.model_dump(mode="json")) == moved
