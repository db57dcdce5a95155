"""``troop verify RUN``: judges stored samples again, as a new version beside the old. No engine, no Ray.

Every unit that the present verifiers have not judged is read where it lies, in files of its own or in a compacted
shard, and its new verdicts are committed like any unit's. So a second call goes on where a first one was stopped, and
what two versions say is never in one file.
"""

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.batches import Problems, SampleBatch
from cluster.judging import JudgeWorker
from jobs.catalogue import Cell, Run, VerdictFile, read_problems, read_versions
from jobs.commit import RunSink
from jobs.compact import compact_run
from jobs.layout import final_verdicts_key, samples_prefixes, under
from jobs.plan import planned_units
from jobs.progress import counted
from jobs.rows import Keys, SamplesReader, row_keys
from jobs.run import current_version
from jobs.runs import IMPORTED, StoredRun, open_run
from jobs.schema import NO_VERIFIER, Footer, read_footer, samples_of
from jobs.sessions import new_session, read_sessions, spent_before
from jobs.spec import load_sweep
from jobs.whole import read_table
from sampling.errors import BadInput, StoreError
from sampling.problems import REFERENCES, Problem
from sampling.samples import Sample, Unit
from sampling.validate import parse
from verify.llm_judge import JudgeSettings

_CHUNK = 8  # neighbours go to one process: they may lie in one compacted file


@dataclass(frozen=True, slots=True)
class Item:
    """One unit to judge again: the key of a file with its present verdicts, and where those are once compacted."""

    unit: Unit
    verdicts: str
    final: str
    version: str


class _Process:
    """What a worker process keeps between items."""

    run: Run
    worker: JudgeWorker
    reader: SamplesReader


def reverify_run(uri: str, *, tier: str | None, workers: int | None) -> str:
    """Judges every committed unit that the present verifiers have not judged; says how many. Resumable."""
    stored = open_run(uri)
    judge, problems, workers = _judge_of(uri, stored), stored_problems(stored.run), workers or cpu_count() or 1
    version = current_version(judge)
    items = list(_items(stored, version))
    with _paid(stored, judge, problems, items) as paid:
        done = _judge_all((stored.run, problems, tier, judge and judge.share(workers)), items, workers)
        changed, paid.usd = sum(each for each, _ in done), sum(usd for _, usd in done)
    told = f"{stored.store.uri}: {len(items)} units judged again (version {version}); {changed:,} verdicts changed"
    compacted = compact_run(stored.run)
    return f"{told}\n{compacted.as_text()}" if compacted.shards or compacted.failed else told


def _judge_of(uri: str, stored: StoredRun) -> JudgeSettings | None:
    """Of a sweep's file the judge that it names now, which may be another one or cost more; else the run's own."""
    return load_sweep(Path(uri)).judge if uri.endswith((".yaml", ".yml")) else stored.sweep.judge


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


def _items(stored: StoredRun, version: str) -> Iterator[Item]:
    """The units that other versions have and this one lacks, in the order in which they are stored."""
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    present: dict[tuple[str, str, int], VerdictFile] = {}
    files = [file for cell in read_versions(stored.run) if _has_text(stored.run, cell) for file in cell.files]
    for file in sorted(files, key=lambda file: file.compacted):  # a unit's own samples may be gone, a shard's are not
        if file.version == version:
            done[file.key.model, file.key.task].update(file.key.units)
        else:
            present |= {(file.key.model, file.key.task, number): file for number in file.key.units}
    units = {(unit.model, unit.task, unit.number): unit for unit in planned_units(stored.layers)}
    for place in sorted(place for place in present if place[2] not in done[place[:2]]):
        if place not in units:
            raise BadInput(f"{present[place].info.key}: holds unit {place[2]}, which the run's plan does not know")
        yield _item(units[place], present[place], stored.run, version)


def _has_text(run: Run, cell: Cell) -> bool:
    """Imported outcomes have none, so there is nothing to judge again."""
    places = (under(run.prefix, start) for start in samples_prefixes(cell.model, cell.task))
    return cell.version != IMPORTED or any(True for place in places for _ in run.store.list(place))


def _item(unit: Unit, file: VerdictFile, run: Run, version: str) -> Item:
    final = under(run.prefix, final_verdicts_key(file.version, unit.model, unit.task, unit.shard))
    return Item(unit, file.info.key, final, version)


@dataclass(slots=True)
class _Paid:
    """What a judge asked for this call, once that is known."""

    usd: float | None = None


@contextmanager
def _paid(stored: StoredRun, judge: JudgeSettings | None, problems: Problems, items: list[Item]) -> Iterator[_Paid]:
    """Keeps what a judge is paid: at its worst from the start, until it is known. Raises BadInput beyond its cap."""
    paid = _Paid()
    worst = sum(_most_usd(judge, problems, item.unit) for item in items) if judge else 0.0
    if judge is None or not worst:
        yield paid
        return
    before, cap = spent_before(read_sessions(stored.store)).get(judge.name, 0.0), judge.service.cap_usd
    if cap is not None and before + worst > cap:
        raise BadInput(f"judge.service.cap_usd: ${before:.4f} of ${cap:g} are spent, and to judge {len(items)} units "
                       f"again could cost ${worst:.4f}; raise it in the sweep's file and verify that")  # fmt: skip
    session = new_session(stored.store)
    session.spent({judge.name: worst})
    yield paid
    session.spent({judge.name: worst if paid.usd is None else paid.usd})


def _most_usd(judge: JudgeSettings, problems: Problems, unit: Unit) -> float:
    table, samples = problems[unit.task], unit.last_sample - unit.first_sample
    return samples * sum(judge.most_usd(table[idx]) for idx in range(unit.first_problem, unit.last_problem))


def _judge_all(
    arguments: tuple[Run, Problems, str | None, JudgeSettings | None], items: list[Item], workers: int
) -> list[tuple[int, float]]:
    """How many verdicts of each unit changed, and a judge's dollars; when interrupted, what is under way is still
    committed."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, arguments) as pool:
        try:
            return list(counted(pool.map(_judge, items, chunksize=_CHUNK), len(items), "units judged"))
        finally:
            pool.shutdown(cancel_futures=True)


def _start(run: Run, problems: Problems, tier: str | None, judge: JudgeSettings | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent hands out no more
    _Process.run, _Process.worker, _Process.reader = run, JudgeWorker(problems, tier, judge), SamplesReader(run)


def _judge(item: Item) -> tuple[int, float]:
    """Judges and commits one unit; how many of its verdicts' statuses changed, and a judge's dollars."""
    try:
        before, samples, footer = _read(item.verdicts, item.unit)
    except StoreError:
        if item.final == item.verdicts or _Process.run.store.head(item.final) is None:
            raise
        before, samples, footer = _read(item.final, item.unit)  # compacted since it was listed
    _, judged = _Process.worker.judge(SampleBatch(item.unit.task, tuple(samples)))
    sink = RunSink(_Process.run.store, _Process.run.prefix, item.version)
    receipt = sink.judge(item.unit, samples, judged.verdicts, footer)
    changed = sum(was != verdict.status for was, verdict in zip(before, judged.verdicts, strict=True))
    return changed, receipt.judge_usd


def _read(key: str, unit: Unit) -> tuple[list[str], list[Sample], Footer]:
    """The statuses that the verdicts at ``key`` gave a unit, its samples, and the footer that names those."""
    keys, statuses, footer = _verdicts(_Process.run, key)
    if not footer.samples:
        raise BadInput(f"{key}: verdicts without stored text cannot be verified again")
    places = np.flatnonzero(_inside(unit, keys))
    samples = samples_of(_Process.reader.rows(footer, keys[places]))
    return statuses.take(places).to_pylist(), samples, footer


@lru_cache(maxsize=1)
def _verdicts(run: Run, key: str) -> tuple[Keys, pa.ChunkedArray, Footer]:
    data = run.store.get(key)
    table = read_table(data, "verdicts", key)
    return row_keys(table), table.column("status"), read_footer(data, key)


def _inside(unit: Unit, keys: Keys) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    problem, sample = keys >> 32, keys & 0xFFFFFFFF
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        (problem >= unit.first_problem)
        & (problem < unit.last_problem)
        & (sample >= unit.first_sample)
        & (sample < unit.last_sample)
    )
    return inside
