"""Fixtures: a store of each kind, and the servers behind them. ``conftest.py`` names this plugin, for all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.store.base import Store
from jobs.store.catalogue import result_files
from jobs.store.folder import DirectoryStore
from jobs.store.layout import verdicts_prefixes
from tests.support.s3_server import CannotStart, S3Server, moto_server, swift_server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(swift_server(tmp_path_factory.mktemp("swift")))
        except CannotStart as error:
            pytest.skip(f"no real S3 server: {error}")
        yield server


@pytest.fixture(params=["directory", "moto", "swift"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of each kind: what one promises, all must keep."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue(request.param)
    return server.new_store(monkeypatch)


def committed_units(store: Store, version: str, model: str, task: str) -> set[int]:
    """The numbers of the units that have verdicts, in files of their own or compacted."""
    starts = verdicts_prefixes(version, model, task)
    return {unit for start in starts for _, key in result_files(store, start) for unit in key.units}
