"""Addresses that do not answer or refuse our token: one line and exit code 2, before anything is written or started."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.address import check_address
from cluster.session import connect_ray
from sampling.errors import BadInput
from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a Ray on this machine."""
    with connect_ray(None):
        import ray

        yield str(ray.get_runtime_context().gcs_address)


@pytest.mark.parametrize(
    "given", ["nonsense", "host:99999", "ftp://host:1", "http://127.0.0.1:8265", "ray://head:10001"]
)
def test_what_is_no_address_is_refused_with_those_that_are(given: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: host:port.* or auto") as refused:
        check_address(given)
    assert ("troop submit" in str(refused.value)) == given.startswith(("http", "ray"))


def test_nothing_is_asked_where_ray_finds_or_starts_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for given in (None, "auto", "local"):
        check_address(given)
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(BadInput, match="nonsense"):
        check_address(None)


def test_an_address_that_does_not_answer_is_told_in_one_line_and_nothing_is_written(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    with socket.socket() as taken:  # a port at which nobody listens
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        found = troop("run", write_sweep(), "--address", nobody)
    assert found.code == 2
    assert found.err == f"troop: ray: no cluster answers at {nobody!r}; `ray start --head` starts one\n"
    assert not (tmp_path / "runs").exists()


def test_a_wrong_token_is_told_in_one_line_and_leaves_nothing(
    address: str, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    check_address(address)  # the right one
    words = [sys.executable, "-m", "jobs", "run", str(write_sweep()), "--address", address]
    empty_home = tmp_path / "home"
    empty_home.mkdir()
    wrongs = {
        "refuses this machine's token; copy the one of its head: `scp HEAD": {"RAY_AUTH_TOKEN": "0" * 64},
        "wants a token, but RAY_AUTH_MODE is not token; `export RAY": {"RAY_AUTH_MODE": "disabled"},
        "wants a token, and this machine has none; copy the one": {"HOME": str(empty_home), "RAY_AUTH_TOKEN_PATH": ""},
    }
    for said, wrong in wrongs.items():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **wrong}
        found = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert found.returncode == 2
        assert found.stderr.startswith(f"troop: ray: {address!r} {said}")
        assert len(found.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_scheduled_submission_of_a_complete_run_needs_no_cluster(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    sweep = write_sweep(store=str(tmp_path / "runs"))
    words = ("submit", sweep, "--address", "http://127.0.0.1:9", "--if-incomplete")
    assert troop(*words).code == 2  # nothing is committed yet: the cluster is asked
    assert troop("run", sweep, "--local", "--no-report").code == 0
    found = troop(*words)
    assert (found.code, "complete; nothing submitted" in found.err) == (0, True)
    assert troop(*words, "--set", "models.gold.k=5").code == 2  # more is asked for
