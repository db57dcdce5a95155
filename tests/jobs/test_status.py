"""``troop status``: its lines say what is committed, over which problems, and what was given up."""

import json
from pathlib import Path

import pytest

from jobs.report.points import CoveragePoint
from jobs.status import CellStatus, RunStatus, SetAsideUnit
from tests.conftest import Troop, WriteSweep


def cell(**changes: object) -> CellStatus:
    whole = {"model": "m", "task": "t", "problems": 3, "planned": 12, "committed": 12, "passed": 8, "solved": 2}
    return CellStatus.model_validate({**whole, "faults": 0, **changes})


def test_a_cell_says_over_which_problems_its_coverage_is() -> None:
    point = CoveragePoint(k=4, value=2 / 3, low=0.0, high=1.0)
    whole = "m on t: 12 of 12 samples (100%), 8 passed, 2 of 3 problems solved, coverage .67 [0, 1] at k=4"
    assert cell(met=3, so_far=point).as_line() == whole
    assert cell(met=2, so_far=point).as_line() == f"{whole} over the 2 problems with verdicts"
    assert (
        cell(met=1, so_far=point, faults=1).as_line().endswith("over the 1 problem with verdicts, 1 without a verdict")
    )


def test_a_cell_without_samples_says_so() -> None:
    none = cell(committed=0, passed=0, solved=0, planned=64_000)
    assert none.as_line() == "m on t: no samples yet (0 of 64,000)"


def test_units_that_were_given_up_are_listed() -> None:
    unit = SetAsideUnit(model="m", task="t", unit=3, rows=4, error="the engine died")
    lines = RunStatus(run="r", complete=False, cells=(cell(committed=8),), set_aside=(unit,)).as_text().splitlines()
    assert lines[0] == "r: not complete: `troop run` continues it"
    assert lines[-1] == "  set aside: m/t/3: the engine died"


def test_a_finished_run_is_complete(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep()
    assert troop("run", sweep, "--local", "--no-report").code == 0
    found = json.loads(troop("status", sweep, "--json").out)
    assert (found["complete"], found["set_aside"]) == (True, [])
    assert {key: found["cells"][0][key] for key in ("committed", "passed", "solved", "met")} == {
        "committed": 12, "passed": 8, "solved": 2, "met": 3,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_population_that_does_not_exist_is_refused_in_one_line(
    command: str, troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    found = troop(command, write_sweep(), "--population", "problem")
    assert (found.code, found.out) == (2, "") and found.err.count("\n") == 1
    assert "--population" in found.err and "'problems', 'benchmark'" in found.err
    assert not (tmp_path / "runs").exists()


def test_cut_samples_and_empty_answers_are_said_and_warned_of() -> None:
    line = cell(finish_counts={"stop": 9, "length": 3}, nothing_extracted=0.25).as_line()
    assert line.endswith("2 of 3 problems solved, 3 cut at max_tokens, nothing extracted from .25")
    text = RunStatus(run="r", complete=True, cells=(cell(),), set_aside=(), warnings=("m on t: cut",)).as_text()
    assert text.splitlines()[-1] == "  warning: m on t: cut"
