"""The shared cases of ``math`` and ``exact``, where they are: no wrong answer passes, and nearly all right ones do."""

import json
from typing import Any

import pytest

from sampling.problems import Problem
from sampling.tasks.maths import read_math
from tests.support.places import CASES
from verify.verifiers import Verifiers

pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not here")
KINDS = ("math", "exact")
REFUSED = {
    "m2-199": "a column vector is no pair: (1, 2) is the row, and for other problems another answer",
    "m4-042": "a box that is never closed may be the start of a longer answer",
}
EQUAL_ANYWAY = {
    "math-33": "7% is 0.07 by definition (`percent`)",
    "math-34": "7% is 0.07 by definition (`percent`)",
}
UNREAD = {
    "math-144": "an integral that is not worked out restates the question",
    "math-145": "a sum that is not worked out restates the question",
    "math-148": "a limit that is not worked out restates the question",
}


def rows(name: str, key: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").split("\n") if line]
    return [row for row in found if row[key] in KINDS]


def problem_of(row: dict[str, Any]) -> Problem:
    if "verifier" in row["problem"]:
        return Problem.model_validate(row["problem"])
    question = read_math(row["problem"], "a row", 0)
    return Problem(id="p", prompt="?", verifier="math", reference=question.reference)


def test_verdicts() -> None:
    found = rows("verdicts.jsonl", "kind")
    with Verifiers() as verifiers:
        passed = {row["id"]: verifiers.verify(problem_of(row), row["text"]).passed for row in found}
    right = {row["id"] for row in found if row["right"] == "pass"}
    assert [name for name, did in passed.items() if did and name not in right] == []
    refused = {name for name in right if not passed[name]}
    assert refused == set(REFUSED) & right
    assert len(refused) <= 0.03 * len(right)


def test_attacks() -> None:
    with Verifiers() as verifiers:
        for row in rows("attacks.jsonl", "verifier"):
            data = {"id": "p", "prompt": "?", "verifier": row["verifier"], "reference": row["reference"]}
            passed = verifiers.verify(Problem.model_validate(data), row["text"]).passed
            name = row["name"]
            assert passed == ((row["must"] == "pass" or name in EQUAL_ANYWAY) and name not in UNREAD), row
