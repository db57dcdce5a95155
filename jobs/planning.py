"""What a run has to hold, as plain data: an append-only list of layers, each of them one create-only object.

The first layer is what the sweep asked for at first; every time it asks for more (a larger k, more problems, more
models) a layer is added with exactly the missing rectangles. Units are named by number and never change; what would
change the distribution of samples already drawn is refused.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from jobs.store.seal import BLANK, is_whole, seal
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.samples import UNITS_PER_SHARD, Shard, Unit
from sampling.validate import Plain, parse

UNIT_ROWS = 2048  # samples of a unit at most: one to three minutes of a small model's engine
LEAST_ROWS, SMALL_RUN_UNITS = 256, 16  # a run of few samples is cut finer, so that it too keeps many engines busy
UNKNOWN = ""  # in place of a digest: of an imported problem only the id may be known


class PlannedProblems(Plain):
    """The problems that a layer adds to a task; their positions count on from those of earlier layers."""

    task: str
    ids: tuple[str, ...]
    prompt_digests: tuple[str, ...]
    reference_digests: tuple[str, ...]


class PlannedModel(Plain):
    """A model as it was when it was first planned; ``distribution`` must never change within a run."""

    name: str
    distribution: dict[str, Any]
    sampling: dict[str, Any]
    revision: str
    sampling_hash: str
    parameters: int | None = None
    layers: int | None = None
    hidden: int | None = None


class Block(Plain):
    """A rectangle of samples cut into units, numbered row by row from ``first_unit``. Ranges are half-open."""

    model: str
    task: str
    first_unit: int
    first_problem: int
    last_problem: int
    first_sample: int
    last_sample: int
    problems_per_unit: int = Field(ge=1)
    samples_per_unit: int = Field(ge=1)

    def unit(self, number: int) -> Unit:
        """The unit of that number, one of ``numbers``."""
        row, column = divmod(number - self.first_unit, self._units_per_row)
        problem = self.first_problem + row * self.problems_per_unit
        sample = self.first_sample + column * self.samples_per_unit
        last_problem = min(problem + self.problems_per_unit, self.last_problem)
        last_sample = min(sample + self.samples_per_unit, self.last_sample)
        return Unit(self.model, self.task, number, problem, last_problem, sample, last_sample)

    @property
    def numbers(self) -> range:
        return range(self.first_unit, self.first_unit + self.unit_count)

    @property
    def unit_count(self) -> int:
        return -(-(self.last_problem - self.first_problem) // self.problems_per_unit) * self._units_per_row

    @property
    def rows(self) -> int:
        return (self.last_problem - self.first_problem) * (self.last_sample - self.first_sample)

    @property
    def _units_per_row(self) -> int:
        return -(-(self.last_sample - self.first_sample) // self.samples_per_unit)


class Layer(Plain):
    """One step of a run's plan, stored as plan.json, plan.0001.json, …"""

    format: Literal[1] = 1
    number: int
    created: str
    code_version: str
    sweep: dict[str, Any]
    models: tuple[PlannedModel, ...]
    problems: tuple[PlannedProblems, ...]
    blocks: tuple[Block, ...]
    sha256: str = BLANK  # last: see jobs.store.seal

    def encode(self) -> bytes:
        """What is stored: sealed, for a flipped digit in a plan would be a different plan."""
        return seal(self.model_dump_json(indent=1).encode())


def decode_layer(data: bytes, where: str) -> Layer:
    """A stored layer; raises BadInput where it is not one, or not what was written. No file of a run replaces it."""
    try:
        layer = parse(Layer, json.loads(data), where)
    except ValueError as error:
        raise BadInput(f"{where}: damaged (not JSON); put it back from a copy, the run cannot go on without") from error
    if layer.sha256 != BLANK and not is_whole(data):
        raise BadInput(f"{where}: damaged (its SHA-256 does not match); put it back from a copy, the run needs it")
    return layer


@dataclass(frozen=True)
class Wanted:
    """What a sweep asks for, resolved: problems by task, k by (model, task), the size of units that must be small."""

    models: tuple[PlannedModel, ...]
    problems: Mapping[str, Sequence[Problem]]
    k: Mapping[tuple[str, str], int]
    most_unit_rows: Mapping[str, int] = field(default_factory=dict)


def layer_key(number: int) -> str:
    return "plan.json" if number == 0 else f"plan.{number:04d}.json"


def problem_ids(layers: Sequence[Layer], task: str) -> list[str]:
    """The ids of a task's problems, by problem_idx."""
    return [name for layer in layers for part in layer.problems if part.task == task for name in part.ids]


@dataclass(frozen=True, slots=True)
class Units(Collection[Unit]):
    """Some units of a plan, in planned order: blocks, and which of their numbers. A million of them are a few bytes,
    as each is made when it is asked for."""

    parts: tuple[tuple[Block, Sequence[int]], ...]

    def __len__(self) -> int:
        return sum(len(numbers) for _, numbers in self.parts)

    def __iter__(self) -> Iterator[Unit]:
        return (block.unit(number) for block, numbers in self.parts for number in numbers)

    def __contains__(self, unit: object) -> bool:
        return any(unit == mine for mine in self)

    @property
    def rows(self) -> int:
        return sum(
            block.rows if len(numbers) == block.unit_count else sum(block.unit(number).rows for number in numbers)
            for block, numbers in self.parts
        )

    def of(self, model: str, task: str | None = None) -> "Units":
        """Those of a model, on one task or on all."""
        return Units(tuple(part for part in self.parts if part[0].model == model and task in (None, part[0].task)))

    def without(self, done: Mapping[tuple[str, str], Set[int]]) -> "Units":
        """Those whose numbers are not ``done``, by model and task."""
        parts = []
        for block, numbers in self.parts:
            gone = done.get((block.model, block.task))
            parts.append((block, [number for number in numbers if number not in gone] if gone else numbers))
        return Units(tuple(parts))

    def among(self, models: Set[str], problems: Mapping[str, set[int]]) -> "Units":
        """Those whose model is named, and all of whose problems are."""
        parts = []
        for block, numbers in self.parts:
            named = problems.get(block.task, set[int]()) if block.model in models else set()
            if not named.issuperset(range(block.first_problem, block.last_problem)):
                units = map(block.unit, numbers)
                numbers = [u.number for u in units if named.issuperset(range(u.first_problem, u.last_problem))]
            parts.append((block, numbers))
        return Units(tuple(parts))


def planned_units(layers: Sequence[Layer]) -> Units:
    """Every unit of the run, in the order in which it was planned."""
    return Units(tuple((block, block.numbers) for layer in layers for block in layer.blocks))


def open_shards(layers: Sequence[Layer], missing: Units) -> dict[Shard, int]:
    """How many units each shard lacks, of those that the plan fills: the last one of a model and task rarely is."""
    planned: Counter[tuple[str, str]] = Counter()
    for block in (block for layer in layers for block in layer.blocks):
        planned[block.model, block.task] += block.unit_count
    lacking: Counter[Shard] = Counter()
    for block, numbers in missing.parts:
        full = planned[block.model, block.task] // UNITS_PER_SHARD
        by_shard = Counter(number // UNITS_PER_SHARD for number in numbers)
        lacking.update({Shard(block.model, block.task, n): count for n, count in by_shard.items() if n < full})
    return dict(lacking)


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
