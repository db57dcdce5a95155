"""Planning: the layer that a run lacks of what a sweep asks for, as pure functions.

Every time a sweep asks for more (a larger k, more problems, more models) a layer is added with exactly the missing
rectangles. What would change the distribution of samples already drawn is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.store.layers import Block, Layer, PlannedModel, PlannedProblems, problem_ids
from sampling.errors import BadInput
from sampling.problems import Problem

UNIT_ROWS = 2048  # samples of a unit at most: one to three minutes of a small model's engine
LEAST_ROWS, SMALL_RUN_UNITS = 256, 16  # a run of few samples is cut finer, so that it too keeps many engines busy
UNKNOWN = ""  # in place of a digest: of an imported problem only the id may be known


@dataclass(frozen=True)
class Wanted:
    """What a sweep asks for, resolved: problems by task, k by (model, task), the size of units that must be small."""

    models: tuple[PlannedModel, ...]
    problems: Mapping[str, Sequence[Problem]]
    k: Mapping[tuple[str, str], int]
    most_unit_rows: Mapping[str, int] = field(default_factory=dict)


def extend(
    layers: Sequence[Layer], wanted: Wanted, *, created: str, code_version: str, sweep: Mapping[str, Any]
) -> Layer | None:
    """The layer that is missing, or None; raises BadInput with the difference where the distribution has changed."""
    _check_same_run(layers, wanted)
    _check_models(layers, wanted.models)
    known = {model.name for layer in layers for model in layer.models}
    models = tuple(model for model in wanted.models if model.name not in known)
    problems = tuple(part for task, given in wanted.problems.items() if (part := _new_problems(layers, task, given)))
    blocks = tuple(_new_blocks(layers, problems, wanted))
    if not (models or problems or blocks):
        return None
    return Layer(
        number=len(layers),
        created=created,
        code_version=code_version,
        sweep=dict(sweep),
        models=models,
        problems=problems,
        blocks=blocks,
    )


def _check_same_run(layers: Sequence[Layer], wanted: Wanted) -> None:
    """A sweep that shares neither a model nor a task with the run is another one that happens to have its name."""
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
        now = {**model.distribution, **model.sampling, "revision of the weights": model.revision}
        then = {**before.distribution, **before.sampling, "revision of the weights": before.revision}
        changes = [f"{key} was {then.get(key)!r}, is {now[key]!r}" for key in now if then.get(key) != now[key]]
        raise BadInput(
            f"model {model.name}: {'; '.join(changes)}; one run holds one distribution: give the sweep a new name"
        )


def _new_problems(layers: Sequence[Layer], task: str, given: Sequence[Problem]) -> PlannedProblems | None:
    """The problems that the run does not know yet; raises BadInput where a known one has changed."""
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
    new = [problem for problem in given if problem.id not in known]
    if not new:
        return None
    return PlannedProblems(
        task=task,
        ids=tuple(problem.id for problem in new),
        prompt_digests=tuple(problem.prompt_digest for problem in new),
        reference_digests=tuple(problem.reference_digest for problem in new),
    )


def _new_blocks(layers: Sequence[Layer], new: Sequence[PlannedProblems], wanted: Wanted) -> Iterator[Block]:
    for (model, task), k in wanted.k.items():
        ids = problem_ids(layers, task) + [name for part in new if part.task == task for name in part.ids]
        asked = {problem.id for problem in wanted.problems[task]}
        before = [block for layer in layers for block in layer.blocks if (block.model, block.task) == (model, task)]
        drawn = _samples_planned(before, len(ids))
        missing = [k - have if name in asked else 0 for name, have in zip(ids, drawn, strict=True)]
        next_unit = sum(block.unit_count for block in before)
        for first, last in _runs_of_equal(drawn, missing):
            rows = _unit_rows((last - first) * (k - drawn[first]), wanted.most_unit_rows.get(model, UNIT_ROWS))
            block = make_block(model, task, next_unit, (first, last), (drawn[first], k), rows)
            next_unit += block.unit_count
            yield block


def _unit_rows(rows: int, most: int) -> int:
    """Samples of each unit of ``rows`` in all."""
    return min(UNIT_ROWS, most, max(LEAST_ROWS, -(-rows // SMALL_RUN_UNITS)))


def _samples_planned(blocks: Sequence[Block], problems: int) -> list[int]:
    """How many samples of each problem are planned so far; they always are 0, 1, 2, …"""
    drawn = [0] * problems
    for block in blocks:
        for idx in range(block.first_problem, block.last_problem):
            drawn[idx] = max(drawn[idx], block.last_sample)
    return drawn


def _runs_of_equal(drawn: Sequence[int], missing: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of neighbouring problems that have equally many samples and need more."""
    first = 0
    for idx in range(1, len(drawn) + 1):
        ended = idx == len(drawn) or drawn[idx] != drawn[first] or (missing[idx] > 0) != (missing[first] > 0)
        if ended:
            if missing[first] > 0:
                yield first, idx
            first = idx


def make_block(
    model: str, task: str, first_unit: int, problems: tuple[int, int], samples: tuple[int, int], rows: int
) -> Block:
    """Whole problems in a unit where they fit: equal candidates then meet the same verifier, prompts the same cache."""
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
