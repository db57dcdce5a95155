"""Remaining work of a sweep, computed once from plan and commits: for `troop plan`, `run` and `--if-incomplete`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cluster.batches import ModelWork, Work
from cluster.tally import CellTally
from jobs.planning import extend
from jobs.resolve import Resolved, code_version
from jobs.store.layers import Layer, Units, open_shards, planned_units, problem_ids, time_limits
from jobs.store.stored_run import Committed
from sampling.problems import Problem
from verify.judge_settings import JudgeSettings
from verify.verifiers import KINDS, verifier_version

Tables = Mapping[str, Mapping[int, Problem]]


@dataclass(frozen=True)
class Remaining:
    """The plan of a run and its units that are not committed.

    ``layers`` is the whole plan. ``missing`` are the planned units without a commit; ``to_do`` are the ones among them
    whose model and problems this sweep names. ``tables`` has the sweep's problems by task and problem_idx.
    """

    layers: tuple[Layer, ...]
    missing: Units
    to_do: Units
    tables: Tables


def find_remaining(resolved: Resolved, layers: Sequence[Layer], done: Committed) -> Remaining:
    """Returns the remaining work of the plan ``layers`` when the units in ``done`` are committed."""
    missing, tables = planned_units(layers).without(done), problem_tables(resolved, layers)
    models = {model.name for model in resolved.sweep.models}
    to_do = missing.among(models, {task: set(table) for task, table in tables.items()})
    return Remaining(tuple(layers), missing, to_do, tables)


def problem_tables(resolved: Resolved, layers: Sequence[Layer]) -> Tables:
    """Returns the problems that the sweep still has, by task and problem_idx, with the plan's time limits."""
    tables = {}
    for task, problems in resolved.problems.items():
        by_id = {problem.id: problem for problem in problems}
        planned = zip(problem_ids(layers, task), time_limits(layers, task), strict=True)
        tables[task] = {
            idx: by_id[name].with_time_limit(limit) for idx, (name, limit) in enumerate(planned) if name in by_id
        }
    return tables


def next_layer(resolved: Resolved, layers: Sequence[Layer]) -> Layer | None:
    """Returns the layer that the sweep adds to a plan, or None; raises BadInput if the distribution has changed."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sweep = resolved.sweep.model_dump(mode="json")
    return extend(layers, resolved.wanted, created=now, code_version=code_version(), sweep=sweep)


def current_version(judge: JudgeSettings | None = None) -> str:
    """Returns one version for all verifiers, so that a run keeps its version when a task of another kind joins it."""
    return verifier_version(KINDS, judge)


def work_of(resolved: Resolved, remaining: Remaining) -> Work:
    """Returns the work for a pipeline: the models that have units to do, their problems and settings."""
    sweep = resolved.sweep
    models = []
    for model in sweep.models:
        units = remaining.to_do.of(model.name)
        info, settings = resolved.infos[model.name], sweep.settings_of(model)
        if units:
            models.append(ModelWork(model, info, settings, resolved.sampling_hash(model), units))
    verify, judge = sweep.verify, sweep.judge and sweep.judge.share(sweep.verify.workers or 1)
    work = Work(tuple(models), remaining.tables, sweep.seed, verify.tier, verify.workers, code_version(), verify.nodes)
    return replace(work, judge=judge, open_shards=open_shards(remaining.layers, remaining.missing))


def cells_of(remaining: Remaining) -> list[CellTally]:
    """Returns one tally per (model, task) to start from: samples planned and committed; passes are unknown (None)."""
    planned = planned_units(remaining.layers)
    rows = {(block.model, block.task): planned.of(block.model, block.task).rows for block, _ in planned.parts}
    left = {cell: remaining.missing.of(*cell).rows for cell in rows}
    problems = {task: len(problem_ids(remaining.layers, task)) for _, task in rows}
    return [CellTally(*cell, problems[cell[1]], rows[cell], rows[cell] - left[cell], None) for cell in rows]
