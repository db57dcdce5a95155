"""``troop verify RUN``: verifies stored samples again, as a new version beside the old. No engine, no Ray.

Each unit without verdicts of the present version is read where it lies, in its own files or in a compacted shard, and
its new verdicts are committed like any unit's. A second call therefore continues where the first one was stopped, and
one file never holds verdicts of two versions.
"""

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
from jobs.progress import show_count
from jobs.remaining import current_version, stored_problems
from jobs.store.base import Store
from jobs.store.catalogue import read_versions
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.sessions import new_session, read_sessions, spent_before
from jobs.store.stored_run import StoredRun
from jobs.store.stored_units import StoredUnit, UnitReader, find_stored_units
from jobs.sweep import Sweep, load_sweep, open_run, sweep_of
from sampling.checkers import checker_digests
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.samples import Unit
from sampling.words import many
from verify.judge_settings import JudgeSettings
from verify.patch.verifier import check_patches

_CHUNK = 8  # units that go to one process together: neighbours may lie in one compacted file


class _Process:
    """State that a worker process keeps between units."""

    store: Store
    worker: VerifierWorker
    reader: UnitReader
    version: str


def reverify_run(uri: str, *, tier: str | None, workers: int | None) -> str:
    """Verifies every committed unit that lacks verdicts of the present version, and returns what to print. Resumable.

    Of a sweep file its judge and its checkers' files count as they are now; of a run, the ones that it keeps.
    Raises BadInput where there is no run, or where the judge could cost more than its cap.
    """
    stored = open_run(uri)
    problems, workers = stored_problems(stored.store), workers or cpu_count() or 1
    present = load_sweep(Path(uri)) if uri.endswith((".yaml", ".yml")) else None
    judge = (present or sweep_of(stored.layers)).judge
    problems = _with_present_checkers(problems, present) if present else problems
    version = current_version(judge, (problem for table in problems.values() for problem in table.values()))
    items = _units_to_verify(stored, version)
    if items:
        check_patches(problem for table in problems.values() for problem in table.values())
    with _record_spending(stored, judge, problems, items) as spent:
        arguments = (stored.store, version, problems, tier, judge and judge.share(workers))
        results = _verify_all(arguments, items, workers)
        changed, spent.usd = sum(each for each, _ in results), sum(usd for _, usd in results)
    verified, new = many(len(items), "unit"), many(changed, "verdict")
    done = f"{stored.store.uri}: {verified} judged again (version {version}); {new} changed"
    compacted = compact_run(stored.store)
    return f"{done}\n{compacted.as_text()}" if compacted.shards or compacted.failed else done


def _with_present_checkers(tables: dict[str, dict[int, Problem]], sweep: Sweep) -> dict[str, dict[int, Problem]]:
    """Returns the stored problems with the checkers' files as they are now; raises BadInput where one is bad."""
    custom = {task for task, table in tables.items() if checker_digests(p.reference for p in table.values())}
    now = {(task.title, p.id): p for task in sweep.tasks if task.title in custom for p in task.load()}
    return {
        task: {idx: now.get((task, problem.id), problem) for idx, problem in table.items()} if task in custom else table
        for task, table in tables.items()
    }


def _units_to_verify(stored: StoredRun, version: str) -> list[StoredUnit]:
    """Returns the units that have verdicts of other versions but none of this one."""
    cells = read_versions(stored.store)
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for cell in cells:
        if cell.version == version:
            done[cell.model, cell.task].update(number for file in cell.files for number in file.key.units)
    return find_stored_units(stored.store, stored.layers, (cell for cell in cells if cell.version != version), done)


@dataclass(slots=True)
class _JudgeSpent:
    """Dollars that the judge cost in this call; None until they are known."""

    usd: float | None = None


@contextmanager
def _record_spending(
    stored: StoredRun, judge: JudgeSettings | None, problems: Problems, items: list[StoredUnit]
) -> Iterator[_JudgeSpent]:
    """Records the judge's cost in the run: the worst case at the start, the real cost at the end.

    Raises BadInput where the worst case exceeds the judge's cap.
    """
    spent = _JudgeSpent()
    worst = sum(_most_usd(judge, problems, item.unit) for item in items) if judge else 0.0
    if judge is None or not worst:
        yield spent
        return
    before, cap = spent_before(read_sessions(stored.store)).get(judge.name, 0.0), judge.service.cap_usd
    if cap is not None and before + worst > cap:
        raise BadInput(f"judge.service.cap_usd: ${before:.4f} of ${cap:g} are spent, and to judge {len(items)} units "
                       f"again could cost ${worst:.4f}; raise cap_usd in the sweep file, then run "
                       "`troop verify SWEEP.yaml`")  # fmt: skip
    session = new_session(stored.store)
    session.record_spending({judge.name: worst})
    yield spent
    session.record_spending({judge.name: worst if spent.usd is None else spent.usd})


def _most_usd(judge: JudgeSettings, problems: Problems, unit: Unit) -> float:
    table, samples = problems[unit.task], unit.last_sample - unit.first_sample
    return samples * sum(judge.most_usd(table[idx]) for idx in range(unit.first_problem, unit.last_problem))


Arguments = tuple[Store, str, Problems, str | None, JudgeSettings | None]


def _verify_all(arguments: Arguments, items: list[StoredUnit], workers: int) -> list[tuple[int, float]]:
    """Returns the result of ``_verify_unit`` for each unit. Units in flight are committed after an interrupt too."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_process, arguments) as pool:
        try:
            return list(show_count(pool.map(_verify_unit, items, chunksize=_CHUNK), len(items), "units judged"))
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process(
    store: Store, version: str, problems: Problems, tier: str | None, judge: JudgeSettings | None
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; only the parent acts on it
    _Process.store, _Process.version = store, version
    _Process.worker, _Process.reader = VerifierWorker(problems, tier, judge), UnitReader(store)


def _verify_unit(item: StoredUnit) -> tuple[int, float]:
    """Verifies and commits one unit; returns how many statuses changed, and the judge's dollars."""
    before, samples, footer = _Process.reader.read(item)
    _, verified = _Process.worker.verify(SampleBatch(item.unit.task, tuple(samples)))
    sink = RunSink(_Process.store, _Process.version)
    receipt = sink.commit_verdicts(item.unit, samples, verified.verdicts, footer)
    changed = sum(was != verdict.status for was, verdict in zip(before, verified.verdicts, strict=True))
    return changed, receipt.judge_usd
