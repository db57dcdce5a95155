"""The demo end to end with its real models and engines, made smaller; the driver is killed in the middle.

The first run has its engine in the driver (``--local``), so that the kill hits it in the middle of its work. The second
one finishes the run on Ray, with an engine in each sampler's process, where importing vLLM costs most of the time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.store.database import run_query
from jobs.sweep import open_run
from tests.chaos.troop import UNIT_ROWS
from tests.support.places import ROOT

SWEEP = ROOT / "examples" / "demo" / "sweep.yaml"
SMALLER = ("models.small.k=128", "models.large.k=32", "tasks.functions.limit=16")
PLANNED = 16 * (128 + 32)
UNITS = PLANNED // UNIT_ROWS  # small units: the first is soon committed, and many are then still missing

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def start(folder: Path, *more: str) -> "subprocess.Popen[str]":
    words = [word for assignment in SMALLER for word in ("--set", assignment)]
    command = [sys.executable, "-m", "tests.chaos.troop", "run", str(SWEEP), *words, *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def committed(folder: Path) -> int:
    return sum(1 for _ in (folder / "runs" / "demo" / "verdicts").rglob("*.parquet"))


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = start(tmp_path, "--local")
    while not committed(tmp_path) and first.poll() is None:
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert 0 < committed(tmp_path) < UNITS, "killed too late to show anything"

    second = start(tmp_path)
    _, said = second.communicate()
    assert second.returncode == 0, said
    assert ": starting" in said
    query = "SELECT count(*), count(DISTINCT (model, task, problem_idx, sample_idx)) FROM verdicts"
    assert run_query(open_run(str(tmp_path / "runs" / "demo")), query)[1] == [(PLANNED, PLANNED)]

    report = json.loads((tmp_path / "runs" / "demo" / "report" / "report.json").read_text())
    small, large = sorted(report["cells"], key=lambda cell: -cell["samples"])
    assert (small["model"], large["model"], large["baseline"]) == ("small", "large", True)
    assert small["coverage"][-1]["value"] > small["coverage"][0]["value"] > 0
    (crossover,) = report["crossovers"]
    assert crossover["baseline"] == "large"
