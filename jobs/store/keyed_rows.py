"""Rows with keys: many units in one file, found again unit by unit.

A compacted shard may hold more than a machine has memory, so its files stay on disk, and rows are read batch by batch.
"""

import hashlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.store.base import Store
from jobs.store.folder import DirectoryStore
from jobs.store.layout import parse_key
from jobs.store.merge import Keys, row_keys
from jobs.store.schema import SAMPLES_SCHEMA, conform
from jobs.store.sealed_parquet import Footer, check_kind, check_seal, damage, open_parquet, read_rows
from sampling.errors import NoSuchObject, StoreError

BATCH_BYTES = 1 << 20


def are_in(keys: Keys, held: Keys) -> bool:
    """Returns whether all of ``keys`` are among ``held``, which is sorted."""
    return bool(which_are_in(keys, held).all())


def which_are_in(keys: Keys, held: Keys) -> NDArray[np.bool_]:
    """Returns which of ``keys`` are among ``held``, which is sorted; ``np.isin`` would sort it for every batch."""
    places = np.searchsorted(held, keys)
    found = places < len(held)
    found[found] = held[places[found]] == keys[found]
    return found


def read_batches(data: bytes | Path, kind: str, where: str, keys: Keys | None = None) -> Iterator[pa.Table]:
    """Yields the rows of a file about BATCH_BYTES at a time; raises StoreError.

    With (sorted) keys, yields only rows that have one of them, and reads only row groups that can hold them.
    """
    try:
        file = open_parquet(data)
        check_kind(file.metadata.metadata or {}, kind, where)
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        wanted = [i for i, group in enumerate(groups) if group.num_rows and (keys is None or _may_hold(group, keys))]
        size = max((groups[i].total_byte_size / groups[i].num_rows for i in wanted), default=1)
        rows = max(1, min(1 << 16, int(BATCH_BYTES / size)))
        for batch in file.iter_batches(rows, wanted, use_threads=False) if wanted else ():
            table = pa.Table.from_batches([batch])
            yield table if keys is None else table.filter(pa.array(which_are_in(row_keys(table), keys)))
    except FileNotFoundError as error:
        raise NoSuchObject(f"{where}: no such object") from error
    except (OSError, pa.ArrowException) as error:
        raise damage(where, error) from error


def read_rows_at(data: bytes | Path, kind: str, where: str, keys: Keys) -> pa.Table:
    """Returns the rows with these (sorted) keys; raises StoreError."""
    return _together(read_batches(data, kind, where, keys))


def _may_hold(group: Any, keys: Keys) -> bool:
    """Returns whether the group's column ranges, as its writer noted them, overlap those of the keys."""
    columns = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
    for name, values in (("problem_idx", keys >> 32), ("sample_idx", keys & 0xFFFFFFFF)):
        noted = columns[name]
        if noted is not None and (noted.max < values.min() or noted.min > values.max()):
            return False
    return True


class _LocalPaths(dict[str, Path]):
    """Paths of a shard's files by key. Temporary copies go when the last reader of them has gone."""


@dataclass
class SamplesReader:
    """Reads the samples that verdicts name and checks each file's SHA-256.

    Files of the last compacted shard stay at hand: in their place, if the store is a folder, else in a temporary one.
    """

    store: Store
    _shard: str = ""
    _paths: _LocalPaths = field(default_factory=_LocalPaths)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, footer: Footer, keys: Keys) -> pa.Table:
        """Returns the samples with these keys; raises StoreError where one is missing."""
        return conform(_together(self.batches(footer, keys, self.fetch(footer))), SAMPLES_SCHEMA, footer.samples)

    def fetch(self, footer: Footer) -> bytes:
        """Returns a unit's own file of samples, whole and checked; empty for a compacted shard, which stays on disk."""
        return b"" if _is_compacted(footer) else self._read_checked(footer.samples, footer.samples_sha256)

    def batches(self, footer: Footer, keys: Keys, data: bytes) -> Iterator[pa.Table]:
        """Yields the samples with these keys in order; ``data`` is what ``fetch`` returned.

        Raises StoreError in the end where one is missing.
        """
        found = []
        for table in self._batches(footer, keys, data):
            found.append(row_keys(table))
            yield conform(table, SAMPLES_SCHEMA, footer.samples)
        if not np.array_equal(np.concatenate([np.empty(0, np.int64), *found]), keys):
            raise StoreError(f"{footer.samples}: lacks samples that its verdicts are about, or has others")

    def _batches(self, footer: Footer, keys: Keys, data: bytes) -> Iterator[pa.Table]:
        if data:
            check_kind(check_seal(data, "samples", footer.samples), "samples", footer.samples)
            yield from read_batches(data, "samples", footer.samples)
            return
        paths = self._open_shard(footer)
        for key, path in paths.items():
            yield from read_batches(path, "samples", key, keys)

    def _open_shard(self, footer: Footer) -> _LocalPaths:
        with self._lock:
            if self._shard != footer.samples:
                self._shard, self._paths = "", _LocalPaths()
                self._paths = self._local_paths(footer.samples_files)
                self._shard = footer.samples
            return self._paths

    def _local_paths(self, files: Mapping[str, str]) -> _LocalPaths:
        """Returns paths of the files, each checked: in their place, or copies that last as long as this reader."""
        if isinstance(self.store, DirectoryStore):
            for key, digest in files.items():
                self._read_checked(key, digest)
            return _LocalPaths((key, self.store.root / key) for key in files)
        folder = Path(tempfile.mkdtemp(prefix="troop-"))
        paths = _LocalPaths((key, folder / f"{number}.parquet") for number, key in enumerate(files))
        weakref.finalize(paths, shutil.rmtree, folder, ignore_errors=True)
        for key, path in paths.items():
            path.write_bytes(self._read_checked(key, files[key]))
        return paths

    def _read_checked(self, key: str, digest: str) -> bytes:
        data = self.store.get(key)
        if (found := hashlib.sha256(data).hexdigest()) != digest:
            raise StoreError(f"{key}: has SHA-256 {found}, but its verdicts were made from {digest}")
        return data


def _is_compacted(footer: Footer) -> bool:
    key = parse_key(footer.samples)
    return key is not None and key.number is None


def _together(tables: Iterator[pa.Table]) -> pa.Table:
    found = list(tables)
    return pa.concat_tables(found) if found else SAMPLES_SCHEMA.empty_table()


def read_keys(data: bytes | Path, kind: str, where: str) -> Keys:
    """Returns the keys of all rows of a file without reading its text; raises StoreError."""
    columns = ["problem_idx", "sample_idx"]
    try:
        file = open_parquet(data)
        check_kind(file.metadata.metadata or {}, kind, where)
        return row_keys(read_rows(file, columns=columns))
    except (OSError, pa.ArrowException) as error:
        raise damage(where, error) from error
