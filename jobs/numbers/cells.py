"""What the numbers are made of: per-problem counts of one model on one task, read by the estimators."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
OWN_SCORES = "verdicts"  # as a version of scores: those that the verdicts carry


@dataclass(frozen=True)
class AnswerCounts:
    """One problem's distinct extracted answers: how often each was given, and whether it is right (both shape (A,))."""

    count: Counts
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredSamples:
    """One problem's scored samples, equal ones counted together; all of shape (S,).

    ``answer`` numbers the problem's distinct answers, -1 where there is none; of ``count`` samples ``right`` passed.
    """

    score: NDArray[np.float64]
    answer: Counts
    count: Counts
    right: Counts

    def with_answer(self) -> "ScoredSamples":
        kept = self.answer >= 0
        return ScoredSamples(self.score[kept], self.answer[kept], self.count[kept], self.right[kept])


@dataclass(frozen=True)
class Copies:
    """Ordered pairs of samples of one problem, all and those with the same text: near each other, and farther apart.

    Equal pairs are those of the texts whose hashes are ``kept``, a share of all texts.
    """

    near_equal: int
    near_pairs: int
    far_equal: int
    far_pairs: int
    kept: float = 1.0

    @property
    def near(self) -> float:
        """The chance that two samples near each other have the same text."""
        return self.near_equal / self.near_pairs / self.kept if self.near_pairs else 0.0

    @property
    def far(self) -> float:
        return self.far_equal / self.far_pairs / self.kept if self.far_pairs else 0.0


@dataclass(frozen=True)
class CellCounts:
    """One (model, task) of a run. All arrays have shape (P,), one entry per problem, in problem_idx order.

    ``n`` counts decided verdicts, ``c`` passes among them, ``faults`` verdicts our side failed to give (in neither),
    ``timeouts`` the decided ones that ran out of time. ``tokens`` and ``prompt_tokens`` are totals (a prompt is counted
    once per problem; in ``billed_prompt_tokens`` once per request), ``engine_s`` seconds of one engine,
    ``judge_usd`` the dollars of a judge that is paid.
    ``duplicate_rate`` is the share of samples whose text equals an earlier sample of the same problem. ``answers`` is
    empty, or holds one entry per problem. ``version`` names the verifiers, ``scores`` what ``scored`` comes from.
    ``copies`` is None where no texts can be compared.
    """

    model: str
    task: str
    problem_ids: tuple[str, ...]
    n: Counts
    c: Counts
    faults: Counts
    timeouts: Counts
    status_counts: Mapping[str, int]
    tokens: int = 0
    prompt_tokens: int = 0
    engine_s: float = 0.0
    judge_usd: float = 0.0
    billed_prompt_tokens: int = 0
    duplicate_rate: float | None = None
    answers: tuple[AnswerCounts, ...] = ()
    tiers: Mapping[str, int] = field(default_factory=dict)
    version: str = ""
    scored: tuple[ScoredSamples, ...] = ()
    scores: str = ""
    unscorable: str = ""
    copies: Copies | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What a model's samples cost: shape for FLOPs (None where unknown), prices in dollars (None where not given)."""

    name: str
    parameters: int | None = None
    layers: int | None = None
    hidden: int | None = None
    gpus: float = 0.0
    usd_per_engine_hour: float | None = None
    usd_per_million_prompt_tokens: float | None = None
    usd_per_million_tokens: float | None = None
    baseline: bool = False
