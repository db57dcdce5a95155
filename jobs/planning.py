"""Plans a run, as pure functions: the layer that its plan lacks of what a sweep asks for.

A sweep that asks for more (a larger k, more problems, more models) adds one layer with exactly the missing blocks. A
sweep that would change the distribution of samples already drawn is refused.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from jobs.store.layers import (
    Block,
    Layer,
    PlannedModel,
    PlannedProblems,
    Retracted,
    Units,
    planned_units,
    problem_ids,
    retracted_numbers,
    time_limits,
)
from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.problems import Problem
from sampling.settings import Adaptive
from sampling.settings.identity import changes, identity

UNIT_ROWS = 2048  # most samples in a unit: one to three minutes of a small model's engine
LEAST_ROWS, SMALL_RUN_UNITS = 256, 16  # a small run has smaller units, so that many engines have work
UNKNOWN = ""  # in place of a digest, for imported problems of which only the id is known


@dataclass(frozen=True)
class Wanted:
    """A resolved sweep: models, problems by task, k by (model, task), and the most rows in a unit.

    ``most_unit_rows`` holds, by (model, task), units that must be smaller than UNIT_ROWS: their samples are long, their
    engine is slow, a spending cap is near, or the sweep says so.
    ``measured_s`` holds the time limits that were measured for ``auto``, by task and problem id. With ``adaptive``,
    samples are planned by rounds, in jobs/rounds.
    """

    models: tuple[PlannedModel, ...]
    problems: Mapping[str, Sequence[Problem]]
    k: Mapping[tuple[str, str], int]
    most_unit_rows: Mapping[tuple[str, str], int] = field(default_factory=dict)
    measured_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    adaptive: Adaptive | None = None


def extend(
    layers: Sequence[Layer],
    wanted: Wanted,
    *,
    created: str,
    code_version: str,
    sweep: Mapping[str, Any],
    retracted: tuple[Retracted, ...] = (),
) -> Layer | None:
    """Returns the layer that the plan lacks, or None; raises BadInput with what changed in the distribution.

    ``retracted`` are units that the layer gives up; it plans again what of them the sweep still asks for.
    """
    _check_same_run(layers, wanted)
    _check_models(layers, wanted.models)
    known = {model.name for layer in layers for model in layer.models}
    models = tuple(model for model in wanted.models if model.name not in known)
    problems = tuple(
        part for task, given in wanted.problems.items() if (part := _new_problems(layers, task, given, wanted))
    )
    blocks = tuple(_new_blocks(layers, problems, wanted, retracted))
    if not (models or problems or blocks or retracted):
        return None
    return Layer(
        number=len(layers),
        created=created,
        code_version=code_version,
        sweep=dict(sweep),
        models=models,
        problems=problems,
        blocks=blocks,
        retracted=retracted,
    )


def find_surplus(layers: Sequence[Layer], wanted: Wanted, done: Mapping[tuple[str, str], Set[int]]) -> Units:
    """Returns the units of the plan without a commit that reach beyond the sweep's k: an earlier k was larger."""
    planned, parts = planned_units(layers), []
    for (model, task), k in wanted.k.items():
        ids, asked = problem_ids(layers, task), {problem.id for problem in wanted.problems[task]}
        _, have = _samples_planned(layers, model, task, len(ids))
        beyond = {idx for idx, name in enumerate(ids) if name in asked and have[idx] > k}
        for block, numbers in planned.of(model, task).without(done).parts if beyond else ():
            units = map(block.unit, numbers)
            parts.append((block, [u.number for u in units if beyond & set(range(u.first_problem, u.last_problem))]))
    return Units(tuple(parts))


def retract(units: Units) -> tuple[Retracted, ...]:
    """Returns the entries of a layer that gives up these units."""
    found = []
    for block, numbers in units.parts:
        ends = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1]
        pairs = zip([0, *ends], [*ends, len(numbers)], strict=True)
        ranges = tuple((numbers[first], numbers[last - 1] + 1) for first, last in pairs if first < last)
        if ranges:
            found.append(Retracted(model=block.model, task=block.task, units=ranges))
    return tuple(found)


def _check_same_run(layers: Sequence[Layer], wanted: Wanted) -> None:
    """Raises BadInput if the sweep shares no model and no task with the run: another sweep has taken its name."""
    models = {model.name for layer in layers for model in layer.models}
    tasks = {part.task for layer in layers for part in layer.problems}
    if layers and models.isdisjoint(m.name for m in wanted.models) and tasks.isdisjoint(wanted.problems):
        raise BadInput(
            f"the store holds another run (models: {', '.join(sorted(models))}; tasks: {', '.join(sorted(tasks))}); "
            "give the sweep a new name or store"
        )


def _check_models(layers: Sequence[Layer], wanted: Sequence[PlannedModel]) -> None:
    known = {model.name: model for layer in layers for model in layer.models}
    for model in wanted:
        before = known.get(model.name)
        if before is None or before.sampling_hash == model.sampling_hash:
            continue
        then, now = (identity(one.distribution, one.sampling, one.revision) for one in (before, model))
        if found := changes(then, now):
            raise BadInput(
                f"model {model.name}: {'; '.join(found)}; one run holds one distribution: give the sweep a new name"
            )


def moved_services(layers: Sequence[Layer], addresses: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns one line for each service of the plan that is asked elsewhere now, by its ``addresses``."""
    planned = {model.name: model.distribution.get("base_url") for layer in layers for model in layer.models}
    return [
        f"model {name}: the service was at {planned[name]}, is at {', '.join(urls)}; its samples count as those of one "
        "model, unless revision says otherwise"
        for name, urls in addresses.items()
        if planned.get(name) and planned[name] not in urls
    ]


def _new_problems(
    layers: Sequence[Layer], task: str, given: Sequence[Problem], wanted: Wanted
) -> PlannedProblems | None:
    """Returns the problems that the plan lacks, or None; raises BadInput where a known problem has changed."""
    known: dict[str, tuple[str, str]] = {}
    for part in (part for layer in layers for part in layer.problems if part.task == task):
        known |= dict(zip(part.ids, zip(part.prompt_digests, part.reference_digests, strict=True), strict=True))
    for problem in given:
        prompt, reference = known.get(problem.id, (problem.prompt_digest, problem.reference_digest))
        changed, hint = ("reference", "") if prompt == problem.prompt_digest else ("prompt", ", or its task's settings")
        if UNKNOWN not in (prompt, reference) and (prompt, reference) != (
            problem.prompt_digest,
            problem.reference_digest,
        ):
            raise BadInput(
                f"task {task}: the {changed} of problem {problem.id!r} has changed{hint}; give the sweep a new name"
            )
    _check_time_limits(layers, task, given)
    new = [problem for problem in given if problem.id not in known]
    if not new:
        return None
    return PlannedProblems(
        task=task,
        ids=tuple(problem.id for problem in new),
        prompt_digests=tuple(problem.prompt_digest for problem in new),
        reference_digests=tuple(problem.reference_digest for problem in new),
        time_limits_s=planned_limits(new, wanted.measured_s.get(task, {})),
    )


def planned_limits(problems: Sequence[Problem], measured_s: Mapping[str, float]) -> tuple[float | None, ...] | None:
    """Returns the time limits that a plan keeps for these problems; None where no problem has one."""
    limits = tuple(measured_s.get(problem.id) or _limit_s(problem) for problem in problems)
    return limits if any(limits) else None


def _limit_s(problem: Problem) -> float | None:
    return problem.reference.limit_s if isinstance(problem.reference, Limits) else None


def _check_time_limits(layers: Sequence[Layer], task: str, given: Sequence[Problem]) -> None:
    """Raises BadInput where a time limit is given now that differs from the plan's."""
    planned = dict(zip(problem_ids(layers, task), time_limits(layers, task), strict=True))
    for problem in given:
        now, then = getattr(problem.reference, "time_limit_s", None), planned.get(problem.id)
        if then is not None and isinstance(now, float) and now != then:
            raise BadInput(
                f"task {task}: time_limit_s of problem {problem.id!r} was {then:g}, is {now:g}; "
                "give the sweep a new name"
            )


def _new_blocks(
    layers: Sequence[Layer], new: Sequence[PlannedProblems], wanted: Wanted, retracted: Sequence[Retracted]
) -> Iterator[Block]:
    for (model, task), k in () if wanted.adaptive else wanted.k.items():
        ids = problem_ids(layers, task) + [name for part in new if part.task == task for name in part.ids]
        asked = {problem.id for problem in wanted.problems[task]}
        starts, have = _samples_planned(layers, model, task, len(ids), retracted)
        missing = [k - count if name in asked else 0 for name, count in zip(ids, have, strict=True)]
        next_unit = sum(block.unit_count for block in _blocks(layers, model, task))
        for first, last in runs_of_equal(starts, missing):
            start, lacking = starts[first], missing[first]
            rows = unit_rows((last - first) * lacking, wanted.most_unit_rows.get((model, task), UNIT_ROWS))
            block = make_block(model, task, next_unit, (first, last), (start, start + lacking), rows)
            next_unit += block.unit_count
            yield block


def _blocks(layers: Sequence[Layer], model: str, task: str) -> list[Block]:
    return [block for layer in layers for block in layer.blocks if (block.model, block.task) == (model, task)]


def unit_rows(rows: int, most: int) -> int:
    """Returns the samples per unit for ``rows`` samples in total."""
    return min(UNIT_ROWS, most, max(LEAST_ROWS, -(-rows // SMALL_RUN_UNITS)))


def _samples_planned(
    layers: Sequence[Layer], model: str, task: str, problems: int, retracted: Sequence[Retracted] = ()
) -> tuple[list[int], list[int]]:
    """Returns by problem_idx the number of the next sample, and how many are planned and not given up.

    A sample's number is never used again, so the two differ where units were given up.
    """
    starts, have = [0] * problems, [0] * problems
    given_up = [*(part for layer in layers for part in layer.retracted), *retracted]
    gone = retracted_numbers(given_up).get((model, task), set[int]())
    for block in _blocks(layers, model, task):
        for idx in range(block.first_problem, block.last_problem):
            starts[idx] = max(starts[idx], block.last_sample)
            have[idx] += block.last_sample - block.first_sample
        for unit in (block.unit(number) for number in gone if number in block.numbers):
            for idx in range(unit.first_problem, unit.last_problem):
                have[idx] -= unit.last_sample - unit.first_sample
    return starts, have


def runs_of_equal(starts: Sequence[int], missing: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yields half-open ranges of neighbouring problems that go on at the same sample and lack equally many."""
    first = 0
    lacking = [max(0, count) for count in missing]
    for idx in range(1, len(starts) + 1):
        ended = idx == len(starts) or (starts[idx], lacking[idx]) != (starts[first], lacking[first])
        if ended:
            if missing[first] > 0:
                yield first, idx
            first = idx


def make_block(
    model: str, task: str, first_unit: int, problems: tuple[int, int], samples: tuple[int, int], rows: int
) -> Block:
    """Returns a block; ``problems`` and ``samples`` are half-open ranges, ``rows`` is the most samples in a unit.

    A unit holds whole problems where they fit: equal candidates then meet one verifier, and prompts one cache.
    """
    per_problem = samples[1] - samples[0]
    parts = -(-per_problem // rows)
    samples_per_unit = -(-per_problem // parts)
    return Block(
        model=model,
        task=task,
        first_unit=first_unit,
        first_problem=problems[0],
        last_problem=problems[1],
        first_sample=samples[0],
        last_sample=samples[1],
        problems_per_unit=max(1, rows // samples_per_unit),
        samples_per_unit=samples_per_unit,
    )
