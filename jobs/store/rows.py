"""Rows of many units in one file: put there in key order, and found again unit by unit.

A compacted shard may hold more text than a machine has memory, so nothing here needs all of it at once but for the
compressed file itself.
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
from jobs.store.schema import SAMPLES, Footer, conform
from jobs.store.whole import check_schema, opened, read_table, rows_of
from sampling.errors import StoreError

Keys = NDArray[np.int64]


def row_keys(table: pa.Table) -> Keys:
    """(problem, sample) of each row as one number that sorts like the pair."""
    problem, sample = (table.column(name).to_numpy().astype(np.int64) for name in ("problem_idx", "sample_idx"))
    keys: Keys = (problem << 32) | sample
    return keys


def are_in(keys: Keys, held: Keys) -> bool:
    """Whether all of ``keys`` are among ``held``, which is sorted."""
    places = np.searchsorted(held, keys)
    return bool((places < len(held)).all() and (held[places] == keys).all())


def in_key_order(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of sorted tables, which come by their first key, in key order; holds only tables that overlap."""
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


def rows_between(data: bytes, kind: str, where: str, keys: Keys) -> pa.Table:
    """The rows with these (sorted) keys, from the row groups that can hold them alone; raises StoreError."""
    try:
        file = opened(data)
        check_schema(file.metadata.metadata or {}, kind, where)
        groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), keys)]
        table = rows_of(file, groups)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{where}: damaged ({error})") from error
    return table.filter(pa.array(np.isin(row_keys(table), keys)))


def _may_hold(group: Any, keys: Keys) -> bool:
    """By the ranges that the file's writer noted for each column."""
    columns = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
    for name, values in (("problem_idx", keys >> 32), ("sample_idx", keys & 0xFFFFFFFF)):
        noted = columns[name]
        if noted is not None and (noted.max < values.min() or noted.min > values.max()):
            return False
    return True


@dataclass
class SamplesReader:
    """Reads the samples that verdicts name, each file checked against its SHA-256; keeps the last compacted one."""

    store: Store
    _key: str = ""
    _data: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, footer: Footer, keys: Keys) -> pa.Table:
        """The samples with these keys, which must all be there; raises StoreError."""
        where = footer.samples
        key = parse_key(footer.samples)
        if key is not None and key.number is None:
            table = rows_between(self._compacted(where, footer.samples_sha256), "samples", where, keys)
        else:
            table = read_table(self._checked(where, footer.samples_sha256), "samples", where)
        if not np.array_equal(row_keys(table), keys):
            raise StoreError(f"{where}: has not the samples that its verdicts are about")
        return conform(table, SAMPLES, where)

    def _compacted(self, key: str, digest: str) -> bytes:
        with self._lock:
            if self._key != key:
                self._key, self._data = key, self._checked(key, digest)
            return self._data

    def _checked(self, key: str, digest: str) -> bytes:
        data = self.store.get(key)
        if (found := hashlib.sha256(data).hexdigest()) != digest:
            raise StoreError(f"{key}: has SHA-256 {found}, but its verdicts were made from {digest}")
        return data


def key_columns(data: bytes, kind: str, where: str) -> Keys:
    """The keys of a whole file without its text; raises StoreError."""
    columns = ["problem_idx", "sample_idx"]
    try:
        file = opened(data)
        check_schema(file.metadata.metadata or {}, kind, where)
        return row_keys(rows_of(file, columns=columns))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{where}: damaged ({error})") from error
