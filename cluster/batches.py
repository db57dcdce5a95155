"""The data that crosses between actors: small headers that the driver reads, payloads that it only passes on."""

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
    """One model of a run and its units still to sample: up to millions, which need not all exist at once."""

    model: ModelSpec
    info: ModelInfo
    settings: SamplingSettings
    sampling_hash: str
    units: Collection[Unit]


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
    characters of all texts.
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
