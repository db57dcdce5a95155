"""Rows with keys: many units in one file, written in key order and found again unit by unit.

A compacted shard may hold more text than a machine has memory, so only the compressed file is ever held whole.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.store.base import Store
from jobs.store.layout import parse_key
from jobs.store.schema import SAMPLES_SCHEMA, conform
from jobs.store.sealed_parquet import Footer, check_kind, open_parquet, read_rows, read_table
from sampling.errors import StoreError

Keys = NDArray[np.int64]


def row_keys(table: pa.Table) -> Keys:
    """Returns (problem, sample) of each row as one number that sorts like the pair."""
    problem, sample = (table.column(name).to_numpy().astype(np.int64) for name in ("problem_idx", "sample_idx"))
    keys: Keys = (problem << 32) | sample
    return keys


def are_in(keys: Keys, held: Keys) -> bool:
    """Returns whether all of ``keys`` are among ``held``, which is sorted."""
    places = np.searchsorted(held, keys)
    return bool((places < len(held)).all() and (held[places] == keys).all())


def in_key_order(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yields the rows of sorted tables in key order, holding only tables that overlap.

    The tables must be sorted by their first keys.
    """
    held: list[pa.Table] = []
    for table in tables:
        first = row_keys(table.slice(0, 1))
        together = _sorted([*held, table])
        done = int(np.searchsorted(row_keys(together), first)[0]) if len(first) else 0
        if done:
            yield together.slice(0, done)
        held = [together.slice(done)]
    if held:
        yield held[0]


def _sorted(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    keys = row_keys(table)
    return table if (keys[1:] >= keys[:-1]).all() else table.take(np.argsort(keys, kind="stable"))


def read_rows_at(data: bytes, kind: str, where: str, keys: Keys) -> pa.Table:
    """Returns the rows with these (sorted) keys; reads only row groups that can hold them. Raises StoreError."""
    try:
        file = open_parquet(data)
        check_kind(file.metadata.metadata or {}, kind, where)
        groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), keys)]
        table = read_rows(file, groups)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{where}: damaged ({error})") from error
    return table.filter(pa.array(np.isin(row_keys(table), keys)))


def _may_hold(group: Any, keys: Keys) -> bool:
    """Returns whether the group's column ranges, as its writer noted them, overlap those of the keys."""
    columns = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
    for name, values in (("problem_idx", keys >> 32), ("sample_idx", keys & 0xFFFFFFFF)):
        noted = columns[name]
        if noted is not None and (noted.max < values.min() or noted.min > values.max()):
            return False
    return True


@dataclass
class SamplesReader:
    """Reads the samples that verdicts name and checks each file's SHA-256; keeps the last compacted file in memory."""

    store: Store
    _key: str = ""
    _data: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, footer: Footer, keys: Keys) -> pa.Table:
        """Returns the samples with these keys; raises StoreError where one is missing."""
        where = footer.samples
        key = parse_key(footer.samples)
        if key is not None and key.number is None:
            table = read_rows_at(self._read_compacted(where, footer.samples_sha256), "samples", where, keys)
        else:
            table = read_table(self._read_checked(where, footer.samples_sha256), "samples", where)
        if not np.array_equal(row_keys(table), keys):
            raise StoreError(f"{where}: lacks samples that its verdicts are about, or has others")
        return conform(table, SAMPLES_SCHEMA, where)

    def _read_compacted(self, key: str, digest: str) -> bytes:
        with self._lock:
            if self._key != key:
                self._key, self._data = key, self._read_checked(key, digest)
            return self._data

    def _read_checked(self, key: str, digest: str) -> bytes:
        data = self.store.get(key)
        if (found := hashlib.sha256(data).hexdigest()) != digest:
            raise StoreError(f"{key}: has SHA-256 {found}, but its verdicts were made from {digest}")
        return data


def read_keys(data: bytes, kind: str, where: str) -> Keys:
    """Returns the keys of all rows of a file without reading its text; raises StoreError."""
    columns = ["problem_idx", "sample_idx"]
    try:
        file = open_parquet(data)
        check_kind(file.metadata.metadata or {}, kind, where)
        return row_keys(read_rows(file, columns=columns))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{where}: damaged ({error})") from error
