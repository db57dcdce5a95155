"""A short chaos over both kinds of store, and proof that its comparison sees what it looks for."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.store.base import StoreOptions
from jobs.store.layout import final_verdicts_key, unquote
from tests.chaos.__main__ import EXIT_NO_SERVER
from tests.chaos.compare import examine
from tests.chaos.injector import strikes
from tests.chaos.session import ROLES
from tests.chaos.sweep import Size, write_inputs, write_sweep
from tests.chaos.troop import UNIT_ROWS
from tests.conftest import Troop

STRIKES, FAULTS = 12, 10
SEED = 66  # its first six strikes include a driver, and all roles are hit


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("adaptive", [False, True])
def test_nothing_is_lost_doubled_or_wrong_whatever_dies(tmp_path: Path, adaptive: bool) -> None:
    words = (
        f"--kills {STRIKES} --strikes {STRIKES // 2} --faults {FAULTS} --seed {SEED} --problems 4 --k 512 --drivers 2"
        + (" --adaptive" if adaptive else "")
    )
    command = [sys.executable, "-m", "tests.chaos", *words.split(), "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == EXIT_NO_SERVER:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["kills and freezes"] == STRIKES
    assert figures["killed, driver"] >= 1
    assert figures["network faults"] >= FAULTS
    assert figures["rows"] % Size(4, 512, adaptive).rows == 0
    assert min(figures["rounds, directory"], figures["rounds, s3"]) >= 1


def test_a_seed_replays_the_same_choices() -> None:
    first, again, other = (list(itertools.islice(strikes(seed, 0.3), 200)) for seed in (1, 1, 2))
    assert first == again != other
    assert {(strike.role, strike.freeze_s is None) for strike in first} == set(itertools.product(ROLES, (True, False)))


@pytest.fixture
def run(tmp_path: Path, troop: Troop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole run with small units."""
    monkeypatch.setattr("jobs.planning.UNIT_ROWS", UNIT_ROWS)
    write_inputs(tmp_path, SIZE)
    sweep = write_sweep(tmp_path, SIZE, "run", str(tmp_path), StoreOptions())
    assert troop("run", sweep, "--local", "--no-report").code == 0
    return tmp_path / "run"


SIZE = Size(2, 64)


def test_a_whole_run_is_found_whole(run: Path) -> None:
    found = examine(run, SIZE)
    assert (found.rows, sum(found.faults.values()), found.orphans) == (SIZE.rows, 0, 0)
    assert ("small", "functions", 1, 64, 16) in found.coverage


def test_a_compacted_shard_is_found_whole(run: Path) -> None:
    (path,) = run.glob("verdicts/*/model=large/task=sums/*/u*.parquet")  # the only unit of its shard
    final = run / final_verdicts_key(unquote(path.parts[-5].removeprefix("v=")), "large", "sums", 0)
    final.parent.mkdir(parents=True)
    shutil.move(path, final)
    found = examine(run, SIZE)
    assert (found.rows, sum(found.faults.values()), found.orphans) == (SIZE.rows, 0, 0)


def test_a_lost_unit_is_seen(run: Path) -> None:
    unit(run, "verdicts", 0).unlink()
    found = examine(run, SIZE)
    assert (found.lost, found.orphans) == (UNIT_ROWS, 1)


def test_a_doubled_unit_is_seen(run: Path) -> None:
    shutil.copy(unit(run, "verdicts", 0), unit(run, "verdicts", 0).with_name("u0000009.parquet"))
    assert examine(run, SIZE).duplicates == UNIT_ROWS


def test_verdicts_whose_samples_are_gone_are_seen(run: Path) -> None:
    unit(run, "samples", 1).unlink()
    found = examine(run, SIZE)
    assert (found.without_samples, found.damaged) == (UNIT_ROWS, 1)


def test_samples_that_are_not_those_judged_are_seen(run: Path) -> None:
    shutil.copy(unit(run, "samples", 0), unit(run, "samples", 1))
    found = examine(run, SIZE)
    assert (found.without_samples, found.damaged, found.wrong) == (UNIT_ROWS, 1, UNIT_ROWS)


def unit(run: Path, kind: str, number: int) -> Path:
    (path,) = (run / kind).glob(f"**/model=small/task=sums/*/u{number:07d}*.parquet")
    return path
