"""``troop run``: resolves a sweep, plans, samples what is missing, commits. A first and a later call do the same."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from cluster.address import check_address
from cluster.queue import SetAside
from cluster.sink import AllPlanned, Claim, Rounds
from cluster.spending import Spending
from cluster.tally import OnProgress, Tally
from jobs.audit import check_compilers, check_gold, check_lean
from jobs.backends import Job, ReadyBackend, open_backend
from jobs.budget import Budget, Spent, committed_spend, open_budget
from jobs.doctor.cluster import Needs
from jobs.messages import closing, opening
from jobs.planning import moved_services
from jobs.progress import progress_display
from jobs.remaining import (
    Remaining,
    cells_of,
    committed_units,
    find_remaining,
    next_layer,
    problem_tables,
    run_version,
    surplus_line,
    with_chosen_formats,
    work_of,
)
from jobs.resolve import Resolved, format_notes, resolve, with_formats
from jobs.rounds.cells import Tried
from jobs.rounds.keeper import RoundKeeper
from jobs.rounds.read import read_tried
from jobs.store.base import Store
from jobs.store.catalogue import write_problems
from jobs.store.commit import RunSink
from jobs.store.compact import MayCompact, always, compact_run
from jobs.store.layers import Layer, planned_units, problem_ids
from jobs.store.leases import Leases
from jobs.store.open import open_store, probe_store
from jobs.store.sessions import named_sessions, new_session, spent_before
from jobs.store.stored_run import (
    SET_ASIDE,
    Committed,
    StoredRun,
    extend_plan,
    list_committed,
    read_layers,
    read_layers_to_extend,
)
from jobs.sweep import Sweep
from jobs.track.tracker import Tracker
from sampling.errors import BadInput, StoreError, TroopError
from sampling.words import many
from verify.patch.verifier import check_patches
from verify.trials import measure_limits, says_auto

Say = Callable[[str], None]
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the driver of a job


@dataclass(frozen=True)
class Outcome:
    """Result of a run: rows committed by this call, units that failed too often, the limit that was reached."""

    committed: int
    set_aside: tuple[SetAside, ...]
    stopped: str | None = None


Surplus = Literal["ask", "keep", "drop"]


def run_sweep(sweep: Sweep, *, address: str | None, local: bool, say: Say, surplus: Surplus = "ask") -> Outcome:
    """Runs or continues a sweep; raises BadInput before anything is written.

    ``surplus`` says what becomes of samples that an earlier, larger k planned and nobody has drawn yet: they are drawn
    (``keep``), given up (``drop``), or refused here (``ask``).
    """
    resolved = resolve(sweep)
    for line in (*resolved.notes, *(f"warning: {line}" for line in resolved.warnings)):
        say(line)
    tracker, done = Tracker(sweep.track, partial(_open, sweep), say), False
    try:
        outcome = run_resolved(resolved, address=address, local=local, say=say, surplus=surplus, watch=tracker.watch)
        done = True
    finally:
        tracker.end(whole=done)
    return outcome


def run_resolved(
    resolved: Resolved,
    *,
    address: str | None,
    local: bool,
    say: Say,
    surplus: Surplus = "ask",
    watch: OnProgress = lambda _: None,
) -> Outcome:
    """Runs a sweep whose models are inspected and whose problems are loaded; raises as ``run_sweep``."""
    _check_job_folder(resolved.sweep)
    if not local:
        check_address(address)
    store = _open(resolved.sweep)
    known = read_layers_to_extend(store)
    for line in moved_services(known, resolved.addresses):
        say(line)
    resolved = with_paces(resolved, store, known)
    remaining = _find_remaining(resolved, store, surplus)  # raises BadInput for a changed sweep; nothing is written yet
    if not remaining.to_do:
        say(_opening(store, _write_plan(resolved, store, remaining)))
        _compact(store, say)
        return Outcome(0, ())
    resolved = _measure_limits(resolved, read_layers_to_extend(store), say)
    remaining = _find_remaining(resolved, store, surplus) if resolved.measured_s else remaining
    with open_backend(address, local=local) as backend:
        ready = backend.prepare(work_of(resolved, remaining), resolved.sweep.stop)  # at once; nodes take seconds to ask
        backend.check(needs_of(resolved.sweep))
        resolved = with_formats(resolved, backend.formats)
        remaining = with_chosen_formats(resolved, remaining, stored=len(known))
        for line in format_notes(resolved):
            say(line)
        ready.start_engines(work_of(resolved, remaining))  # which takes longer than to try gold solutions
        _try_verifiers(resolved, remaining, local, say)
        return _carry_out(resolved, store, remaining, ready, say, watch)


def with_paces(resolved: Resolved, store: Store, layers: Sequence[Layer]) -> Resolved:
    """Returns the sweep with what its run has measured, which sizes the units of samples that its plan lacks."""
    lacking = next_layer(resolved, layers) if layers else None
    if not (lacking and lacking.blocks):
        return resolved
    from jobs.calibrate import read_paces  # takes a third of a second, which a first call does without

    return replace(resolved, paces=read_paces(store))


def needs_of(sweep: Sweep) -> Needs:
    """Returns what a sweep needs of the nodes of a cluster."""
    verify, store = sweep.verify, open_store(sweep.run_uri, sweep.store_options).uri  # a folder's whole path
    return Needs(sweep.models, verify.tier or "auto", verify.nodes, store, sweep.store_options)


def _measure_limits(resolved: Resolved, layers: Sequence[Layer], say: Say) -> Resolved:
    """Returns the sweep with the limits of problems that say ``auto`` and are not in the plan yet; says their span."""
    found = {}
    for task, problems in resolved.problems.items():
        known = set(problem_ids(layers, task))
        new = {problem.id: problem for problem in problems if says_auto(problem) and problem.id not in known}
        if new:
            found[task] = limits = measure_limits(new, resolved.sweep.verify.tier)
            span = f", {min(limits.values()):g} to {max(limits.values()):g} s" if limits else ""
            say(f"task {task}: time limits by gold solutions for {len(limits)} of {many(len(new), 'problem')}{span}")
    return replace(resolved, measured_s=found) if found else resolved


def _open(sweep: Sweep) -> Store:
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    return store


def _find_remaining(resolved: Resolved, store: Store, surplus: Surplus) -> Remaining:
    """Returns the remaining work, including the layer that this sweep adds to the plan."""
    known = read_layers_to_extend(store)
    done = list_committed(store, run_version(resolved, store, known))
    if surplus == "ask" and (line := surplus_line(resolved, known, done)):
        raise BadInput(f"{store.uri}: {line}")
    kept = done if surplus == "drop" else None
    tried = find_tried(resolved, store, known, done)
    layers = (*known, *filter(None, [next_layer(resolved, known, kept, tried)]))
    return replace(find_remaining(resolved, layers, done), kept=kept, tried=tried)


def find_tried(resolved: Resolved, store: Store, layers: Sequence[Layer], done: Committed) -> Tried | None:
    """Returns the committed verdicts by which an adaptive sweep plans its rounds; None for any other sweep."""
    if resolved.sweep.adaptive is None:
        return None
    return read_tried(store, run_version(resolved, store, layers), done)


def _carry_out(
    resolved: Resolved, store: Store, planned: Remaining, backend: ReadyBackend, say: Say, watch: OnProgress
) -> Outcome:
    """Writes the plan, samples what is missing, and records the cost of this call."""
    remaining = _write_plan(resolved, store, planned)
    say(_opening(store, remaining))
    session, tally = new_session(store), Tally(cells_of(remaining))
    sink = RunSink(store, run_version(resolved, store, remaining.layers), session.name)
    leases = Leases(sink, session.name)

    def limits(gpus: Mapping[str, float]) -> Budget:
        return open_budget(resolved.sweep, gpus=gpus, earlier=lambda: _spent_before(store, remaining.layers))

    with leases.kept():
        session.begin()  # before looking for others: of two drivers that start together, one sees the other
        sessions = {name: other for name, other in named_sessions(store).items() if name != session.name}
        shared = leases.meet(name for name, other in sessions.items() if not other.ended)
        work = work_of(resolved, remaining, shuffled=shared)
        rounds = _rounds(resolved, sink, remaining)
        spending = Spending(work, spent_before(sessions.values()), session.record_spending)
        try:
            with progress_display(watch) as show:
                set_aside, stopped = backend.run(Job(work, sink, leases, tally, spending, limits, show, rounds))
        finally:
            with contextlib.suppress(StoreError):  # the record must not hide the error that ended the call
                spending.save()
                session.end(tally, tally.committed_here)
        store.put(SET_ASIDE, json.dumps([_set_aside_row(unit) for unit in set_aside], indent=1).encode())
        say(closing(store.uri, tally))
        if stopped and (_open_problems(rounds) or tally.committed < sum(cell.planned for cell in tally.cells.values())):
            say(f"stopped by {stopped}; raise or remove the limit, then run the same command to continue")
        _compact(store, say, lambda shard: leases.claim(shard) is not Claim.HELD)
    return Outcome(tally.committed_here, set_aside, stopped)


def _rounds(resolved: Resolved, sink: RunSink, remaining: Remaining) -> Rounds:
    """Returns what plans the next samples while others are drawn."""
    if remaining.tried is None:
        return AllPlanned()
    done = committed_units(remaining)
    places = {task: set(table) for task, table in remaining.tables.items()}
    return RoundKeeper(sink, remaining.layers, resolved.wanted, remaining.tried, done, places)


def _open_problems(rounds: Rounds) -> int:
    return rounds.open if isinstance(rounds, RoundKeeper) else 0


def known_complete(sweep: Sweep) -> bool:
    """Returns whether the run is known to be complete; False if this machine cannot reach its store or models."""
    try:
        return is_complete(sweep)
    except TroopError:
        return False


def is_complete(sweep: Sweep) -> bool:
    """Returns whether every unit that the sweep asks for is committed. Reads only listings; raises as ``run_sweep``."""
    resolved, store = resolve(sweep), _open(sweep)
    known = read_layers_to_extend(store)
    done = list_committed(store, run_version(resolved, store, known))
    tried = find_tried(resolved, store, known, done)
    return next_layer(resolved, known, tried=tried) is None and not find_remaining(resolved, known, done).to_do


def _compact(store: Store, say: Say, may: MayCompact = always) -> None:
    """Compacts the full shards that are left; a shard that cannot be compacted is reported and stays as it is."""
    done = compact_run(store, may)
    if done.shards or done.failed:
        say(done.as_text())


def _check_job_folder(sweep: Sweep) -> None:
    """Raises BadInput for a store inside a Ray job's own folder, which the cluster deletes with the job."""
    if IN_A_JOB in os.environ and "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(f"store: {sweep.store!r} would be lost with the job's folder; give s3://… or an absolute path")


def _try_verifiers(resolved: Resolved, remaining: Remaining, local: bool, say: Say) -> None:
    """Raises BadInput for a task whose gold solutions fail, before an engine starts and wastes hours."""
    settings = resolved.sweep.verify
    if local or settings.audit:
        elsewhere = "" if local else "; if only the cluster's nodes have it, give --no-audit"
        check_compilers(resolved.problems, settings.tier, else_do=elsewhere)
        check_lean(resolved.problems, settings.tier, else_do=elsewhere)
        check_patches(problem for problems in resolved.problems.values() for problem in problems)
    if settings.audit:
        limited = {task: list(table.values()) for task, table in remaining.tables.items()}
        say(check_gold(limited, settings.audit, settings.tier))


def write_plan(
    resolved: Resolved, store: Store, kept: Committed | None = None, tried: Tried | None = None
) -> tuple[Layer, ...]:
    """Probes the store, adds the layer that the plan lacks and stores its problems; returns the whole plan."""
    probe_store(store)
    layers = extend_plan(store, read_layers, partial(next_layer, resolved, kept=kept, tried=tried))
    _write_problems(resolved, store, layers)
    return layers


def _write_plan(resolved: Resolved, store: Store, planned: Remaining) -> Remaining:
    """Writes the plan; returns ``planned``, or new remaining work if another driver has added a layer in between."""
    layers = write_plan(resolved, store, planned.kept, planned.tried)
    if _content(layers) == _content(planned.layers):
        return replace(planned, layers=layers)
    found = find_remaining(resolved, layers, list_committed(store, run_version(resolved, store, layers)))
    return replace(found, tried=planned.tried)


def _content(layers: Sequence[Layer]) -> list[object]:
    return [(layer.blocks, layer.problems, layer.retracted, layer.rounds) for layer in layers]


def _write_problems(resolved: Resolved, store: Store, layers: Sequence[Layer]) -> None:
    """Stores the problems of every layer, named by content. Runs at every start: an earlier driver may have died."""
    tables = problem_tables(resolved, layers)
    for number, layer in enumerate(layers):
        for part in layer.problems:
            first = len(problem_ids(layers[:number], part.task))
            places, table = range(first, first + len(part.ids)), tables.get(part.task, {})
            if table.keys() >= set(places):
                write_problems(store, part.task, first, [table[place] for place in places])


def _spent_before(store: Store, layers: Sequence[Layer]) -> Spent:
    from jobs.reporting import model_facts, read_engines
    from jobs.store.counts import read_cells

    stored = StoredRun(store, tuple(layers))
    cells = read_cells(stored.store, texts=False)
    return committed_spend(cells, model_facts(stored, read_engines(stored))) if cells else Spent()


def _opening(store: Store, remaining: Remaining) -> str:
    return opening(store.uri, len(planned_units(remaining.layers)), remaining.missing, remaining.to_do)


def _set_aside_row(item: SetAside) -> dict[str, object]:
    unit = item.unit
    return {"model": unit.model, "task": unit.task, "unit": unit.number, "rows": unit.rows, "error": item.error}
