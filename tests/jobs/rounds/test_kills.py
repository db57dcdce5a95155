"""Drivers that die at the boundaries of rounds, and two that work at once: the decisions are those of a quiet run."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.sweep import open_run
from tests.conftest import Troop
from tests.jobs.rounds.test_adaptive_run import PASSED, drawn
from tests.support.adaptive import decisions, expected, write_adaptive

ROOT = Path(__file__).parents[3]
DIES = """
import os, signal, sys
import jobs.store.stored_run as stored
from jobs.store.folder import DirectoryStore
put_new, when = DirectoryStore.put_new, sys.argv.pop()
def put(store, key, *given, **named):
    new = key.startswith("plan.0")
    if new and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = put_new(store, key, *given, **named)
    if new and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
DirectoryStore.put_new = put
from jobs.cli.main import main
main()
"""


def call(sweep: Path, *program: str, end: tuple[str, ...] = ()) -> int:
    words = [sys.executable, *program, "run", str(sweep), "--local", "--no-report", *end]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_a_driver_killed_at_every_boundary_of_a_round_decides_alike(troop: Troop, tmp_path: Path) -> None:
    (quiet := tmp_path / "quiet").mkdir(), (killed := tmp_path / "killed").mkdir()
    assert troop("run", write_adaptive(quiet, PASSED, unit=10), "--local", "--no-report").code == 0
    sweep, run, kills = write_adaptive(killed, PASSED, unit=10), killed / "runs/run", 0
    while call(sweep, "-c", DIES, end=("after",)) == -signal.SIGKILL:  # a layer is added, and nobody has heard of it
        kills += 1
        assert call(sweep, "-c", DIES, end=("before",)) in (0, -signal.SIGKILL)  # its samples are there, no layer is
        assert kills < 30
    layers = open_run(str(run)).layers
    assert kills >= 5 and drawn(run) == expected(PASSED)
    assert decisions(layers) == decisions(open_run(str(quiet / "runs/run")).layers)


@pytest.mark.slow
def test_two_drivers_of_one_run_decide_alike(troop: Troop, tmp_path: Path) -> None:
    (quiet := tmp_path / "quiet").mkdir(), (shared := tmp_path / "shared").mkdir()
    assert troop("run", write_adaptive(quiet, PASSED, unit=10), "--local", "--no-report").code == 0
    sweep = write_adaptive(shared, PASSED, unit=10)
    with ThreadPoolExecutor() as pool:
        codes = list(pool.map(lambda _: call(sweep, "-m", "jobs"), range(2)))
    assert codes == [0, 0] and drawn(shared / "runs/run") == expected(PASSED)
    one, other = (open_run(str(folder / "runs/run")).layers for folder in (quiet, shared))
    assert decisions(one) == decisions(other)
