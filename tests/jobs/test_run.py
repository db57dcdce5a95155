"""Runs from the sweep to the numbers, in this process: the code of a cluster's run, with the gold solutions."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.resolve import resolve
from jobs.reverify import stored_problems
from jobs.run import write_plan
from jobs.store.database import run_query
from jobs.store.leases import Driver
from jobs.store.open import open_store
from jobs.sweep import load_sweep, open_run
from tests.conftest import PROBLEMS, Troop, WriteSweep

ROOT = Path(__file__).parents[2]


def counts(run: str = "runs/sums") -> tuple[int, int]:
    query = "SELECT count(*), count(DISTINCT (model, task, problem_idx, sample_idx)) FROM verdicts"
    (row,) = run_query(open_run(run), query)[1]
    return row


def test_runs_reports_and_answers_queries(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    found = troop("run", write_sweep(), "--local")
    assert found.code == 0, found.err
    assert "12 samples committed" in found.err
    report = json.loads((tmp_path / "runs/sums/report/report.json").read_text())
    (cell,) = report["cells"]
    assert (cell["model"], cell["problems"], cell["samples"]) == ("gold", 3, 12)
    assert cell["coverage"][0]["value"] == pytest.approx(2 / 3)
    assert "<html" in (tmp_path / "runs/sums/report/report.html").read_text()
    status = json.loads(troop("status", "runs/sums", "--json").out)
    assert status["complete"]
    assert status["cells"][0]["solved"] == 2
    rows = json.loads(troop("sql", "runs/sums", "SELECT count(*) AS n FROM samples WHERE text = '7'", "--json").out)
    assert rows == {"n": 4}


def test_the_same_again_samples_nothing(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    found = troop("run", write_sweep(), "--local", "--no-report")
    assert (found.code, "nothing to sample" in found.err) == (0, True)
    assert counts() == (12, 12)


KILLED = """
import os, signal, sys
from jobs.store.commit import RunSink
def commit(*_):
    os.kill(os.getpid(), signal.SIGKILL)
RunSink.commit = commit
sys.argv = ["troop", "run", "sweep.yaml", "--local", "--no-report"]
from jobs.cli.main import main
main()
"""


def killed_driver(tmp_path: Path) -> Path:
    """Kills a driver before its first commit; returns the object by which others see it."""
    words = [sys.executable, "-c", KILLED]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list((tmp_path / "runs/sums/leases").glob("v=*/**/u*-1"))
    (driver,) = (tmp_path / "runs/sums/leases/drivers").iterdir()
    return driver


def test_a_lone_call_after_a_kill_waits_for_nobody(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep()
    killed_driver(tmp_path)
    found = troop("run", sweep, "--local", "--no-report")
    assert (found.code, counts()) == (0, (12, 12)), found.err
    assert "12 samples committed in" in found.err


def test_a_driver_killed_elsewhere_is_waited_for_until_it_was_silent_for_long(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = write_sweep()
    killed_driver(tmp_path).write_bytes(Driver(process="another-boot/pid:[1]/1-1").model_dump_json().encode())
    for name, value in {"leases.LOOK_S": 0.1, "leases.EXPIRY_S": 1.0}.items():
        monkeypatch.setattr(f"jobs.store.{name}", value)
    monkeypatch.setattr("cluster.local.RECALL_S", 0.1)
    found = troop("run", sweep, "--local", "--no-report")
    assert (found.code, counts()) == (0, (12, 12)), found.err


def test_more_samples_problems_and_models_continue_the_run(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(PROBLEMS[:1]), "--local", "--no-report")
    assert counts() == (4, 4)
    models = [{"name": name, "path": "gold", "engine": "replay", "k": 6} for name in ("gold", "twin")]
    found = troop("run", write_sweep(PROBLEMS, models=models), "--local", "--no-report")
    assert found.code == 0, found.err
    assert counts() == (36, 36)
    assert len(open_run("runs/sums").layers) == 2


def test_a_smaller_k_draws_nothing_that_nobody_asked_for(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep()
    first = load_sweep(sweep, ["models.gold.k=3000"])
    write_plan(resolve(first), open_store(first.run_uri))  # a run that was stopped before its first unit
    small = (sweep, "--set", "models.gold.k=2")
    line = "model gold on sums: k is 2, but an earlier k of 3,000 left 9,000 samples that are not drawn yet; "
    assert line in troop("plan", *small).out
    found = troop("run", *small, "--local", "--no-report")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert line + "--keep-plan draws them too, --drop gives them up" in found.err
    assert troop("run", *small, "--local", "--no-report", "--drop").code == 0
    count = "SELECT count(*) AS n, count(DISTINCT (problem_idx, sample_idx)) AS d FROM samples"
    assert json.loads(troop("sql", "runs/sums", count, "--json").out) == {"n": 6, "d": 6}
    assert '"complete": true' in troop("status", "runs/sums", "--json").out
    assert troop("run", *small, "--local", "--no-report", "--if-incomplete").code == 0
    assert troop("run", sweep, "--set", "models.gold.k=5", "--local", "--no-report").code == 0
    assert json.loads(troop("sql", "runs/sums", count, "--json").out) == {"n": 15, "d": 15}
    assert troop("check", "runs/sums").code == 0


def test_the_rest_of_a_larger_k_is_drawn_where_that_is_wanted(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep()
    write_plan(resolve(load_sweep(sweep)), open_store(load_sweep(sweep).run_uri))
    assert troop("run", sweep, "--set", "models.gold.k=2", "--local", "--no-report", "--keep-plan").code == 0
    assert json.loads(troop("sql", "runs/sums", "SELECT count(*) AS n FROM samples", "--json").out) == {"n": 12}


def test_a_sweep_says_how_large_its_units_are(troop: Troop, write_sweep: WriteSweep) -> None:
    def units(*changes: str) -> int:
        sets = [word for change in ("models.gold.k=5000", *changes) for word in ("--set", change)]
        (cell,) = json.loads(troop("plan", write_sweep(), *sets, "--json").out)["cells"]
        return int(cell["units"])

    assert units() == 3 * 6  # about sixteen for a small run
    assert units("unit=100") == 150
    assert units("sampling.max_tokens=16384") == 3 * 157  # at most 32 samples each, which may be half a million tokens
    assert "unit: " in troop("plan", write_sweep(), "--set", "unit=5000").err


def test_a_run_goes_on_with_another_speed_and_a_renamed_file(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    row = {"problem": "one", "text": "2"}
    lines = "".join(json.dumps(row | {"sample": s}) + "\n" for s in range(8))
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(lines)
    model = {"name": "m", "engine": "replay", "k": 2}
    problems = PROBLEMS[:1]
    sweep = write_sweep(problems, models=[model | {"path": "a.jsonl"}])
    assert troop("run", sweep, "--local", "--no-report").code == 0
    changed = {"path": "b.jsonl", "k": 4, "vllm": {"gpu_memory_utilization": 0.5}, "sampling": {"logprobs": True}}
    sweep = write_sweep(problems, models=[model | changed])
    found = troop("run", sweep, "--local", "--no-report")
    assert found.code == 2 and "settings was None, is 'own'" in found.err  # the model's own settings do change
    sweep = write_sweep(problems, models=[model | changed | {"sampling": None}], sampling={"logprobs": True})
    assert troop("run", sweep, "--local", "--no-report").code == 0
    query = "SELECT count(*) AS n, count(DISTINCT sampling_hash) AS hashes FROM samples"
    assert json.loads(troop("sql", "runs/sums", query, "--json").out) == {"n": 4, "hashes": 1}


def test_a_plan_is_shown_without_writing(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    found = troop("plan", write_sweep())
    assert found.code == 0
    assert "3 problems × k=4 = 12 samples" in found.out
    assert "| 1+1=" in found.out
    assert not (tmp_path / "runs").exists()


def test_stored_samples_are_judged_again_beside_the_old_verdicts(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    monkeypatch.setattr("jobs.reverify.current_version", lambda *_: "fixed")
    found = troop("verify", "runs/sums", "--workers", "1")
    assert found.code == 0, found.err
    assert "1 unit judged again (version fixed)" in found.out
    versions = {path.name for path in Path("runs/sums/verdicts").iterdir()}
    assert len(versions) == 2
    assert counts() == (12, 12)
    assert "0 units" in troop("verify", "runs/sums", "--workers", "1").out


def test_a_new_checker_judges_stored_samples_again(troop: Troop, write_sweep: WriteSweep) -> None:
    """A changed file is another version: a run refuses to mix them, and `troop verify` of the sweep judges again."""
    checker = "def compute_score(data_source, solution_str, ground_truth):\n    return {}\n"
    Path("reward.py").write_text(checker.format("len(solution_str)"))
    own = {"id": "own", "prompt": "1+1=", "verifier": "custom", "reference": {"path": "reward.py"}, "solution": "2"}
    sweep = write_sweep([own])
    assert troop("run", sweep, "--local", "--no-report").code == 0
    Path("reward.py").write_text(checker.format("2 * len(solution_str)"))
    refused = troop("run", sweep, "--local", "--no-report")
    assert (refused.code, "if its judge or a checker is new" in refused.err) == (2, True)
    assert "0 units judged again" in troop("verify", "runs/sums", "--workers", "1").out
    assert "1 unit judged again" in troop("verify", sweep, "--workers", "1").out
    assert "0 units judged again" in troop("verify", sweep, "--workers", "1").out
    found = troop("run", sweep, "--local", "--no-report")
    assert (found.code, "nothing to sample" in found.err) == (0, True), found.err
    Path("reward.py").unlink()
    assert troop("run", sweep, "--local").code == 2
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0  # another task; the checker's is kept


def test_a_chat_is_kept_as_it_was_asked(troop: Troop, write_sweep: WriteSweep) -> None:
    task = {"name": "sums", "kind": "jsonl", "path": "problems.jsonl", "style": "chat"}
    assert troop("run", write_sweep(tasks=[task]), "--local", "--no-report").code == 0
    (table,) = stored_problems(open_run("runs/sums").store).values()
    assert [problem.messages and problem.messages[0].content for problem in table.values()] == ["1+1=", "2+2=", "3+3="]


def test_sql_that_is_wrong_is_told_in_one_line(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    found = troop("sql", "runs/sums", "SELECT nothing FROM nowhere")
    assert found.code == 2
    assert "views: samples, verdicts, scores, problems" in found.err


def test_a_table_shows_hostile_text_as_it_is(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    found = troop("sql", "runs/sums", "SELECT '[red]' || chr(27) || '[2J' AS x")
    assert "[red]\\x1b[2J" in found.out
