"""``troop verify RUN``: verifies stored samples again, as a new version beside the old. No engine, no Ray.

Each unit without verdicts of the present version is read where it lies, in its own files or in a compacted shard, and
its new verdicts are committed like any unit's. A second call therefore continues where the first one was stopped, and
one file never holds verdicts of two versions.

What a run stores may come from anybody. So nothing of it is contacted, or names a file of this machine: the judge, its
prices and its key, repositories, images and folders of packages are those of the sweep that the caller gives.
"""

import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
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
from jobs.sweep import SWEEP_FILES, Sweep, load_sweep, open_run, sweep_of
from sampling.checkers import checker_digests
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import Reference
from sampling.samples import Unit
from sampling.words import many, printable
from verify.judge_settings import JudgeSettings
from verify.patch.verifier import check_patches

_PLACES = ("snapshot", "environment", "image")  # keys of references
_CURE = "give your sweep: `troop verify {} --sweep SWEEP.yaml`"
_CHUNK = 8  # units that go to one process together: neighbours may lie in one compacted file


class _Process:
    """State that a worker process keeps between units."""

    store: Store
    worker: VerifierWorker
    reader: UnitReader
    version: str


def reverify_run(uri: str, *, tier: str | None, workers: int | None, sweep: Path | None = None) -> str:
    """Verifies every committed unit that lacks verdicts of the present version, and returns what to print. Resumable.

    ``sweep`` is the caller's own sweep file, by default ``uri`` if that is one. Its judge, its checkers' files and its
    repositories, images and packages count as they are now. Without a sweep the checkers that the run keeps count.
    Raises BadInput where there is no run, where its problems need a sweep, or where the judge could cost more than its
    cap.
    """
    stored = open_run(uri)
    problems, workers = stored_problems(stored.store), workers or cpu_count() or 1
    sweep = sweep or (Path(uri) if uri.endswith(SWEEP_FILES) else None)
    present = load_sweep(sweep) if sweep else None
    problems = _with_own_places(problems, present, stored.store.uri)
    everything = [problem for table in problems.values() for problem in table.values()]
    judge = present.judge if present else None
    _check_judge(everything, judge, stored.store.uri)
    version = current_version((present or sweep_of(stored.layers)).judge, everything)
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


def _with_own_places(tables: Problems, sweep: Sweep | None, uri: str) -> dict[str, dict[int, Problem]]:
    """Returns the stored problems with the sweep's own checkers' files and places of this machine.

    Raises BadInput where a problem names a place and the sweep does not have that problem.
    """
    named = {task for task, table in tables.items() if any(_is_of_the_caller(problem) for problem in table.values())}
    tasks = [task for task in sweep.tasks if task.title in named] if sweep else []
    own = {(task.title, problem.id): problem for task in tasks for problem in sweep.problems_of(task)} if sweep else {}
    return {
        task: {
            idx: _as_now(problem, own.get((task, problem.id)), uri) if task in named else problem
            for idx, problem in table.items()
        }
        for task, table in tables.items()
    }


def _is_of_the_caller(problem: Problem) -> bool:
    return bool(checker_digests([problem.reference]) or _place_of(problem.reference))


def _as_now(problem: Problem, own: Problem | None, uri: str) -> Problem:
    place = _place_of(problem.reference)
    if own is not None and own.verifier == problem.verifier:
        if not place:
            return own if checker_digests([problem.reference]) else problem
        names = (*_PLACES, "packages", "source", "checker_source")
        present = {name: getattr(own.reference, name) for name in names if hasattr(problem.reference, name)}
        return problem.model_copy(update={"reference": problem.reference.model_copy(update=present)})
    if place:
        raise BadInput(f"{uri}: problem {printable(problem.id)}: {printable(place)} is a place that the run names, and "
                       f"nothing is read or fetched because a run names it; {_CURE.format(uri)}")  # fmt: skip
    return problem


def _place_of(reference: Reference) -> str:
    """Returns the first place outside a run that a reference names: a repository, an image, a folder; else ""."""
    packages = [entry for entry in getattr(reference, "packages", None) or () if "/" in entry]
    return next((place for place in [*(getattr(reference, name, None) for name in _PLACES), *packages] if place), "")


def _check_judge(problems: Iterable[Problem], judge: JudgeSettings | None, uri: str) -> None:
    """Raises BadInput where a judge decides and the caller names none."""
    judged = next((problem for problem in problems if problem.verifier == "judge"), None)
    if judged is not None and judge is None:
        raise BadInput(f"{uri}: problem {printable(judged.id)}: a judge decides it, and no service is asked because a "
                       f"run names it; {_CURE.format(uri)}")  # fmt: skip


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
