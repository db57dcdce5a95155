"""The external merge: all rows in order, and memory that does not grow with what is merged."""

import gc
from collections.abc import Iterator

import pyarrow as pa
import pytest

from jobs.store.merge import MergeLimits, Source, in_key_order, row_keys

SOURCES, ROWS, LETTERS = 60, 200, 5000  # 60 MB of text
LIMITS = MergeLimits(batch=1 << 14, runs=16, kept=1 << 20)


def source(number: int) -> Source:
    """Returns a source with a sample of every problem, so that nothing is due before all have been read."""

    def tables() -> Iterator[pa.Table]:
        texts = [f"{number} {problem} ".ljust(LETTERS, "x") for problem in range(ROWS)]
        yield pa.table({"problem_idx": range(ROWS), "sample_idx": [number] * ROWS, "text": texts})

    return Source(number, tables())


@pytest.mark.parametrize("runs", [SOURCES, LIMITS.runs])
def test_memory_does_not_grow_with_what_is_merged(runs: int) -> None:
    """A small slice of a large table, kept until it is due, must not keep the table."""
    gc.collect()
    before, most, seen = pa.total_allocated_bytes(), 0, 0
    limits = MergeLimits(LIMITS.batch, runs, LIMITS.kept)
    for table in in_key_order((source(number) for number in range(SOURCES)), limits):
        keys = row_keys(table)
        assert [(key >> 32) * SOURCES + (key & 0xFFFFFFFF) for key in keys.tolist()] == list(
            range(seen, seen + len(keys))
        )
        seen += len(keys)
        most = max(most, pa.total_allocated_bytes() - before)
    assert seen == SOURCES * ROWS
    assert most < 12_000_000
