"""Policy keys: bad values are refused in one line, a task's policy takes the place of the problems' own."""

import json
from pathlib import Path
from typing import Any

import pytest

from sampling.errors import BadInput
from sampling.patterns import check_pattern, find
from sampling.policy import MathPolicy
from sampling.problems import Problem
from sampling.tasks.task import TaskSpec
from sampling.validate import parse


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tolerence", 1, "unknown key"),
        ("tolerance", -1, "greater than or equal to 0"),
        ("tolerance", "much", "valid number"),
        ("relative_tolerance", 1, "less than 1"),
        ("percent", "maybe", "'same' or 'strict'"),
        ("units", "no", "'ignore' or 'strict'"),
        ("order", "none", "'any' or 'strict'"),
        ("which", "second", "'last', 'first', 'all' or 'boxed'"),
        ("case", "upper", "'ignore' or 'strict'"),
        ("accept", "7", "valid tuple"),
        ("extraction", "published", "'kind', 'gsm8k' or 'math'"),
        ("pattern", "Answer: .*", "exactly one group"),
        ("pattern", "(a)(b)", "exactly one group (…) is needed, got 2"),
        ("pattern", "(a", "linear time"),
        ("pattern", r"(a)\1", "linear time"),
        ("pattern", "(?=a)(b)", "linear time"),
        ("pattern", "(a)" + "b" * 500, "at most 500"),
    ],
)
def test_bad_values_are_refused_in_one_line(key: str, value: object, said: str) -> None:
    data = {"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": "1", key: value}}
    with pytest.raises(BadInput) as error:
        parse(Problem, data, "file:1")
    assert said in str(error.value) and "\n" not in str(error.value) and key in str(error.value)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"extraction": "gsm8k", "answer": "1/2"}, "extraction 'gsm8k' needs a number as answer (18, -1,000, 2.5)"),
        ({"extraction": "gsm8k", "answer": "18", "accept": ["x"]}, "needs a number as answer"),
        ({"extraction": "gsm8k", "answer": "18", "which": "first"}, "which cannot stand beside it"),
        ({"extraction": "math", "answer": "18", "tolerance": 1}, "tolerance cannot stand beside it"),
        ({"extraction": "math", "answer": "18", "pattern": "(.)"}, "pattern cannot stand beside it"),
    ],
)
def test_a_benchmarks_way_is_a_whole_policy(reference: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as error:
        parse(Problem, {"id": "p", "prompt": "?", "verifier": "math", "reference": reference}, "file:1")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pattern", [r"\((\d)\)", "[(](x)", "[^](](y)", "[]()](z)", "(?:a|b)(c)", r"(?P<any>\w)", "(?i)(w)"]
)
def test_the_one_group_is_found(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


def test_matching_takes_linear_time() -> None:
    assert find("((?:a*)*b)".replace("((", "((", 1), "a" * 1_000_000, last=True) is None
    assert find(r"(\d+)", "1 22 333", last=True) == "3"
    assert find(r"\b(\d+)\b", "1 22 333", last=True) == "333"
    assert find(r"(\d+)", "1 22 333", last=False) == "1"
    assert find(r"x(y?)", "x", last=False) == ""


def write(folder: Path, *references: dict[str, Any], verifier: str = "math") -> Path:
    path = folder / "own.jsonl"
    rows = [
        {"id": f"p{at}", "prompt": "?", "verifier": verifier, "reference": reference}
        for at, reference in enumerate(references)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(path: Path, **policy: object) -> list[dict[str, Any]]:
    spec = parse(TaskSpec, {"kind": "jsonl", "path": str(path), "policy": policy}, "sweep")
    return [problem.reference.model_dump(exclude_unset=True) for problem in spec.load()]


def test_a_task_has_its_own_policy(tmp_path: Path) -> None:
    path = write(tmp_path, {"answer": "1"}, {"answer": "2", "percent": "strict", "units": "strict"})
    assert load(path, percent="same", which="boxed") == [
        {"answer": "1", "percent": "same", "which": "boxed"},
        {"answer": "2", "percent": "same", "which": "boxed", "units": "strict"},
    ]


def test_a_policy_has_to_fit(tmp_path: Path) -> None:
    path = write(tmp_path, {"answer": "1"}, verifier="exact")
    assert load(path, case="ignore") == [{"answer": "1", "case": "ignore"}]
    for policy, said in (({"tolerance": 1}, "no problem of this task"), ({"which": "boxed"}, "'last' or 'first'")):
        with pytest.raises(BadInput, match=said):
            load(path, **policy)
    choice = write(tmp_path, {"answer": "B"}, verifier="choice")
    with pytest.raises(BadInput, match=r"policy.order: no problem of this task has a verifier that it fits \(math\)"):
        load(choice, order="any")
    with pytest.raises(BadInput, match=r"policy\.accept: unknown key"):
        load(path, accept=["2"])


def test_a_policy_changes_what_verdicts_depend_on() -> None:
    data = {"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": "1"}}
    strict = {**data, "reference": {"answer": "1", "percent": "strict"}}
    digests = {parse(Problem, row, "row").reference_digest for row in (data, strict)}
    assert len(digests) == 2
    assert set(MathPolicy.model_fields) <= set(type(parse(Problem, data, "row").reference).model_fields)
