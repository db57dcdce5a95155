"""Files that are small and mean much: sweeps and Parquet are bounded before they are built."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.sweep_file import MOST_BYTES, MOST_VALUES, read_sweep_file
from sampling.errors import BadInput
from sampling.s3_folder import STANDARD
from sampling.tasks.parquet import read_batches
from sampling.tasks.rows import read_rows
from tests.support.cost import cpu_below


def laughs(first: str, each: str) -> str:
    """Returns nine lines of which each names the one before ten times."""
    lines = [f"a0: &a0 {first}"]
    return "\n".join(lines + [f"a{i}: &a{i} {each.format(', '.join([f'*a{i - 1}'] * 10))}" for i in range(1, 10)])


YAML = {
    "aliases": (laughs("[x]", "[{}]"), "each alias counted as what it stands for"),
    "merges": (laughs("{x: 1}", "{{<<: [{}]}}"), "each alias counted as what it stands for"),
    "deep lists": ("a: " + "[" * 200_000, "more than 50 levels deep"),
    "deep mappings": ("a: " + "{b: " * 100_000, "more than 50 levels deep"),
    "deep blocks": ("\n".join(" " * i + "- " for i in range(1000)), "more than 50 levels deep"),
    "dashes": ("- " * 300_000, "more than 50 levels deep"),
    "keys of keys": ("? " * 100_000, "more than 50 levels deep"),
    "itself in a list": ("a: &a [*a]", "an anchor that holds itself"),
    "itself in a mapping": ("a: &a {b: *a}", "an anchor that holds itself"),
    "many": ("a: [" + "1," * 500_000 + "]", f"more than {MOST_VALUES:,} values"),
    "large": ("a: " + "x" * MOST_BYTES, f"a sweep has at most {MOST_BYTES:,}"),
    "objects": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "digits": ("a: " + "9" * 5000, "4300 digits"),
    "controls": ("a: \x1b[2J", "special characters are not allowed"),
}


@pytest.mark.parametrize("kind", YAML)
def test_a_sweep_is_bounded_before_it_is_built(kind: str, tmp_path: Path) -> None:
    text, said = YAML[kind]
    (tmp_path / "sweep.yaml").write_text(text)
    with cpu_below(1.0), pytest.raises(BadInput) as refused:
        read_sweep_file(tmp_path / "sweep.yaml")
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_aliases_and_merges_of_a_usual_sweep_are_read(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("a: &a {k: 1, s: [x]}\nb: {<<: *a, t: 2}\nc: [*a, *a]\n")
    assert set(read_sweep_file(tmp_path / "s.yaml")["b"]) == {"k", "s", "t"}


def test_a_device_is_no_sweep() -> None:
    with pytest.raises(BadInput, match="not a file"):
        read_sweep_file(Path("/dev/zero"))


def repeated(path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 70, pa.int32()), pa.array(["x" * 7_000_000]))
    pq.write_table(pa.table({"text": text}), path, compression="zstd")


def repeated_in_lists(path: Path) -> None:
    values = pa.array([["y" * 600_000] * 100] * 5)
    pq.write_table(pa.table({"text": values}), path, compression="zstd")


def long_lists(path: Path) -> None:
    values = pa.array([0], pa.int8()).take(pa.array([0] * 20_000_000, pa.int8()))
    pq.write_table(pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), values)}), path)


@pytest.mark.parametrize("make", [repeated, repeated_in_lists, long_lists])
def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "t.parquet"
    make(path)
    assert path.stat().st_size < 100_000
    code = f"""
from pathlib import Path
from sampling.errors import BadInput
from sampling.s3_folder import STANDARD
from sampling.tasks.rows import read_rows
try:
    for row in read_rows({str(path)!r}, None, STANDARD): pass
except BadInput as error:
    print(error, "|", Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, _, peak_kb = done.stdout.rpartition("|")
    assert "t.parquet" in said and "allowed:" in said and "\n" not in said, done
    assert int(peak_kb) < 1_000_000  # getrusage's ru_maxrss would be the peak of the test's own process


def test_usual_parquet_is_read_as_before(tmp_path: Path) -> None:
    rows = [
        {"a": "é", "b": ["x", "y"], "c": {"d": "z", "e": 1}, "f": None, "g": b"\x00"},
        {"a": None, "b": [], "c": None, "f": 2.5, "g": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows * 100), tmp_path / "t.parquet")
    assert [row for _, row in read_rows(str(tmp_path / "t.parquet"), None, STANDARD)] == rows * 100
    batches = list(read_batches(str(tmp_path / "t.parquet"), "t", {"a", "c"}, 64))
    assert [len(batch) for batch in batches] == [64, 64, 64, 8] and set(batches[0][0]) == {"a", "c"}
