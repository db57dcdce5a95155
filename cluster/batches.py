"""The data that crosses between actors: small headers that the driver reads, payloads that it only passes on."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampling.engines.adapters import Variant, start_key
from sampling.engines.model_info import ModelInfo
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Shard, Unit
from sampling.settings import ModelSpec, SamplingSettings
from verify.judge_settings import JudgeSettings
from verify.verdict import Verdict

Problems = Mapping[str, Mapping[int, Problem]]  # task -> problem_idx -> problem


@dataclass(frozen=True, slots=True)
class ModelWork:
    """One model of a run and its units still to sample: up to millions, which need not all exist at once.

    Where several models share engines, this is the first of them with the units of all; ``sharing`` are all of them,
    without their units.
    """

    model: ModelSpec
    info: ModelInfo
    settings: SamplingSettings
    sampling_hash: str
    units: Collection[Unit]
    sharing: tuple["ModelWork", ...] = ()

    @property
    def members(self) -> tuple["ModelWork", ...]:
        """Every model that its engines serve."""
        return self.sharing or (self,)

    def check_format(self, engine: Provenance) -> None:
        """Raises EngineRefused where an engine computes in another number format than the one chosen for the run."""
        chosen = self.info.dtype
        if chosen and engine.dtype != chosen:
            raise EngineRefused(f"model {self.model.name}: an engine computes in {engine.dtype}, the run in {chosen}")

    def origin(self, unit: Unit, engine: Provenance) -> Provenance:
        """Returns the provenance of a unit's samples, of what the engine says of itself."""
        work = next((work for work in self.members if work.model.name == unit.model), self)
        adapter = work.model.adapter.name if work.model.adapter else None
        return replace(
            engine,
            model=unit.model,
            revision=work.info.weights,
            sampling_hash=work.sampling_hash,
            adapter=adapter,
        )


class Turns(Collection[Unit]):
    """Units of several models in turns, so that all of them come forward together."""

    def __init__(self, parts: Sequence[Collection[Unit]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __contains__(self, unit: object) -> bool:
        return any(unit in part for part in self._parts)

    def __iter__(self) -> Iterator[Unit]:
        left = deque(map(iter, self._parts))
        while left:
            part = left.popleft()
            if (unit := next(part, None)) is not None:
                left.append(part)
                yield unit


def share_engines(models: Sequence[ModelWork]) -> tuple[ModelWork, ...]:
    """Returns the work with models whose engines would start alike put together: one start serves them all."""
    groups: dict[str, list[ModelWork]] = {}
    for work in models:
        key = start_key(Variant(work.model, work.info, work.settings))
        groups.setdefault(f"of {work.model.name}" if key is None else key, []).append(work)
    return tuple(_shared(group) for group in groups.values())


def _shared(group: Sequence[ModelWork]) -> ModelWork:
    """Returns one work for models that share engines; it has the weights of all, and the longest completions."""
    first = group[0]
    if len(group) == 1:
        return first
    longest = max(work.settings.max_tokens for work in group)
    return replace(
        first,
        model=first.model.model_copy(update={"weight": sum(work.model.weight for work in group)}),
        settings=first.settings.model_copy(update={"max_tokens": longest}),
        units=Turns([work.units for work in group]),
        sharing=tuple(replace(work, units=()) for work in group),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that the pipeline has to do, and the settings for it.

    ``verifiers`` fixes the size of the verifier pool, None lets it follow the backlog. ``verifier_nodes`` names the
    nodes for verifiers: a label ``key=value`` or a custom resource. ``open_shards`` holds how many units each shard
    still lacks. ``judge`` is what one verifier may ask of the judge.
    """

    models: tuple[ModelWork, ...]
    problems: Problems
    seed: int
    tier: str | None
    verifiers: int | None
    code_version: str
    verifier_nodes: str | None = None
    open_shards: Mapping[Shard, int] = field(default_factory=dict)
    judge: JudgeSettings | None = None


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The answer of a sampler whose engine has started.

    ``start_s`` is how many seconds that took, ``concurrency`` the most samples that it generates at a time.
    ``provenance`` is that of the first model, where several share the engine.
    """

    start_s: float
    provenance: Provenance
    concurrency: int


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Some samples of one unit, in the order in which they finished."""

    task: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class SampleHeader:
    """The driver's view of a SampleBatch.

    ``engine_tokens`` and ``engine_starved_s`` are the engine's totals since its start, ``size`` is the number of
    characters of all texts and of bytes of all lists.
    """

    rows: int
    engine_tokens: int
    engine_starved_s: float
    size: int


@dataclass(frozen=True, slots=True)
class VerdictBatch:
    """One verdict for each sample of a SampleBatch, in the same order."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class VerdictHeader:
    """The driver's view of a VerdictBatch: ``shared`` verdicts are copies, ``busy_s`` is the verifier's wall time."""

    rows: int
    shared: int
    busy_s: float
