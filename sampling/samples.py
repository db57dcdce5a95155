"""Units and samples: the data that crosses between the rooms, and the names that other tools give to their parts."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

UNITS_PER_SHARD = 256
# Names of other tools, the first that a row has: HumanEval's and EvalPlus's samples.jsonl, rollouts of RL trainers.
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "problem": ("task_id",),
    "sample": ("rollout_index",),
    "text": ("solution", "completion"),
    "tokens": ("completion_tokens",),
}


class ProblemIds:
    """The ids of a task's problems, found under what others call them: `Mbpp/2` or, without its prefix, `2`."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)
        names = [(name.casefold(), name) for name in self._ids]
        if len({name.rpartition("/")[0] for name in self._ids}) == 1:  # all have one prefix: it tells nothing
            names += [(tail.casefold(), name) for name in self._ids if (tail := name.rpartition("/")[2]) != name]
        meant = Counter(other for other, _ in names)
        self._others = {other: name for other, name in names if meant[other] == 1}

    def find(self, given: str) -> str | None:
        """Returns the id that is meant; None where there is none, or two may be meant."""
        return given if given in self._ids else self._others.get(given.casefold())


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """A row of UNITS_PER_SHARD units of one model and task; compaction makes one file of it."""

    model: str
    task: str
    number: int


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """A rectangle of samples of one model and one task: it is scheduled, retried and committed as a whole.

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
class TokenLists:
    """Numbers of a completion by token, each None where the engine was not asked for it.

    ``token_ids`` and ``token_logprobs`` have a value for each token. The others have N for each token, the N most
    probable ones from the most probable on, one token after another.
    """

    token_ids: "array[int] | None" = None
    token_logprobs: "array[float] | None" = None
    top_token_ids: "array[int] | None" = None
    top_logprobs: "array[float] | None" = None

    @property
    def size(self) -> int:
        """Bytes of all lists."""
        found = [getattr(self, field.name) for field in fields(self)]
        return sum(len(one) * one.itemsize for one in found if one is not None)


NO_LISTS = TokenLists()


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion of one problem. ``finish_reason`` is stop, length, prompt_too_long, prompt_refused or error.

    ``tokens`` counts completion tokens. ``gen_s`` is seconds from submission to the last token. ``engine_s`` is the
    sample's share, by tokens, of the engine's busy seconds. ``logprob`` is the sum of the log probabilities of the
    completion's tokens, or None where the engine was not asked for it. ``usd`` is the most that a service asks for it;
    where one request draws several samples, ``usd`` and ``prompt_tokens`` belong to the first: they are billed once.
    ``reasoning`` is the thought before the answer, ``text``; it is None where the model wrote none.
    ``reasoning_tokens`` are those of ``tokens`` that belong to it.
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
    reasoning: str | None = None
    reasoning_tokens: int | None = None
    lists: TokenLists = NO_LISTS

    @property
    def size(self) -> int:
        """Characters of its texts and bytes of its lists."""
        return len(self.text) + len(self.reasoning or "") + self.lists.size

    @property
    def is_unfinished(self) -> bool:
        """True where the completion ended inside a thought, so that there is no answer."""
        return self.reasoning is not None and not self.text.strip()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of a unit's samples, equal on all its rows.

    ``node`` is host/process, ``node_id`` Ray's id of the node. For an engine on GPUs, ``gpus`` is how many (or which
    share of one), ``gpu_ids`` and ``gpu_uuids`` are lists separated by commas, ``gpu_memory`` is the size of each.
    ``adapter`` is the name of a LoRA adapter, whose revision is part of ``revision``. ``dtype`` is the number format
    that a vLLM engine computed in.
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
    adapter: str | None = None
    dtype: str | None = None
