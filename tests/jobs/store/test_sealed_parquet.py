"""Tests of reading sealed files; tests/jobs/store/test_schema.py proves that damage is found."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from jobs.store.encode import encode_samples
from jobs.store.schema import SAMPLES_SCHEMA
from jobs.store.sealed_parquet import damage, open_parquet, read_rows
from sampling.errors import DamagedFile, StoreError
from tests.jobs.store.test_schema import PROVENANCE, unit_of
from tests.support.places import ROOT

READ = """
import sys
from pathlib import Path
from jobs.store.sealed_parquet import read_table
data, threads = Path(sys.argv[1]).read_bytes(), Path("/proc/self/task")
before = len(list(threads.iterdir()))
assert len(read_table(data, "samples", "here")) == 3200
print(len(list(threads.iterdir())) - before)
"""


def test_reading_starts_no_thread_of_arrow(tmp_path: Path) -> None:
    """A thread of Arrow's may release the bytes while the interpreter ends, which aborts the process."""
    path = tmp_path / "samples.parquet"
    path.write_bytes(encode_samples(unit_of(8, 400)[0], PROVENANCE))
    words = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_some_groups_and_columns() -> None:
    file = open_parquet(encode_samples([], PROVENANCE))
    assert read_rows(file).schema.names == SAMPLES_SCHEMA.names
    assert read_rows(file, [], ["seed"]).num_rows == 0


def test_a_lack_of_memory_is_no_damage() -> None:
    """`troop check --quarantine` would move a whole file away."""
    assert isinstance(damage("here", OSError("Unexpected end of stream")), DamagedFile)
    short = damage("here", pa.ArrowMemoryError("malloc of size 66600640 failed"))
    assert isinstance(short, StoreError) and not isinstance(short, DamagedFile)
