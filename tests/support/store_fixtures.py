"""Fixtures: a store of each kind, and the servers behind them. ``conftest.py`` loads this plugin for all tests."""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from jobs.store.base import Store
from jobs.store.catalogue import result_files
from jobs.store.encode import decode_samples
from jobs.store.folder import DirectoryStore
from jobs.store.layout import FINAL, VERDICTS
from jobs.store.sealed_parquet import read_table
from sampling.samples import Provenance, Sample
from tests.support.s3_server import CannotStart, S3Server, moto_server, swift_server

JSONFileLoader.load_file = lru_cache(maxsize=None)(JSONFileLoader.load_file)  # each client reads a megabyte of them


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
    """An empty store, once of each kind: all kinds must keep the same promises."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue(request.param)
    return server.new_store(monkeypatch)


def committed_units(store: Store, version: str, model: str, task: str) -> set[int]:
    """Returns the numbers of the units that have verdicts, in files of their own or compacted."""
    files = (file for start in (VERDICTS, FINAL + VERDICTS) for file in result_files(store, start))
    cell = (version, model, task)
    return {unit for file in files if (file.version, file.key.model, file.key.task) == cell for unit in file.key.units}


def read_samples(data: bytes, where: str = "samples", model: str = "m") -> tuple[list[Sample], Provenance]:
    """Returns the samples of a model's file and their provenance, with "" or None where it has no row."""
    table = read_table(data, "samples", where)
    first = table.slice(0, 1).to_pylist()
    found = {field.name: None if field.default is None else "" for field in fields(Provenance)} | {"model": model}
    if first:
        found |= {name: first[0][name] for name in found if name in first[0]}
    return decode_samples(table), Provenance(**found)
