"""Every row of the shared cases, where they are: no wrong answer passes, and of the right ones at least 97 % do."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sampling.problems import Problem
from sampling.tasks.load import load_task
from sampling.tasks.maths import read_math
from tests.support.places import CASES
from verify.python import PythonVerifier
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS
from verify.stdio import StdioVerifier
from verify.verdict import Status
from verify.verifiers import Verifiers

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")

# Right answers that do not pass, and why.
REFUSED = {
    "m2-199": "a column vector is no pair: (1, 2) is the row, and for other problems another answer",
    "m4-042": "a box that is never closed may be the start of a longer answer",
    "py-intkeys": "JSON has string keys only, and a dict with the other kind of keys is another answer",
    "a-file": "each side has a scratch folder of its own; shared: true is for such tests",
    "a-fnattr": "the source and signature of a function do not cross; shared: true is for such tests",
    "st-bigout": "the file has cut the expected output",
}
# A wrong answer that passes: the debatable row's last block defines the function, and computes the same.
PASSED = {"py-redef-after"}
# Rows that need a key which their references lack, and what has to be installed for it.
ADDED = {
    "st-sorted": ({"packages": ["sortedcontainers"]}, "sortedcontainers"),
    "st-scipy": ({"packages": ["scipy"]}, "scipy"),
    "st-pandas": ({"packages": ["pandas"]}, "pandas"),
    "ex-cpp": ({"language": "cpp"}, "g++"),
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


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").split("\n") if line]


def is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None if name.isalnum() else shutil.which(name) is not None


def missing() -> set[str]:
    """Rows whose package or compiler this machine lacks."""
    return {row for row, (_, name) in ADDED.items() if not is_there(name)}


def problem_of(row: dict[str, Any], folder: Path) -> Problem:
    given = row["problem"]
    if "verifier" in given:
        added, name = ADDED.get(row["id"], ({}, ""))
        reference = given["reference"] | (added if is_there(name) else {})
        return Problem.model_validate(given | {"reference": reference})
    if row["kind"] == "math":
        return Problem(id="p", prompt="?", verifier="math", reference=read_math(given, "a row", 0).reference)
    path = folder / "problem.jsonl"
    path.write_text(json.dumps(given), encoding="utf-8")
    return load_task(row["kind"], path, shots=0 if row["kind"] == "mbpp" else None)[0]


def test_all_verdicts(tmp_path: Path) -> None:
    found = rows("verdicts.jsonl")
    with Verifiers() as verifiers:
        passed = {row["id"]: verifiers.verify(problem_of(row, tmp_path), row["text"]).passed for row in found}
    right = {row["id"] for row in found if row["right"] == "pass"}
    assert len(passed) == len(found) > 500
    assert {name for name, did in passed.items() if did} - right - PASSED == set()
    refused = {name for name in right if not passed[name]}
    assert refused == (set(REFUSED) & right) | (missing() & refused)
    assert len(refused) <= 0.03 * len(right)


# In ``confined`` the machine counts processes for all; docs/sandbox.md says so.
SEEN_IN_CONFINED = {"pid-counter"}
# Python's own comparison says so: the output is another integer, which no rounding explains.
ANOTHER_NUMBER = {"float-of-large-integer"}


@pytest.mark.slow
@pytest.mark.parametrize("tier", SAFE_TIERS)
def test_programs_that_attack(tier: str) -> None:
    found = [row for row in rows("attacks.jsonl") if row["tier"] == tier]
    assert len(found) > 100
    with Sandbox(tier) as sandbox:
        verifiers = {"python": PythonVerifier(sandbox), "stdio": StdioVerifier(sandbox)}
        for row in found:
            data = {"id": "p", "prompt": "?", "verifier": row["verifier"], "reference": row["reference"]}
            verdict = verifiers[row["verifier"]].verify(Problem.model_validate(data), row["text"])
            excused = row["name"] in (ANOTHER_NUMBER | (SEEN_IN_CONFINED if tier == "confined" else set()))
            assert excused or (verdict.status is not Status.FAULT and verdict.passed == (row["must"] == "pass")), row


def test_answers_that_attack() -> None:
    found = [row for row in rows("attacks.jsonl") if row["verifier"] in ("math", "exact", "choice")]
    assert len(found) > 100
    with Verifiers() as verifiers:
        for row in found:
            data = {"id": "p", "prompt": "?", "verifier": row["verifier"], "reference": row["reference"]}
            passed = verifiers.verify(Problem.model_validate(data), row["text"]).passed
            name = row["name"]
            assert passed == ((row["must"] == "pass" or name in EQUAL_ANYWAY) and name not in UNREAD), row
