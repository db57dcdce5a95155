"""Submission through Ray Jobs, with token authentication, to a cluster on this machine with a dashboard."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from cluster.metrics import MEASURES, USD, Metrics
from cluster.submit import PYTHON, _follow, submit_job
from cluster.tally import CellTally, Tally
from sampling.errors import BadInput
from tests.cluster.test_manifests import PREFIX
from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT

OTHER_PYTHON = "#!/bin/sh\nexit 7\n"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Starts a Ray in a folder of its own and names it there as the latest. First on its PATH is another Python.

    Where one machine has several Rays, a job's driver is sent to the latest of the folder: in the common one, to a Ray
    of another test.
    """
    import ray
    from ray._private.utils import write_ray_address

    others = tmp_path_factory.mktemp("others")
    for name in ("python", "python3"):
        (others / name).write_text(OTHER_PYTHON)
        (others / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"dashboard_host": "127.0.0.1", "dashboard_port": port, "_node_ip_address": "127.0.0.1"}
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder,  # short: the names of sockets have a limit
    ):
        patch.setenv("PATH", f"{others}:{os.environ['PATH']}")
        ray.init(address="local", include_dashboard=True, log_to_driver=False, _temp_dir=folder, **where)
        write_ray_address(ray.get_runtime_context().gcs_address, folder)
        yield f"http://127.0.0.1:{port}"
        ray.shutdown()


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "parcel.zip", "w") as package:
        package.writestr("files/notes.md", "x")
    return tmp_path / "parcel.zip"


@pytest.mark.filterwarnings("default")  # of Ray's own clients
def test_a_job_runs_the_sweep_and_its_exit_code_comes_back(
    dashboard: str, troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    """Submits from a folder whose modules have the names of ours: none of them is run, here or in an actor there."""
    (place := tmp_path / "elsewhere").mkdir()
    sweep = write_sweep(store=str(place))
    for name in ("jobs", "sampling", "verify", "cluster"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(0)\n")
    found = troop("submit", sweep, "--address", dashboard)
    assert (found.code, "12 samples committed" in found.out) == (0, True), found
    assert '"complete": true' in troop("status", place / "sums", "--json").out
    assert troop("submit", sweep, "--address", dashboard, "--set", "models.gold.prices.per_engine_hour=x").code == 2


@pytest.mark.filterwarnings("default")
def test_a_job_that_fails_or_is_stopped_says_so_by_its_code(
    dashboard: str, parcel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submit_job(dashboard, ["run", "files/missing.yaml"], parcel, wait=True) == 2
    from ray.job_submission import JobSubmissionClient

    def stop() -> None:
        client = JobSubmissionClient(dashboard)
        while not (jobs := [job for job in client.list_jobs() if (job.metadata or {}).get("troop_run") == "slow"]):
            time.sleep(0.2)
        client.stop_job(str(jobs[0].submission_id))

    monkeypatch.setattr("cluster.submit.PYTHON", "sleep 100 #")
    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(stop)
        assert submit_job(dashboard, ["run", "files/sweep.yaml"], parcel, wait=True, run="slow") == 130
        stopped.result()
    assert "stopped; the same command continues" in capsys.readouterr().err


def test_a_python_without_troop_is_told_in_one_line(tmp_path: Path) -> None:
    """Runs the entrypoint where the shell's parent has no library of Ray, so that it takes the Python on the PATH."""
    (tmp_path / "python").write_text(OTHER_PYTHON)
    (tmp_path / "python").chmod(0o755)
    found = {}
    for path in (f"{tmp_path}:/usr/bin:/bin", f"{tmp_path / 'none'}"):
        words = ["/usr/bin/env", "-i", f"PATH={path}", "/bin/sh", "-c", '/bin/sh -c "$0"; exit $?', f"{PYTHON} --help"]
        found[path] = subprocess.run(words, capture_output=True, text=True, check=False)
    other, none = found.values()
    assert (other.returncode, none.returncode) == (2, 127)
    said = "the Python of this cluster's Ray, has no Troop (or is older than 3.11); install it there"
    assert other.stderr == f"troop: {tmp_path}/python, {said}\n"


class Broken:
    """A client whose first connection breaks in the middle of the log, and whose second is ended early."""

    def __init__(self) -> None:
        self.connections = 0

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        self.connections += 1
        yield "one\n"
        if self.connections == 1:
            raise RuntimeError("closed with 1006")
        yield "two\n"
        if self.connections == 3:
            yield "three\n"

    def get_job_info(self, job: str) -> Any:
        from ray.job_submission import JobStatus

        done = self.connections == 3
        return SimpleNamespace(
            status=JobStatus.SUCCEEDED if done else JobStatus.RUNNING, driver_exit_code=3 if done else None, message=""
        )


def test_a_log_that_breaks_off_is_read_on_and_the_jobs_own_end_decides(capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(_follow(Broken(), "job")) == 3
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


@pytest.mark.filterwarnings("default")
def test_while_a_job_works_on_a_run_a_scheduled_one_submits_nothing(
    dashboard: str, parcel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def submit(run: str, *, only_one: bool) -> str:
        assert submit_job(dashboard, ["--help"], parcel, wait=False, run=run, only_one=only_one) == 0
        return capsys.readouterr().err

    assert "submitted" in submit("s3://b/one", only_one=False)
    assert "already works on s3://b/one; nothing submitted" in submit("s3://b/one", only_one=True)
    assert "submitted" in submit("s3://b/two", only_one=True)


def test_what_a_driver_measures_reaches_prometheus(dashboard: str) -> None:
    import ray

    tally = Tally([CellTally("m", "t", problems=2, planned=50, committed=7, solved=set())])
    metrics = Metrics("s3://b/measured", lambda progress: 1.25)
    metrics(tally.snapshot(engines_wait=False, set_aside=0))
    where = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"  # what Ray tells Prometheus to scrape
    expected = {PREFIX + measure.name for measure in MEASURES} | {PREFIX + USD}
    deadline = time.monotonic() + 60  # names come one by one, and those of other runs are there before
    while (values := _scraped(where, "s3://b/measured")).keys() != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    assert values.keys() == expected
    assert values[PREFIX + USD] == 1.25
    assert values["ray_troop_planned_samples"] == 50 and values["ray_troop_committed_samples"] == 7


def _scraped(where: str, run: str) -> dict[str, float]:
    ours = [line for line in httpx.get(where).text.splitlines() if f'run="{run}"' in line]
    return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in ours}


def test_a_wrong_token_is_told_in_one_line(dashboard: str, write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep(store=str(tmp_path / "runs"))
    words = [sys.executable, "-m", "jobs", "submit", str(sweep), "--address", dashboard]
    wrong = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64, "PYTHONPATH": str(ROOT)}  # Ray reads it once a process
    found = subprocess.run(words, env=wrong, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1 and "refuses this machine's token" in found.stderr


def test_an_address_that_does_not_answer_is_told_in_one_line(dashboard: str, parcel: Path) -> None:
    with pytest.raises(BadInput, match="Failed to connect"):
        submit_job("http://127.0.0.1:9", ["run", "x.yaml"], parcel, wait=False)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_store_that_the_job_would_lose_is_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("submit", write_sweep(), "--address", "http://127.0.0.1:9")
    assert found.code == 2
    assert "'runs' would be lost" in found.err
