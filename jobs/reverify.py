"""``troop verify RUN``: judges stored samples again, as a new version beside the old. No engine, no Ray."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count

from cluster.batches import Problems, SampleBatch
from cluster.judging import JudgeWorker
from jobs.catalogue import Run, choose_cells, read_problems, read_versions
from jobs.commit import RunSink, committed_units
from jobs.plan import planned_units
from jobs.run import current_version
from jobs.runs import StoredRun, open_run
from jobs.schema import decode_samples, read_footer, read_table
from sampling.errors import BadInput
from sampling.problems import REFERENCES, Problem
from sampling.samples import Unit
from sampling.validate import parse
from verify.verdict import Status


@dataclass(frozen=True, slots=True)
class Item:
    """One unit to judge again: the key of its present verdicts, which name its samples."""

    unit: Unit
    verdicts_key: str
    version: str


class _Process:
    """What a worker process keeps between items."""

    run: Run
    worker: JudgeWorker


def reverify_run(uri: str, *, tier: str | None, workers: int | None) -> str:
    """Judges every committed unit that the present verifiers have not judged; says how many. Resumable."""
    stored = open_run(uri)
    problems = stored_problems(stored.run)
    items = list(_items(stored))
    arguments = (stored.run, problems, tier)
    with ProcessPoolExecutor(workers or cpu_count(), get_context("spawn"), _start, arguments) as pool:
        changed = sum(pool.map(_judge, items))
    versions = ", ".join(sorted({item.version for item in items})) or "nothing to do"
    return f"{stored.store.uri}: {len(items)} units judged again (version {versions}); {changed:,} verdicts changed"


def stored_problems(run: Run) -> dict[str, dict[int, Problem]]:
    """The problems as they are kept in the run, by task and problem_idx."""
    found: dict[str, dict[int, Problem]] = {}
    for row in read_problems(run).to_pylist():
        reference = REFERENCES[row["verifier"]].model_validate(json.loads(row["reference"]))
        data = {"id": row["problem_id"], "prompt": row["prompt"], "verifier": row["verifier"], "reference": reference}
        problem = parse(Problem, data, f"{run.store.uri}: problem {row['problem_id']!r}")
        found.setdefault(row["task"], {})[row["problem_idx"]] = problem
    return found


def _items(stored: StoredRun) -> Iterator[Item]:
    version = current_version()
    units = {(unit.model, unit.task, unit.number): unit for unit in planned_units(stored.layers)}
    for cell in choose_cells(read_versions(stored.run)):
        done = committed_units(stored.store, "", version, cell.model, cell.task)
        for file in cell.files:
            if file.key.number is None:
                raise BadInput(f"{file.info.key}: compacted shards cannot be verified again yet")
            if file.key.number not in done:
                yield Item(units[cell.model, cell.task, file.key.number], file.info.key, version)


def _start(run: Run, problems: Problems, tier: str | None) -> None:
    _Process.run, _Process.worker = run, JudgeWorker(problems, tier)


def _judge(item: Item) -> int:
    """Judges and commits one unit; how many of its verdicts' statuses changed."""
    store = _Process.run.store
    old = store.get(item.verdicts_key)
    footer = read_footer(old, item.verdicts_key)
    samples, _ = decode_samples(store.get(footer.samples), footer.samples)
    _, judged = _Process.worker.judge(SampleBatch(item.unit.task, tuple(samples)))
    RunSink(store, "", item.version).judge(item.unit, samples, judged.verdicts, footer)
    return _changed(old, item.verdicts_key, [verdict.status for verdict in judged.verdicts])


def _changed(old: bytes, key: str, now: Sequence[Status]) -> int:
    before = read_table(old, "verdicts", key).column("status").to_pylist()
    return sum(was != status for was, status in zip(before, now, strict=True))
