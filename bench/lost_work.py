"""Work that a kill loses: how large planned units are, what small ones cost, and one real kill of a real engine.

``python -m bench.lost_work`` prints tables; with ``kill`` it also kills a run of 16,384-token samples on a tiny model,
which takes some minutes.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from bench.figures import Figure, as_markdown
from bench.made_results import PROVENANCE, VERSION, made_units
from jobs.numbers.unit_size import rows_of_unit
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from jobs.store.sealed_parquet import read_footer
from sampling.samples import Unit

LONG = 16_384  # tokens of each sample
SPEEDS = {"without a GPU": (True, (500, 2000, 8000)), "with a GPU": (False, (2000, 8000, 30_000))}  # tokens/s
SIZES = (8, 32, 256, 2048)  # samples in a unit
MODEL = Path(__file__).parent.parent / "examples" / "demo" / "models" / "small"
AT_ONCE = 8  # samples that the killed engine generates together
COMMITS = 2  # units committed before the kill
LATE = 0.8  # of a unit's time after the last of them


def planned() -> list[Figure]:
    """Returns the seconds of an engine for a planned unit of samples of LONG tokens: what a kill loses at most."""
    figures = []
    for kind, (on_cpu, speeds) in SPEEDS.items():
        rows = rows_of_unit(max_tokens=LONG, samples=100_000, on_cpu=on_cpu)
        for speed in speeds:
            before = min(2048, max(128, (1 << 20) // LONG)) * LONG / speed
            name = f"engine {kind}, {speed:,} tokens/s: unit of {rows} × {LONG:,} tokens"
            figures += [
                Figure(name, "s", (rows * LONG / speed,)),
                Figure("the same, 128 samples a unit", "s", (before,)),
            ]
    return figures


def commits() -> list[Figure]:
    """Measures the time on one core for committing the same samples in units of several sizes, to a folder."""
    figures = []
    ((unit, samples, verdicts),) = made_units(1)
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
        for size in SIZES:
            sink = RunSink(DirectoryStore(Path(folder) / str(size)), VERSION)
            used, firsts, stored = time.process_time(), range(0, len(samples), size), 0
            for number, first in enumerate(firsts):
                part = Unit(unit.model, unit.task, number, unit.first_problem, unit.last_problem, first, first + size)
                rows = slice(first, first + size)
                stored += sink.commit(part, samples[rows], verdicts[rows], PROVENANCE).stored_bytes
            used = time.process_time() - used
            figures.append(
                Figure(f"a unit of {size:,}, 600 characters each: commit", "ms", (used / len(firsts) * 1e3,))
            )
            figures.append(Figure(f"the same, {len(firsts)} units", "bytes/row", (stored / len(samples),)))
    return figures


def kill() -> list[Figure]:
    """Kills a run on a real engine between two commits; compares its time with the engine seconds that are kept."""
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-P", "-m", "jobs", "run", str(_sweep(folder)), "--no-report"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            up, said = threading.Event(), list[str]()
            threading.Thread(target=_listen, args=(process.stderr, up, said), daemon=True).start()
            while not up.wait(1):
                assert process.poll() is None, said
            began = time.monotonic()
            while len(_verdicts(folder)) < COMMITS:
                time.sleep(0.2)
                assert process.poll() is None, said
            time.sleep(LATE * (time.monotonic() - began) / COMMITS)
            process.kill()
            alive = time.monotonic() - began
        footers = [read_footer(path.read_bytes()) for path in _verdicts(folder)]
        kept, rows = sum(one.engine_s for one in footers), sum(pq.read_metadata(p).num_rows for p in _verdicts(folder))
    speed = rows * LONG / kept
    return [
        Figure(f"tiny model, {AT_ONCE} samples at a time: speed of its engine", "tokens/s", (speed,)),
        Figure(f"killed late in its third unit of {rows // len(footers)} samples; the engine sampled", "s", (alive,)),
        Figure("of which committed", "s", (kept,)),
        Figure("**lost**", "s", (alive - kept,)),
    ]


def _verdicts(folder: Path) -> list[Path]:
    return list((folder / "runs").rglob("verdicts/**/*.parquet"))


def _listen(lines: IO[str], up: threading.Event, said: list[str]) -> None:
    for line in lines:
        said.append(line)
        if re.search(r"engine m/0: sampling", line):
            up.set()


def _sweep(folder: Path) -> Path:
    """Writes a sweep of a model that never ends a sample by itself; YAML reads JSON."""
    shutil.copytree(MODEL, folder / "model")
    for file, changes in _endless():
        path = folder / "model" / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    problem = {"id": "p", "prompt": "0=1 >", "verifier": "exact", "reference": {"answer": "2"}}
    (folder / "problems.jsonl").write_text(json.dumps(problem) + "\n")
    model = {"name": "m", "path": str(folder / "model"), "device": "cpu", "max_num_seqs": AT_ONCE, "engines": 1}
    task = {"name": "t", "kind": "jsonl", "path": "problems.jsonl"}
    sweep = {"name": "long", "models": [model], "tasks": [task], "k": 1000, "sampling": {"max_tokens": LONG}}
    (folder / "sweep.yaml").write_text(json.dumps(sweep))
    return folder / "sweep.yaml"


def _endless() -> Iterator[tuple[str, dict[str, object]]]:
    context = LONG + 128
    yield "config.json", {"max_position_embeddings": context, "eos_token_id": 0}
    yield "generation_config.json", {"eos_token_id": 0}
    yield "tokenizer_config.json", {"eos_token": "<pad>", "model_max_length": context}


if __name__ == "__main__":
    print(as_markdown([*planned(), *commits(), *(kill() if "kill" in sys.argv else [])]))
