"""The reader matrix: reader × version × kind of file; every row and every column is what was written.

`make test` tries the readers of its own environment. `make test-readers` installs old and new versions of others beside
each other into ``.readers/NAME-VERSION`` and tries them all.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.export.files import export_run
from jobs.store.catalogue import write_problems
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from jobs.store.stored_run import StoredRun
from sampling.problems import Problem
from sampling.samples import NO_LISTS, Provenance, Sample, TokenLists, Unit
from tests.readers.read import READERS, plain
from tests.support.places import ROOT
from verify.verdict import Status, Verdict

INSTALLED = ROOT / ".readers"
MODEL, TASK, VERSION = "org/7 é=b%", "0123", "5e10"  # names that readers would like to take for something else
KINDS = ("verdicts", "samples", "problems", "export")
HERE = Path(__file__).parent / "read.py"


def places() -> list[Any]:
    own = [(name, None) for name in ("duckdb", "pyarrow", "pandas", "polars", "datafusion", "pyspark")]
    other = [(path.name.partition("-")[0], path) for path in sorted(INSTALLED.glob("*-*"))]
    return [pytest.param(name, path, id=path.name if path else name) for name, path in own + other if name in READERS]


def lists(index: int) -> TokenLists:
    """Lists of up to four tokens with the two most probable ones of each; of every fifth sample they are empty."""
    ids = array("i", range(index, index + index % 5))
    logprobs = array("f", [-one / 7 for one in ids])
    return TokenLists(ids, logprobs, array("i", [2**31 - 1] * 2 * len(ids)), array("f", [-0.1, -1e-9] * len(ids)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three units: one with scores of everything, one with a toolchain, one without answers or tokens.

    Its export is put beside its own files.
    """
    store = DirectoryStore(folder := tmp_path_factory.mktemp("run"))
    provenance = Provenance(MODEL, "main", "vllm", "0.33", "ab", "cd", "host/1", "NVIDIA H100", gpus="0.5", adapter="é")
    for number, (answer, toolchain) in enumerate([("42", ""), (None, "Lean 4.9.0"), ("4²", "")]):
        unit = Unit(MODEL, TASK, number, 0, 2, number * 300, (number + 1) * 300)
        samples = [
            Sample(p, s, f"text {p} {s} é\n", "stop", 7, s % 50, 2**40 + s, s / 7, s / 9, -s / 3 if s % 2 else None,
                   lists=lists(s) if s % 2 else NO_LISTS)
            for p in range(2)
            for s in range(number * 300, (number + 1) * 300)
        ]  # fmt: skip
        verdicts = [
            Verdict(Status.PASS if s.sample_idx % 3 else Status.FAULT, "why" * (s.sample_idx % 2), answer,
                    wall_s=s.sample_idx / 1000, cpu_s=s.sample_idx / 2000, max_rss_mb=s.sample_idx,
                    tier="isolated", toolchain=toolchain)
            for s in samples
        ]  # fmt: skip
        RunSink(store, VERSION).commit(unit, samples, verdicts, provenance)
    problem = {"prompt": "?", "verifier": "exact", "reference": {"answer": "é"}}
    write_problems(store, TASK, 0, [Problem.model_validate({"id": f"p{n}", **problem}) for n in range(2)])
    export_run(StoredRun(store, ()), exported := DirectoryStore(tmp_path_factory.mktemp("exported")))
    exported.root.rename(folder / "export")
    return folder


def written(run: Path, kind: str) -> Counter[str]:
    """Reads the files one by one, with the names that their folders give."""
    import pyarrow.parquet as pq

    rows: Counter[str] = Counter()
    folders = {"model": MODEL, "task": TASK, "v": VERSION, "s": "00000"}
    kept = {
        "verdicts": ("model", "task", "v", "s"),
        "samples": ("model", "task", "s"),
        "problems": ("task",),
        "export": (),
    }[kind]
    for path in (run / kind).rglob("*.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            named = {name: plain(value) for name, value in row.items()} | {name: folders[name] for name in kept}
            rows[json.dumps(named, sort_keys=True)] += 1
    return rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reader", "place"), places())
def test_every_row_and_column_is_read(run: Path, reader: str, place: Path | None, kind: str) -> None:
    if place is None and reader != "wasm" and importlib.util.find_spec(reader) is None:
        pytest.skip(f"{reader} is not in this environment; make test-readers has it")
    if reader == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    if reader == "wasm" and (place is None or shutil.which("node") is None):
        pytest.skip("parquet-wasm needs Node.js and make test-readers")
    environment = os.environ | ({"PYTHONPATH": str(place)} if place else {})
    words = [sys.executable, str(HERE), reader, str(run), kind]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert Counter(done.stdout.splitlines()) == written(run, kind)
