"""Remaining work of a sweep, computed once from plan and commits: for `troop plan`, `run` and `--if-incomplete`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cluster.batches import ModelWork, Work, share_engines
from cluster.tally import CellTally
from jobs.planning import extend, find_surplus, retract
from jobs.resolve import Resolved, code_version
from jobs.rounds.cells import Tried
from jobs.rounds.plan import check_policy, with_rounds
from jobs.store.base import Store
from jobs.store.catalogue import read_problems
from jobs.store.encode import NO_VERIFIER, parse_prompt
from jobs.store.layers import Layer, PlannedModel, Units, open_shards, planned_units, problem_ids, time_limits
from jobs.store.stored_run import Committed
from sampling.checkers import checker_digests
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import REFERENCES
from sampling.validate import parse
from sampling.words import many
from verify.judge_settings import JudgeSettings
from verify.verifiers import KINDS, verifier_version

Tables = Mapping[str, Mapping[int, Problem]]


@dataclass(frozen=True)
class Remaining:
    """The plan of a run and its units that are not committed.

    ``layers`` is the whole plan. ``missing`` are the planned units without a commit; ``to_do`` are the ones among them
    whose model and problems this sweep names. ``tables`` has the sweep's problems by task and problem_idx. ``kept`` are
    the committed units where what an earlier, larger k left is given up, else None. ``tried`` are the verdicts by which
    an adaptive sweep plans its rounds.
    """

    layers: tuple[Layer, ...]
    missing: Units
    to_do: Units
    tables: Tables
    kept: Committed | None = None
    tried: Tried | None = None


def find_remaining(resolved: Resolved, layers: Sequence[Layer], done: Committed) -> Remaining:
    """Returns the remaining work of the plan ``layers`` when the units in ``done`` are committed."""
    missing, tables = planned_units(layers).without(done), problem_tables(resolved, layers)
    models = {model.name for model in resolved.sweep.models}
    to_do = missing.among(models, {task: set(table) for task, table in tables.items()})
    return Remaining(tuple(layers), missing, to_do, tables)


def with_chosen_formats(resolved: Resolved, remaining: Remaining, stored: int) -> Remaining:
    """Returns the work with the number formats chosen for models that are new in its plan.

    ``stored`` is the number of layers that the store has; what those say of a model holds for the whole run.
    """
    chosen = {name: info.dtype or None for name, info in resolved.infos.items()}
    new = [
        layer.model_copy(update={"models": tuple(_in_format(model, chosen) for model in layer.models)})
        for layer in remaining.layers[stored:]
    ]
    return replace(remaining, layers=(*remaining.layers[:stored], *new))


def _in_format(model: PlannedModel, chosen: Mapping[str, str | None]) -> PlannedModel:
    return model.model_copy(update={"dtype": chosen.get(model.name)})


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


def next_layer(
    resolved: Resolved, layers: Sequence[Layer], kept: Committed | None = None, tried: Tried | None = None
) -> Layer | None:
    """Returns the layer that the sweep adds to a plan, or None; raises BadInput if the distribution has changed.

    With ``kept``, the committed units, it gives up all others that reach beyond the sweep's k. An adaptive sweep adds
    the rounds that follow from ``tried``.
    """
    check_policy(layers, resolved.wanted)
    if resolved.sweep.adaptive and kept is not None:
        raise BadInput("--drop: samples of an adaptive run are given up by no plan; allowed: --keep-plan")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    sweep = resolved.sweep.model_dump(mode="json")
    gone = () if kept is None else retract(find_surplus(layers, resolved.wanted, kept))
    layer = extend(layers, resolved.wanted, created=now, code_version=code_version(), sweep=sweep, retracted=gone)
    if not resolved.sweep.adaptive:
        return layer
    empty = Layer(number=len(layers), created=now, code_version=code_version(), sweep=sweep, models=(), problems=(),
                  blocks=())  # fmt: skip
    version = current_version(resolved.sweep.judge, (p for given in resolved.problems.values() for p in given))
    return with_rounds(layers, layer or empty, resolved.wanted, tried or Tried(version))


def surplus_line(resolved: Resolved, layers: Sequence[Layer], done: Committed) -> str | None:
    """Returns one line on samples that an earlier, larger k planned and nobody has drawn; None where there are none."""
    surplus = find_surplus(layers, resolved.wanted, done)
    for (model, task), k in resolved.wanted.k.items():
        units = surplus.of(model, task)
        if len(units):
            earlier = max(block.last_sample for block, numbers in units.parts if numbers)
            return (
                f"model {model} on {task}: k is {k:,}, but an earlier k of {earlier:,} left "
                f"{many(units.rows, 'sample')} that are not drawn yet; --keep-plan draws them too"
                + ("" if resolved.sweep.adaptive else ", --drop gives them up")
            )
    return None


def current_version(judge: JudgeSettings | None = None, problems: Iterable[Problem] = ()) -> str:
    """Returns one version for all verifiers, so that a run keeps its version when a task of another kind joins it.

    The files of the problems' own checkers are part of it.
    """
    return verifier_version(KINDS, judge, checkers=checker_digests(problem.reference for problem in problems))


def run_version(resolved: Resolved, store: Store, layers: Sequence[Layer]) -> str:
    """Returns the version of the verifiers for all problems of a run: the sweep's, and stored ones that it lacks."""
    problems = [problem for given in resolved.problems.values() for problem in given]
    asked = {(task, problem.id) for task, given in resolved.problems.items() for problem in given}
    if any((part.task, name) not in asked for layer in layers for part in layer.problems for name in part.ids):
        stored = stored_problems(store)
        problems += [p for task, table in stored.items() for p in table.values() if (task, p.id) not in asked]
    return current_version(resolved.sweep.judge, problems)


def stored_problems(store: Store) -> dict[str, dict[int, Problem]]:
    """Reads the problems that the run keeps with their references, by task and problem_idx."""
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


def work_of(resolved: Resolved, remaining: Remaining, shuffled: bool = False) -> Work:
    """Returns the work for a pipeline: the models that have units to do, their problems and settings.

    With ``shuffled`` the units come in any order, for a driver that is not alone.
    """
    sweep, models = resolved.sweep, []
    planned = {model.name: model for layer in remaining.layers for model in layer.models}
    for model in sweep.models:
        units = remaining.to_do.of(model.name)
        settings = resolved.settings_of(model)
        if units:
            info = replace(resolved.infos[model.name], dtype=planned[model.name].dtype or "")  # of the whole run
            units = units.breadth_first() if sweep.adaptive else units
            units = units.shuffled() if shuffled else units
            models.append(ModelWork(model, info, settings, planned[model.name].sampling_hash, units))
    verify, judge = sweep.verify, sweep.judge and sweep.judge.share(sweep.verify.workers or 1)
    work = Work(
        share_engines(models), remaining.tables, sweep.seed, verify.tier, verify.workers, code_version(), verify.nodes
    )
    return replace(work, judge=judge, open_shards=open_shards(remaining.layers, remaining.missing))


def cells_of(remaining: Remaining) -> list[CellTally]:
    """Returns one tally per (model, task) to start from: samples planned and committed; passes are unknown (None)."""
    planned = planned_units(remaining.layers)
    rows = {(block.model, block.task): planned.of(block.model, block.task).rows for block, _ in planned.parts}
    left = {cell: remaining.missing.of(*cell).rows for cell in rows}
    problems = {task: len(problem_ids(remaining.layers, task)) for _, task in rows}
    return [CellTally(*cell, problems[cell[1]], rows[cell], rows[cell] - left[cell], None) for cell in rows]


def committed_units(remaining: Remaining) -> Committed:
    """Returns the planned units that are not missing, by model and task."""
    found: Committed = {}
    for block, numbers in planned_units(remaining.layers).parts:
        found.setdefault((block.model, block.task), set()).update(numbers)
    for block, numbers in remaining.missing.parts:
        found[block.model, block.task].difference_update(numbers)
    return found
