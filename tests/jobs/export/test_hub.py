"""An export to a data set of the hub: unseen until one commit names all files, private, and nothing is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.export.data_set import DataSet
from jobs.export.selection import Selection
from jobs.export.training import export_training
from jobs.store.folder import DirectoryStore
from jobs.store.stored_run import StoredRun, read_run
from tests.support.hub_server import Hub, hub_server
from tests.support.made_run import make_run, text_problem
from tests.support.places import ROOT


@pytest.fixture
def run(tmp_path: Path) -> str:
    return make_run(DirectoryStore(tmp_path / "run"), [text_problem(number) for number in range(11)]).store.uri


def export(run: str, hub: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own: the hub's client reads its address once."""
    given = {"HF_ENDPOINT": hub, "HF_TOKEN": "hf_made", "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
             "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*", "HF_HUB_OFFLINE": "0"}  # fmt: skip
    command = [sys.executable, "-m", "jobs", "export", run, "--out", "hf://datasets/me/made", *words]
    return subprocess.run(command, env=os.environ | given, cwd=ROOT, capture_output=True, text=True, check=False)


def test_one_commit_shows_all_files(run: str, tmp_path: Path) -> None:
    with hub_server() as hub:
        done = export(run, hub.url, tmp_path, "--format", "sft")
        assert done.returncode == 0, done.stderr
        assert hub.created is not None
        assert (hub.created["type"], hub.created["name"]) == ("dataset", "made")
        assert hub.created.get("private") is True or hub.created.get("visibility") == "private"
        assert (hub.commits, hub.tokens) == (["troop export --format sft"], {"Bearer hf_made"})
        again = export(run, hub.url, tmp_path, "--format", "sft")
        assert (again.returncode, "not empty" in again.stderr) == (2, True), again.stderr
        assert len(hub.commits) == 1
    here = DirectoryStore(tmp_path / "here")
    export_training(_read(run), here, DataSet("sft", Selection()))
    assert hub.files == {info.key: here.get(info.key) for info in here.list("")}


def _read(run: str) -> StoredRun:
    return read_run(DirectoryStore(Path(run)))


def test_what_was_not_committed_is_not_seen(run: str, tmp_path: Path) -> None:
    with hub_server() as hub:
        hub.refuse_commits = True
        done = export(run, hub.url, tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "the hub answers 403" in done.stderr
        assert hub.files == {}


def test_a_hub_that_cannot_be_reached_is_one_line(run: str, tmp_path: Path) -> None:
    done = export(run, "http://127.0.0.1:9", tmp_path, "--format", "sft")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "hf://datasets/me/made: the hub cannot be reached" in done.stderr
    assert isinstance(Hub().files, dict)
