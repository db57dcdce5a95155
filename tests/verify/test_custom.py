"""Checkers of a user's own: both conventions, scores and thresholds, faults, bad files, versions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampling.checkers import checker_digests, find_function
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.tasks.load import load_task
from verify.mutants import known_completions
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers, verifier_version

VERL = """
import re
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    found = re.findall(r"#### ([0-9]{1,9})", solution_str)
    return 1.0 if found and found[-1] == ground_truth else 0.0
"""
TRL = """
def length(prompts, completions, limit, **kwargs):
    return [1.0 if len(text) <= most else 0.25 for text, most in zip(completions, limit)]
"""
CHAT = """
def polite(prompts, completions, **kwargs):
    said = [turns[0]["content"] for turns in completions]
    return ["please" in prompts[0][-1]["content"] and text == "Thanks" for text in said]
"""


@pytest.fixture(scope="module")
def verifiers() -> Iterator[Verifiers]:
    with Verifiers() as verifiers:
        yield verifiers


def load(folder: Path, source: str, reference: dict[str, Any] | None = None, **line: Any) -> Problem:
    (folder / "reward.py").write_text(source)
    data = {"id": "p", "verifier": "custom", "reference": {"path": "reward.py", **(reference or {})}, **line}
    if "messages" not in data:
        data = {"prompt": "?", **data}
    (folder / "own.jsonl").write_text(json.dumps(data) + "\n")
    (problem,) = load_task("jsonl", folder / "own.jsonl")
    return problem


def verdict(verifiers: Verifiers, problem: Problem, text: str) -> Verdict:
    return verifiers.verify(problem, text)


def test_verls_convention(verifiers: Verifiers, tmp_path: Path) -> None:
    problem = load(tmp_path, VERL, {"ground_truth": "18"})
    right, wrong = verifiers.verify_many(problem, ["so\n#### 18", "#### 19"])
    assert (right.status, right.score, wrong.status, wrong.score) == (Status.PASS, 1.0, Status.FAIL, 0.0)
    assert wrong.reason == "score 0" and right.tier


def test_verl_gets_all_its_arguments(verifiers: Verifiers, tmp_path: Path) -> None:
    source = (
        "def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):\n"
        "    same = [data_source, solution_str, ground_truth, extra_info, kwargs]\n"
        "    return {'score': same == ['gsm', 'text', [1, {'a': None}], {'b': 0.5}, {}], 'acc': 3}\n"
    )
    given = {"data_source": "gsm", "ground_truth": [1, {"a": None}], "extra_info": {"b": 0.5}}
    assert verdict(verifiers, load(tmp_path, source, given), "text").passed


def test_trls_convention_and_a_threshold(verifiers: Verifiers, tmp_path: Path) -> None:
    problem = load(tmp_path, TRL, {"columns": {"limit": 5}})
    assert [verdict(verifiers, problem, text).score for text in ("short", "too long")] == [1.0, 0.25]
    assert not verdict(verifiers, problem, "too long").passed
    low = load(tmp_path, TRL, {"columns": {"limit": 5}, "threshold": 0.25})
    assert verdict(verifiers, low, "too long").passed


def test_trl_gets_messages_of_a_chat_and_equal_texts_for_other_prompts_are_judged_anew(
    verifiers: Verifiers, tmp_path: Path
) -> None:
    asked = [load(tmp_path, CHAT, messages=[{"role": "user", "content": text}]) for text in ("please", "now")]
    assert [verdict(verifiers, problem, "Thanks").passed for problem in asked] == [True, False]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('no')", "raised ValueError: no"),
        ("while True: pass", "timeout"),
        ("import os; os._exit(0)", "crash"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("return [bytearray(1 << 24) for _ in range(200)]", "MemoryError"),
        ("return None", "a score must be a number, got NoneType"),
        ("return '1.0'", "a score must be a number, got str"),
        ("return float('nan')", "no finite score"),
        ("return float('inf')", "no finite score"),
        ("return {'acc': 1}", "KeyError"),
        ("return [1.0]", "TypeError"),
        ("return object()", "TypeError"),
        ("return 10 ** 400", "OverflowError"),
    ],
)
def test_what_goes_wrong_in_a_checker_is_a_fault(verifiers: Verifiers, tmp_path: Path, body: str, reason: str) -> None:
    source = f"def compute_score(data_source, solution_str, ground_truth):\n    {body}\n"
    found = verdict(verifiers, load(tmp_path, source, {"time_limit_s": 0.5, "memory_mb": 128}), "text")
    assert found.status is Status.FAULT and "the checker reward.py: " in found.reason
    assert reason in found.reason or found.reason.startswith("the checker reward.py: memory")


def test_a_main_block_does_not_run_and_dataclasses_work(verifiers: Verifiers, tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Score:\n    value: float\n"
        f"{VERL}\nif __name__ == '__main__':\n    raise SystemExit(1)"
    )
    assert verdict(verifiers, load(tmp_path, source, {"ground_truth": "1"}), "#### 1").passed


def test_text_of_any_kind_reaches_the_checker(verifiers: Verifiers, tmp_path: Path) -> None:
    problem = load(tmp_path, VERL, {"ground_truth": "18"})
    for text in ("\ud800\0#### 18", "x" * 1_900_000 + "#### 18"):
        assert verdict(verifiers, problem, text).passed
    assert verdict(verifiers, problem, "x" * 3_000_000).status is Status.OUTPUT


TWO = "def a(prompts, completions):\n    return [1]\ndef b(prompts, completions):\n    return [0]\n"
BAD = [
    (
        "x = 1",
        {},
        "no function; allowed: compute_score(data_source, solution_str, ground_truth, extra_info=None), or f(",
    ),
    ("def f(:", {}, "not valid Python"),
    ("def f(a, b): pass", {"function": "f"}, "f has other parameters; allowed: compute_score"),
    (VERL, {"function": "grade"}, "no function 'grade'; it defines: compute_score"),
    (TWO, {}, "several functions fit (a, b); name one as `function`"),
    (TRL, {}, "length needs 'limit', which no key gives; columns can give it"),
    ("def compute_score(solution_str, strict): pass", {}, "compute_score needs 'strict', which no key gives"),
    ("async def f(prompts, completions): pass", {}, "no function; allowed"),
]


@pytest.mark.parametrize(("source", "reference", "message"), BAD)
def test_a_file_without_such_a_function_is_refused(
    tmp_path: Path, source: str, reference: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput) as error:
        load(tmp_path, source, reference)
    assert str(error.value).startswith(f"{tmp_path}/reward.py: {message}") and "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no.py: no such file \(the checker of problem 'p'\)"):
        load(tmp_path, VERL, {"path": "no.py"})
    with pytest.raises(BadInput, match=r"threshold: Input should be a valid number"):
        load(tmp_path, VERL, {"threshold": "high"})


def test_one_of_two_functions_can_be_named(verifiers: Verifiers, tmp_path: Path) -> None:
    assert verdict(verifiers, load(tmp_path, TWO, {"function": "a"}), "x").passed
    assert not verdict(verifiers, load(tmp_path, TWO, {"function": "b"}), "x").passed
    assert find_function(TWO + VERL, None).name == "compute_score"


def test_the_file_is_part_of_the_version_and_not_of_the_problem(verifiers: Verifiers, tmp_path: Path) -> None:
    before = load(tmp_path, VERL, {"ground_truth": "18"})
    after = load(tmp_path, VERL.replace("1.0 if", "0.5 if"), {"ground_truth": "18"})
    assert before.reference_digest == after.reference_digest
    digests = [checker_digests([problem.reference]) for problem in (before, after)]
    assert digests[0] != digests[1]
    versions = {verifier_version(["custom"], checkers=each) for each in ((), *digests)}
    assert len(versions) == 3
    assert verdict(verifiers, before, "#### 18").passed and not verdict(verifiers, after, "#### 18").passed


def test_a_problem_keeps_the_text_when_it_is_stored(tmp_path: Path) -> None:
    problem = load(tmp_path, VERL, {"ground_truth": "18"})
    again = type(problem.reference).model_validate(json.loads(problem.reference.model_dump_json()))
    assert again == problem.reference and again.source == VERL  # type: ignore[union-attr]


def test_known_completions_of_a_checker(tmp_path: Path) -> None:
    problem = load(tmp_path, VERL, {"ground_truth": "18"}, solution="#### 18")
    assert [known.check for known in known_completions(problem)] == ["gold", "no answer", "no answer in words"]


CLOSE = "def check(input, output, expected):\n    return abs(float(output) - float(expected)) < int(input)\n"


def stdio(folder: Path, source: str) -> Problem:
    (folder / "check.py").write_text(source)
    case = {"stdin": "2\n", "stdout": "10\n"}
    data = {"id": "p", "prompt": "?", "verifier": "stdio", "reference": {"cases": [case], "checker": "check.py"}}
    (folder / "own.jsonl").write_text(json.dumps(data) + "\n")
    (problem,) = load_task("jsonl", folder / "own.jsonl")
    return problem


def test_a_checker_of_outputs(verifiers: Verifiers, tmp_path: Path) -> None:
    problem = stdio(tmp_path, CLOSE)
    assert [verdict(verifiers, problem, f"print({said})").status for said in ("11.5", "12.5", "'x'")] == [
        Status.PASS,
        Status.FAIL,
        Status.FAULT,
    ]
    assert "raised ValueError" in verdict(verifiers, problem, "print('x')").reason
    assert checker_digests([problem.reference])


@pytest.mark.parametrize(
    ("source", "status"),
    [("return 1", Status.FAULT), ("return 'yes'", Status.FAULT), ("return output == '10\\n'", Status.PASS)],
)
def test_a_check_says_true_or_false(verifiers: Verifiers, tmp_path: Path, source: str, status: Status) -> None:
    problem = stdio(tmp_path, f"def check(input, output, expected):\n    {source}\n")
    assert verdict(verifiers, problem, "print(10)").status is status


@pytest.mark.parametrize("source", ["x = 1", "def check(output): pass", "def check(a, b, c, d): pass", "check = 1"])
def test_an_output_checker_without_its_function_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(BadInput, match=r"check.py: no function check\(input, output, expected\) at its top level"):
        stdio(tmp_path, source)
