"""`troop plan --calibrate`, the rest of the run, and the comparison in the report."""

import json
from pathlib import Path

from jobs.store.database import run_query
from jobs.store.folder import DirectoryStore
from jobs.store.sessions import read_sessions
from jobs.sweep import open_run
from tests.conftest import Troop, WriteSweep

MANY = [
    {
        "id": f"p{i}",
        "prompt": f"{i}+1=",
        "verifier": "exact",
        "reference": {"answer": str(i + 1)},
        "solution": f"{i + 1}",
    }
    for i in range(20)
]
PRICED = [{"name": "gold", "path": "gold", "engine": "replay", "k": 150, "prices": {"per_million_tokens": 5.0,
           "per_million_prompt_tokens": 1.0}}]  # fmt: skip


def stored() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}


def test_the_few_are_the_first_of_the_run_and_the_report_compares(troop: Troop, write_sweep: WriteSweep) -> None:
    models = [{"name": "gold", "path": "gold", "engine": "replay", "k": 150}]
    sweep = write_sweep(MANY, models=models)
    found = troop("plan", sweep, "--calibrate", "--local", "--json")
    assert found.code == 0, found.err
    plan = json.loads(found.out)
    assert plan["samples_to_do"] == 20 * 150 - 16 * 128
    (kept,) = Path("runs/sums/predictions").glob("*.json")
    prediction = json.loads(kept.read_text())
    assert (prediction["samples"], prediction["rows"]) == (plan["samples_to_do"], plan["predicted"])
    assert [row["what"] for row in plan["predicted"]] == [
        "tokens",
        "hours",
        "stored",
        "busy verifiers",
        "verifiers that keep up",
    ]
    before = {name: data for name, data in stored().items() if "/samples/" in name or "/verdicts/" in name}

    early = troop("report", "runs/sums")
    assert "0 of the 952 predicted samples were drawn" in early.err
    assert troop("run", sweep, "--local").code == 0
    assert all(stored()[name] == data for name, data in before.items())
    query = "SELECT count(*), count(DISTINCT (problem_idx, sample_idx)) FROM verdicts"
    assert run_query(open_run("runs/sums"), query)[1] == [(3_000, 3_000)]
    report = json.loads(Path("runs/sums/report/report.json").read_text())
    rows = {row["what"]: row for row in report["predicted"]}
    assert rows["tokens"]["predicted"] == rows["tokens"]["actual"] == 952  # gold solutions are one word each
    keep_up = rows.pop("verifiers that keep up")
    assert keep_up["actual"] is None  # nobody measures what would have been
    assert all(row["actual"] is not None and row["actual"] >= 0 for row in rows.values())
    page = Path("runs/sums/report/report.html").read_text()
    assert "Predicted and actual" in page and "95% interval" in page


def test_dollars_that_a_calibration_spent_are_not_part_of_what_was_left(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep(MANY, models=PRICED)
    assert troop("plan", sweep, "--calibrate", "--local").code == 0
    assert run_query(open_run("runs/sums"), "SELECT count(*) FROM verdicts")[1] == [
        (16 * 4,)
    ]  # where tokens cost, fewer
    assert troop("run", sweep, "--local").code == 0
    report = json.loads(Path("runs/sums/report/report.json").read_text())
    (dollars,) = (row for row in report["predicted"] if row["what"] == "dollars")
    left = (20 * 150 - 64) * 5.0 / 1e6
    assert abs(dollars["predicted"] - left) < 1e-9
    assert abs(dollars["actual"] - left) < 1e-9


def test_a_plan_without_samples_says_what_it_cannot_know(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("plan", write_sweep(MANY))
    assert "unknown until some samples are drawn; --calibrate draws a few" in found.out
    assert not Path("runs").exists()


def test_a_run_that_has_samples_is_predicted_from_them_and_nothing_is_written(
    troop: Troop, write_sweep: WriteSweep
) -> None:
    troop("run", write_sweep(MANY), "--local", "--no-report")
    before = stored()
    found = troop("plan", write_sweep(MANY), "--set", "models.gold.k=100", "--json")
    plan = json.loads(found.out)
    assert (plan["measured"], plan["samples_to_do"]) == (80, 20 * 96)
    assert {row["what"]: row["predicted"] for row in plan["predicted"]}["tokens"] == 20 * 96
    assert stored() == before
    assert "nothing is left to draw" in troop("plan", write_sweep(MANY)).out


def test_calibrating_what_has_samples_draws_no_more(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(MANY), "--local", "--no-report")
    found = troop("plan", write_sweep(MANY), "--calibrate", "--local", "--set", "models.gold.k=100")
    assert found.code == 0, found.err
    assert run_query(open_run("runs/sums"), "SELECT count(*) FROM verdicts")[1] == [(80,)]
    assert len(list(Path("runs/sums/predictions").iterdir())) == 1


def test_a_session_says_what_a_call_did(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    troop("run", write_sweep(), "--local", "--no-report", "--set", "models.gold.k=6")
    first, second = read_sessions(DirectoryStore(Path("runs/sums")))
    assert (first.ended, first.samples, second.samples, first.engines) == (True, 12, 6, {"gold": 1})
    assert first.elapsed_s >= first.ready_s >= 0
    assert first.stored_bytes > 0


def test_status_tells_coverage_with_its_interval(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    (cell,) = json.loads(troop("status", "runs/sums", "--json").out)["cells"]
    so_far = cell["so_far"]
    assert (so_far["k"], round(so_far["value"], 4)) == (4, 0.6667)
    assert so_far["low"] < so_far["value"] < so_far["high"]
    assert "2 of 3 problems solved, coverage .67 [.00011, >.99] at k=4" in troop("status", "runs/sums").out
