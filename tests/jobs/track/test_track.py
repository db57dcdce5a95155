"""Trackers get a run's numbers once, with their own local stores; one that fails or hangs never fails the run."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.reporting import read_report
from jobs.sweep import open_run
from jobs.track import tracker
from jobs.track.entries import TrackedRun, entries_of
from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT

SECRET = "sentinel-of-a-credential"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets credentials that must not be found anywhere afterwards."""
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def no_secret(folder: Path) -> bool:
    return not any(SECRET.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_entries_are_the_reports(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    stored = open_run("runs/sums")
    entries = entries_of(read_report(stored))
    assert entries == entries_of(read_report(stored)) and entries.digest == entries_of(read_report(stored)).digest
    assert entries.metrics["gold/sums/samples"] == 12
    assert entries.metrics["gold/sums/coverage_at_4"] == pytest.approx(2 / 3)
    assert [point.k for point in entries.curves] == [1, 2, 3, 4]
    assert "code" in entries.provenance
    run = TrackedRun.of(stored)
    troop("run", write_sweep(), "--local", "--no-report", "--set", "models.0.k=8")
    assert TrackedRun.of(open_run("runs/sums")) == run and run.name == "sums"
    assert entries_of(read_report(open_run("runs/sums"))).digest != entries.digest


@pytest.mark.slow
def test_wandb_offline(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """Runs the command line as a process of its own, whose end sees W&B's files written."""
    pytest.importorskip("wandb", reason="wandb is an extra of its own: pip install -e .[wandb]")
    sweep = write_sweep(track={"wandb": {"mode": "offline", "dir": "logs", "project": "p"}})
    said = run_apart(sweep)
    run = TrackedRun.of(open_run("runs/sums"))
    assert f"tracked in wandb p/{run.id}" in said, said
    folders = list((tmp_path / "logs/wandb").glob(f"offline-run-*-{run.id}"))
    assert len(folders) == 1
    logged = read_wandb(folders[0] / f"run-{run.id}.wandb")
    assert logged["gold/sums/samples"] == 12 and logged["gold/sums/coverage_at_1"] == pytest.approx(2 / 3)
    assert "progress/committed" in logged and logged["coverage/nrows"] == 4
    run_apart(sweep)
    assert list((tmp_path / "logs/wandb").glob("offline-run-*")) == folders
    run_apart(sweep, "--set", "models.0.k=6")
    assert len(list((tmp_path / "logs/wandb").glob(f"offline-run-*-{run.id}"))) == 2
    assert no_secret(tmp_path)


def run_apart(sweep: Path, *words: str) -> str:
    command = [sys.executable, "-m", "jobs", "run", str(sweep), "--local", "--no-report", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def read_wandb(path: Path) -> dict[str, Any]:
    """Returns the last value of each key that a file of W&B holds."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for data in leveldb_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in (*record.history.item, *record.summary.update, *record.run.summary.update):
            found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """Yields the records of a log of LevelDB, the form of W&B's files, behind their own header of seven bytes."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        if (32768 - place % 32768) < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield whole
            whole = b""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_in_a_database(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is an extra of its own: pip install -e .[mlflow]")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    track = {"mlflow": {"uri": uri, "experiment": "nightly"}}
    models = [{"name": "gold@1", "path": "gold", "engine": "replay", "k": 4}]
    found = troop("run", write_sweep(track=track, models=models), "--local", "--no-report")
    identity = TrackedRun.of(open_run("runs/sums")).id
    assert found.code == 0 and f"tracked in mlflow nightly, tag troop.id = {identity}" in found.err, found.err
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("nightly").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.data.metrics["gold_1/sums/samples"] == 12 and run.info.status == "FINISHED"
    assert run.data.tags["troop.id"] == identity and "troop.code" in run.data.tags
    curve = client.get_metric_history(run.info.run_id, "gold_1/sums/coverage")
    assert [(point.step, round(point.value, 3)) for point in curve] == [(k, 0.667) for k in (1, 2, 3, 4)]
    assert client.get_metric_history(run.info.run_id, "progress/committed")
    before = rows(tmp_path)
    for _ in range(2):
        again = troop("run", write_sweep(track=track, models=models), "--local", "--no-report")
        assert again.code == 0 and rows(tmp_path) == before
    models[0]["k"] = 6
    troop("run", write_sweep(track=track, models=models), "--local", "--no-report")
    (run,) = client.search_runs([experiment])
    assert run.data.metrics["gold_1/sums/samples"] == 18 and rows(tmp_path) > before
    assert no_secret(tmp_path)


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "mlflow.db") as db:
        return int(db.execute("SELECT count(*) FROM metrics").fetchone()[0])


@pytest.mark.filterwarnings("default")
def test_a_tracker_that_is_away_is_told_in_one_line(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="mlflow is an extra of its own: pip install -e .[mlflow]")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    track = {"mlflow": {"uri": "http://127.0.0.1:9"}}
    found = troop("run", write_sweep(track=track), "--local", "--no-report")
    assert found.code == 0 and "12 samples committed" in found.err
    assert found.err.count("warning: track.mlflow: ") == 1 and "Traceback" not in found.err
    assert SECRET not in found.err


class Broken:
    """A tracker that fails where ``at`` says, or hangs."""

    at = ""

    def __init__(self, *_: object) -> None:
        self.place = "nowhere"

    def _may_fail(self, name: str) -> None:
        if Broken.at == f"hang in {name}":
            threading.Event().wait(2)
        if Broken.at == name:
            raise RuntimeError(f"first line of {name}\nsecond line")

    def progress(self, values: dict[str, float]) -> None:
        self._may_fail("progress")

    def final(self, entries: object) -> None:
        self._may_fail("final")

    def close(self) -> None:
        self._may_fail("close")


@pytest.mark.parametrize("at", ["progress", "final", "close", "hang in progress", "hang in final", ""])
def test_no_failure_of_a_tracker_is_one_of_the_run(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(Broken, "at", at)
    monkeypatch.setattr(tracker, "WandbLog", Broken)
    monkeypatch.setattr(tracker, "LAST_S", 0.3 if at.startswith("hang") else 30)
    monkeypatch.setattr("jobs.sweep.Track.check", lambda _: None)
    found = troop("run", write_sweep(track={"wandb": {}}), "--local", "--no-report")
    assert found.code == 0 and "12 samples committed" in found.err
    warned = [line for line in found.err.splitlines() if "warning: track" in line or "tracked in" in line]
    expected = {
        "": "troop: tracked in nowhere",
        "hang in progress": "troop: warning: track.wandb: no end in 0.3 s; the run is not touched",
        "hang in final": "troop: warning: track.wandb: no end in 0.3 s; the run is not touched",
    }
    told = (
        f"troop: warning: track.wandb: first line of {at}; the run is not touched, and the same command logs it again"
    )
    assert warned[-1] == expected.get(at, told) and len(warned) == (2 if at == "close" else 1), warned


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_told_before_anything_is_written(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for command in ("plan", "run"):
        found = troop(command, write_sweep(track={name: {}}))
        line = f"troop: track.{name}: not installed here; `{sys.executable} -m pip install {name}`"
        assert (found.code, found.err.strip()) == (2, line)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "uri", [f"http://user:{SECRET}@host", f"http://host?token={SECRET}", f"postgresql://u:{SECRET}@h/d"]
)
def test_an_address_with_a_credential_is_refused_and_not_shown(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, uri: str
) -> None:
    found = troop("run", write_sweep(track={"mlflow": {"uri": uri}}))
    assert found.code == 2 and "track.mlflow.uri: an address without user, password and query" in found.err
    assert SECRET not in found.err and not (tmp_path / "runs").exists()
