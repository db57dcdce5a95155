"""Submission through Ray Jobs, with token authentication, to a cluster on this machine with a dashboard."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.metrics import MEASURES, USD, Metrics
from cluster.submit import submit_job
from cluster.tally import CellTally, Tally
from sampling.errors import BadInput
from tests.cluster.test_manifests import PREFIX
from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """Starts a Ray in a folder of its own and names it there as the latest.

    Where one machine has several Rays, a job's driver is sent to the latest of the folder: in the common one, to a Ray
    of another test.
    """
    import ray
    from ray._private.utils import write_ray_address

    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as in an activated environment
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"dashboard_host": "127.0.0.1", "dashboard_port": port, "_node_ip_address": "127.0.0.1"}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # short: the names of sockets have a limit
        ray.init(address="local", include_dashboard=True, log_to_driver=False, _temp_dir=folder, **where)
        write_ray_address(ray.get_runtime_context().gcs_address, folder)
        yield f"http://127.0.0.1:{port}"
        ray.shutdown()


@pytest.mark.filterwarnings("default")  # of Ray's own clients
def test_a_job_runs_the_sweep_and_its_exit_code_comes_back(
    dashboard: str, troop: Troop, write_sweep: WriteSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(store=str(tmp_path / "runs"))
    assert submit_job(dashboard, ["run", str(sweep), "--no-report"], ROOT, wait=True) == 0
    assert "12 samples committed" in capsys.readouterr().out
    assert '"complete": true' in troop("status", tmp_path / "runs" / "sums", "--json").out
    words = ["run", str(sweep), "--no-report", "--if-incomplete"]
    assert submit_job(dashboard, words, ROOT, wait=True) == 0
    assert "complete; nothing to do" in capsys.readouterr().out
    bad = write_sweep(store=str(tmp_path / "runs"), k=0)
    assert submit_job(dashboard, ["run", str(bad)], ROOT, wait=True) == 2


@pytest.mark.filterwarnings("default")
def test_while_a_job_works_on_a_run_a_scheduled_one_submits_nothing(
    dashboard: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def submit(run: str, *, only_one: bool) -> str:
        assert submit_job(dashboard, ["--help"], ROOT, wait=False, run=run, only_one=only_one) == 0
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


def test_an_address_that_does_not_answer_is_told_in_one_line(dashboard: str) -> None:
    with pytest.raises(BadInput, match="Failed to connect"):
        submit_job("http://127.0.0.1:9", ["run", "x.yaml"], ROOT, wait=False)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_store_that_the_job_would_lose_is_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("submit", write_sweep(), "--address", "http://127.0.0.1:9")
    assert found.code == 2
    assert "'runs' would be lost" in found.err
