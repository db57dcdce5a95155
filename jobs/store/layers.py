"""The stored plan of a run: an append-only list of layers, each of them one create-only object.

The first layer holds what the sweep asked for at first. Each later one adds exactly the missing rectangles of samples
(jobs/planning.py makes them). Units are named by number and never change.
"""

import json
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from jobs.numbers.rounds import Round, StopRule
from jobs.store.sealed_parquet import BLANK, is_whole, seal
from sampling.errors import BadInput
from sampling.samples import UNITS_PER_SHARD, Shard, Unit
from sampling.validate import Plain, parse
from sampling.words import printable

LARGEST = 2**31 - 1  # a problem or sample, as a column of 32 bits holds it
MOST_UNITS = 1 << 24  # of a model on a task


class PlannedProblems(Plain):
    """The problems that a layer adds to a task; their positions continue those of earlier layers."""

    task: str
    """Name of the task."""

    ids: tuple[str, ...]
    """Ids of the problems, in the order of their positions."""

    prompt_digests: tuple[str, ...]
    """Digest of each prompt; a changed one is refused, since it changes the samples."""

    reference_digests: tuple[str, ...]
    """Digest of each reference; a changed one is refused, since it changes the verdicts."""

    time_limits_s: tuple[float | None, ...] | None = None
    """Time limit of each problem in seconds, as it was given, measured, or the default of its kind at the time.

    None for a problem that has none, and in plans made before this field: there a limit that was not given is 5 s, 60 s
    for a proof and 600 s for a patch.
    """


class PlannedModel(Plain):
    """A model as it was when it was first planned."""

    name: str
    """Name of the model in the sweep."""

    distribution: dict[str, Any]
    """Keys of the model's spec that decide the distribution of its samples; they must never change within a run.

    The address of a service is here too, and may change.
    """

    sampling: dict[str, Any]
    """Resolved sampling settings; they must never change within a run.

    The address of a service is here too, and may change.
    """

    revision: str
    """Revision of the weights."""

    sampling_hash: str
    """Hash of the three fields above, stored with every sample."""

    parameters: int | None = None
    """Number of the model's parameters. None where it is not known, as for a service."""

    layers: int | None = None
    """Number of transformer layers. None where it is not known."""

    hidden: int | None = None
    """Width of the hidden state. None where it is not known."""

    dtype: str | None = None
    """Number format that Troop has chosen for the run's engines. None where the sweep or vLLM decides."""


class Block(Plain):
    """A rectangle of samples, cut into units that are numbered row by row."""

    model: str
    """Name of the model."""

    task: str
    """Name of the task."""

    first_unit: int
    """Number of the first unit."""

    first_problem: int
    """First problem_idx of the rectangle."""

    last_problem: int
    """First problem_idx after the rectangle."""

    first_sample: int
    """First sample_idx of the rectangle."""

    last_sample: int
    """First sample_idx after the rectangle."""

    problems_per_unit: int = Field(ge=1)
    """Problems of a unit; a unit in the last row may have fewer."""

    samples_per_unit: int = Field(ge=1)
    """Samples per problem of a unit; a unit in the last column may have fewer."""

    def unit(self, number: int) -> Unit:
        """Returns the unit with a number that is one of ``numbers``."""
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


class Retracted(Plain):
    """Units of earlier layers that are given up: they had no commit, and no sample of theirs will be drawn."""

    model: str
    """Name of the model."""

    task: str
    """Name of the task."""

    units: tuple[tuple[int, int], ...]
    """Half-open ranges of unit numbers."""


class Layer(Plain):
    """One step of a run's plan, stored as plan.json, plan.0001.json, …"""

    format: Literal[1] = 1
    """Version of this format."""

    number: int
    """Position in the plan, from 0."""

    created: str
    """Time at which the layer was written, in UTC, as ISO 8601."""

    code_version: str
    """Version of Troop that wrote the layer."""

    sweep: dict[str, Any]
    """The sweep that asked for the layer, with all defaults filled in. Empty where a round of a run was added."""

    models: tuple[PlannedModel, ...]
    """Models that the layer adds to the run."""

    problems: tuple[PlannedProblems, ...]
    """Problems that the layer adds to the run."""

    blocks: tuple[Block, ...]
    """Samples that the layer adds to the run."""

    retracted: tuple[Retracted, ...] = ()
    """Units that the layer gives up, by `troop run --drop`. The key is there only where there are any."""

    rounds: tuple[Round, ...] = ()
    """Decisions of adaptive sampling; the layer's blocks are their samples. The key is there only with any."""

    stopped: tuple[StopRule, ...] = ()
    """Rules that ended the sampling of what the layer imports. The key is there only where there are any."""

    sha256: str = BLANK
    """Seal of the object, the last key in it; see jobs/store/sealed_parquet.py."""

    def encode(self) -> bytes:
        """Returns the sealed bytes to store; without the seal a flipped digit would pass as another plan."""
        absent = {name for name in ("retracted", "rounds", "stopped") if not getattr(self, name)}
        return seal(self.model_dump_json(indent=1, exclude=absent).encode())


def decode_layer(data: bytes, where: str) -> Layer:
    """Parses a stored layer; raises BadInput where it is damaged, since no other file of a run replaces it."""
    try:
        layer = parse(Layer, json.loads(data), where)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: damaged (not JSON); put it back from a copy, the run cannot go on without") from error
    if not is_whole(data):
        raise BadInput(f"{where}: damaged (its SHA-256 does not match); put it back from a copy, the run needs it")
    _check_blocks(layer, where)
    return layer


def _check_blocks(layer: Layer, where: str) -> None:
    """Raises BadInput for numbers that no plan of Troop's has: a few digits could name more units than memory holds."""
    for block in layer.blocks:
        sides = (block.first_problem, block.last_problem, block.first_sample, block.last_sample)
        in_order = 0 <= sides[0] < sides[1] and 0 <= sides[2] < sides[3] and block.first_unit >= 0
        if not in_order or max(sides) > LARGEST or block.first_unit + block.unit_count > MOST_UNITS:
            cell = f"{printable(block.model)} on {printable(block.task)}"
            raise BadInput(f"{where}: a block of {cell} has numbers that no plan has; "
                           f"allowed: at most {MOST_UNITS:,} units, {LARGEST:,} samples")  # fmt: skip
    for part in layer.retracted:
        if any(not 0 <= first <= last <= MOST_UNITS for first, last in part.units):
            raise BadInput(f"{where}: gives up units that no plan has; allowed: numbers up to {MOST_UNITS:,}")


def layer_key(number: int) -> str:
    return "plan.json" if number == 0 else f"plan.{number:04d}.json"


def problem_ids(layers: Sequence[Layer], task: str) -> list[str]:
    """Returns the ids of a task's problems, by problem_idx."""
    return [name for layer in layers for part in layer.problems if part.task == task for name in part.ids]


def time_limits(layers: Sequence[Layer], task: str) -> list[float | None]:
    """Returns the time limits of a task's problems by problem_idx; None where the plan holds none."""
    parts = [part for layer in layers for part in layer.problems if part.task == task]
    return [limit for part in parts for limit in part.time_limits_s or [None] * len(part.ids)]


@dataclass(frozen=True, slots=True)
class Units(Collection[Unit]):
    """Some units of a plan, in planned order: blocks, each with some of its numbers.

    A million units take a few bytes, since each is made when it is asked for.
    """

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
        """Returns the units of a model, on one task or on all."""
        return Units(tuple(part for part in self.parts if part[0].model == model and task in (None, part[0].task)))

    def without(self, done: Mapping[tuple[str, str], Set[int]]) -> "Units":
        """Returns the units whose numbers are not in ``done``, which has them by model and task."""
        parts = []
        for block, numbers in self.parts:
            gone = done.get((block.model, block.task))
            parts.append((block, [number for number in numbers if number not in gone] if gone else numbers))
        return Units(tuple(parts))

    def breadth_first(self) -> "Units":
        """Returns the same units, the blocks of the first samples first."""
        return Units(tuple(sorted(self.parts, key=lambda part: part[0].first_sample)))

    def shuffled(self) -> "Units":
        """Returns the same units, those of each block in any order: two drivers then rarely sample the same one."""
        return Units(tuple((block, random.sample(numbers, len(numbers))) for block, numbers in self.parts))

    def among(self, models: Set[str], problems: Mapping[str, set[int]]) -> "Units":
        """Returns the units whose model is in ``models`` and whose problems are all in ``problems[task]``."""
        parts = []
        for block, numbers in self.parts:
            named = problems.get(block.task, set[int]()) if block.model in models else set()
            if not named.issuperset(range(block.first_problem, block.last_problem)):
                units = map(block.unit, numbers)
                numbers = [u.number for u in units if named.issuperset(range(u.first_problem, u.last_problem))]
            parts.append((block, numbers))
        return Units(tuple(parts))


def planned_units(layers: Sequence[Layer]) -> Units:
    """Returns every unit of the run that no later layer gives up, in the order in which they were planned."""
    gone = retracted_numbers(part for layer in layers for part in layer.retracted)
    return all_units(layers).without(gone) if gone else all_units(layers)


def all_units(layers: Sequence[Layer]) -> Units:
    """Returns every unit that was ever planned: one that is given up may yet be committed, by an earlier driver."""
    return Units(tuple((block, block.numbers) for layer in layers for block in layer.blocks))


def retracted_numbers(parts: Iterable[Retracted]) -> dict[tuple[str, str], set[int]]:
    """Returns the numbers of units that are given up, by model and task."""
    found: dict[tuple[str, str], set[int]] = {}
    for part in parts:
        for first, last in part.units:
            found.setdefault((part.model, part.task), set()).update(range(first, last))
    return found


def open_shards(layers: Sequence[Layer], missing: Units) -> dict[Shard, int]:
    """Returns the number of missing units of each shard that the plan fills.

    The last shard of a model and task is rarely full, and then is left out.
    """
    planned: Counter[tuple[str, str]] = Counter()
    for block in (block for layer in layers for block in layer.blocks):
        planned[block.model, block.task] += block.unit_count
    lacking: Counter[Shard] = Counter()
    for block, numbers in missing.parts:
        full = planned[block.model, block.task] // UNITS_PER_SHARD
        by_shard = Counter(number // UNITS_PER_SHARD for number in numbers)
        lacking.update({Shard(block.model, block.task, n): count for n, count in by_shard.items() if n < full})
    return dict(lacking)
