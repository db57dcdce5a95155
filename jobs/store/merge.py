"""An external merge: rows of many sorted sources in the order of their keys, in memory that no source can exceed.

A shard, or a run, may hold more text than a machine has memory, and each of its units may hold samples of every
problem. So what is not due yet goes to a temporary file in batches, and each step of the merge looks at about one batch
of each source. Strings have 64-bit offsets here: a step may hold more than the 2 GB that 32 bits can point at. Files
hold plain strings as ever.
"""

import math
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sampling.errors import StoreError

Keys = NDArray[np.int64]
_END = np.iinfo(np.int64).max
_CODEC = "lz4"


@dataclass(frozen=True, slots=True)
class MergeLimits:
    """Bounds of memory, in bytes, of a merge and of the files that it writes.

    The most that a merge holds is about ``ahead`` + 2 × ``kept`` + 4 × ``runs`` × ``batch`` + 3 × ``part``, and one row
    group of each source that has just been opened: 0.9 GB with these values.
    """

    batch: int = 1 << 18
    """Rows that are read together from one source."""

    runs: int = 256
    """Sources that are merged at a time, a number; more are merged in turns, and then the results."""

    kept: int = 64 << 20
    """Rows not yet due that stay in memory; further ones go to a temporary file."""

    ahead: int = 128 << 20
    """Files that are fetched ahead of their use."""

    part: int = 128 << 20
    """Size at which a file is closed and the next one begun. The last row group may exceed it, by 64 MiB of text. It is
    far below the 5 GiB that stores take in one put."""


MERGE_LIMITS = MergeLimits()


class Source(NamedTuple):
    """Rows in key order; ``first`` is their first key, and nothing is read before a merge comes to it."""

    first: int
    batches: Iterable[pa.Table]


def row_keys(table: pa.Table | pa.RecordBatch) -> Keys:
    """Returns (problem, sample) of each row as one number that sorts like the pair."""
    problem, sample = (table.column(name).to_numpy().astype(np.int64) for name in ("problem_idx", "sample_idx"))
    keys: Keys = (problem << 32) | sample
    return keys


def in_key_order(sources: Iterable[Source], limits: MergeLimits = MERGE_LIMITS) -> Iterator[pa.Table]:
    """Yields all rows in key order; the sources must be sorted by their first keys. Raises StoreError.

    Tables come as small as the overlap of the sources makes them.
    """
    with _Spool(limits.kept) as spool:
        merge = _Merge(spool, limits)
        for source in sources:
            if merge.is_full:
                yield from merge.rows_before(source.first)
            merge.add(source.batches)
        yield from merge.rows_before(_END)


class _Place(NamedTuple):
    """A batch in the temporary file: where it starts, its length there, its length when unpacked."""

    at: int
    packed: int
    unpacked: int


_Kept = Any  # a Buffer in memory, or a _Place in the temporary file


@dataclass
class _Spool:
    """Batches that are not due yet: in memory up to ``room`` bytes, then in a temporary file that has no name."""

    room: int
    _file: IO[bytes] | None = None
    _end: int = 0
    _schema: Any = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keep(self, batch: pa.RecordBatch) -> _Kept:
        """Keeps a copy: a slice of a table in memory would hold all of that table."""
        self._schema, unpacked = batch.schema, batch.serialize()
        if unpacked.size <= self.room:
            self.room -= unpacked.size
            return unpacked
        packed = pa.compress(unpacked, codec=_CODEC)
        try:
            if self._file is None:
                self._file = self._stack.enter_context(tempfile.TemporaryFile(prefix="troop-"))  # noqa: SIM115
            _write_all(self._file.fileno(), packed, self._end)
        except OSError as error:
            raise StoreError(f"{tempfile.gettempdir()}: {error.strerror}; TMPDIR names another folder") from error
        place = _Place(self._end, len(packed), len(unpacked))
        self._end += len(packed)
        return place

    def take(self, kept: _Kept) -> pa.RecordBatch:
        """Returns a batch that was kept; each is taken once."""
        unpacked = kept
        if isinstance(kept, _Place):
            assert self._file is not None
            packed = os.pread(self._file.fileno(), kept.packed, kept.at)
            unpacked = pa.decompress(packed, decompressed_size=kept.unpacked, codec=_CODEC)
        else:
            self.room += kept.size
        return pa.ipc.read_record_batch(unpacked, self._schema)


def _write_all(file: int, data: Any, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done


@dataclass
class _Run:
    """One source within a merge: a few batches at hand, the others kept. ``level`` counts the merges before this."""

    spool: _Spool
    kept: deque[_Kept]
    level: int
    at_hand: list[pa.RecordBatch] = field(default_factory=list)
    keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def more(self) -> bool:
        """True where batches are kept that are not at hand."""
        return bool(self.kept)

    def fill(self, size: int) -> None:
        """Reads on until about ``size`` bytes are at hand."""
        while self.kept and sum(batch.nbytes for batch in self.at_hand) < size:
            batch = self.spool.take(self.kept.popleft())
            self.at_hand.append(batch)
            self.keys = np.concatenate([self.keys, row_keys(batch)])

    def take(self, bound: int) -> list[pa.RecordBatch]:
        """Returns the rows at hand whose keys are at most ``bound``, and forgets them."""
        left = int(np.searchsorted(self.keys, bound, side="right"))
        self.keys, taken = self.keys[left:], []
        while left:
            first = self.at_hand.pop(0)
            taken.append(first.slice(0, left))
            if len(first) > left:
                self.at_hand.insert(0, first.slice(left))
            left -= len(taken[-1])
        return taken


@dataclass
class _Merge:
    spool: _Spool
    limits: MergeLimits
    runs: list[_Run] = field(default_factory=list)
    taken_in: int = 0

    @property
    def is_full(self) -> bool:
        """True where it is time to let rows go that are due: seldom, since that looks at every run."""
        return self.taken_in > self.limits.kept // 4 or len(self.runs) >= self.limits.runs

    def add(self, tables: Iterable[pa.Table], level: int = 0) -> None:
        """Takes in one more source, wholly; merges the runs of its level into one where they have become many."""
        kept = deque(self.spool.keep(batch) for table in tables for batch in self._cut(wide(table)))
        self.runs.append(_Run(self.spool, kept, level))
        equal = [run for run in self.runs if run.level == level]
        if len(equal) > self.limits.runs:
            self.runs = [run for run in self.runs if run.level != level]
            self.add(_Merge(self.spool, self.limits, equal).rows_before(_END), level + 1)

    def rows_before(self, end: int) -> Iterator[pa.Table]:
        """Yields the rows with keys below ``end`` in order; more rows of sources to come must not be below it."""
        self.taken_in = 0
        while True:
            for run in self.runs:
                run.fill(self.limits.batch)
            self.runs = [run for run in self.runs if len(run.keys)]
            # What is read of a run with more to come is complete up to its last key.
            bound = min([end - 1, *(int(run.keys[-1]) for run in self.runs if run.more)])
            batches = [batch for run in self.runs for batch in run.take(bound)]
            if not batches:
                return
            yield _sorted(pa.Table.from_batches(batches))

    def _cut(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        for batch in table.to_batches():
            self.taken_in += batch.nbytes
            yield from _pieces(batch, self.limits.batch)


def _pieces(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows in batches of about ``most`` bytes, each of one row at least."""
    rows = math.ceil(len(batch) / max(1, math.ceil(batch.nbytes / most)))
    for start in range(0, len(batch), max(1, rows)):
        piece = batch.slice(start, rows)
        if len(piece) > 1 and piece.nbytes > 2 * most and rows < len(batch):
            yield from _pieces(piece, most)
        else:
            yield piece


def _sorted(table: pa.Table) -> pa.Table:
    keys = row_keys(table)
    return table if (keys[1:] >= keys[:-1]).all() else table.take(np.argsort(keys, kind="stable"))


def wide(table: pa.Table) -> pa.Table:
    """Returns the table with strings of 64-bit offsets."""
    types = (pa.large_string() if pa.types.is_string(one.type) else one.type for one in table.schema)
    return table.cast(pa.schema([one.with_type(kind) for one, kind in zip(table.schema, types, strict=True)]))
