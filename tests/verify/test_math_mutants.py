"""No right answer with one thing changed passes; ``python -m bench.math_mutants`` makes many more of them."""

import json

import pytest

from bench.math_mutants import WAYS, golds_in, mutants, passed, same_arithmetic
from tests.support.places import CASES, TASK_DATA

COUNT = 10_000
GOLDS = [
    r"\frac{1}{2}",
    "x^2+3x-4",
    "(3, 4)",
    r"[1, 2) \cup (3, \infty)",
    "1010_2",
    r"n \equiv 1 \pmod{4}",
    "2:3",
    "-0.25",
]


def golds() -> list[str]:
    found = list(GOLDS)
    if (TASK_DATA / "math500_test.json").exists():
        found += golds_in(TASK_DATA)
    if CASES.exists():
        cases = [
            json.loads(line) for line in (CASES / "verdicts.jsonl").read_text(encoding="utf-8").split("\n") if line
        ]
        found += [row["problem"]["reference"]["answer"] for row in cases if row["problem"].get("verifier") == "math"]
    return found


def test_no_mutant_passes() -> None:
    assert list(passed(mutants(golds(), COUNT, seed=11))) == []


def test_mutants_repeat_and_cover_every_way() -> None:
    made = list(mutants(golds(), 500))
    assert made == list(mutants(golds(), 500))
    assert len(made) == 500 and all(mutant.text != mutant.gold for mutant in made)
    assert len({mutant.way for mutant in made}) >= len(set(WAYS)) - 1


@pytest.mark.parametrize(
    ("gold", "text", "same"),
    [
        ("0", "-0", True),
        (r"\frac{2}{4}", "0.5", True),
        ("x+1", "1+x", True),
        ("x+1", "x-1", False),
        ("[1,2]", "[1,2)", False),
        (r"\frac{1}{3}", "0.3", False),
    ],
)
def test_arithmetic_of_its_own(gold: str, text: str, same: bool) -> None:
    assert same_arithmetic(gold, text) is same
