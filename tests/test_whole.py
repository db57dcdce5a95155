"""Reading our files back leaves nothing behind. That damage is found is proven in tests/test_schema.py."""

import sys

from jobs.schema import SAMPLES, encode_samples
from jobs.whole import opened, read_table, rows_of
from tests.test_schema import PROVENANCE, unit_of


def test_no_thread_of_arrow_holds_what_was_read() -> None:
    """It would let go of it later, perhaps while the interpreter ends, and abort the process."""
    data = encode_samples(unit_of(8, 400)[0], PROVENANCE)
    before = sys.getrefcount(data)
    for _ in range(100):
        assert len(read_table(data, "samples", "here")) == 3200
        assert sys.getrefcount(data) == before


def test_some_groups_and_columns() -> None:
    file = opened(encode_samples([], PROVENANCE))
    assert rows_of(file).schema.names == SAMPLES.names
    assert rows_of(file, [], ["seed"]).num_rows == 0
