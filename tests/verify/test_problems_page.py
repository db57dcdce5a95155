"""docs/problems.md: every example and every table of answers on the page is verified, and no verifier is missing."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from sampling import problems, references
from sampling.choices import ChoiceReference
from sampling.instructions import ARGUMENTS
from sampling.policy import MathPolicy
from sampling.problems import Problem, VerifierKind
from sampling.references import REFERENCES, LeanReference, MathExtraction
from sampling.tasks.load import load_task
from sampling.validate import parse_json
from tests.support.places import ROOT
from verify.answers import math_answer
from verify.choice import choice_answer
from verify.compare import CHECKERS, same_output, same_value
from verify.lean.proof import refusal
from verify.programs.extract import extract_code
from verify.verdict import Status
from verify.verifiers import Verifiers, candidate_text

PAGE = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = get_args(VerifierKind)
FENCE = re.compile(r"^(?P<mark>~~~+)(?:json|text) (?P<word>\w+)\n(?P<text>.*?)^(?P=mark)$", re.MULTILINE | re.DOTALL)
CHECKER_FILES = re.findall(r"^~~~python (\w+\.py)\n(.*?)^~~~$", PAGE, re.MULTILINE | re.DOTALL)
Example = tuple[str, str, str]  # a problem line, a completion, and the status that the page gives it


def examples(kind: str) -> Iterator[Example]:
    line = ""
    for block in FENCE.finditer(SECTIONS[kind]):
        if block["word"] == "problem":
            line = block["text"].removesuffix("\n")
        else:
            yield line, block["text"], block["word"]


def rows(section: str, *columns: str) -> list[list[str]]:
    """The rows of the tables with these columns, without the backticks around cells."""
    head = "| " + " | ".join(columns) + " |\n"
    tables = [part.split("\n\n")[0].strip().split("\n")[1:] for part in SECTIONS[section].split(f"\n{head}")[1:]]
    lines = [line for table in tables for line in table]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def problem_of(line: str) -> Problem:
    assert "\n" not in line
    return parse_json(Problem, line.encode(), "the page")


def loaded(line: str, folder: Path) -> Problem:
    """The problem with the files of its checkers, which stand on the page."""
    for name, text in CHECKER_FILES:
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "page.jsonl").write_text(line, encoding="utf-8")
    (problem,) = load_task("jsonl", folder / "page.jsonl")
    return problem


@pytest.fixture(scope="module")
def verifiers() -> Iterator[Verifiers]:
    with Verifiers() as verifiers:
        yield verifiers


@pytest.mark.parametrize("kind", KINDS)
def test_every_verifier_has_an_example_that_passes_and_one_that_fails(kind: str) -> None:
    found = list(examples(kind))
    assert {problem_of(line).verifier for line, _, _ in found} == {kind}
    assert {"pass", "fail"} <= {word for _, _, word in found} <= {status.value for status in Status}


@pytest.mark.parametrize(("line", "completion", "word"), [e for kind in KINDS for e in examples(kind)])
def test_an_example_ends_as_the_page_says(
    verifiers: Verifiers, tmp_path: Path, line: str, completion: str, word: str
) -> None:
    problem = loaded(line, tmp_path) if ".py" in line else problem_of(line)
    candidate = candidate_text(problem, completion)
    if problem.verifier in ("lean", "patch", "judge"):  # they need tools that not every machine has
        assert (candidate is None) == (word == "invalid")
        if isinstance(problem.reference, LeanReference) and candidate:
            assert (refusal(candidate) is None) == (word == "pass")
        return
    verdict = verifiers.verify(problem, completion)
    assert verdict.status == word, verdict.reason


def test_every_model_of_a_problem_line_has_its_block() -> None:
    blocks = re.findall(r"<!-- begin made from the code: (\w+) -->\n(?:.*?)<!-- end made from the code -->", PAGE, re.S)
    assert {*blocks} == {"Problem", "Message", "StdioCase", "CallCase"} | {
        kind.__name__ for kind in REFERENCES.values()
    }
    assert len(blocks) == len(set(blocks)) and all(
        hasattr(problems, name) or hasattr(references, name) for name in blocks
    )


def test_every_status_is_explained() -> None:
    explained = [status for status, *_ in rows("Statuses", "status", "counts as", "meaning")]
    assert sorted(explained) == sorted(Status)


def test_checkers() -> None:
    assert {name for name, _ in rows("stdio", "checker", "accepts")} == set(CHECKERS)
    for checker, expected, printed, right in rows("stdio", "checker", "expected", "printed", "right"):
        same = same_output(checker, ast.literal_eval(expected), ast.literal_eval(printed))
        assert same == (right == "yes"), (checker, expected, printed)


def test_instructions() -> None:
    found = rows("ifeval", "instruction", "arguments", "followed if the answer")
    assert {name: set(re.findall(r"\w+", given)) for name, given, _ in found} == {
        name: set(given) for name, given in ARGUMENTS.items()
    }


def test_expected_values() -> None:
    for expected, returned, right in rows("python", "expected", "returned", "right"):
        same = same_value(json.loads(expected), ast.literal_eval(returned))
        assert same == (right == "yes"), (expected, returned)


def test_programs_are_found() -> None:
    found = rows("How code is found", "rule", "completion", "program")
    methods = rows("How code is found", "rule", "completion for a method", "program")
    assert all(sum(row[0] == str(rule) for row in [*found, *methods]) >= 3 for rule in range(1, 8))
    for rule, completion, program in [*found, *methods]:
        text, method = ast.literal_eval(completion.replace("\\|", "|")), [rule, completion, program] in methods
        asked = ("", "Solution.add") if method else ("def add(a, b):\n", "add")
        given = extract_code(text, prefix=asked[0], entry_point=asked[1])
        assert given == (None if program == "none" else ast.literal_eval(program)), completion


def letter_of(completion: str) -> str | None:
    return choice_answer(completion, ChoiceReference(answer="B"))


@pytest.mark.parametrize(("kind", "find"), [("math", math_answer), ("choice", letter_of)])
def test_what_counts_as_the_answer(kind: str, find: object) -> None:
    assert callable(find)
    found = rows(kind, "completion", "answer")
    assert len(found) > 5
    for completion, answer in found:
        assert find(ast.literal_eval(completion)) == (None if answer == "none" else ast.literal_eval(answer)), (
            completion
        )


def passes(verifiers: Verifiers, written: str, answer: str, **policy: object) -> bool:
    reference = {"answer": answer, **policy}
    problem = Problem.model_validate({"id": answer, "prompt": "?", "verifier": "math", "reference": reference})
    return bool(verifiers.verify(problem, f"\\boxed{{{written}}}").passed)


def test_equal_answers(verifiers: Verifiers) -> None:
    found = rows("math", "answer", "written", "right")
    assert len(found) > 40
    for answer, written, right in found:
        same = passes(verifiers, ast.literal_eval(written), ast.literal_eval(answer))
        assert same == (right == "yes"), (answer, written)


def test_policies(verifiers: Verifiers) -> None:
    found = rows("math", "policy", "answer", "written", "right")
    for policy, answer, written, right in found:
        same = passes(verifiers, ast.literal_eval(written), ast.literal_eval(answer), **json.loads(policy))
        assert same == (right == "yes"), (policy, answer, written)
    named = {key for policy, *_ in found for key in json.loads(policy)}
    for policy, completion, answer in rows("math", "policy", "completion", "answer"):
        expected = None if answer == "none" else ast.literal_eval(answer)
        assert math_answer(ast.literal_eval(completion), **json.loads(policy)) == expected, (policy, completion)
        named |= set(json.loads(policy))
    assert named == {*MathPolicy.model_fields, "accept"}


def test_a_benchmarks_own_way(verifiers: Verifiers) -> None:
    found = rows("math", "extraction", "answer", "completion", "status")
    for extraction, answer, completion, status in found:
        reference = {"answer": ast.literal_eval(answer), "extraction": extraction}
        problem = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "math", "reference": reference})
        assert verifiers.verify(problem, ast.literal_eval(completion)).status == status, (extraction, completion)
    assert {extraction for extraction, *_ in found} == set(get_args(MathExtraction))
