"""Adaptive runs whose verdicts are faults at first, or change: what is drawn again, and what the report says."""

import json
from pathlib import Path

import pytest

from jobs.store.database import run_query
from jobs.sweep import open_run
from tests.conftest import Troop
from tests.support.adaptive import decisions, write_adaptive

CHECKER = """
def score(data_source, solution_str, ground_truth, extra_info=None):
    if "boom" in solution_str:
        raise ValueError("boom")
    return 1.0 if solution_str in {right} else 0.0
"""
K = 24
POLICY = {"first": 6, "grow": 2, "retire_at": 2}


def write(folder: Path, texts: dict[str, list[str]], right: str = '("1",)') -> Path:
    """Writes a sweep whose verifier is a checker of the user's own."""
    sweep = write_adaptive(folder, {name: [False] * len(row) for name, row in texts.items()}, adaptive=POLICY, k=K)
    (folder / "check.py").write_text(CHECKER.replace("{right}", right))
    rows = [{"problem": name, "sample": s, "text": t} for name, row in texts.items() for s, t in enumerate(row)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reference = {"path": "check.py", "function": "score", "threshold": 0.5}
    lines = [{"id": name, "prompt": "?", "verifier": "custom", "reference": reference} for name in texts]
    (folder / "problems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return sweep


def counts(run: Path) -> dict[str, tuple[int, int]]:
    """Returns by problem the samples, and the decided ones, of the newest version."""
    found = run_query(open_run(str(run)), """
        SELECT problem_id, count(*), count(*) FILTER (status <> 'fault')
        FROM verdicts JOIN problems USING (task, problem_idx) GROUP BY ALL""")[1]  # fmt: skip
    return {name: (rows, decided) for name, rows, decided in found}


def cell(run: Path) -> dict[str, object]:
    (found,) = json.loads((run / "report/report.json").read_text())["cells"]
    return found


@pytest.mark.slow
def test_a_fault_is_drawn_again_and_retires_nothing(troop: Troop, tmp_path: Path) -> None:
    texts = {
        "a": ["boom", "1", "0", "boom", "0", "0", "1", "0", *["0"] * 30],  # its second pass is drawn again
        "b": ["boom"] * 6 + ["0"] * 40,  # all faults, then none
        "c": ["boom"] * 60,  # nothing but faults: each round is tried three times
        "d": ["1"] * 60,
    }
    found = troop("run", write(tmp_path, texts), "--local")
    assert found.code == 0, found.err
    run = tmp_path / "runs/run"
    drawn = counts(run)
    assert drawn["a"] == (8, 6) and drawn["d"] == (6, 6) and drawn["b"] == (6 + K, K)
    assert drawn["c"][1] == 0 and "c" not in {name for name, (_, n) in drawn.items() if n}
    on = decisions(open_run(str(run)).layers)
    assert {("m", 6, "retired", 0), ("m", 6, "retired", 3)} <= on and ("m", 24, "retired", 1) not in on
    assert {row["id"]: row["c"] for row in cell(run)["per_problem"]}["a"] == 2


@pytest.mark.slow
def test_other_verdicts_decide_anew_and_the_report_says_for_how_many(troop: Troop, tmp_path: Path) -> None:
    texts = {
        "stays": ["1", "1", *["0"] * 40],
        "goes on": ["2", "2", *["0"] * 40],  # passed by the first checker alone
        "retires": ["0", "3", "3", *["0"] * 40],  # passes by the second checker alone
    }
    sweep, run = write(tmp_path, texts, '("1", "2")'), tmp_path / "runs/run"
    assert troop("run", sweep, "--local").code == 0
    assert counts(run) == {"stays": (6, 6), "goes on": (6, 6), "retires": (K, K)}
    write(tmp_path, texts, '("1", "3")')
    refused = troop("run", sweep, "--local")
    assert refused.code == 2 and "were judged by verifiers of version" in refused.err
    assert troop("verify", sweep).code == 0
    found = troop("report", run)
    assert found.code == 0, found.err
    report = cell(run)
    assert report["rounds"]["otherwise"] == 2 and report["unfinished"]
    assert "verdicts of another version would have decided 2 problems otherwise than the plan" in found.out + found.err
    assert report["rounds"]["retired"] == 2 and report["coverage"][-1]["k"] == 6
    again = troop("run", sweep, "--local")
    assert again.code == 0, again.err
    assert counts(run) == {"stays": (6, 6), "goes on": (K, K), "retires": (K, K)}
    assert cell(run)["coverage"][-1] == pytest.approx(
        {"k": K, "value": 2 / 3} | {key: cell(run)["coverage"][-1][key] for key in ("low", "high")}
    )
