"""The library does what the command line does: its page, its notebook, its errors, its rows in every form."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import troop
from jobs.sweep import load_sweep
from tests.conftest import PROBLEMS, Troop, WriteSweep
from tests.support.notebook import execute, printed
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "library.md"
NOTEBOOK = ROOT / "examples" / "library.ipynb"


def test_the_page_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2) and len(blocks) >= 12
    for (_, code), (_, said) in zip(blocks[::2], blocks[1::2], strict=True):
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  the page's own code
        assert capsys.readouterr().out == said


def test_the_notebook_shows_what_its_cells_print(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    shown = [printed(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert execute(notebook, tmp_path) == shown
    assert sum(map(bool, shown)) >= 5


def test_importing_it_is_cheap() -> None:
    """A notebook's first line must not wait: nothing heavy is imported."""
    heavy = {"ray", "duckdb", "pyarrow", "numpy", "pydantic", "vllm", "yaml", "click"}
    code = f"import troop, sys; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_name_is_there() -> None:
    for name in troop.__all__:
        assert getattr(troop, name) is not None
    with pytest.raises(AttributeError, match="module 'troop' has no attribute 'nothing'"):
        _ = troop.nothing
    assert troop.Sweep is type(troop.sweep({**SWEEP}))
    for package in ("troop", "jobs", "cluster", "verify", "sampling"):
        assert (ROOT / package / "py.typed").exists()


SWEEP: dict[str, Any] = {
    "name": "sums",
    "models": [{"name": "gold", "path": "gold", "engine": "replay", "k": 4}],
    "tasks": [{"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}],
    "verify": {"audit": 0},
}


def test_a_run_is_the_command_lines(troop_: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    path, said = write_sweep(), list[str]()
    assert troop.plan(path).model_dump_json(indent=2) == troop_("plan", path, "--json").out.strip()
    assert troop.sweep(SWEEP).model_dump() == load_sweep(path).model_dump()
    given = json.dumps(SWEEP)
    run = troop.run(SWEEP, "k=2", local=True, say=said.append)
    assert json.dumps(SWEEP) == given
    assert run.outcome is not None and (run.outcome.committed, run.outcome.set_aside) == (12, ())
    assert any("12 samples committed" in line for line in said)
    assert run.status().model_dump_json(indent=2) == troop_("status", "runs/sums", "--json").out.strip()
    again = troop.run(path, local=True, say=said.append)
    assert again.outcome is not None and again.outcome.committed == 0
    assert "report.html" in again.write_report(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert json.loads(again.report().model_dump_json())["cells"] == written["cells"]


def test_rows_in_every_form(troop_: Troop, write_sweep: WriteSweep) -> None:
    with troop.run(write_sweep(), local=True) as run:
        assert run.problems.arrow().column("problem_id").to_pylist() == [problem["id"] for problem in PROBLEMS]
        assert run.samples.arrow().num_rows == run.verdicts.arrow().num_rows == run.rollouts.arrow().num_rows == 12
        assert run.scores.arrow().num_rows == 0
        assert run.sql("-- nothing").arrow().num_rows == 0
        assert run.verdicts.relation().filter("passed").count("*").fetchall() == [(8,)]
        joined = run.rollouts.relation()
        assert joined.aggregate("count(*)").fetchall() == [(12,)]
        assert pa.table(run.verdicts).num_rows == 12
        assert "FROM verdicts" in repr(run.verdicts) and run.uri in repr(run)
    assert run.verdicts.relation().count("*").fetchall() == [(12,)]
    run.close()


def test_it_runs_where_an_event_loop_does_as_in_a_notebook(write_sweep: WriteSweep) -> None:
    path = write_sweep()

    async def cell() -> int:
        outcome = troop.run(path, local=True).outcome
        await asyncio.sleep(0)
        return outcome.committed if outcome else 0

    assert asyncio.run(cell()) == 12


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames_where_the_package_is_there(
    write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    rows = troop.run(write_sweep(), local=True).sql("SELECT sample_idx, passed FROM verdicts ORDER BY ALL")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(troop.BadInput, match=f"{package} is not installed; `.* -m pip install {package}`"):
        getattr(rows, package)()
    monkeypatch.undo()
    pytest.importorskip(package)
    assert getattr(rows, package)().shape == (12, 2)


def test_errors_are_the_command_lines(
    troop_: Troop, write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sweep()
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        (lambda: troop.plan(path, "kk=3"), ("plan", str(path), "--set", "kk=3")),
        (lambda: troop.run(path, "models.0.k=x"), ("run", str(path), "--set", "models.0.k=x")),
        (lambda: troop.load("nowhere"), ("status", "nowhere")),
        (lambda: troop.load(tmp_path / "none.yaml"), ("status", str(tmp_path / "none.yaml"))),
    ]
    for call, words in wrong:
        with pytest.raises(troop.BadInput) as refused:
            call()
        found = troop_(*words)
        assert (found.code, found.err.strip()) == (refused.value.exit_code, f"troop: {refused.value}")
    assert not (tmp_path / "runs").exists()
    with troop.run(path, local=True, say=lambda line: None) as run, pytest.raises(troop.BadInput) as refused:
        run.sql("SELECT nothing FROM verdicts").arrow()
    capsys.readouterr()
    assert troop_("sql", "runs/sums", "SELECT nothing FROM verdicts").err.strip() == f"troop: {refused.value}"
    with pytest.raises(troop.BadInput, match="assignments are for a file or a mapping"):
        troop.plan(troop.sweep(SWEEP), "k=3")


def test_problems_and_verdicts(write_sweep: WriteSweep, tmp_path: Path) -> None:
    write_sweep()
    loaded = troop.problems({"kind": "jsonl", "path": "problems.jsonl"})
    assert [problem.id for problem in loaded] == [problem["id"] for problem in PROBLEMS]
    assert troop.problem(PROBLEMS[0]) == loaded[0]
    (verdict,) = troop.verify(loaded[0], "2")
    assert verdict.status is troop.Status.PASS and verdict.passed
    assert [found.passed for found in troop.verify(PROBLEMS[0], (text for text in ("2", "3", "2")))] == [
        True,
        False,
        True,
    ]
    assert troop.verify(loaded[0], []) == []
    with pytest.raises(troop.BadInput, match="problem: verifier: Field required"):
        troop.verify({"id": "a", "prompt": "?", "reference": {}}, "2")
    judged = {"id": "a", "prompt": "?", "verifier": "judge", "reference": {"rubric": "short"}}
    with pytest.raises(troop.BadInput, match="problem 'a': "):
        troop.verify(judged, "2")


@pytest.fixture
def troop_(troop: Troop) -> Troop:
    """Runs the command line; the library has its name here."""
    return troop


def test_a_script_of_another_folder_imports_it(tmp_path: Path) -> None:
    problem = {"id": "a", "prompt": "", "verifier": "exact", "reference": {"answer": "x"}}
    code = f"import troop\nassert troop.verify({problem}, 'x')[0].passed\n"
    (tmp_path / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True)
