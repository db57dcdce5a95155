"""Tests of reading sealed files, hostile ones too; tests/jobs/store/test_schema.py proves that damage is found."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store.encode import encode_samples
from jobs.store.schema import SAMPLES_SCHEMA, SCHEMA_VERSION
from jobs.store.sealed_parquet import BLANK, Footer, damage, open_parquet, parse_footer, read_rows, read_table
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


PAIRS = {field.name: st.just(None) for field in fields(Footer)} | {
    "schema": st.just(SCHEMA_VERSION),
    "kind": st.just("verdicts"),
    "samples": st.sampled_from(["samples/../x", "/etc/passwd", ""]),
    "parts": st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=2),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(PAIRS)), inner, max_size=4),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional={name: usual | JSON for name, usual in PAIRS.items()}) | JSON)
def test_a_footer_of_any_json_is_read_or_refused_in_one_line(pairs: object) -> None:
    refused_in_one_line(lambda: parse_footer({b"troop": json.dumps(pairs).encode()}, "here"))


def test_a_version_without_end_is_refused() -> None:
    with pytest.raises(DamagedFile, match=r"^here: damaged"):
        parse_footer({b"troop": b'{"schema": Infinity, "kind": "verdicts"}'}, "here")


@given(st.binary(max_size=40))
def test_a_footer_of_any_bytes_is_read_or_refused_in_one_line(data: bytes) -> None:
    refused_in_one_line(lambda: parse_footer({b"troop": data}, "here"))


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_a_sealed_file_that_is_no_parquet_is_refused_in_one_line(start: bytes, end: bytes) -> None:
    """A stranger who may write to a store can seal what he likes."""
    blank = b"PAR1" + start + f'"sha256": "{BLANK}"'.encode() + end + b"PAR1"
    sealed = blank.replace(BLANK.encode(), hashlib.sha256(blank).hexdigest().encode())
    refused_in_one_line(lambda: read_table(sealed, "samples", "here"))


def refused_in_one_line(read: Callable[[], object]) -> None:
    try:
        read()
    except StoreError as error:
        assert "here" in str(error) and "\n" not in str(error)
