"""All rows of code in the shared cases: no wrong answer passes, and of the right ones at least 97 % do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampling.problems import Problem
from sampling.tasks.load import load_task
from tests.support.places import CASES
from verify.verdict import Status
from verify.verifiers import Verifiers

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")

KINDS = ("python", "stdio", "humaneval", "mbpp")
# Right programs that do not pass, and why.
REFUSED = {
    "py-intkeys": "JSON has string keys only, and a dict with the other kind of keys is another answer",
    "a-file": "each side has a scratch folder of its own; shared: true is for such tests",
    "a-fnattr": "the source and signature of a function do not cross; shared: true is for such tests",
}
# Right programs that need packages, other languages, or a case that the file has cut.
NEEDS_MORE = {
    "st-numpy2": "packages",
    "st-sorted": "packages",
    "st-scipy": "packages",
    "st-pandas": "packages",
    "ex-cpp": "languages",
    "st-bigout": "the expected output is cut",
}
# A wrong program that passes: its last block defines the function and computes the same.
AMBIGUOUS = {"py-redef-after"}


def rows() -> Iterator[dict[str, Any]]:
    for line in (CASES / "verdicts.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] in KINDS:
            yield row


def problem_of(row: dict[str, Any], folder: Path) -> Problem:
    if row["kind"] in ("python", "stdio"):
        return Problem.model_validate(row["problem"])
    path = folder / "problem.jsonl"
    path.write_text(json.dumps(row["problem"]), encoding="utf-8")
    return load_task(row["kind"], path, shots=0 if row["kind"] == "mbpp" else None)[0]


def test_code(tmp_path: Path) -> None:
    given = list(rows())
    assert len(given) > 100
    with Verifiers() as verifiers:
        passed = {
            row["id"]: verifiers.verify(problem_of(row, tmp_path), row["text"]).status is Status.PASS for row in given
        }
    right = {row["id"] for row in given if row["right"] == "pass"}
    wrong = {row["id"] for row in given} - right - AMBIGUOUS
    assert {name for name in wrong if passed[name]} == set()
    refused = {name for name in right if not passed[name]}
    assert refused <= REFUSED.keys() | NEEDS_MORE.keys()
    assert len(refused - NEEDS_MORE.keys()) <= 0.03 * len(right)
