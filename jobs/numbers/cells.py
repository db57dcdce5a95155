"""The input of every estimator: per-problem counts of one model on one task, and what the model's samples cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.numbers.rounds import RoundCounts

Counts = NDArray[np.int64]
IMPORTED = "imported"  # version of verdicts that none of our verifiers gave
OWN_SCORES = "verdicts"  # the version of scores that the verdicts themselves carry


@dataclass(frozen=True)
class AnswerCounts:
    """The distinct answers that were extracted from one problem's samples, arrays of shape (A,)."""

    count: Counts
    """Samples that gave this answer."""
    right: NDArray[np.bool_]
    """True where the answer is right."""


@dataclass(frozen=True)
class ScoredSamples:
    """The scored samples of one problem, one entry per distinct (score, answer), arrays of shape (S,)."""

    score: NDArray[np.float64]
    answer: Counts
    """Number of the answer among the problem's distinct answers; -1 for no answer."""
    count: Counts
    """Samples with this score and answer."""
    right: Counts
    """Samples among them that passed."""

    def with_answer(self) -> "ScoredSamples":
        """Returns the entries that have an answer."""
        kept = self.answer >= 0
        return ScoredSamples(self.score[kept], self.answer[kept], self.count[kept], self.right[kept])


@dataclass(frozen=True)
class Copies:
    """Ordered pairs of samples of one problem, summed over problems: near ones (one engine drew both) and far ones."""

    near_equal: int
    """Near pairs with the same text, among texts whose hash is kept."""
    near_pairs: int
    far_equal: int
    """Far pairs with the same text, among texts whose hash is kept."""
    far_pairs: int
    kept: float = 1.0
    """Share of texts whose hash is kept."""

    @property
    def near(self) -> float:
        """The chance that two near samples have the same text."""
        return self.near_equal / self.near_pairs / self.kept if self.near_pairs else 0.0

    @property
    def far(self) -> float:
        """The chance that two far samples have the same text."""
        return self.far_equal / self.far_pairs / self.kept if self.far_pairs else 0.0


@dataclass(frozen=True)
class Stopping:
    """A rule that ends the sampling of a problem because of its outcome: it retires once it has enough passes."""

    retire_at: int
    """Passes at which a problem retires; at least 1."""
    cap: int
    """Samples at which a problem ends without them."""
    rounds: tuple[int, ...] = ()
    """Samples of a problem at each end of a round, where passes are counted; empty where that is after every sample."""

    def round_before(self, n: Counts) -> Counts:
        """Returns the round end before the one at which a problem with ``n`` samples ended; 0 in the first round."""
        if not self.rounds:
            return np.maximum(n - 1, 0)
        ends = np.array([0, *self.rounds], dtype=np.int64)
        before: Counts = ends[np.searchsorted(ends[1:], n, side="left")]
        return before


@dataclass(frozen=True)
class CellCounts:
    """Counts of one (model, task) of a run. All arrays have shape (P,): one entry per problem, in problem_idx order."""

    model: str
    task: str
    problem_ids: tuple[str, ...]
    n: Counts
    """Decided verdicts: every status but fault."""
    c: Counts
    """Passes among the decided verdicts."""
    faults: Counts
    """Verdicts that Troop failed to give; counted neither in n nor in c."""
    timeouts: Counts
    """Decided verdicts with status timeout."""
    status_counts: Mapping[str, int]
    tokens: int = 0
    """Completion tokens of all samples; 0 where unknown (imported counts)."""
    prompt_tokens: int = 0
    """Prompt tokens, each problem's prompt counted once."""
    engine_s: float = 0.0
    """Seconds of one engine, summed over all samples."""
    judge_usd: float = 0.0
    """Dollars that a paid judge cost."""
    billed_prompt_tokens: int = 0
    """Prompt tokens that a service billed, once per request; 0 for engines of our own."""
    duplicate_rate: float | None = None
    """Share of samples whose text equals an earlier sample of the same problem."""
    answers: tuple[AnswerCounts, ...] = ()
    """One entry per problem, or empty where the verifier extracts no answers."""
    tiers: Mapping[str, int] = field(default_factory=dict)
    """Verdicts by sandbox tier."""
    version: str = ""
    """Version of the verifiers."""
    scored: tuple[ScoredSamples, ...] = ()
    """One entry per problem, or empty where samples have no scores."""
    scores: str = ""
    """Version of the scores in ``scored``."""
    unscorable: str = ""
    """What the scores lack, as a sentence without its full stop; empty where they lack nothing."""
    copies: Copies | None = None
    """Pairs with the same text; None where no texts can be compared."""
    stopping: Stopping | None = None
    """The rule that ended sampling because of its outcome, where it is known; the counts may show another."""
    finish_counts: Mapping[str, int] = field(default_factory=dict)
    """Samples by finish reason; fewer than all where older files do not say it, empty where there is no text."""
    invalid_reasons: Mapping[str, int] = field(default_factory=dict)
    """The most frequent reasons of verdicts with status invalid, with their samples."""
    planned_problems: int = 0
    """Problems of the plan; 0 where no plan is known. Those without a verdict are not in the arrays."""
    planned_samples: int = 0
    """Samples of the plan; 0 where no plan is known."""
    rounds: RoundCounts | None = None
    """Counts by rounds, from which adaptive sampling is estimated; None for any other sampling."""

    @property
    def unmet(self) -> int:
        """Problems of the plan that have no decided sample."""
        return max(self.planned_problems, len(self.problem_ids)) - int((self.n > 0).sum())

    @property
    def cut(self) -> float | None:
        """Share of samples that a limit of tokens cut; None where no finish reason is known."""
        return cut_share(self.finish_counts)

    @property
    def nothing_extracted(self) -> float | None:
        """Share of decided verdicts that found no answer or code (status invalid); None for imports, which lack it."""
        decided = 0 if self.version == IMPORTED else int(self.n.sum())
        return self.status_counts.get("invalid", 0) / decided if decided else None

    @property
    def unfinished(self) -> bool:
        """True where the plan has samples without a verdict, or adaptive sampling has another round to draw."""
        return int(self.n.sum() + self.faults.sum()) < self.planned_samples or self.open_problems > 0

    @property
    def open_problems(self) -> int:
        """Problems that adaptive sampling has neither retired nor brought to its cap."""
        if self.rounds is None:
            return 0
        return max(self.planned_problems, len(self.problem_ids)) - int(self.rounds.ended.sum())

    @property
    def selectable(self) -> Counts:
        """Decided samples by problem that majority, best-of and votes may use: the first round's, where there is one.

        Later rounds are drawn because of earlier outcomes.
        """
        return self.n if self.rounds is None else self.rounds.first.n


def cut_share(finish_counts: Mapping[str, int]) -> float | None:
    """Returns the share of samples with finish reason ``length``; None where there are none."""
    known = sum(finish_counts.values())
    return finish_counts.get("length", 0) / known if known else None


@dataclass(frozen=True)
class ModelFacts:
    """A model's shape and its prices in dollars, from which costs follow; None where unknown."""

    name: str
    parameters: int | None = None
    layers: int | None = None
    hidden: int | None = None
    gpus: float = 0.0
    """GPUs of one engine; 0 on a CPU or at a service."""
    usd_per_engine_hour: float | None = None
    usd_per_million_prompt_tokens: float | None = None
    usd_per_million_tokens: float | None = None
    series: Mapping[str, float | str] = field(default_factory=dict)
    """Place of the model in a series, as {"checkpoint": 1000}; empty outside of one."""
    baseline: bool = False
    """True for a model whose single try the others are compared with."""
