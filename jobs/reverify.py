"""``troop verify RUN``: judges stored samples again, as a new version beside the old. No engine, no Ray.

Every unit that the present verifiers have not judged is read where it lies, in files of its own or in a compacted
shard, and its new verdicts are committed like any unit's. So a second call goes on where a first one was stopped, and
what two versions say is never in one file.
"""

import json
import signal
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import cpu_count

from cluster.batches import Problems, SampleBatch
from cluster.judging import JudgeWorker
from jobs.catalogue import Run, read_problems, read_versions
from jobs.commit import RunSink
from jobs.compact import compact_run
from jobs.progress import counted
from jobs.run import current_version
from jobs.runs import StoredRun, open_run
from jobs.schema import NO_VERIFIER
from jobs.stored_units import StoredUnit, UnitReader, stored_units
from sampling.problems import REFERENCES, Problem
from sampling.validate import parse

_CHUNK = 8  # neighbours go to one process: they may lie in one compacted file


class _Process:
    """What a worker process keeps between items."""

    run: Run
    worker: JudgeWorker
    reader: UnitReader
    version: str


def reverify_run(uri: str, *, tier: str | None, workers: int | None) -> str:
    """Judges every committed unit that the present verifiers have not judged; says how many. Resumable."""
    stored, version = open_run(uri), current_version()
    items = _items(stored, version)
    changed = _judge_all(stored.run, version, items, tier, workers or cpu_count())
    done = f"{stored.store.uri}: {len(items)} units judged again (version {version}); {changed:,} verdicts changed"
    compacted = compact_run(stored.run)
    return f"{done}\n{compacted.as_text()}" if compacted.shards or compacted.failed else done


def stored_problems(run: Run) -> dict[str, dict[int, Problem]]:
    """The problems as they are kept in the run, by task and problem_idx."""
    found: dict[str, dict[int, Problem]] = {}
    for row in read_problems(run).to_pylist():
        if row["verifier"] == NO_VERIFIER:
            continue
        reference = REFERENCES[row["verifier"]].model_validate(json.loads(row["reference"]))
        data = {"id": row["problem_id"], "prompt": row["prompt"], "verifier": row["verifier"], "reference": reference}
        problem = parse(Problem, data, f"{run.store.uri}: problem {row['problem_id']!r}")
        found.setdefault(row["task"], {})[row["problem_idx"]] = problem
    return found


def _items(stored: StoredRun, version: str) -> list[StoredUnit]:
    """The units that other versions have and this one lacks."""
    cells = read_versions(stored.run)
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for cell in cells:
        if cell.version == version:
            done[cell.model, cell.task].update(number for file in cell.files for number in file.key.units)
    return stored_units(stored.run, stored.layers, (cell for cell in cells if cell.version != version), done)


def _judge_all(run: Run, version: str, items: list[StoredUnit], tier: str | None, workers: int | None) -> int:
    """How many verdicts changed; when interrupted, what is under way is still committed."""
    arguments = (run, version, stored_problems(run), tier)
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, arguments) as pool:
        try:
            return sum(counted(pool.map(_judge, items, chunksize=_CHUNK), len(items), "units judged"))
        finally:
            pool.shutdown(cancel_futures=True)


def _start(run: Run, version: str, problems: Problems, tier: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent hands out no more
    _Process.run, _Process.version = run, version
    _Process.worker, _Process.reader = JudgeWorker(problems, tier), UnitReader(run)


def _judge(item: StoredUnit) -> int:
    """Judges and commits one unit; how many of its verdicts' statuses changed."""
    before, samples, footer = _Process.reader.read(item)
    _, judged = _Process.worker.judge(SampleBatch(item.unit.task, tuple(samples)))
    sink = RunSink(_Process.run.store, _Process.run.prefix, _Process.version)
    sink.judge(item.unit, samples, judged.verdicts, footer)
    return sum(was != verdict.status for was, verdict in zip(before, judged.verdicts, strict=True))
