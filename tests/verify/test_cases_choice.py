"""All rows of multiple choice in the shared cases: no wrong answer passes, and every right one does."""

import json
from collections.abc import Iterator

import pytest

from sampling.problems import Problem
from tests.support.places import CASES
from verify.choice import ChoiceVerifier
from verify.verdict import Status

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")


def rows() -> Iterator[tuple[str, Problem, str, bool]]:
    """Yields (name, problem, completion, right) of both files."""
    for file, name, right in (("verdicts", "id", "right"), ("attacks", "name", "must")):
        for line in (CASES / f"{file}.jsonl").read_text(encoding="utf-8").strip().split("\n"):
            row = json.loads(line)
            if row.get("kind", row.get("verifier")) == "choice":
                given = row.get("problem") or {"id": row[name], "prompt": "?", "verifier": "choice"}
                problem = {"reference": row.get("reference"), **given}
                yield row[name], Problem.model_validate(problem), row["text"], row[right] == "pass"


def test_choices() -> None:
    given = list(rows())
    assert len(given) > 50
    passed = {name: ChoiceVerifier().verify(problem, text).status is Status.PASS for name, problem, text, _ in given}
    assert [name for name, _, _, right in given if passed[name] and not right] == []
    assert [name for name, _, _, right in given if right and not passed[name]] == []
