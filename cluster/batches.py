"""What crosses between the actors: small headers that the driver reads, payloads that it only passes on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sampling.engines.model_info import ModelInfo
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Shard, Unit
from sampling.settings import ModelSpec, SamplingSettings
from verify.judge_settings import JudgeSettings
from verify.verdict import Verdict

Problems = Mapping[str, Mapping[int, Problem]]  # task -> problem_idx -> problem


@dataclass(frozen=True, slots=True)
class ModelWork:
    """One model of a run and the units it still has to sample: up to millions, which need not all exist at once."""

    model: ModelSpec
    info: ModelInfo
    settings: SamplingSettings
    sampling_hash: str
    units: Collection[Unit]


@dataclass(frozen=True, slots=True)
class Work:
    """All that the pipeline is told."""

    models: tuple[ModelWork, ...]
    problems: Problems
    seed: int
    tier: str | None
    verifiers: int | None
    code_version: str
    verifier_nodes: str | None = None  # a label, key=value, or a custom resource, of the nodes that verifiers go to
    open_shards: Mapping[Shard, int] = field(default_factory=dict)  # how many units each still lacks
    judge: JudgeSettings | None = None  # what one verifier may ask of it


@dataclass(frozen=True, slots=True)
class EngineReady:
    """A sampler's engine is up; ``start_s`` is how long it took."""

    start_s: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Some samples of one unit, in the order in which they finished."""

    task: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class SampleHeader:
    """What the driver learns of a SampleBatch: ``engine_tokens`` and ``engine_starved_s`` are the engine's totals since
    its start, ``size`` is the length of all texts."""

    rows: int
    engine_tokens: int
    engine_starved_s: float
    size: int


@dataclass(frozen=True, slots=True)
class VerdictBatch:
    """One verdict per sample of a SampleBatch, in its order."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class VerdictHeader:
    """What the driver learns of a VerdictBatch: ``busy_s`` is the verifier's wall time for it."""

    rows: int
    shared: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class SetAside:
    """A unit that failed too often, with its last error."""

    unit: Unit
    error: str
