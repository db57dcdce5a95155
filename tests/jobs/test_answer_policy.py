"""The answer policy as `troop plan` and the report name it: per task, beside each cell, from the stored run alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Troop, WriteSweep
from verify.math.verifier import MathVerifier

MATH = MathVerifier.version


def math(name: str, **reference: Any) -> dict[str, Any]:
    return {"id": name, "prompt": "?", "verifier": "math", "reference": {"answer": "2", **reference},
            "solution": "\\boxed{2}"}  # fmt: skip


def run_and_report(troop: Troop, sweep: Path) -> tuple[str, list[dict[str, Any]]]:
    found = troop("run", sweep, "--local", "--no-audit", "--no-report")
    assert found.code == 0, found.err
    sweep.unlink()
    said = troop("report", "runs/sums")
    assert said.code == 0, said.err
    cells = json.loads(Path("runs/sums/report/report.json").read_text())["cells"]
    return said.err, cells


def test_a_plan_names_the_policy_of_each_task(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([math("a", extraction="math"), math("b", extraction="math")])
    assert f"answers of sums, 2 problems: {MATH}, extraction published (math)" in troop("plan", sweep).out.splitlines()
    (task,) = json.loads(troop("plan", sweep, "--json").out)["tasks"]
    (judged,) = task["judged_by"]
    assert (judged["verifier"], judged["version"], judged["problems"]) == ("math", MATH, 2)
    assert judged["rules"]["extraction"] == ["math"] and judged["rules"]["percent"] == ["same"]


def test_the_report_names_the_policy_beside_each_cell(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([math("a", which="boxed"), math("b", which="boxed")])
    said, cells = run_and_report(troop, sweep)
    policy = f"{MATH}, extraction kind, which boxed"
    assert f"    judged by {policy}" in said.splitlines()
    assert [cell["policy"] for cell in cells] == [policy]
    assert cells[0]["judged_by"][0]["rules"]["which"] == ["boxed"]
    assert f"Judged by {policy}." in Path("runs/sums/report/report.html").read_text("utf-8")
    assert policy in Path("runs/sums/report/report.md").read_text("utf-8")


def test_two_policies_within_a_task_are_mixed(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([math("a", which="boxed"), math("b")])
    mixed = f"{MATH}, extraction kind, mixed: which boxed or default"
    assert mixed in troop("plan", sweep).out
    _, (cell,) = run_and_report(troop, sweep)
    assert cell["policy"] == mixed


def test_a_report_names_no_version_that_it_does_not_know(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts of another Troop: the rules are the run's, the verifiers' versions are not these."""
    sweep = write_sweep([math("a")])
    assert troop("run", sweep, "--local", "--no-audit", "--no-report").code == 0
    monkeypatch.setattr(MathVerifier, "version", "math/99")
    assert "    judged by math, extraction kind" in troop("report", "runs/sums").err.splitlines()


def test_imported_verdicts_have_no_policy(troop: Troop, tmp_path: Path) -> None:
    table = tmp_path / "counts.csv"
    table.write_text("model,task,problem,n,c\nm,t,p,10,3\nm,t,q,10,4\n")
    run, out = tmp_path / "run", tmp_path / "out"
    assert troop("import", run, "--counts", table).code == 0
    said = troop("report", run, "--out", out)
    (cell,) = json.loads((out / "report.json").read_text())["cells"]
    assert (cell["policy"], cell["judged_by"]) == ("", []) and "judged by" not in said.err
