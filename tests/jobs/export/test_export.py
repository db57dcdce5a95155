"""Tests of ``troop export``: each committed sample once, in order, equal bytes, nothing replaced, nothing half done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.export import rows as rows_module
from jobs.export.files import INDEX, ExportReport, export_run
from jobs.export.rows import EXPORT_SCHEMA
from jobs.store.base import NO_METADATA, Store
from jobs.store.catalogue import write_problems
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.encode import encode_samples, verdict_table
from jobs.store.folder import DirectoryStore
from jobs.store.layout import FINAL, SAMPLES, samples_key, verdicts_key
from jobs.store.sealed_parquet import Footer, read_footer
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, StoreError
from sampling.problems import Problem
from sampling.samples import Unit
from tests.conftest import Troop, WriteSweep
from tests.jobs.store.test_compact import (
    FEW,
    MODEL,
    PROVENANCE,
    SMALL,
    TASK,
    commit,
    commit_long,
    expected,
    few,
    judge_again,
    samples_of,
    unit_of,
    verdicts_of,
)
from tests.support.s3_server import S3Server
from verify.verdict import Status, Verdict

__all__ = ["few"]


def exported(store: Store, target: Store, version: str | None = None) -> list[dict[str, Any]]:
    """Exports a run; returns the rows of all files in their order."""
    report = export_run(StoredRun(store, (), version), target, SMALL)
    index = json.loads(target.get(INDEX))
    assert index["files"] == [file.model_dump() for file in report.files]
    assert [info.key for info in target.list("")] == [INDEX, *(file.name for file in report.files)]
    tables = [pq.read_table(pa.BufferReader(target.get(file.name))) for file in report.files]
    assert [len(table) for table in tables] == [file.rows for file in report.files]
    assert all(table.schema.names == EXPORT_SCHEMA.names for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def short(rows: list[dict[str, Any]]) -> list[tuple[int, int, str, str]]:
    return [(row["problem_idx"], row["sample_idx"], row["status"], row["text"]) for row in rows]


def test_each_committed_sample_is_there_once_with_its_verdict_and_its_problem(store: Store, tmp_path: Path) -> None:
    problem = {"prompt": "How many é?", "verifier": "exact", "reference": {"answer": "1"}}
    write_problems(store, TASK, 0, [Problem.model_validate({"id": f"p{number}", **problem}) for number in range(2)])
    write_problems(store, "other", 0, [Problem.model_validate({"id": "stranger", **problem})])
    commit(store, *range(5))
    store.put(samples_key(unit_of(0), "lost"), encode_samples(samples_of(unit_of(0), "lost "), PROVENANCE))
    store.put(samples_key(unit_of(7), "never"), encode_samples(samples_of(unit_of(7), "no verdict "), PROVENANCE))
    rows = exported(store, DirectoryStore(tmp_path / "out"))
    assert short(rows) == expected(*range(5))
    assert {(row["model"], row["task"], row["version"]) for row in rows} == {(MODEL, TASK, "v1")}
    assert {(row["problem_idx"], row["problem_id"], row["prompt"]) for row in rows} == {
        (0, "p0", "How many é?"), (1, "p1", "How many é?"),
    }  # fmt: skip
    assert {(row["finish_reason"], row["tokens"], row["seed"], row["engine"]) for row in rows} == {
        ("stop", 5, 1, "vllm")
    }


@pytest.mark.parametrize("server", ["swift", "moto"])
def test_a_run_on_s3_goes_to_s3(
    request: pytest.FixtureRequest, server: str, monkeypatch: pytest.MonkeyPatch, few: None, tmp_path: Path
) -> None:
    real: S3Server = request.getfixturevalue(server)
    store, target = real.new_store(monkeypatch), real.new_store(monkeypatch)
    texts = commit_long(store, range(FEW + 1))
    compact_run(store, limits=SMALL)
    rows = exported(store, target)
    assert [(row["problem_idx"], row["sample_idx"], row["text"]) for row in rows] == [
        (*key, text) for key, text in sorted(texts.items())
    ]
    with pytest.raises(BadInput, match="not empty"):
        export_run(StoredRun(store, ()), target)


def test_equal_rows_make_equal_bytes_compacted_or_not(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit_long(store, range(FEW + 1))
    places = [DirectoryStore(tmp_path / name) for name in "abc"]
    first = exported(store, places[0])
    exported(store, places[1])
    compact_run(store, limits=SMALL)
    exported(store, places[2])
    contents = [{info.key: place.get(info.key) for info in place.list("")} for place in places]
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) > 3
    assert [row["sample_idx"] for row in first] == sorted(range(4 * FEW + 4)) * 8
    assert not (tmp_path / "a" / ".tmp").exists()


def test_long_prompts_are_repeated_for_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, long = DirectoryStore(tmp_path / "run"), "é" * 1000
    problem = {"prompt": long, "verifier": "exact", "reference": {"answer": "1"}}
    write_problems(store, TASK, 0, [Problem.model_validate({"id": f"p{number}", **problem}) for number in range(2)])
    commit(store, *range(5))
    whole = exported(store, DirectoryStore(tmp_path / "whole"))
    sizes = list[int]()

    def watched(table: pa.Table, *more: Any) -> pa.Table:
        sizes.append(len(table))
        return real(table, *more)

    real = rows_module._with_names
    monkeypatch.setattr(rows_module, "_with_names", watched)
    monkeypatch.setattr(rows_module, "_PROMPT_BYTES", 7 * len(long.encode()))
    assert exported(store, DirectoryStore(tmp_path / "parts")) == whole
    assert max(sizes) == 7
    assert {row["prompt"] for row in whole} == {long}


def test_one_version_of_the_verdicts_is_exported(tmp_path: Path, few: None) -> None:
    """A version that is half done names samples that compaction has merged: only its own rows are there."""
    store = DirectoryStore(tmp_path / "run")
    commit(store, *range(FEW))
    judge_again(store, 0, 2)
    compact_run(store)
    assert short(exported(store, DirectoryStore(tmp_path / "all"))) == expected(*range(FEW))
    again = exported(store, DirectoryStore(tmp_path / "v2"), "v2")
    assert [row[3] for row in short(again)] == [row[3] for row in expected(0, 2)]
    assert {row["status"] for row in again} == {"pass"}


def test_outcomes_without_text_have_their_verdicts(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "run")
    unit = unit_of(0)
    table = verdict_table(samples_of(unit), verdicts_of(unit)).select(["problem_idx", "sample_idx", "status"])
    RunSink(store, "imported").put_verdicts(unit, table, Footer("a0"))
    rows = exported(store, DirectoryStore(tmp_path / "out"))
    assert [row[:3] for row in short(rows)] == [row[:3] for row in expected(0)]
    assert {(row["text"], row["seed"], row["engine"], row["prompt"]) for row in rows} == {(None,) * 4}


def test_several_models_and_tasks_come_in_order_of_their_names(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "run")
    for model, task in (("b", "x"), ("a/é", "y"), ("a/é", "0123"), ("c=%", "x")):
        unit = Unit(model, task, 0, 0, 2, 0, 2)
        verdicts = [Verdict(Status.PASS)] * unit.rows
        RunSink(store, "v1").commit(unit, samples_of(unit), verdicts, replace(PROVENANCE, model=model))
    rows = exported(store, DirectoryStore(tmp_path / "out"))
    cells = list(dict.fromkeys((row["model"], row["task"]) for row in rows))
    assert cells == [("a/é", "0123"), ("a/é", "y"), ("b", "x"), ("c=%", "x")]
    assert pq.read_table(tmp_path / "out").num_rows == len(rows) == 16


@dataclass(frozen=True)
class Failing(DirectoryStore):
    """A folder that is full, or that its user interrupts, after a few files."""

    files: int = 1
    error: BaseException = field(default_factory=lambda: StoreError("No space left on device"))
    made: list[str] = field(default_factory=list)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        if len(self.made) == self.files:
            raise self.error
        self.made.append(key)
        return super().put_new(key, data, metadata)


@pytest.mark.parametrize("error", [StoreError("No space left on device"), KeyboardInterrupt()])
def test_a_failed_export_leaves_nothing(tmp_path: Path, few: None, error: BaseException) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit_long(store, range(FEW))
    target = Failing(tmp_path / "out", 3, error)
    with pytest.raises(type(error)):
        export_run(StoredRun(store, ()), target, SMALL)
    assert len(target.made) == 3
    assert list(target.list("")) == []
    export_run(StoredRun(store, ()), DirectoryStore(tmp_path / "out"), SMALL)


def test_a_file_of_another_writer_stays(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Raced(DirectoryStore):
        def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
            super().put_new(key, b"theirs", metadata)
            return super().put_new(key, data, metadata)

    store = DirectoryStore(tmp_path / "run")
    commit(store, 0)
    with pytest.raises(BadInput, match="another writer"):
        export_run(StoredRun(store, ()), Raced(tmp_path / "out"))
    assert (tmp_path / "out" / "part-00000.parquet").read_bytes() == b"theirs"


def test_a_shard_that_is_compacted_meanwhile_is_read_again(tmp_path: Path, few: None) -> None:
    @dataclass(frozen=True)
    class Overtaken(DirectoryStore):
        done: list[str] = field(default_factory=list)

        def get(self, key: str) -> bytes:
            if key.startswith(SAMPLES) and not self.done:
                self.done.append(key)
                compact_run(DirectoryStore(self.root), limits=SMALL)
            return super().get(key)

    store = Overtaken(tmp_path / "run")
    texts = commit_long(DirectoryStore(tmp_path / "run"), range(FEW))
    rows = exported(store, DirectoryStore(tmp_path / "out"))
    assert store.done
    assert {(row["problem_idx"], row["sample_idx"]): row["text"] for row in rows} == texts


@pytest.mark.parametrize("compacted", [False, True])
def test_damaged_samples_are_not_exported(tmp_path: Path, few: None, compacted: bool) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit_long(store, range(FEW))
    if compacted:
        compact_run(store, limits=SMALL)
    victim = sorted((tmp_path / "run" / ((FINAL if compacted else "") + SAMPLES)).rglob("*.parquet"))[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=victim.name):
        export_run(StoredRun(store, ()), DirectoryStore(tmp_path / "out"), SMALL)
    assert list(DirectoryStore(tmp_path / "out").list("")) == []


def test_gone_samples_are_told(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "run")
    commit(store, 0, 1)
    gone = read_footer(store.get(verdicts_key("v1", unit_of(1)))).samples
    store.delete(gone)
    with pytest.raises(StoreError, match="no such object; the run changes while it is read"):
        export_run(StoredRun(store, ()), DirectoryStore(tmp_path / "out"))


def test_the_command(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    models = [{"name": "small", "path": "gold", "engine": "replay", "k": 4}]
    assert troop("run", write_sweep(name="demo", models=models), "--local", "--no-report").code == 0
    run, out = "runs/demo", str(tmp_path / "out")
    done = troop("export", run, "--out", out, "--json")
    assert done.code == 0, done.err
    report = ExportReport.model_validate_json(done.out)
    assert pq.read_table(out).num_rows == report.rows > 0
    for place, words in ((out, "not empty"), (f"{run}/x", "in the run itself"), (run, "in the run itself"),
                         ("hf://datasets/a", "allowed: hf://datasets/owner/name"), ("gs://a", "allowed: a path"),
                         (f"{out}/{INDEX}", "")):  # fmt: skip
        refused = troop("export", run, "--out", place)
        assert refused.code == 2, place
        assert words in refused.err
        assert refused.err.count("\n") == 1
    missing = troop("export", "runs/none", "--out", str(tmp_path / "new"))
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert not (tmp_path / "new").exists()


def test_a_run_without_a_commit_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing to export"):
        export_run(StoredRun(DirectoryStore(tmp_path / "run"), ()), DirectoryStore(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
