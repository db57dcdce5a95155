"""Running a sweep: resolve, plan, sample what is missing, commit. The same for a first run and for every later one."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cluster.batches import ModelWork, SetAside, Work
from cluster.tally import CellTally, OnProgress, Tally
from jobs.audit import check_gold
from jobs.catalogue import Run, write_problems
from jobs.commit import RunSink
from jobs.compact import compact_run
from jobs.plan import Layer, Units, extend, layer_key, open_shards, planned_units, problem_ids
from jobs.progress import duration, progress_display
from jobs.resolve import Resolved, code_version, resolve
from jobs.runs import SET_ASIDE, committed_numbers, layers_to_extend, read_layers
from jobs.spec import Sweep
from jobs.store import Store, open_store, probe_store
from sampling.errors import BadInput
from sampling.problems import Problem
from verify.judge import KINDS, verifier_version

Say = Callable[[str], None]
IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the driver of a job


@dataclass(frozen=True)
class Outcome:
    """How a run ended: rows committed by this call, and the units that failed too often."""

    committed: int
    set_aside: tuple[SetAside, ...]


def run_sweep(sweep: Sweep, *, address: str | None, local: bool, say: Say) -> Outcome:
    """Runs or continues a sweep; raises BadInput before anything is written."""
    _check_place(sweep)
    resolved, version = resolve(sweep), current_version()
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    known = layers_to_extend(store)
    added = next_layer(resolved, known)  # what is refused is refused here, before anything is written
    done = committed_numbers(store, version)
    if added or runnable(planned_units(known).without(done), resolved, known):
        _try_gold(resolved, say)
    probe_store(store)
    layers = write_plan(resolved, store)
    missing = planned_units(layers).without(done)
    to_do = runnable(missing, resolved, layers)
    say(_opening(store, layers, missing, to_do))
    if not to_do:
        _compact(store, say)
        return Outcome(0, ())
    work = replace(work_of(resolved, layers, to_do), open_shards=open_shards(layers, missing))
    sink = RunSink(store, "", version)
    tally = Tally(_cells(layers, missing))
    before = tally.committed
    with progress_display() as show:
        set_aside = _run_here(work, sink, tally, show) if local else _run_on_ray(work, sink, tally, show, address)
    store.put(SET_ASIDE, json.dumps([_set_aside_row(unit) for unit in set_aside], indent=1).encode())
    say(_closing(store, tally, before))
    _compact(store, say)
    return Outcome(tally.committed - before, set_aside)


def _compact(store: Store, say: Say) -> None:
    """What the run has not compacted on its way; a shard that cannot be is told, and read unit by unit."""
    done = compact_run(Run(store))
    if done.shards or done.failed:
        say(done.as_text())


def _check_place(sweep: Sweep) -> None:
    """A job's own folder on a cluster is thrown away with the job."""
    if IN_A_JOB in os.environ and "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(f"store: {sweep.store!r} would be lost with the job's folder; give s3://… or a full path")


def _try_gold(resolved: Resolved, say: Say) -> None:
    """A task whose own solutions fail would burn hours for nothing: it is refused before any engine starts."""
    settings = resolved.sweep.verify
    if settings.audit:
        say(check_gold(resolved.problems, settings.audit, settings.tier))


def next_layer(resolved: Resolved, layers: Sequence[Layer]) -> Layer | None:
    """The layer that the sweep adds to a run, or None."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sweep = resolved.sweep.model_dump(mode="json")
    return extend(layers, resolved.wanted, created=now, code_version=code_version(), sweep=sweep)


def write_plan(resolved: Resolved, store: Store) -> tuple[Layer, ...]:
    """Adds what is missing to the plan; of two drivers that do so at once, the second goes by the first one's layer."""
    while True:
        layers = read_layers(store)
        layer = next_layer(resolved, layers)
        if layer is None or store.put_new(layer_key(layer.number), layer.encode()):
            layers = (*layers, layer) if layer else layers
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


def current_version() -> str:
    """Of all verifiers together, so that a run keeps its version when a task of another kind joins it."""
    return verifier_version(KINDS)


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
    verify = sweep.verify
    return Work(tuple(models), problems, sweep.seed, verify.tier, verify.workers, code_version(), verify.nodes)


def _cells(layers: Sequence[Layer], missing: Units) -> list[CellTally]:
    """The counts to start from: how much earlier runs have committed; what of it passed would take reading it all."""
    planned = planned_units(layers)
    rows = {(block.model, block.task): planned.of(block.model, block.task).rows for block, _ in planned.parts}
    left = {cell: missing.of(*cell).rows for cell in rows}
    problems = {task: len(problem_ids(layers, task)) for _, task in rows}
    return [CellTally(*cell, problems[cell[1]], rows[cell], rows[cell] - left[cell], None) for cell in rows]


def _run_here(work: Work, sink: RunSink, tally: Tally, show: OnProgress) -> tuple[SetAside, ...]:
    from cluster.local import run_local

    return run_local(work, sink, tally, show)


def _run_on_ray(work: Work, sink: RunSink, tally: Tally, show: OnProgress, address: str | None) -> tuple[SetAside, ...]:
    from cluster.actors import RayActors
    from cluster.pipeline import Pipeline
    from cluster.placement import place
    from cluster.session import connected

    async def run() -> tuple[SetAside, ...]:
        return await Pipeline(work, RayActors(work, sink), placement, tally).run(show)

    with connected(address) as (cpus, gpus):
        placement = place(work.models, cpus, gpus, work.verifiers)
        return asyncio.run(run())


def _opening(store: Store, layers: Sequence[Layer], missing: Units, to_do: Units) -> str:
    planned = len(planned_units(layers))
    if not missing:
        return f"{store.uri}: all {planned:,} units are committed; nothing to sample"
    left = len(missing) - len(to_do)
    tail = f"; {left:,} more need a model or problems that this sweep no longer names" if left else ""
    return f"{store.uri}: {planned:,} units planned, {len(to_do):,} to do ({to_do.rows:,} samples){tail}"


def _closing(store: Store, tally: Tally, before: int) -> str:
    starts = max((engine.start_s for engine in tally.engines), default=0.0)
    took = f"{duration(tally.snapshot(engines_wait=False).elapsed_s)}, engine start {starts:.0f} s of it"
    return f"{tally.committed - before:,} samples committed in {took}; results in {store.uri}"


def _set_aside_row(item: SetAside) -> dict[str, object]:
    unit = item.unit
    return {"model": unit.model, "task": unit.task, "unit": unit.number, "rows": unit.rows, "error": item.error}
