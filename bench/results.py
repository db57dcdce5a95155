"""The cost of writing, keeping, reading and resuming results. ``python -m bench.results`` prints a table.

Each figure comes from a fresh process, or is counted at a proxy in front of a real S3 server. Troop's own code encodes
all rows and puts them where a run has them; bench/made_results.py draws them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bench.figures import Figure, as_markdown
from bench.made_results import MODEL, PROVENANCE, SHARD_ROWS, TASK, VERSION, made_units, write_plan, write_shards
from sampling.samples import UNITS_PER_SHARD

ROUNDS = 3
UNITS = 24  # units written in one round
SHARDS = 191  # 191 × 524,288 rows: 100 million
PLANNED = 1_000_000  # units
THREADS = 2
OUTCOMES = 10_000_000  # rows of an import
QUERY = "select status, count(*) from verdicts group by status"
ROOT = Path(__file__).parent.parent


def writing(folder: Path) -> list[Figure]:
    """Measures one process that encodes units and commits them into a folder."""
    from jobs.store.commit import RunSink
    from jobs.store.folder import DirectoryStore

    units, rows, text, wall, cpu, stored = list(made_units(UNITS)), 0, 0, [], [], 0
    for number in range(ROUNDS):
        sink = RunSink(DirectoryStore(folder / str(number)), VERSION)
        started, used = time.perf_counter(), time.process_time()
        receipts = [sink.commit(unit, samples, verdicts, PROVENANCE) for unit, samples, verdicts in units]
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    rows = sum(receipt.rows for receipt in receipts)
    text = sum(len(sample.text) for _, samples, _ in units for sample in samples)
    stored = sum(receipt.stored_bytes for receipt in receipts)
    narrow = sum(path.stat().st_size for path in (folder / "0" / "verdicts").rglob("*.parquet"))
    return [
        Figure("written, encoded and committed to a folder with fsync", "rows/s", tuple(rows / s for s in wall)),
        Figure("the same by time on the core alone", "rows/s per core", tuple(rows / s for s in cpu)),
        Figure("the same, text that goes in", "MB/s per core", tuple(text / s / 1e6 for s in cpu)),
        Figure("a sample, 600 characters on average", "bytes/row", ((stored - narrow) / rows,)),
        Figure("a verdict in a unit's file of 2,048 rows", "bytes/row", (narrow / rows,)),
    ]


def reading(folder: Path) -> list[Figure]:
    """Measures pass counts over a hundred million verdicts in compacted shards of a folder, on two threads."""
    from jobs.store.counts import read_cells
    from jobs.store.folder import DirectoryStore

    store = DirectoryStore(folder / "run")
    started = time.perf_counter()
    stored = write_shards(store, SHARDS)
    made, rows = time.perf_counter() - started, SHARDS * SHARD_ROWS
    _use_cores(THREADS)

    def troop() -> int:
        return int(sum(cell.n.sum() for cell in read_cells(store)))

    def plain() -> int:
        return _plain_counts(folder / "run")

    return [
        Figure(f"a verdict in a compacted shard, {stored / 1e6:,.0f} MB in all", "bytes/row", (stored / rows,)),
        Figure("drawing and encoding those", "rows/s", (rows / made,)),
        Figure(f"pass counts of {rows / 1e6:,.0f} M rows by DuckDB alone", "s", _timed(plain, rows)),
        Figure("the same rows, all that a report reads of them (`read_cells`)", "s", _timed(troop, rows)),
    ]


def reporting(folder: Path) -> list[Figure]:
    """Measures ``troop report`` and ``troop sql`` of a hundred million verdicts on two cores, as a user calls them."""
    from jobs.store.folder import DirectoryStore

    store = DirectoryStore(folder / "run")
    write_shards(store, SHARDS)
    write_plan(store, SHARDS)
    _use_cores(THREADS)
    seconds, peak = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        words = ["report", str(folder / "run"), "--out", str(folder / "report")]
        peak.append(_peak_mb([sys.executable, "-m", "jobs", *words]))
        seconds.append(time.perf_counter() - started)
    return [
        Figure(f"`troop report` of {SHARDS * SHARD_ROWS / 1e6:,.0f} M verdicts on two cores", "s", tuple(seconds)),
        Figure("its memory at most", "MB", tuple(peak)),
        Figure(f"`troop sql` of them: {QUERY}", "s", _seconds(["sql", str(folder / "run"), QUERY])),
    ]


def watching(folder: Path) -> list[Figure]:
    """Measures ``troop status`` and ``troop sql`` of a million units of a hundred samples, in compacted shards."""
    from jobs.store.folder import DirectoryStore

    store, shards = DirectoryStore(folder / "run"), PLANNED // UNITS_PER_SHARD
    write_shards(store, shards, unit_rows=100)
    write_plan(store, shards, unit_rows=100)
    _use_cores(THREADS)
    run, units = str(folder / "run"), f"{shards * UNITS_PER_SHARD:,} units in {shards:,} shards"
    return [
        Figure(f"`troop status` of {units}", "s", _seconds(["status", run])),
        Figure(f"`troop sql` of them: {QUERY}", "s", _seconds(["sql", run, QUERY])),
    ]


def importing(folder: Path) -> list[Figure]:
    """Measures ``troop import`` of ten million outcomes: 1,000 problems in a Parquet file in random order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = np.random.default_rng(0).permutation(OUTCOMES)
    columns = {"problem": order // 10_000, "sample": order % 10_000, "passed": order % 7 == 0}
    pq.write_table(pa.table(columns), folder / "outcomes.parquet")
    _use_cores(THREADS)
    seconds, peak = [], []
    for number in range(ROUNDS):
        started = time.perf_counter()
        words = ["import", str(folder / f"run{number}"), "--outcomes", str(folder / "outcomes.parquet")]
        peak.append(_peak_mb([sys.executable, "-m", "jobs", *words, "--model", MODEL, "--task", TASK]))
        seconds.append(time.perf_counter() - started)
    return [
        Figure(f"`troop import` of {OUTCOMES / 1e6:,.0f} M outcomes in random order on two cores", "s", tuple(seconds)),
        Figure("its memory at most", "MB", tuple(peak)),
    ]


def _plain_counts(run: Path) -> int:
    import duckdb

    files = f"read_parquet('{run}/final/verdicts/**/*.parquet', hive_partitioning=false)"
    with duckdb.connect(config={"threads": THREADS}) as db:
        counts = db.execute(
            f"SELECT problem_idx, count(*), count(*) FILTER (passed) FROM {files} GROUP BY 1"
        ).fetchall()
    return sum(int(count) for _, count, _ in counts)


def planning(folder: Path) -> list[Figure]:
    """Measures ``troop plan`` of a million new units, and a driver's memory with all of them queued."""
    sweep = _million_units(folder, str(folder / "runs"))
    seconds, plan_mb, driver_mb = [], [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        plan_mb.append(_peak_mb([sys.executable, "-m", "jobs", "plan", str(sweep)]))
        seconds.append(time.perf_counter() - started)
        driver_mb.append(_peak_mb([sys.executable, "-m", "bench.results", "drive", str(sweep)]))
    return [
        Figure("`troop plan` of a million units", "s", tuple(seconds)),
        Figure("its memory at most", "MB", tuple(plan_mb)),
        Figure("memory of a driver with a million units queued, all handed out", "MB", tuple(driver_mb)),
    ]


def drive(sweep_file: Path) -> None:
    """Plans and queues the sweep as a driver does before it starts Ray, and takes every unit once."""
    from cluster.queue import UnitQueue
    from jobs.remaining import current_version, find_remaining, work_of
    from jobs.resolve import resolve
    from jobs.run import write_plan
    from jobs.store.open import open_store
    from jobs.store.stored_run import list_committed
    from jobs.sweep import load_sweep

    sweep = load_sweep(sweep_file)
    resolved, store = resolve(sweep), open_store(sweep.run_uri)
    layers = write_plan(resolved, store)
    remaining = find_remaining(resolved, layers, list_committed(store, current_version()))
    queues = [UnitQueue(work.units) for work in work_of(resolved, remaining).models]
    taken = sum(queue.take().rows > 0 for queue in queues for _ in range(queue.waiting))
    assert taken == PLANNED, taken


def resuming(folder: Path) -> list[Figure]:
    """Counts the requests to resume a complete run: a million units in 3,906 compacted shards and 64 unit files."""
    from tests.support.faulty_proxy import faulty_proxy
    from tests.support.s3_server import swift_server

    with swift_server(folder / "s3") as server, faulty_proxy(server.endpoint) as proxy:
        os.environ |= {**server.environment(), "AWS_ENDPOINT_URL": server.endpoint}
        _fill_store(folder)
        environment = {**os.environ, "AWS_ENDPOINT_URL": proxy.endpoint}
        sweep = _million_units(folder, "s3://bench")
        started = time.perf_counter()
        done = _run_command([sys.executable, "-m", "jobs", "run", str(sweep), "--no-report"], environment)
        seconds = time.perf_counter() - started
        assert "nothing to sample" in done, done
    kinds = ", ".join(f"{proxy.seen.count(kind)} {kind}" for kind in sorted(set(proxy.seen)))
    return [
        Figure(f"resuming a million units on S3 ({kinds})", "requests", (len(proxy.seen),)),
        Figure("the same, the whole command", "s", (seconds,)),
    ]


def _fill_store(folder: Path) -> None:
    """Writes the plan, and a few bytes under the key of each verdicts file: they are listed, but never read."""
    import boto3.session

    from jobs.remaining import current_version
    from jobs.resolve import resolve
    from jobs.run import write_plan
    from jobs.store.layout import final_verdicts_key, verdicts_key
    from jobs.store.open import open_store
    from jobs.sweep import load_sweep
    from sampling.samples import Unit

    boto3.session.Session().client("s3").create_bucket(Bucket="bench")
    sweep, version = load_sweep(_million_units(folder, "s3://bench")), current_version()
    store = open_store(sweep.run_uri)
    write_plan(resolve(sweep), store)
    keys = []
    for model in sweep.models:
        full, rest = divmod(PLANNED // len(sweep.models), UNITS_PER_SHARD)
        keys += [final_verdicts_key(version, model.name, TASK, shard) for shard in range(full)]
        numbers = range(full * UNITS_PER_SHARD, full * UNITS_PER_SHARD + rest)
        keys += [verdicts_key(version, Unit(model.name, TASK, number, 0, 1, 0, 1)) for number in numbers]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.put_new(key, b"a committed file"), keys))


def _million_units(folder: Path, store: str) -> Path:
    """Writes a sweep of a thousand problems with a thousand units each; it is never run."""
    problems = [
        {"id": f"p{i}", "prompt": f"{i}+1=", "verifier": "exact", "reference": {"answer": str(i + 1)}, "solution": "?"}
        for i in range(1000)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    sweep = {
        "name": "million",
        "store": store,
        "models": [{"name": MODEL, "path": "gold", "engine": "replay", "k": 2048 * PLANNED // len(problems)}],
        "tasks": [{"name": TASK, "kind": "jsonl", "path": "problems.jsonl"}],
    }
    path = folder / "million.yaml"
    path.write_text(json.dumps(sweep))  # JSON is YAML too
    return path


MEASUREMENTS: dict[str, Callable[[Path], list[Figure]]] = {
    "writing": writing,
    "reading": reading,
    "reporting": reporting,
    "watching": watching,
    "importing": importing,
    "planning": planning,
    "resuming": resuming,
}


def measure(names: Sequence[str] = tuple(MEASUREMENTS)) -> list[Figure]:
    """Measures all figures, each group in a process of its own."""
    figures = []
    for name in names:
        print(f"bench: results, {name}", file=sys.stderr, flush=True)
        said = _run_command([sys.executable, "-m", "bench.results", name], dict(os.environ))
        figures += [Figure(f["what"], f["unit"], tuple(f["values"])) for f in json.loads(said.splitlines()[-1])]
    return figures


def _timed(query: Callable[[], int], rows: int) -> tuple[float, ...]:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        assert query() == rows
        seconds.append(time.perf_counter() - started)
    return tuple(seconds)


def _use_cores(cores: int) -> None:
    """Restricts this process, and DuckDB in it, to that many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


_PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(done.returncode)
"""


def _peak_mb(command: list[str]) -> float:
    """Runs a command; returns its peak memory in MB.

    A small process starts it, since the kernel counts a parent's own peak for the child until that is another program.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed")
    return float(done.stdout)


def _seconds(words: list[str]) -> tuple[float, ...]:
    """Returns the seconds of ROUNDS calls of a troop command."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _run_command([sys.executable, "-m", "jobs", *words], dict(os.environ))
        seconds.append(time.perf_counter() - started)
    return tuple(seconds)


def _run_command(command: list[str], environment: dict[str, str]) -> str:
    """Runs a command; returns what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stderr + done.stdout


def _main(name: str = "", *words: str) -> None:
    if name in MEASUREMENTS:
        with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
            print(json.dumps([asdict(figure) for figure in MEASUREMENTS[name](Path(folder))]))
    elif name == "drive":
        drive(Path(words[0]))
    else:
        print(as_markdown(measure()))


if __name__ == "__main__":
    _main(*sys.argv[1:])
