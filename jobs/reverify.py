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
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

from cluster.batches import Problems, SampleBatch
from cluster.verifier import VerifierWorker
from jobs.progress import counted
from jobs.remaining import current_version
from jobs.runs import open_run, sweep_of
from jobs.store.base import Store
from jobs.store.catalogue import read_problems, read_versions
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.encode import NO_VERIFIER, parse_prompt
from jobs.store.sessions import new_session, read_sessions, spent_before
from jobs.store.stored_run import StoredRun
from jobs.store.stored_units import StoredUnit, UnitReader, find_stored_units
from jobs.sweep import load_sweep
from sampling.errors import BadInput
from sampling.problems import REFERENCES, Problem
from sampling.samples import Unit
from sampling.validate import parse
from sampling.words import many
from verify.judge import JudgeSettings
from verify.patch.verifier import check_patches

_CHUNK = 8  # neighbours go to one process: they may lie in one compacted file


class _Process:
    """What a worker process keeps between items."""

    store: Store
    worker: VerifierWorker
    reader: UnitReader
    version: str


def reverify_run(uri: str, *, tier: str | None, workers: int | None) -> str:
    """Judges every committed unit that the present verifiers have not judged; says how many. Resumable."""
    stored = open_run(uri)
    judge, problems, workers = _judge_of(uri, stored), stored_problems(stored.store), workers or cpu_count() or 1
    version = current_version(judge)
    items = _items(stored, version)
    if items:
        check_patches(problem for table in problems.values() for problem in table.values())
    with _paid(stored, judge, problems, items) as paid:
        arguments = (stored.store, version, problems, tier, judge and judge.share(workers))
        results = _judge_all(arguments, items, workers)
        changed, paid.usd = sum(each for each, _ in results), sum(usd for _, usd in results)
    judged, new = many(len(items), "unit"), many(changed, "verdict")
    done = f"{stored.store.uri}: {judged} judged again (version {version}); {new} changed"
    compacted = compact_run(stored.store)
    return f"{done}\n{compacted.as_text()}" if compacted.shards or compacted.failed else done


def _judge_of(uri: str, stored: StoredRun) -> JudgeSettings | None:
    """Of a sweep's file the judge that it names now, which may be another one or cost more; else the run's own."""
    return load_sweep(Path(uri)).judge if uri.endswith((".yaml", ".yml")) else sweep_of(stored.layers).judge


def stored_problems(store: Store) -> dict[str, dict[int, Problem]]:
    """The problems as they are kept in the run, by task and problem_idx."""
    found: dict[str, dict[int, Problem]] = {}
    for row in read_problems(store).to_pylist():
        if row["verifier"] == NO_VERIFIER:
            continue
        reference = REFERENCES[row["verifier"]].model_validate(json.loads(row["reference"]))
        asked = parse_prompt(row["prompt"])
        data = {"id": row["problem_id"], "prompt" if isinstance(asked, str) else "messages": asked}
        data |= {"verifier": row["verifier"], "reference": reference}
        problem = parse(Problem, data, f"{store.uri}: problem {row['problem_id']!r}")
        found.setdefault(row["task"], {})[row["problem_idx"]] = problem
    return found


def _items(stored: StoredRun, version: str) -> list[StoredUnit]:
    """The units that other versions have and this one lacks."""
    cells = read_versions(stored.store)
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for cell in cells:
        if cell.version == version:
            done[cell.model, cell.task].update(number for file in cell.files for number in file.key.units)
    return find_stored_units(stored.store, stored.layers, (cell for cell in cells if cell.version != version), done)


@dataclass(slots=True)
class _Paid:
    """What a judge asked for this call, once that is known."""

    usd: float | None = None


@contextmanager
def _paid(
    stored: StoredRun, judge: JudgeSettings | None, problems: Problems, items: list[StoredUnit]
) -> Iterator[_Paid]:
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
    session.record_spending({judge.name: worst})
    yield paid
    session.record_spending({judge.name: worst if paid.usd is None else paid.usd})


def _most_usd(judge: JudgeSettings, problems: Problems, unit: Unit) -> float:
    table, samples = problems[unit.task], unit.last_sample - unit.first_sample
    return samples * sum(judge.most_usd(table[idx]) for idx in range(unit.first_problem, unit.last_problem))


Arguments = tuple[Store, str, Problems, str | None, JudgeSettings | None]


def _judge_all(arguments: Arguments, items: list[StoredUnit], workers: int) -> list[tuple[int, float]]:
    """What ``_judge`` says of each unit; when interrupted, what is under way is still committed."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, arguments) as pool:
        try:
            return list(counted(pool.map(_judge, items, chunksize=_CHUNK), len(items), "units judged"))
        finally:
            pool.shutdown(cancel_futures=True)


def _start(store: Store, version: str, problems: Problems, tier: str | None, judge: JudgeSettings | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent hands out no more
    _Process.store, _Process.version = store, version
    _Process.worker, _Process.reader = VerifierWorker(problems, tier, judge), UnitReader(store)


def _judge(item: StoredUnit) -> tuple[int, float]:
    """Judges and commits one unit; how many of its verdicts' statuses changed, and a judge's dollars."""
    before, samples, footer = _Process.reader.read(item)
    _, judged = _Process.worker.judge(SampleBatch(item.unit.task, tuple(samples)))
    sink = RunSink(_Process.store, _Process.version)
    receipt = sink.commit_verdicts(item.unit, samples, judged.verdicts, footer)
    changed = sum(was != verdict.status for was, verdict in zip(before, judged.verdicts, strict=True))
    return changed, receipt.judge_usd
