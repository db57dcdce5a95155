"""Running a sweep: resolve, plan, sample what is missing, commit. The same for a first run and for every later one."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cluster.address import check_address
from cluster.batches import ModelWork, Work
from cluster.queue import SetAside
from cluster.spending import Spending
from cluster.tally import CellTally, Tally
from jobs.audit import check_gold, check_lean
from jobs.backends import Job, ReadyBackend, open_backend
from jobs.budget import Budget, Spent, committed_spend, open_budget
from jobs.planning import Layer, Units, extend, open_shards, planned_units, problem_ids
from jobs.progress import duration, progress_display
from jobs.resolve import Resolved, code_version, resolve
from jobs.store.catalogue import Run, write_problems
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.sessions import new_session, read_sessions, spent_before
from jobs.store.store import Store, open_store, probe_store
from jobs.store.stored_run import (
    SET_ASIDE,
    Committed,
    StoredRun,
    committed_numbers,
    extend_plan,
    layers_to_extend,
    read_layers,
)
from jobs.sweep import Sweep
from sampling.errors import BadInput, StoreError, TroopError
from sampling.problems import Problem
from sampling.words import many
from verify.judge import JudgeSettings
from verify.patch.verifier import check_patches
from verify.verifiers import KINDS, verifier_version

Say = Callable[[str], None]
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the driver of a job


@dataclass(frozen=True)
class Outcome:
    """How a run ended: rows committed by this call, the units that failed too often, the limit that was reached."""

    committed: int
    set_aside: tuple[SetAside, ...]
    stopped: str | None = None


def run_sweep(sweep: Sweep, *, address: str | None, local: bool, say: Say) -> Outcome:
    """Runs or continues a sweep; raises BadInput before anything is written."""
    return run_resolved(resolve(sweep), address=address, local=local, say=say)


def run_resolved(resolved: Resolved, *, address: str | None, local: bool, say: Say) -> Outcome:
    """The same with models that were looked at and problems that were loaded."""
    sweep, version = resolved.sweep, current_version(resolved.sweep.judge)
    _check_place(sweep)
    if not local:
        check_address(address)
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    known = layers_to_extend(store)
    added = next_layer(resolved, known)  # what is refused is refused here, before anything is written
    done = committed_numbers(store, version)
    layers = (*known, *filter(None, [added]))
    to_do = runnable(planned_units(layers).without(done), resolved, layers)
    if not to_do:
        return _nothing_to_do(resolved, store, done, say)
    _try_verifiers(resolved, local, say)
    with open_backend(address, local=local) as backend:
        ready = backend.prepare(work_of(resolved, layers, to_do), sweep.stop)
        return _carry_out(resolved, store, done, ready, say)


def _nothing_to_do(resolved: Resolved, store: Store, done: Committed, say: Say) -> Outcome:
    layers = write_plan(resolved, store)
    say(_opening(store, layers, planned_units(layers).without(done), Units(())))
    _compact(store, say)
    return Outcome(0, ())


def _carry_out(resolved: Resolved, store: Store, done: Committed, backend: ReadyBackend, say: Say) -> Outcome:
    """Plans, samples what is missing, and notes what this call took."""
    layers = write_plan(resolved, store)
    missing = planned_units(layers).without(done)
    to_do = runnable(missing, resolved, layers)
    say(_opening(store, layers, missing, to_do))
    work = replace(work_of(resolved, layers, to_do), open_shards=open_shards(layers, missing))
    sink = RunSink(store, "", current_version(resolved.sweep.judge))
    tally, session = Tally(_cells(layers, missing)), new_session(store)
    spending = Spending(work, spent_before(read_sessions(store)), session.spent)
    before = tally.committed

    def limits(gpus: Mapping[str, float]) -> Budget:
        return open_budget(resolved.sweep, gpus=gpus, earlier=lambda: _spent_before(store, layers))

    try:
        with progress_display() as show:
            set_aside, stopped = backend.run(Job(work, sink, tally, spending, limits, show))
    finally:
        with contextlib.suppress(StoreError):  # a note on this call, which must not hide what went wrong with it
            spending.save()
            session.end(tally, tally.committed - before)
    store.put(SET_ASIDE, json.dumps([_set_aside_row(unit) for unit in set_aside], indent=1).encode())
    say(_closing(store, tally, before))
    if stopped and tally.committed < sum(cell.planned for cell in tally.cells.values()):
        say(f"stopped by {stopped}; raise or remove the limit, and the same command continues the run")
    _compact(store, say)
    return Outcome(tally.committed - before, set_aside, stopped)


def known_complete(sweep: Sweep) -> bool:
    """Whether nothing is left, as far as this machine can tell: a store or model may be the cluster's alone."""
    try:
        return is_complete(sweep)
    except TroopError:
        return False


def is_complete(sweep: Sweep) -> bool:
    """Every unit that the sweep asks for is committed. Reads listings only; raises BadInput as a run does."""
    resolved = resolve(sweep)
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    known = layers_to_extend(store)
    missing = planned_units(known).without(committed_numbers(store, current_version(sweep.judge)))
    return next_layer(resolved, known) is None and not runnable(missing, resolved, known)


def _compact(store: Store, say: Say) -> None:
    """What the run has not compacted on its way; a shard that cannot be is told, and read unit by unit."""
    done = compact_run(Run(store))
    if done.shards or done.failed:
        say(done.as_text())


def _check_place(sweep: Sweep) -> None:
    """A job's own folder on a cluster is thrown away with the job."""
    if IN_A_JOB in os.environ and "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(f"store: {sweep.store!r} would be lost with the job's folder; give s3://… or a full path")


def _try_verifiers(resolved: Resolved, local: bool, say: Say) -> None:
    """A task whose own solutions fail would burn hours for nothing: it is refused before any engine starts."""
    settings = resolved.sweep.verify
    if local or settings.audit:
        elsewhere = "" if local else "; --no-audit leaves Lean to the cluster's own machines"
        check_lean(resolved.problems, settings.tier, else_do=elsewhere)
        check_patches(problem for problems in resolved.problems.values() for problem in problems)
    if settings.audit:
        say(check_gold(resolved.problems, settings.audit, settings.tier))


def next_layer(resolved: Resolved, layers: Sequence[Layer]) -> Layer | None:
    """The layer that the sweep adds to a run, or None."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sweep = resolved.sweep.model_dump(mode="json")
    return extend(layers, resolved.wanted, created=now, code_version=code_version(), sweep=sweep)


def write_plan(resolved: Resolved, store: Store) -> tuple[Layer, ...]:
    """Adds to the plan what the sweep asks for beyond it, and keeps the problems; first asks what the store honours."""
    probe_store(store)
    layers = extend_plan(store, read_layers, partial(next_layer, resolved))
    _write_problems(resolved, store, layers)
    return layers


def _write_problems(resolved: Resolved, store: Store, layers: Sequence[Layer]) -> None:
    """The problems that each layer added, named by their content; at every start, as a driver may have died before."""
    for number, layer in enumerate(layers):
        for part in layer.problems:
            by_id = {problem.id: problem for problem in resolved.problems.get(part.task, ())}
            if by_id.keys() >= set(part.ids):
                first = len(problem_ids(layers[:number], part.task))
                write_problems(store, "", part.task, first, [by_id[name] for name in part.ids])


def current_version(judge: JudgeSettings | None = None) -> str:
    """Of all verifiers together, so that a run keeps its version when a task of another kind joins it."""
    return verifier_version(KINDS, judge)


def runnable(missing: Units, resolved: Resolved, layers: Sequence[Layer]) -> Units:
    """The missing units that this sweep names the model and all problems of."""
    models = {model.name for model in resolved.sweep.models}
    return missing.among(models, {task: set(table) for task, table in problem_tables(resolved, layers).items()})


def problem_tables(resolved: Resolved, layers: Sequence[Layer]) -> dict[str, dict[int, Problem]]:
    """By task and problem_idx: the problems that the sweep still has."""
    tables = {}
    for task, problems in resolved.problems.items():
        by_id = {problem.id: problem for problem in problems}
        names = problem_ids(layers, task)
        tables[task] = {idx: by_id[name] for idx, name in enumerate(names) if name in by_id}
    return tables


def work_of(resolved: Resolved, layers: Sequence[Layer], missing: Units) -> Work:
    sweep = resolved.sweep
    models = []
    for model in sweep.models:
        units = missing.of(model.name)
        info, settings = resolved.infos[model.name], sweep.settings_of(model)
        if units:
            models.append(ModelWork(model, info, settings, resolved.sampling_hash(model), units))
    problems = problem_tables(resolved, layers)
    verify, judge = sweep.verify, sweep.judge and sweep.judge.share(sweep.verify.workers or 1)
    work = Work(tuple(models), problems, sweep.seed, verify.tier, verify.workers, code_version(), verify.nodes)
    return replace(work, judge=judge)


def _cells(layers: Sequence[Layer], missing: Units) -> list[CellTally]:
    """The counts to start from: how much earlier runs have committed; what of it passed would take reading it all."""
    planned = planned_units(layers)
    rows = {(block.model, block.task): planned.of(block.model, block.task).rows for block, _ in planned.parts}
    left = {cell: missing.of(*cell).rows for cell in rows}
    problems = {task: len(problem_ids(layers, task)) for _, task in rows}
    return [CellTally(*cell, problems[cell[1]], rows[cell], rows[cell] - left[cell], None) for cell in rows]


def _spent_before(store: Store, layers: Sequence[Layer]) -> Spent:
    from jobs.reporting import model_facts, read_engines
    from jobs.store.results import read_cells

    stored = StoredRun(store, tuple(layers))
    cells = read_cells(stored.run)
    return committed_spend(cells, model_facts(stored, read_engines(stored))) if cells else Spent()


def _opening(store: Store, layers: Sequence[Layer], missing: Units, to_do: Units) -> str:
    planned = len(planned_units(layers))
    if not missing:
        return f"{store.uri}: all {planned:,} units are committed; nothing to sample"
    left = len(missing) - len(to_do)
    tail = f"; {left:,} more need a model or problems that this sweep no longer names" if left else ""
    rows = many(to_do.rows, "sample")
    return f"{store.uri}: {many(planned, 'unit')} planned, {len(to_do):,} to do ({rows}){tail}"


def _closing(store: Store, tally: Tally, before: int) -> str:
    starts = max((engine.start_s for engine in tally.engines), default=0.0)
    took = f"{duration(tally.elapsed_s)}, engine start {starts:.0f} s of it"
    return f"{tally.committed - before:,} samples committed in {took}; results in {store.uri}"


def set_aside_lines(items: Sequence[tuple[str, str, int, str]]) -> list[str]:
    """Units that were set aside, given as (model, task, unit, error): one line for all that share a reason."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for model, task, number, error in items:
        groups.setdefault((model, task, error), []).append(number)
    lines = []
    for (model, task, error), numbers in groups.items():
        others = f" and {many(len(numbers) - 1, 'more unit')}" if len(numbers) > 1 else ""
        lines.append(f"set aside: {model}/{task}/{numbers[0]}{others}: {error}")
    return lines


def _set_aside_row(item: SetAside) -> dict[str, object]:
    unit = item.unit
    return {"model": unit.model, "task": unit.task, "unit": unit.number, "rows": unit.rows, "error": item.error}
