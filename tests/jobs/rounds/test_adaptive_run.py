"""Adaptive runs from the sweep to the numbers: decisions follow from committed verdicts, however they came about."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.numbers.paths import pass_when_stopped
from jobs.store.database import run_query
from jobs.sweep import open_run
from tests.conftest import Troop
from tests.support.adaptive import POLICY, RATES, K, decisions, expected, outcomes, write_adaptive

PASSED = outcomes(RATES, 4 * K)


def drawn(run: Path) -> dict[str, int]:
    """Returns the rows of each problem, all of them distinct."""
    rows = run_query(open_run(str(run)), """
        SELECT problem_id, count(*), count(DISTINCT sample_idx), max(sample_idx) + 1
        FROM verdicts JOIN problems USING (task, problem_idx) GROUP BY ALL""")[1]  # fmt: skip
    assert all(len(set(counts)) == 1 for _, *counts in rows)
    return {name: count for name, count, *_ in rows}


def test_each_problem_gets_what_the_policy_says(troop: Troop, tmp_path: Path) -> None:
    found = troop("run", write_adaptive(tmp_path, PASSED), "--local", "--no-report")
    assert found.code == 0, found.err
    run = tmp_path / "runs/run"
    assert drawn(run) == expected(PASSED)
    again = troop("run", tmp_path / "sweep.yaml", "--local", "--no-report")
    assert "nothing to sample" in again.err and drawn(run) == expected(PASSED)


def test_a_larger_k_draws_more_of_who_has_not_retired(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED)
    troop("run", sweep, "--local", "--no-report")
    found = troop("run", sweep, "--local", "--no-report", "--set", f"k={4 * K}")
    assert found.code == 0, found.err
    assert drawn(tmp_path / "runs/run") == expected(PASSED, 4 * K)


def test_more_problems_and_models_begin_with_the_first_round(troop: Troop, tmp_path: Path) -> None:
    troop("run", write_adaptive(tmp_path, PASSED, problems=["easy", "rare"]), "--local", "--no-report")
    found = troop("run", write_adaptive(tmp_path, PASSED, models=("m", "n")), "--local", "--no-report")
    assert found.code == 0, found.err
    rows = run_query(
        open_run(str(tmp_path / "runs/run")),
        """
        SELECT model, problem_id, count(*) FROM verdicts JOIN problems USING (task, problem_idx) GROUP BY ALL""",
    )[1]
    assert {(m, p): n for m, p, n in rows} == {(m, p): n for m in "mn" for p, n in expected(PASSED).items()}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"adaptive": {"first": 200}}, "adaptive.first: 200, but k of m on t is 160; allowed: 1 to 160"),
        ({"adaptive": {"first": 10, "grow": 1}}, "adaptive.grow: Input should be greater than 1"),
        ({"adaptive": {"first": 10, "retire_at": 11}}, "retire_at is 11, more than first (10); allowed: 1 to 10"),
        ({"adaptive": {"retire_at": 0}}, "adaptive.retire_at: Input should be greater than or equal to 1"),
        ({"adaptive": {"rounds": 3}}, "adaptive.rounds: unknown key; allowed: first, grow, retire_at"),
        ({"stop": {"samples": 0}}, "stop.samples: Input should be greater than or equal to 1"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(
    troop: Troop, tmp_path: Path, changes: dict[str, object], line: str
) -> None:
    found = troop("run", write_adaptive(tmp_path, PASSED, **changes), "--local")
    assert (found.code, found.err.count("\n")) == (2, 1) and line in found.err, found.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ({**POLICY, "retire_at": 1}, "adaptive: m on t was retire_at 3, is 1; one run keeps one policy"),
        ({**POLICY, "first": 20, "grow": 3}, "was first 10, is 20; grow 2, is 3;"),
        (None, "adaptive: m on t was {first: 10, grow: 2, retire_at: 3}, is uniform;"),
    ],
)
def test_a_run_keeps_its_policy(troop: Troop, tmp_path: Path, policy: dict[str, int] | None, line: str) -> None:
    troop("run", write_adaptive(tmp_path, PASSED), "--local", "--no-report")
    found = troop("run", write_adaptive(tmp_path, PASSED, adaptive=policy), "--local")
    assert (found.code, line in found.err) == (2, True), found.err


def test_a_uniform_run_stays_uniform(troop: Troop, tmp_path: Path) -> None:
    troop("run", write_adaptive(tmp_path, PASSED, adaptive=None, k=20), "--local", "--no-report")
    found = troop("run", write_adaptive(tmp_path, PASSED, k=20), "--local")
    assert found.code == 2 and "was uniform, is {first: 10, grow: 2, retire_at: 3}" in found.err, found.err


def test_a_score_without_threshold_decides_nothing(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED)
    (tmp_path / "score.py").write_text(
        "def score(data_source, solution_str, ground_truth, extra_info=None):\n    return 0.5\n"
    )
    line = {"id": "p", "prompt": "?", "verifier": "custom", "reference": {"path": "score.py", "function": "score"}}
    (tmp_path / "problems.jsonl").write_text(json.dumps(line) + "\n")
    found = troop("plan", sweep)
    assert found.code == 2 and "has no threshold, so nothing says which samples pass; give threshold" in found.err
    line["reference"]["threshold"] = 0.5
    (tmp_path / "problems.jsonl").write_text(json.dumps(line) + "\n")
    assert troop("plan", sweep).code == 0


def test_a_limit_of_samples_ends_a_run_that_goes_on_later(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED, unit=10)
    found = troop("run", sweep, "--local", "--no-report", "--set", "stop.samples=90")
    assert found.code == 0 and "stopped by stop.samples: 90 of 90 samples are drawn" in found.err, found.err
    counts = drawn(tmp_path / "runs/run")
    assert sum(counts.values()) == 90 and max(counts.values()) - min(counts.values()) <= 20  # breadth first
    again = troop("run", sweep, "--local", "--no-report", "--set", "stop.samples=90")
    assert "stop.samples" in again.err and drawn(tmp_path / "runs/run") == counts
    assert troop("run", sweep, "--local", "--no-report").code == 0
    assert drawn(tmp_path / "runs/run") == expected(PASSED)


def test_a_run_in_pieces_decides_as_one_that_was_never_stopped(troop: Troop, tmp_path: Path) -> None:
    (whole := tmp_path / "whole").mkdir(), (parts := tmp_path / "parts").mkdir()
    troop("run", write_adaptive(whole, PASSED, unit=10), "--local", "--no-report")
    sweep = write_adaptive(parts, PASSED, unit=10)
    for limit in range(20, 1000, 20):
        troop("run", sweep, "--local", "--no-report", "--set", f"stop.samples={limit}")
    one, other = (open_run(str(folder / "runs/run")).layers for folder in (whole, parts))
    assert decisions(one) == decisions(other) and drawn(parts / "runs/run") == drawn(whole / "runs/run")


def test_the_report_is_unbiased_and_says_what_was_saved(troop: Troop, tmp_path: Path) -> None:
    found = troop("run", write_adaptive(tmp_path, PASSED), "--local")
    assert found.code == 0, found.err
    (cell,) = json.loads((tmp_path / "runs/run/report/report.json").read_text())["cells"]
    wanted = expected(PASSED)
    assert {row["id"]: (row["n"], row["c"]) for row in cell["per_problem"]} == {
        name: (n, sum(PASSED[name][:n])) for name, n in wanted.items()
    }
    total = sum(wanted.values())
    assert cell["rounds"] == {
        "first": 10, "grow": 2.0, "retire_at": 3, "k": K, "ends": [10, 20, 40, 80, 160], "retired": 3, "capped": 2,
        "open": 0, "samples": total, "uniform": 5 * K, "saved": 5 * K - total, "otherwise": 0,
    }  # fmt: skip
    assert not cell["unfinished"] and cell["coverage"][-1]["k"] == K
    solved = sum(any(oks[:K]) for oks in PASSED.values()) / 5
    assert cell["coverage"][-1]["value"] == pytest.approx(solved)
    assert max(point["k"] for point in cell["majority"]) == POLICY["first"]
    page = (tmp_path / "runs/run/report/report.html").read_text()
    assert "Rounds of adaptive sampling" in page and "10, 20, 40, 80, 160" in page
    assert "| 10, 20, 40, 80, 160 |" in (tmp_path / "runs/run/report/report.md").read_text()
    status = troop("status", tmp_path / "runs/run")
    assert f"3 of 5 problems retired at 3 passes, 2 have all 160 samples; {total} samples" in status.out
    assert "complete" in status.out.splitlines()[0] and "not complete" not in status.out


def test_a_stop_in_mid_round_speaks_up_to_the_last_complete_round(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED, unit=10)
    troop("run", sweep, "--local", "--set", "stop.samples=150")
    (cell,) = json.loads((tmp_path / "runs/run/report/report.json").read_text())["cells"]
    assert cell["unfinished"] and cell["rounds"]["open"] > 0
    reached = max(point["k"] for point in cell["coverage"])
    assert reached in (10, 20, 40) and cell["bounded"][0]["k"] > reached
    assert cell["bounded"][-1]["worst"] < cell["bounded"][-1]["best"]
    assert "not complete" in troop("status", tmp_path / "runs/run").out


def test_a_plan_predicts_the_saving_from_calibration(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED, unit=10)
    assert "adaptive:" not in troop("plan", sweep).out
    found = troop("plan", sweep, "--calibrate", "--local", "--json")
    assert found.code == 0, found.err
    ahead = json.loads(found.out)["cells"][0]["adaptive"]
    total = sum(expected(PASSED).values())
    assert ahead["uniform"] == 5 * K and ahead["low"] <= total <= ahead["high"]
    assert "of uniform sampling's 800 samples when all rounds are over" in troop("plan", sweep).out
    assert troop("run", sweep, "--local", "--no-report").code == 0
    assert drawn(tmp_path / "runs/run") == expected(PASSED)


def test_a_smaller_k_ends_the_rounds_and_gives_up_nothing(troop: Troop, tmp_path: Path) -> None:
    sweep = write_adaptive(tmp_path, PASSED, unit=10)
    troop("run", sweep, "--local", "--no-report", "--set", "stop.samples=150")
    smaller = ("run", sweep, "--local", "--no-report", "--set", "k=20")
    asked = troop(*smaller)
    assert asked.code == 2 and "left 20 samples that are not drawn yet; --keep-plan draws them too\n" in asked.err
    dropped = troop(*smaller, "--drop")
    assert dropped.code == 2 and "--drop: samples of an adaptive run are given up by no plan" in dropped.err
    assert troop(*smaller, "--keep-plan").code == 0
    assert drawn(tmp_path / "runs/run") == {"easy": 10, "fair": 40, "hard": 40, "rare": 40, "never": 40}
    assert troop("run", sweep, "--local", "--no-report").code == 0
    assert drawn(tmp_path / "runs/run") == expected(PASSED)


def test_exported_pass_rates_are_unbiased(troop: Troop, tmp_path: Path) -> None:
    troop("run", write_adaptive(tmp_path, PASSED), "--local", "--no-report")
    words = ("export", tmp_path / "runs/run", "--format", "pass-rate", "--out", tmp_path / "out")
    assert troop(*words).code == 0
    rows = [row for path in (tmp_path / "out").rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    for row in rows:
        n, c = row["n"], row["passes"]
        before = n // 2 if n > POLICY["first"] else 0
        ended = (np.array([value]) for value in (n, c, before))
        one_try = pass_when_stopped(*ended, POLICY["retire_at"], np.array([[1]]))[0, 0]
        assert row["pass_rate"] == pytest.approx(one_try)
    assert len(rows) == 5 and any(row["pass_rate"] < row["passes"] / row["n"] for row in rows)
