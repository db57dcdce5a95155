"""The shape of report.json: what scripts read, and all that the page and the charts are drawn from.

Shares, rates and coverages are numbers from 0 to 1. Intervals are two-sided, at the 95 % level, over the
`population`. Fields are only ever added, with a default, so that older reports stay readable.
"""

from pydantic import Field

from jobs.numbers.intervals import Population
from jobs.numbers.prediction import Prediction
from jobs.report.points import (
    BetaFit,
    BoundedPoint,
    Bounds,
    CopyRates,
    Cost,
    CoveragePoint,
    Extrapolated,
    ExtrapolationPoint,
    Fit,
    FlawPoint,
    Metric,
    ProblemCounts,
    RoundsReport,
    SelectionPoint,
    SeriesLine,
    Stopped,
)
from sampling.judged_by import JudgedBy
from sampling.validate import Plain


class Cell(Plain):
    """Results of one model on one task."""

    model: str
    """Name of the model."""
    task: str
    """Name of the task."""
    problems: int
    """Problems of the task in this run."""
    samples: int
    """Samples with a verdict, faults included."""
    coverage: tuple[CoveragePoint, ...] = ()
    """Coverage from k=1 to the fewest decided samples of a problem; empty where no sample is decided.

    It is over the problems that every model of the task has decided samples of, as are all other estimates.
    """
    bounded: tuple[BoundedPoint, ...] = ()
    """Bounds over all planned problems, where some lack samples: from k=1 where a problem has none."""
    compared: int = 0
    """Problems that `coverage` is over."""
    planned_samples: int = 0
    """Samples of the plan; 0 where no plan is known."""
    unfinished: bool = False
    """True where the plan has samples that have no verdict yet."""
    fit: Fit | None = None
    """Power law of coverage; None where fewer than five problems have a pass, or `limits` gives another reason."""
    majority: tuple[SelectionPoint, ...] = ()
    """Majority vote: the most frequent answer among k; empty where the verifier extracts no answers."""
    best_of: tuple[SelectionPoint, ...] = ()
    """Best of k by score; empty where samples have no scores."""
    weighted: tuple[SelectionPoint, ...] = ()
    """Vote weighted by scores; empty where samples have no scores or no answers."""
    duplicate_rate: float | None = None
    """Share of samples whose text equals an earlier sample of the same problem; None where texts are missing."""
    status_counts: dict[str, int] = Field(default_factory=dict)
    """Samples by status of their verdict."""
    tokens: int | None = None
    """Completion tokens, plus each problem's prompt tokens once; None for imported counts."""
    flops: float | None = None
    """Floating-point operations of all samples; None where the model's size is unknown."""
    gpu_hours: float | None = None
    """GPU hours of all samples, 0 for an engine without a GPU; None where no engine time was measured."""
    usd: float | None = None
    """Dollars of all samples, a paid judge included; None without a price."""
    baseline: bool = False
    """True for a model whose single try the others are compared with."""
    bounds: Bounds | None = None
    """Bounds of coverage; None where no fault and no timeout can hide a pass, or a problem has no sample."""
    prompt_cost: Cost = Cost()
    """Mean cost of one problem's prompt, paid once; k samples of it cost prompt_cost + k * sample_cost."""
    sample_cost: Cost = Cost()
    """Mean cost of one sample."""
    tiers: dict[str, int] = Field(default_factory=dict)
    """Samples by sandbox tier that verified them; the empty name stands for verifiers that run no code."""
    version: str = ""
    """Version of the verifiers; empty where it is unknown."""
    copies: CopyRates | None = None
    """How often samples have the same text; None where texts are missing."""
    per_problem: tuple[ProblemCounts, ...] = ()
    """Counts of every problem, in the task's order."""
    beta_binomial: BetaFit | None = None
    """Beta-binomial model of coverage; None where `fit` is None."""
    extrapolation: tuple[ExtrapolationPoint, ...] = ()
    """Coverage that each curve predicts at ten times the samples; empty where `extrapolated` is None."""
    extrapolated: Extrapolated | None = None
    """Mean of these curves with their range; None where `not_identified` says why."""
    not_identified: str = ""
    """Reason why nothing is extrapolated; empty where something is."""
    weighted_by: str | None = None
    """Weight of a vote in `weighted`: `score`, or `exp(score)` for scores outside 0 to 1; None without `weighted`."""
    verifier_flaw: tuple[FlawPoint, ...] = ()
    """One entry per assumed rate of false positives; empty where no sample passed."""
    stopped: Stopped | None = None
    """Signs that sampling stopped at a number of passes; None where there are none."""
    rounds: RoundsReport | None = None
    """Rounds of adaptive sampling and what they save; None for any other sampling."""
    scores: str | None = None
    """Version of the scores that `best_of` and `weighted` use; `verdicts` for the verdicts' own; None without any."""
    policy: str = ""
    """Answer policy in words, as `math/5, extraction kind, which boxed`; empty for imported verdicts.

    Keys with their default are left out, but for the extraction and the time limit. Where the problems' rules differ,
    they follow `mixed:`.
    """
    judged_by: tuple[JudgedBy, ...] = ()
    """The same policy with all its keys, one entry per kind of verifier; empty for imported verdicts."""
    finish_counts: dict[str, int] = Field(default_factory=dict)
    """Samples by finish reason: `stop`, `length` (cut at `max_tokens`), `prompt_too_long`, `error`, ….

    Empty for verdicts without text.
    """
    cut: float | None = None
    """Share of samples cut at `max_tokens`; a warning is given above .05. None where `finish_counts` is empty."""
    nothing_extracted: float | None = None
    """Share of decided samples whose verdict is `invalid`: no answer or code was found. None for imported verdicts."""
    invalid_reasons: dict[str, int] = Field(default_factory=dict)
    """The five most frequent reasons of `invalid` verdicts, as `thought not finished`, with their samples."""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """`pass@k`, `avg@n`, `maj@k`, `pass^k` and `g-pass@k` under these names; those that cannot be given are missing.

    `pass@k` is `coverage` and `maj@k` is `majority`. `pass^k` and `g-pass@k` ask how reliable a model is: all of k
    samples pass, or at least the share tau of them. Where sampling stopped at a number of passes, they are missing, and
    so is `avg@n`.
    """
    series: dict[str, float | str] = Field(default_factory=dict)
    """Place of the model in its series, as `{"checkpoint": 1000, "temperature": 0.6}`; empty outside of one."""


class CrossoverReport(Plain):
    """The crossover of one model against one baseline: the k at which coverage reaches the baseline's single try."""

    model: str
    """Name of the model."""
    baseline: str
    """Name of the baseline."""
    task: str
    """Name of the task."""
    k: int | None
    """Smallest k at which the model's coverage is at least `target`; None where it lies beyond n."""
    low: int | None
    """Lower end of the interval of k; None where it lies beyond n, or where there is only one problem."""
    high: int | None
    """Upper end of the interval of k; None where it lies beyond n, or where there is only one problem."""
    censored: bool
    """True where k lies beyond n."""
    best_k: int | None = None
    """Crossover if every problem short of samples were solved by the next one; equal to k where none is short."""
    usd_ratio: float | None
    """Dollars of k samples of the model divided by dollars of one try of the baseline; None where unknown or free."""
    flops_ratio: float | None = None
    """Operations of k samples of the model divided by operations of one try of the baseline; None where unknown."""
    usd_ratio_low: float | None = None
    """`usd_ratio` at the lower end of k; None where that end or a price is missing. Costs are taken as exact."""
    usd_ratio_high: float | None = None
    """`usd_ratio` at the upper end of k; None where that end or a price is missing."""
    flops_ratio_low: float | None = None
    """`flops_ratio` at the lower end of k; None where that end or a size is missing."""
    flops_ratio_high: float | None = None
    """`flops_ratio` at the upper end of k; None where that end or a size is missing."""
    tries: float | None = None
    """Mean samples per problem if a verifier stops at the first pass and k is the most; None where k is None."""
    tries_usd_ratio: float | None = None
    """`usd_ratio` of so many samples; None where unknown or free."""
    tries_flops_ratio: float | None = None
    """`flops_ratio` of so many samples; None where unknown."""
    n: int
    """Most decided samples of the model on a common problem: the largest k that was tried."""
    problems: int
    """Problems that both models have decided samples of; all numbers of this entry are over these."""
    target: float
    """The baseline's single try, 0 to 1."""
    target_low: float | None
    """Lower end of its interval; None where there is only one problem."""
    target_high: float | None
    """Upper end of its interval; None where there is only one problem."""
    reached: float
    """The model's coverage at k, or at n where k is None."""
    usd: float | None = None
    """Dollars of k samples of one problem; None where k is None, or without a price."""
    usd_low: float | None = None
    """Dollars at the lower end of k; None where that end or the price is missing."""
    usd_high: float | None = None
    """Dollars at the upper end of k; None where that end or the price is missing."""
    baseline_usd: float | None = None
    """Dollars of one try of the baseline; None without a price."""
    one_try: float | None = None
    """The model's single try minus the baseline's, paired by problem, -1 to 1."""
    one_try_low: float | None = None
    """Lower end of its interval; None where there is only one problem."""
    one_try_high: float | None = None
    """Upper end of its interval; None where there is only one problem."""


class SeriesReport(Plain):
    """Coverage at fixed k over the checkpoints, temperatures, … of a series."""

    task: str
    """Name of the task."""
    over: str
    """The key of `series` that is the axis, as `checkpoint`."""
    ks: tuple[int, ...]
    """Samples per problem of the points: 1 and the largest that all models of the series have, and one between."""
    lines: tuple[SeriesLine, ...]
    """One entry per group of models that differ in `over` alone."""


class Report(Plain):
    """The whole of report.json."""

    run: str = ""
    """Path or URI of the run."""
    unfinished: str = ""
    """How far the run is, as `12 of 40 samples`; empty where nothing is missing, or no plan is known."""
    population: Population = "problems"
    """Subject of the intervals: `problems` like these, or this very `benchmark`, of which only samples are drawn."""
    cells: tuple[Cell, ...] = ()
    """One entry per (model, task)."""
    crossovers: tuple[CrossoverReport, ...] = ()
    """One entry per model and baseline of the same task; empty without a baseline."""
    series: tuple[SeriesReport, ...] = ()
    """One entry per task and key of `series` that has at least two values; empty without grids and checkpoints."""
    limits: tuple[str, ...] = ()
    """What these numbers do not say: one sentence for every number that is missing or needs care."""
    warnings: tuple[str, ...] = ()
    """Reasons to doubt the numbers; the page shows them first."""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Where the numbers come from, by name: code, engines, models, sampling, verifiers, scores."""
    predicted: tuple[Prediction, ...] = ()
    """Newest prediction of the run and what it came to; empty where `troop plan --calibrate` was never used."""
