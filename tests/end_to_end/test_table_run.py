"""A table with columns of any names is run from its Parquet file to its report: the demo's problems, and its model."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT, SMALL_MODEL

TASK = {
    "name": "odd", "kind": "table", "path": "odd names.parquet", "verifier": "python", "style": "base",
    "columns": {
        "prompt": "{{ row['Pairs (x=y)'] | join(';') }} >", "id": "№ of row", "solution": "gold/expr",
        "entry_point": "fn", "prefix": "code before", "cases": "tests as JSON",
    },
    "sampling": {"stop": ["\n"]},
}  # fmt: skip
QUERY = "SELECT count(*) AS n, sum(passed::int) AS passes, count(DISTINCT problem_idx) AS problems FROM verdicts"


def write_table(folder: Path, count: int) -> None:
    """Writes problems of the demo as a Parquet file with other names, forms and types."""
    lines = (ROOT / "examples" / "demo" / "problems.jsonl").read_text().splitlines()[:count]
    rows = [
        {
            "№ of row": number, "Pairs (x=y)": problem["prompt"].removesuffix(" >").split(";"),
            "gold/expr": problem["solution"], "fn": "f", "code before": problem["reference"]["prefix"],
            "tests as JSON": json.dumps(problem["reference"]["cases"]), "unused": b"\xff",
        }
        for number, problem in enumerate(map(json.loads, lines))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "odd names.parquet")


def test_gold_solutions_of_a_table_pass(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    write_table(tmp_path, 8)
    sweep = write_sweep(tasks=[TASK], verify={"audit": 8})
    planned = troop("plan", sweep)
    assert planned.code == 0 and "-6=-2;-3=-1;-1=-1;0=0;1=0;2=0;5=1;9=2 >" in planned.out, planned.err
    found = troop("run", sweep, "--local", "--no-report")
    assert found.code == 0, found.err
    assert json.loads(troop("sql", "runs/sums", QUERY, "--json").out) == {"n": 32, "passes": 32, "problems": 8}


def test_a_column_that_is_not_there_ends_before_anything_is_written(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    write_table(tmp_path, 2)
    wrong = {**TASK, "columns": {**TASK["columns"], "id": "number"}}  # type: ignore[dict-item]
    for command in ("plan", "run"):
        found = troop(command, write_sweep(tasks=[wrong]))
        assert found.code == 2 and len(found.err.splitlines()) == 1
        assert "odd names.parquet: row 1: columns.id: no column 'number'; there are: '№ of row', " in found.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")
def test_the_demos_model_answers_a_table(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    write_table(tmp_path, 12)
    model = {"name": "small", "path": str(SMALL_MODEL), "k": 64}
    sampling = {"temperature": 1.0, "max_tokens": 24}
    found = troop("run", write_sweep(tasks=[TASK], models=[model], sampling=sampling), "--local")
    assert found.code == 0, found.err
    counted = json.loads(troop("sql", "runs/sums", QUERY, "--json").out)
    assert (counted["n"], counted["problems"]) == (768, 12) and 50 < counted["passes"] < 750
    report = json.loads((tmp_path / "runs/sums/report/report.json").read_text())
    (cell,) = report["cells"]
    assert (cell["task"], cell["samples"]) == ("odd", 768) and cell["coverage"][-1]["value"] > 0.3
