"""Submission through Ray Jobs, with token authentication, to a cluster of this machine that has a dashboard."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.submit import submit_job
from sampling.errors import BadInput
from tests.conftest import Troop, WriteSweep

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    import ray

    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as in an activated environment
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"dashboard_host": "127.0.0.1", "dashboard_port": port, "_node_ip_address": "127.0.0.1"}
    ray.init(address="local", include_dashboard=True, log_to_driver=False, **where)
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
    bad = write_sweep(store=str(tmp_path / "runs"), k=0)
    assert submit_job(dashboard, ["run", str(bad)], ROOT, wait=True) == 2


def test_an_address_that_does_not_answer_is_told_in_one_line(dashboard: str) -> None:
    with pytest.raises(BadInput, match="Failed to connect"):
        submit_job("http://127.0.0.1:9", ["run", "x.yaml"], ROOT, wait=False)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_store_that_the_job_would_lose_is_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("submit", write_sweep(), "--address", "http://127.0.0.1:9")
    assert found.code == 2
    assert "'runs' would be lost" in found.err
