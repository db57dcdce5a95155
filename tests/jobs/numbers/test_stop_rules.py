"""Imports that stopped because of the outcome: the rule is said, or asked for where the counts show one."""

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.numbers.paths import pass_when_stopped
from tests.conftest import Troop

FIRST = (1, 3, 7, 2, 5, 50, 50, 11)  # the sample that passed first; the 50s never did
ROUNDS = "{at: 1, rounds: [10, 20, 40]}"


def write_counts(path: Path, rows: list[tuple[int, int]]) -> Path:
    lines = [{"model": "m", "task": "t", "problem": f"p{i}", "n": n, "c": c} for i, (n, c) in enumerate(rows)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def one_by_one(path: Path) -> Path:
    return write_counts(path, [(n, int(n < 50)) for n in FIRST])


def coverage(troop: Troop, run: Path, out: Path) -> dict[int, float]:
    found = troop("report", run, "--out", out)
    assert found.code == 0, found.err
    (cell,) = json.loads((out / "report.json").read_text())["cells"]
    return {point["k"]: point["value"] for point in cell["coverage"]}


def test_what_the_counts_show_is_asked_for(troop: Troop, tmp_path: Path) -> None:
    found = troop("import", tmp_path / "run", "--counts", one_by_one(tmp_path / "c.jsonl"))
    assert found.code == 2 and not (tmp_path / "run").exists()
    assert "m on t: sampling seems to have stopped at 1 pass: every problem with fewer samples has so many" in found.err
    assert "say --stopped '{at: 1}'" in found.err


def test_a_declared_stop_at_success_is_unbiased(troop: Troop, tmp_path: Path) -> None:
    words = ("import", tmp_path / "run", "--counts", one_by_one(tmp_path / "c.jsonl"), "--stopped", "{at: 1}")
    assert troop(*words).code == 0
    found = coverage(troop, tmp_path / "run", tmp_path / "out")
    assert found[1] == pytest.approx(1 / 8) and found[50] == pytest.approx(6 / 8)
    assert found[5] == pytest.approx(sum(n <= 5 for n in FIRST) / 8)


def test_declared_rounds_count_the_paths(troop: Troop, tmp_path: Path) -> None:
    rows = [(10, 4), (20, 1), (40, 2), (40, 0)]
    words = ("import", tmp_path / "run", "--counts", write_counts(tmp_path / "c.jsonl", rows), "--stopped", ROUNDS)
    assert troop(*words).code == 0
    n, c = np.array(rows).T
    before = np.array([0, 10, 20, 20])
    value = pass_when_stopped(n, c, before, 1, np.full((4, 1), 10)).mean()
    assert coverage(troop, tmp_path / "run", tmp_path / "out")[10] == pytest.approx(value)


def test_samples_one_by_one_are_asked_for_too(troop: Troop, tmp_path: Path) -> None:
    rows = [
        {"model": "m", "task": "t", "problem": f"p{i}", "sample": s, "passed": s == n - 1 and n < 50}
        for i, n in enumerate(FIRST)
        for s in range(n)
    ]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("import", tmp_path / "run", "--outcomes", tmp_path / "o.jsonl")
    assert "seems to have stopped" in troop(*words).err
    assert troop(*words, "--stopped", "{at: 1}").code == 0
    assert coverage(troop, tmp_path / "run", tmp_path / "out")[1] == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("{at: 0}", "--stopped: at: Input should be greater than or equal to 1"),
        ("{at: 1, rounds: [20, 10]}", "--stopped rounds: [20, 10]; allowed: whole numbers above 0, each more"),
        ("{at: 1, passes: 1}", "--stopped: passes: unknown key; allowed: at, rounds"),
        ("{at: 1", "not YAML; write {at: 1}, {at: 5, rounds: [100, 200]} or no"),
        (
            "{at: 1, rounds: [10, 40]}",
            "m on t: a problem has 1 passes of 20 samples; by --stopped it ended at one of 10, 40",
        ),
        ("{at: 1}", "m on t: --stopped: the stopping rule cannot have led to these counts"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(troop: Troop, tmp_path: Path, said: str, line: str) -> None:
    table = write_counts(tmp_path / "c.jsonl", [(10, 4), (20, 1), (40, 0)])
    found = troop("import", tmp_path / "run", "--counts", table, "--stopped", said)
    assert (found.code, (tmp_path / "run").exists()) == (2, False) and line in found.err, found.err


def test_no_is_an_answer(troop: Troop, tmp_path: Path) -> None:
    words = ("import", tmp_path / "run", "--counts", one_by_one(tmp_path / "c.jsonl"), "--stopped", "no")
    assert troop(*words).code == 0
