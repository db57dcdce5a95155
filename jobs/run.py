"""Running a sweep: resolve, plan, sample what is missing, commit. The same for a first run and for every later one."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.batches import ModelWork, SetAside, Work
from cluster.sink import Receipt
from cluster.tally import CellTally, OnProgress, Tally
from jobs.catalogue import Run, write_problems
from jobs.commit import RunSink
from jobs.plan import Layer, extend, layer_key, problem_ids
from jobs.progress import duration, progress_display
from jobs.resolve import Resolved, code_version, resolve
from jobs.results import read_cells
from jobs.runs import SET_ASIDE, missing_units, read_layers
from jobs.spec import Sweep
from jobs.store import Store, open_store, probe_store
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Unit
from verify.judge import verifier_version
from verify.verdict import Verdict

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: rows committed by this call, and the units that failed too often."""

    committed: int
    set_aside: tuple[SetAside, ...]


@dataclass(frozen=True)
class TaskSinks:
    """A sink that commits each task's units under that task's verifier version."""

    sinks: Mapping[str, RunSink]

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        return self.sinks[unit.task].commit(unit, samples, verdicts, provenance)


def run_sweep(sweep: Sweep, *, address: str | None, local: bool, say: Say) -> Outcome:
    """Runs or continues a sweep; raises BadInput before anything is written, EngineError when no engine ever worked."""
    resolved = resolve(sweep)
    store = open_store(sweep.run_uri, sweep.store_options)
    next_layer(resolved, read_layers(store))  # refused here, before the probe writes
    probe_store(store)
    layers = write_plan(resolved, store)
    versions = verifier_versions(resolved)
    missing = runnable(missing_units(store, layers, versions), resolved, layers)
    say(_opening(store, layers, missing))
    if not missing:
        return Outcome(0, ())
    work = work_of(resolved, layers, missing)
    sinks = TaskSinks({task: RunSink(store, "", version) for task, version in versions.items()})
    tally = Tally(_cells(store, resolved, layers, missing))
    before = tally.committed
    with progress_display() as show:
        set_aside = _run_here(work, sinks, tally, show) if local else _run_on_ray(work, sinks, tally, show, address)
    store.put(SET_ASIDE, json.dumps([_set_aside_row(unit) for unit in set_aside], indent=1).encode())
    say(_closing(store, tally, before))
    return Outcome(tally.committed - before, set_aside)


def next_layer(resolved: Resolved, layers: Sequence[Layer]) -> Layer | None:
    """The layer that the sweep adds to a run, or None."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sweep = resolved.sweep.model_dump(mode="json")
    return extend(layers, resolved.wanted, created=now, code_version=code_version(), sweep=sweep)


def write_plan(resolved: Resolved, store: Store) -> tuple[Layer, ...]:
    """Adds what is missing to the plan; of two drivers that do so at once, the second takes the first one's layer."""
    while True:
        layers = read_layers(store)
        layer = next_layer(resolved, layers)
        if layer is None:
            return layers
        for part in layer.problems:
            new = [problem for problem in resolved.problems[part.task] if problem.id in set(part.ids)]
            write_problems(store, "", part.task, len(problem_ids(layers, part.task)), new)
        if store.put_new(layer_key(layer.number), layer.model_dump_json(indent=1).encode()):
            return (*layers, layer)


def verifier_versions(resolved: Resolved) -> dict[str, str]:
    """By task: the version of the verifiers that judge it, part of the key of every verdict."""
    kinds = {task: {problem.verifier for problem in problems} for task, problems in resolved.problems.items()}
    return {task: verifier_version(names) for task, names in kinds.items()}


def runnable(missing: Sequence[Unit], resolved: Resolved, layers: Sequence[Layer]) -> list[Unit]:
    """The missing units that this sweep names the model and all problems of."""
    models = {model.name for model in resolved.sweep.models}
    known = {task: set(table) for task, table in problem_tables(resolved, layers).items()}
    return [
        unit
        for unit in missing
        if unit.model in models and known.get(unit.task, set()).issuperset(range(unit.first_problem, unit.last_problem))
    ]


def problem_tables(resolved: Resolved, layers: Sequence[Layer]) -> dict[str, dict[int, Problem]]:
    """By task and problem_idx: the problems that the sweep still has."""
    tables = {}
    for task, problems in resolved.problems.items():
        by_id = {problem.id: problem for problem in problems}
        names = problem_ids(layers, task)
        tables[task] = {idx: by_id[name] for idx, name in enumerate(names) if name in by_id}
    return tables


def work_of(resolved: Resolved, layers: Sequence[Layer], missing: Sequence[Unit]) -> Work:
    sweep = resolved.sweep
    models = []
    for model in sweep.models:
        units = tuple(unit for unit in missing if unit.model == model.name)
        info, settings = resolved.infos[model.name], sweep.settings_of(model)
        if units:
            models.append(ModelWork(model, info, settings, resolved.sampling_hash(model), units))
    problems = problem_tables(resolved, layers)
    return Work(tuple(models), problems, sweep.seed, sweep.verify.tier, sweep.verify.workers, code_version())


def _cells(store: Store, resolved: Resolved, layers: Sequence[Layer], missing: Sequence[Unit]) -> list[CellTally]:
    """The counts to start from: what earlier runs have committed."""
    rows: dict[tuple[str, str], int] = {}
    for layer in layers:
        for block in layer.blocks:
            rows[block.model, block.task] = rows.get((block.model, block.task), 0) + sum(u.rows for u in block.units())
    left = {cell: sum(unit.rows for unit in missing if (unit.model, unit.task) == cell) for cell in rows}
    solved: dict[tuple[str, str], set[int]] = {}
    if any(rows[cell] > left[cell] for cell in rows):
        for found in read_cells(Run(store)):
            names = {name for name, c in zip(found.problem_ids, found.c, strict=True) if c}
            ids = problem_ids(layers, found.task)
            solved[found.model, found.task] = {idx for idx, name in enumerate(ids) if name in names}
    return [
        CellTally(
            *cell, len(problem_ids(layers, cell[1])), rows[cell], rows[cell] - left[cell], solved.get(cell, set())
        )
        for cell in rows
    ]


def _run_here(work: Work, sink: TaskSinks, tally: Tally, show: OnProgress) -> tuple[SetAside, ...]:
    from cluster.local import run_local

    return run_local(work, sink, tally, show)


def _run_on_ray(
    work: Work, sink: TaskSinks, tally: Tally, show: OnProgress, address: str | None
) -> tuple[SetAside, ...]:
    from cluster.pipeline import Pipeline
    from cluster.placement import place
    from cluster.session import connected

    async def run() -> tuple[SetAside, ...]:
        return await Pipeline(work, sink, placement, tally).run(show)

    with connected(address) as (cpus, gpus):
        placement = place(work.models, cpus, gpus, work.verifiers)
        return asyncio.run(run())


def _opening(store: Store, layers: Sequence[Layer], missing: Sequence[Unit]) -> str:
    planned = sum(block.unit_count for layer in layers for block in layer.blocks)
    rows = sum(unit.rows for unit in missing)
    if not missing:
        return f"{store.uri}: all {planned:,} units are committed; nothing to sample"
    return f"{store.uri}: {planned:,} units planned, {len(missing):,} to do ({rows:,} samples)"


def _closing(store: Store, tally: Tally, before: int) -> str:
    starts = max((engine.start_s for engine in tally.engines), default=0.0)
    took = f"{duration(tally.snapshot(1).elapsed_s)}, engine start {starts:.0f} s of it"
    return f"{tally.committed - before:,} samples committed in {took}; results in {store.uri}"


def _set_aside_row(item: SetAside) -> dict[str, object]:
    unit = item.unit
    return {"model": unit.model, "task": unit.task, "unit": unit.number, "rows": unit.rows, "error": item.error}
