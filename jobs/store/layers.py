"""The stored plan of a run: an append-only list of layers, each of them one create-only object.

The first layer is what the sweep asked for at first; each later one adds exactly the missing rectangles of samples
(jobs/planning.py makes them). Units are named by number and never change.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from jobs.store.seal import BLANK, is_whole, seal
from sampling.errors import BadInput
from sampling.samples import UNITS_PER_SHARD, Shard, Unit
from sampling.validate import Plain, parse


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
