"""Tests of ``troop register``: Iceberg readers see every compacted row once, and the files stay as they are."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from jobs.export.iceberg import CatalogPlace, Registered, register_run
from jobs.store.base import Store
from jobs.store.compact import compact_run
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.store.layers import Layer, layer_key
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, StoreError
from tests.conftest import Troop
from tests.jobs.store.test_compact import FEW, MODEL, SMALL, TASK, commit, commit_long, few, judge_again, unit_of
from tests.support.s3_server import S3Server

pytest.importorskip("pyiceberg")
__all__ = ["few"]


@pytest.fixture
def place(tmp_path: Path) -> CatalogPlace:
    """A catalog in SQLite."""
    (tmp_path / "warehouse").mkdir()
    return CatalogPlace(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse")


def table(place: CatalogPlace, name: str, **more: str) -> Any:
    from pyiceberg.catalog import load_catalog

    options = {"type": "sql", "uri": place.where, "warehouse": place.warehouse or "", **more}
    return load_catalog("default", **options).load_table(name)


def rows(found: Any, *names: str, **how: Any) -> list[tuple[Any, ...]]:
    columns = found.scan(selected_fields=names, **how).to_arrow().select(names).to_pydict()
    return sorted(zip(*columns.values(), strict=True), key=str)


def own(store: Store, view: str, *names: str, version: str | None = None) -> list[tuple[Any, ...]]:
    with open_database(store, version) as db:
        return sorted(db.sql(f"SELECT {', '.join(names)} FROM {view}").fetchall(), key=str)


def digests(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.parquet"))}


def test_readers_see_every_compacted_row_and_no_file_changes(tmp_path: Path, few: None, place: CatalogPlace) -> None:
    store = DirectoryStore(tmp_path / "run é")
    commit(store, *range(FEW))
    compact_run(store)
    before = digests(tmp_path)
    done = register_run(StoredRun(store, ()), place, "made.here")
    assert [(one.name, one.files, one.added, one.rows) for one in done.tables] == [
        ("made.here.verdicts", 1, 1, 18), ("made.here.samples", 1, 1, 18),
    ]  # fmt: skip
    assert digests(tmp_path) == before
    verdicts = ("model", "task", "version", "problem_idx", "sample_idx", "status", "passed", "tokens", "text_hash")
    assert rows(table(place, "made.here.verdicts"), *verdicts) == own(store, "verdicts", *verdicts)
    samples = ("model", "task", "problem_idx", "sample_idx", "text", "token_ids", "seed", "engine")
    assert rows(table(place, "made.here.samples"), *samples) == own(store, "samples", *samples)
    where = f"model = '{MODEL}' and task = '{TASK}' and sample_idx < 3"
    names = ("model", "task", "sample_idx")  # pyiceberg 0.12 filters by a partition only if it is selected too
    assert len(rows(table(place, "made.here.verdicts"), *names, row_filter=where)) == 6
    assert rows(table(place, "made.here.verdicts"), *names, row_filter="model = 'other'") == []


def test_a_later_call_adds_what_is_new_once(tmp_path: Path, few: None, place: CatalogPlace) -> None:
    store = DirectoryStore(tmp_path / "run")
    texts = commit_long(store, range(FEW + 1))
    compact_run(store, limits=SMALL)
    first = register_run(StoredRun(store, ()), place)
    assert first.waiting == 1
    assert first.tables[1].added > 1  # the shard's text is in several files
    assert [one.added for one in register_run(StoredRun(store, ()), place).tables] == [0, 0]
    texts |= commit_long(store, range(FEW + 1, 2 * FEW))
    compact_run(store, limits=SMALL)
    again = register_run(StoredRun(store, ()), place)
    assert (again.waiting, again.tables[0].added) == (0, 1)
    found = rows(table(place, "run.samples"), "problem_idx", "sample_idx", "text")
    assert sorted(found) == sorted((*key, text) for key, text in texts.items())
    snapshots = table(place, "run.samples").metadata.snapshots
    assert len(snapshots) == 2
    old = table(place, "run.samples").scan(snapshot_id=snapshots[0].snapshot_id).to_arrow()
    assert len(old) == first.tables[1].rows


def test_two_calls_at_once_add_each_file_once(tmp_path: Path, few: None, place: CatalogPlace) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    compact_run(store)
    register_run(StoredRun(store, ()), place)  # the tables are there
    commit(store, *range(FEW, 3 * FEW))
    compact_run(store)
    start, done = threading.Barrier(3), list[Registered | Exception]()

    def call() -> None:
        start.wait()
        try:
            done.append(register_run(StoredRun(store, ()), place))
        except StoreError as error:  # SQLite lets only one write at a time
            done.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(one, Registered) for one in done)
    register_run(StoredRun(store, ()), place)
    names = ("problem_idx", "sample_idx")
    for kind in ("verdicts", "samples"):
        assert rows(table(place, f"run.{kind}"), *names) == own(store, kind, *names)


def test_a_commit_of_another_in_between_is_seen(
    tmp_path: Path, few: None, place: CatalogPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another call commits the same files after this one has looked; pyiceberg alone would add them again."""
    from jobs.export import iceberg

    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    compact_run(store)
    real, calls = iceberg._append, list[str]()

    def overtaken(table: Any, files: Any, kind: str) -> int:
        calls.append(kind)
        if calls.count(kind) == 1:
            real(table.catalog.load_table(table.name()), files, kind)
        return real(table, files, kind)

    monkeypatch.setattr(iceberg, "_append", overtaken)
    done = register_run(StoredRun(store, ()), place)
    assert [one.added for one in done.tables] == [0, 0]
    assert len(rows(table(place, "run.verdicts"), "sample_idx")) == 18


def test_versions_of_verdicts_are_partitions_over_the_same_samples(
    tmp_path: Path, few: None, place: CatalogPlace
) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    judge_again(store, *range(FEW))
    compact_run(store)
    done = register_run(StoredRun(store, ()), place)
    assert [one.added for one in done.tables] == [2, 1]
    for version in ("v1", "v2"):
        found = rows(
            table(place, "run.verdicts"), "version", "sample_idx", "status", row_filter=f"version = '{version}'"
        )
        assert found == own(store, "verdicts", "version", "sample_idx", "status", version=version)


def test_a_table_of_an_older_troop_gets_the_new_columns(
    tmp_path: Path, few: None, place: CatalogPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.export import iceberg

    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    compact_run(store)
    place_of = StoredRun(store, ())
    with monkeypatch.context() as older:
        older.setitem(iceberg._COLUMNS, "verdicts", iceberg.VERDICT_COLUMNS[:-1])
        from pyiceberg.catalog import load_catalog

        catalog = load_catalog("default", type="sql", uri=place.where, warehouse=place.warehouse or "")
        catalog.create_namespace("run")
        assert "toolchain" not in iceberg._table(catalog, "run.verdicts", "verdicts").schema().column_names
    register_run(place_of, place)
    assert rows(table(place, "run.verdicts"), "sample_idx", "toolchain") == own(
        store, "verdicts", "sample_idx", "toolchain"
    )


def test_a_run_on_s3_is_registered_where_it_lies(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, few: None, place: CatalogPlace
) -> None:
    store = moto.new_store(monkeypatch)
    commit(store, *range(FEW))
    compact_run(store)
    done = register_run(StoredRun(store, ()), place, "cloud")
    assert [one.rows for one in done.tables] == [18, 18]
    from jobs.export.iceberg import _s3

    more = {name: value for name, value in _s3(store).items() if value}
    found = table(place, "cloud.samples", **more)
    assert {task.file.file_path.partition("://")[0] for task in found.scan().plan_files()} == {"s3"}
    assert rows(found, "sample_idx", "text") == own(store, "samples", "sample_idx", "text")


def test_the_command_and_its_bad_input(troop: Troop, tmp_path: Path, few: None, place: CatalogPlace) -> None:
    store = DirectoryStore(tmp_path / "run")
    layer = Layer(number=0, created="2026-01-01T00:00:00+00:00", code_version="made", sweep={}, models=(), problems=(),
                  blocks=())  # fmt: skip
    store.put_new(layer_key(0), layer.encode())
    words = ["register", store.uri, "--catalog", place.where]
    commit(store, 0)
    empty = troop(*words, "--warehouse", place.warehouse)
    assert (empty.code, "no shard (256 units) is compacted yet" in empty.err) == (2, True)
    assert not (tmp_path / "catalog.db").exists()
    commit(store, *range(1, FEW))
    compact_run(store)
    for more, said in (
        ([], "needs --warehouse"),
        (["--warehouse", place.warehouse, "--namespace", "a b"], "--namespace a b: allowed"),
        (["--warehouse", place.warehouse, "--catalog", "nosuch"], "nosuch"),
        (["--warehouse", place.warehouse, "--catalog", "sqlite:////no/such/folder/c.db"], "unable to open"),
    ):
        refused = troop(*words, *more)
        assert (refused.code, refused.err.count("\n")) == (2, 1), more
        assert said in refused.err
    done = troop(*words, "--warehouse", place.warehouse, "--json")
    assert done.code == 0, done.err
    report = Registered.model_validate_json(done.out)
    assert [one.name for one in report.tables] == ["run.verdicts", "run.samples"]
    assert "0 files added" in troop(*words, "--warehouse", place.warehouse).out
    assert unit_of(0).model == MODEL


def test_a_table_of_others_is_refused(tmp_path: Path, few: None, place: CatalogPlace) -> None:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.schema import Schema
    from pyiceberg.types import IntegerType, NestedField

    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    compact_run(store)
    catalog = load_catalog("default", type="sql", uri=place.where, warehouse=place.warehouse or "")
    catalog.create_namespace("run")
    catalog.create_table("run.verdicts", Schema(NestedField(1, "x", IntegerType(), required=False)))
    with pytest.raises(BadInput, match=r"run.verdicts is not one of Troop's"):
        register_run(StoredRun(store, ()), place)
