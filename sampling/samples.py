"""What crosses between the rooms: the unit that is scheduled, and the samples that come out of it."""

from dataclasses import dataclass

UNITS_PER_SHARD = 256


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """UNITS_PER_SHARD units of one model and task, numbered in a row: what compaction makes one file of."""

    model: str
    task: str
    number: int


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """A rectangle of one model's and one task's samples: what is scheduled, retried and committed.

    Problems ``first_problem <= problem_idx < last_problem`` and samples ``first_sample <= sample_idx < last_sample``,
    both half-open; ``number`` names the unit within its model and task and never changes once planned.
    """

    model: str
    task: str
    number: int
    first_problem: int
    last_problem: int
    first_sample: int
    last_sample: int

    @property
    def shard(self) -> int:
        return self.number // UNITS_PER_SHARD

    @property
    def in_shard(self) -> Shard:
        return Shard(self.model, self.task, self.shard)

    @property
    def rows(self) -> int:
        return (self.last_problem - self.first_problem) * (self.last_sample - self.first_sample)


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of one problem. ``finish_reason`` is stop, length, prompt_too_long or error.

    ``tokens`` counts completion tokens; ``gen_s`` is seconds from submission to the last token; ``engine_s`` the
    seconds of one engine that this sample cost: its share, by tokens, of the engine's busy time. ``logprob`` is the sum
    over the completion's tokens where the engine was asked for it. ``usd`` is what a service asks for it, at most;
    where one request draws several samples, that and ``prompt_tokens`` belong to the first: they are billed once.
    """

    problem_idx: int
    sample_idx: int
    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    seed: int
    gen_s: float
    engine_s: float = 0.0
    logprob: float | None = None
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a unit's samples come from: the same on every row of it.

    ``node`` is host/process, ``node_id`` Ray's. Of an engine on GPUs: how many (or which share of one), their ids on
    that node, their UUIDs (comma-separated) and the memory of each.
    """

    model: str
    revision: str
    engine: str
    engine_version: str
    sampling_hash: str
    code_version: str
    node: str
    device: str
    node_id: str | None = None
    gpus: str | None = None
    gpu_ids: str | None = None
    gpu_uuids: str | None = None
    gpu_memory: str | None = None
