"""The committed samples of a cell with their verdicts and problems, in the order of their keys, a few at a time.

Every format of ``troop export`` reads these rows: all samples of one problem come in a row, whatever units they were
drawn in, and whether those are compacted or not. Samples of lost attempts are left out, since verdicts name the files
that count.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.store.base import Store
from jobs.store.catalogue import result_files
from jobs.store.compact import map_ahead
from jobs.store.keyed_rows import SamplesReader, read_batches, read_keys
from jobs.store.layout import samples_prefixes
from jobs.store.merge import MergeLimits, Source, in_key_order
from jobs.store.open_cells import OpenCell
from jobs.store.schema import (
    PROBLEM_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES_SCHEMA,
    VERDICT_COLUMNS,
    VERDICTS_SCHEMA,
    VIEWS,
    arrow_schema,
    conform,
)
from jobs.store.sealed_parquet import Footer

_LEFT_OUT = ("text_hash",)  # it finds equal texts where texts are not at hand
_PARALLEL_REQUESTS = 16
_PROMPT_BYTES = 32 << 20  # of prompts beside rows that are in memory: many short answers may have one long prompt
_CELL = VIEWS["verdicts"][:3]  # model, task, version
_PROBLEM = tuple(replace(column, nullable=True) for column in PROBLEM_COLUMNS[1:3])  # problem_id, prompt
_VERDICT = tuple(column for column in VERDICT_COLUMNS if column.name not in _LEFT_OUT)
_SAMPLE = tuple(
    replace(column, nullable=True, about=f"{column.about} Null for imported verdicts without samples.")
    for column in SAMPLE_COLUMNS
    if column.name not in VERDICTS_SCHEMA.names
)
EXPORT_COLUMNS = (*_CELL, _VERDICT[0], *_PROBLEM, _VERDICT[1], *_SAMPLE[:2], *_VERDICT[2:], *_SAMPLE[2:])
EXPORT_SCHEMA = arrow_schema(EXPORT_COLUMNS)
ROW_NAMES = tuple(column.name for column in (*_VERDICT, *_SAMPLE))


@dataclass(frozen=True, slots=True)
class _File:
    """One file of verdicts: a local path, its key in the run, its footer and the first key of its rows."""

    path: Path
    key: str
    footer: Footer
    first: int


def cell_rows(
    store: Store, db: duckdb.DuckDBPyConnection, cell: OpenCell, problems: pa.Table, limits: MergeLimits
) -> Iterator[pa.Table]:
    """Yields the committed rows of a cell by problem and sample, with the columns of EXPORT_SCHEMA.

    ``problems`` are those of the run. Raises StoreError, NoSuchObject where a file was compacted meanwhile.
    """
    of_task = problems.filter(pa.array(problems["task"].to_numpy(zero_copy_only=False) == cell.cell.task))
    longest = pc.max(pc.binary_length(of_task["prompt"])).as_py() or 1
    rows = max(1, _PROMPT_BYTES // longest)
    for table in bare_rows(store, db, cell, limits):
        for start in range(0, len(table), rows):
            yield _with_names(table.slice(start, rows), cell, of_task)


def bare_rows(
    store: Store, db: duckdb.DuckDBPyConnection, cell: OpenCell, limits: MergeLimits, names: Sequence[str] = ROW_NAMES
) -> Iterator[pa.Table]:
    """Yields the same rows without what all rows of a cell, or of a problem, share: the columns ``names`` alone.

    ``problem_idx`` and ``sample_idx`` are always among them.
    """
    kept = tuple(name for name in ROW_NAMES if name in {*ROW_NAMES[:2], *names})
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        yield from in_key_order(_sources(store, pool, cell, _files(db, cell), limits, kept), limits)


def _files(db: duckdb.DuckDBPyConnection, cell: OpenCell) -> list[_File]:
    """Returns the files that have rows, in the order of their first keys."""
    key = "min(problem_idx::BIGINT * 4294967296 + sample_idx)"
    read = cell.verdicts.removesuffix(")") + ", filename=true)"
    firsts = dict(db.execute(f"SELECT filename, {key} FROM {read} GROUP BY ALL").fetchall())
    files = zip(cell.paths, cell.cell.files, cell.footers, strict=True)
    found = [_File(Path(path), file.info.key, footer, firsts[path]) for path, file, footer in files if path in firsts]
    return sorted(found, key=lambda file: (file.first, file.key))


def _sources(
    store: Store,
    pool: ThreadPoolExecutor,
    cell: OpenCell,
    files: list[_File],
    limits: MergeLimits,
    names: Sequence[str],
) -> Iterator[Source]:
    reader = SamplesReader(store)
    places = samples_prefixes(cell.cell.model, cell.cell.task)
    sizes = {file.info.key: file.info.size for place in places for file in result_files(store, place)}

    def fetch(file: _File) -> tuple[_File, bytes]:
        return file, reader.fetch(file.footer) if file.footer.samples else b""

    for file, data in map_ahead(pool, fetch, files, lambda file: sizes.get(file.footer.samples, 0), limits.ahead):
        yield Source(file.first, _joined(reader, file, data, names))


def _joined(reader: SamplesReader, file: _File, data: bytes, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yields the verdicts of a file, each beside its sample."""
    verdicts = (conform(table, VERDICTS_SCHEMA, file.key) for table in read_batches(file.path, "verdicts", file.key))
    samples: Iterator[pa.Table] | None = None
    if file.footer.samples:
        samples = reader.batches(file.footer, read_keys(file.path, "verdicts", file.key), data)
    for verdict, sample in _side_by_side(verdicts, samples):
        columns = {name: verdict[name] for name in VERDICTS_SCHEMA.names if name in names}
        for column in (column for column in _SAMPLE if column.name in names):
            columns[column.name] = sample[column.name] if sample else pa.nulls(len(verdict), column.type)
        yield pa.table(columns)


def _side_by_side(
    left: Iterator[pa.Table], right: Iterator[pa.Table] | None
) -> Iterator[tuple[pa.Table, pa.Table | None]]:
    """Yields parts of the same length of two streams of as many rows; None beside ``left`` alone."""
    if right is None:
        yield from ((table, None) for table in left)
        return
    held = SAMPLES_SCHEMA.empty_table()
    for table in left:
        while len(table):
            if not len(held):
                held = next(right)
            rows = min(len(table), len(held))
            if rows:
                yield table.slice(0, rows), held.slice(0, rows)
            table, held = table.slice(rows), held.slice(rows)
    assert next(right, None) is None, "the reader of samples has compared the keys"


def _with_names(table: pa.Table, cell: OpenCell, problems: pa.Table) -> pa.Table:
    """Returns the rows with what all rows of the cell share, and with their problems."""
    constants = {"model": cell.cell.model, "task": cell.cell.task, "version": cell.cell.version}
    columns = {name: pa.repeat(pa.scalar(value), len(table)) for name, value in constants.items()}
    columns |= {name: table[name] for name in table.column_names}
    known, wanted = problems["problem_idx"].to_numpy(), table["problem_idx"].to_numpy()
    places = np.searchsorted(known, wanted)
    there = places < len(known)
    there[there] = known[places[there]] == wanted[there]
    found = problems.take(pa.array(places, mask=~there))
    columns |= {column.name: found[column.name] for column in _PROBLEM}
    wide = {field.name: field.type for field in table.schema}
    fields = [field.with_type(wide.get(field.name, field.type)) for field in EXPORT_SCHEMA]
    return pa.table({field.name: columns[field.name] for field in fields}).cast(pa.schema(fields))
