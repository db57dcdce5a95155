"""Numbers by token of stored samples: what an engine gave is what readers, a compaction and an export have."""

from array import array
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.export.files import export_run
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.database import open_database
from jobs.store.encode import encode_samples, write_files
from jobs.store.folder import DirectoryStore
from jobs.store.schema import LISTS, SAMPLES_SCHEMA
from jobs.store.sealed_parquet import open_parquet, read_table
from jobs.store.stored_run import StoredRun
from sampling.samples import NO_LISTS, Sample, TokenLists, Unit
from tests.jobs.store.test_compact import FEW, MODEL, PROVENANCE, TASK, few
from verify.verdict import Status, Verdict

__all__ = ["few"]

FOUND = TokenLists(
    array("i", [7, 2**31 - 1]), array("f", [-0.5, 0.0]), array("i", [7, 9, 1, 2]), array("f", [-0.5] * 4)
)
EMPTY = TokenLists(array("i"), array("f"), array("i"), array("f"))
ROWS = [FOUND, NO_LISTS, EMPTY]


def unit(number: int) -> Unit:
    return Unit(MODEL, TASK, number, 0, 1, 3 * number, 3 * number + 3)


def samples(of: Unit) -> list[Sample]:
    return [
        Sample(0, index, "é", "stop", 1, 2, 1, 1.0, lists=ROWS[index % 3])
        for index in range(of.first_sample, of.last_sample)
    ]


def commit(store: DirectoryStore, *numbers: int) -> None:
    for one in map(unit, numbers):
        RunSink(store, "v1").commit(one, samples(one), [Verdict(Status.PASS)] * 3, PROVENANCE)


def stored(store: DirectoryStore) -> list[tuple[Any, ...]]:
    with open_database(store) as db:
        return db.sql(f"SELECT {', '.join(LISTS)} FROM samples ORDER BY sample_idx").fetchall()


def plain(lists: TokenLists) -> tuple[Any, ...]:
    values = [getattr(lists, name) for name in LISTS]
    return tuple(None if value is None else list(value) for value in values)


def test_a_compaction_and_an_export_keep_every_number(few: None, tmp_path: Path) -> None:
    store, target = DirectoryStore(tmp_path / "run"), DirectoryStore(tmp_path / "out")
    commit(store, *range(FEW + 1))
    expected = [plain(ROWS[index % 3]) for index in range(3 * (FEW + 1))]
    assert stored(store) == expected
    assert compact_run(store).shards == 1
    assert stored(store) == expected
    (file,) = export_run(StoredRun(store, ()), target).files
    rows = open_parquet(target.get(file.name)).read().to_pylist()
    assert [tuple(row[name] for name in LISTS) for row in rows] == expected


def test_a_list_is_two_bounds_and_its_numbers_in_plain_encodings() -> None:
    """Readers of old have neither delta nor byte-stream-split encodings of floats."""
    file = open_parquet(encode_samples(samples(unit(0)), PROVENANCE))
    group = file.metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    found = {column.path_in_schema: set(column.encodings) for column in columns if "." in column.path_in_schema}
    assert {path.partition(".")[0] for path in found} == set(LISTS)
    assert all(encodings <= {"PLAIN", "RLE"} for encodings in found.values())


def test_long_lists_make_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of rows is what a reader holds at least: lists count as texts do."""
    monkeypatch.setattr("jobs.store.encode._GROUP_BYTES", 100_000)
    long = TokenLists(array("i", range(10_000)))
    table = read_table(
        encode_samples([Sample(0, n, "", "stop", 1, 1, 1, 1.0, lists=long) for n in range(8)], PROVENANCE),
        "samples", "here",
    )  # fmt: skip
    (data,) = write_files([table], SAMPLES_SCHEMA, "samples", {}, 1 << 30)
    file = open_parquet(data)
    assert file.num_row_groups == 4
    assert file.read().equals(table)
    assert isinstance(file.schema_arrow.field("token_ids").type, pa.ListType)
