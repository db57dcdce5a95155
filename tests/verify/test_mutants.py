"""Known completions: mutants that are wrong wherever gold is right, and none where they would be as good."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.choices import ChoiceReference
from sampling.problems import Problem
from verify.math.notation import as_number, normalise
from verify.mutants import (
    GOLD,
    Known,
    changed_number,
    fenced,
    known_completions,
    limit_breakers,
    next_choice,
    only_falsy,
    with_bodies,
)
from verify.programs.extract import extract_code

DOUBLE = "def helper(x):\n    return x\n\n\ndef f(x):\n    return 2 * helper(x)\n"
CASES = {"entry_point": "f", "cases": [{"args": [2], "expected": 4}]}


def problem(verifier: str, reference: dict[str, Any], solution: str | None) -> Problem:
    data = {"id": "p", "prompt": "?", "verifier": verifier, "reference": reference, "solution": solution}
    return Problem.model_validate(data)


def checks(verifier: str, reference: dict[str, Any], solution: str | None) -> dict[str, Known]:
    return {known.check: known for known in known_completions(problem(verifier, reference, solution))}


def test_without_gold_nothing_is_known() -> None:
    assert checks("python", CASES, None) == {}


def test_every_body_of_a_function_is_replaced() -> None:
    found = checks("python", CASES, DOUBLE)
    mutants = ["no code", "empty program", "early exit", "early exit in a call", "return None", "always equal"]
    assert list(found) == [GOLD, *mutants]
    assert found[GOLD].text == DOUBLE
    assert extract_code(found["return None"].text) == "def helper(x):\n    return None\n\ndef f(x):\n    return None\n"
    assert extract_code(found["early exit"].text) == f"import os\nos._exit(0)\n{DOUBLE}\n"
    assert extract_code(found["no code"].text) is None


def test_methods_have_bodies_too() -> None:
    source = "class Solution:\n    def twice(self, x):\n        return 2 * x\n"
    assert with_bodies(source, "return None") == "class Solution:\n\n    def twice(self, x):\n        return None"
    reference = {**CASES, "entry_point": "Solution.twice"}
    assert "return None" in checks("python", reference, source)
    assert "Solution.twice = _guarded(Solution.twice)" in only_falsy(source, ["Solution.twice"])


def test_some_bodies_can_be_left() -> None:
    assert with_bodies(DOUBLE, "return None", ["f"]).startswith("def helper(x):\n    return x\n")


@pytest.mark.parametrize("gold", ["f = lambda x: 2 * x", "def g(x):\n    return 2 * x\nf = g", "not python at all ("])
def test_no_body_is_replaced_where_that_could_change_nothing(gold: str) -> None:
    assert not {"return None", "always equal"} & checks("python", CASES, gold).keys()


def test_a_shared_process_can_be_forged_so_no_forger_is_tried() -> None:
    assert "always equal" not in checks("python", {"asserts": ["assert f(1) == 2"], "shared": True}, DOUBLE)
    assert "return None" in checks("python", {"asserts": ["assert f(1) == 2"], "shared": True}, DOUBLE)


def test_a_completion_of_a_prompt_is_mutated_as_the_whole_program() -> None:
    reference = {**CASES, "prefix": "def f(x):\n    return "}
    mutant = checks("python", reference, "2 * x")["return None"].text
    assert extract_code(mutant, prefix=str(reference["prefix"]), entry_point="f") == "def f(x):\n    return None\n"


def test_a_fence_in_a_program_does_not_end_it() -> None:
    program = '"""\n```python\nprint(1)\n```\n~~~\n"""\nprint(2)\n'
    assert extract_code(fenced(program)) == program + "\n"


def test_programs_that_print_something_else_or_nothing() -> None:
    cases = [{"stdin": "2\n", "stdout": "4\n"}]
    found = checks("stdio", {"cases": cases}, "print(int(input()) * 2)")
    assert list(found) == [GOLD, "no code", "empty program", "early exit", "changed output"]


def test_where_nothing_is_expected_printing_nothing_is_as_good_as_gold() -> None:
    assert list(checks("stdio", {"cases": [{"stdin": "", "stdout": " \n"}]}, "x = 1")) == [
        GOLD,
        "no code",
        "changed output",
    ]
    exact = {"cases": [{"stdin": "", "stdout": " \n"}], "checker": "exact"}
    assert "empty program" in checks("stdio", exact, "print(' ')")


def test_answers_are_changed() -> None:
    assert "\\boxed{19}" in checks("math", {"answer": "18"}, "#### 18")["changed answer"].text
    assert checks("choice", {"answer": "(B)"}, "B")["changed answer"].text == "The answer is (A)."
    assert checks("exact", {"answer": "yes\n"}, "yes")["changed answer"].text == "yes!"


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=4) | st.fractions())
def test_a_changed_number_is_another(number: object) -> None:
    gold, changed = as_number(normalise(str(number))), as_number(changed_number(str(number)))
    assert changed is not None and changed != gold


@given(st.text(max_size=40))
def test_a_changed_answer_is_no_spelling_of_the_old(answer: str) -> None:
    assert normalise(changed_number(answer)) != normalise(answer)


@given(st.from_regex(r"\(?[A-Za-z0-9]\)?", fullmatch=True))
def test_the_next_choice_is_another_label_of_the_same_kind(answer: str) -> None:
    label = next_choice(ChoiceReference(answer=answer))
    assert label is not None and label not in answer.upper() and label.isdigit() == answer.strip("()").isdigit()


def test_choices_of_several_options() -> None:
    options = {"A": "red", "B": "two", "C": "blue"}
    found = checks("choice", {"answer": "AC", "options": options}, "A and C")
    assert found["one too few"].text == "The answer is C." and found["one too many"].text == "The answer is A, C, B."
    assert found["another option's text"].text == "The answer is two"
    assert next_choice(ChoiceReference.model_validate({"answer": "A, B, C", "options": options})) is None


def test_programs_for_each_limit() -> None:
    stdio = problem("stdio", {"cases": [{"stdin": "", "stdout": "1"}]}, None)
    assert [known.check for _, known in limit_breakers(stdio)] == ["limit: timeout", "limit: memory", "limit: output"]
    function = problem("python", {**CASES, "time_limit_s": 60}, None)
    (asleep, sleeper), _ = limit_breakers(function)
    assert (asleep.reference.time_limit_s, function.reference.time_limit_s) == (0.5, 60)  # type: ignore[union-attr]
    assert extract_code(sleeper.text, entry_point="f").startswith("def f(*args, **named):\n")  # type: ignore[union-attr]
    assert list(limit_breakers(problem("math", {"answer": "1"}, "1"))) == []


def test_patches_that_prove_nothing_or_repair_nothing() -> None:
    gold = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"
    reference = {
        "snapshot": "r",
        "base_commit": "1" * 40,
        "test_patch": "TESTS",
        "fail_to_pass": ["t"],
        "test_command": "t",
    }
    found = checks("patch", reference, f"```diff\n{gold}```")
    assert list(found) == [GOLD, "no diff", "the tests changed", "applied nowhere", "nothing repaired"]
    assert found["the tests changed"].text == "TESTS"
    assert found["applied nowhere"].text.startswith(
        "diff --git a/no/such/a.py b/a.py\n--- a/no/such/a.py\n+++ b/no/such/a"
    )
    assert list(limit_breakers(problem("patch", reference, gold))) == []
