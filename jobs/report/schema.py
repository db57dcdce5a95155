"""The shape of report.json: what scripts read, and all that the page and the charts are drawn from.

Shares, rates and coverages are numbers from 0 to 1. Intervals are two-sided, at the 95 % level, over the
`population`. Fields are only ever added, with a default, so that older reports stay readable.
"""

from pydantic import Field

from jobs.numbers.fits import LOSS
from jobs.numbers.intervals import Population
from jobs.numbers.predict import Prediction
from sampling.judged_by import JudgedBy
from sampling.validate import Plain


class CoveragePoint(Plain):
    """Coverage at one k: the unbiased pass@k, averaged over problems."""

    k: int
    """Samples per problem, from 1 to the fewest decided samples of a problem."""
    value: float
    """Coverage at k, 0 to 1."""
    low: float | None
    """Lower end of its interval; None where there is only one problem, if problems like these are meant."""
    high: float | None
    """Upper end of its interval; None where there is only one problem, if problems like these are meant."""


class BoundedPoint(Plain):
    """Bounds of coverage at one k over all planned problems, where some have fewer than k samples, or none."""

    k: int
    """Samples per problem, up to the most decided samples of a problem."""
    worst: float
    """Coverage at k if no sample that is missing passes."""
    best: float
    """Coverage at k if every problem that has fewer than k samples is solved."""
    low: float | None
    """Lower end of the interval of `worst`; None as in `CoveragePoint`."""
    high: float | None
    """Upper end of the interval of `best`; None as in `CoveragePoint`."""
    short: int
    """Problems with fewer than k decided samples, those without any included."""


class SelectionPoint(Plain):
    """Share of problems that one way of selection answers right with k samples."""

    k: int
    """Samples per problem that the selection picks from."""
    value: float
    """Share of problems answered right, 0 to 1, in expectation over the draw of the k samples."""
    low: float | None = None
    """Lower end of its interval, always over problems like these; None where there is only one problem."""
    high: float | None = None
    """Upper end of its interval, always over problems like these; None where there is only one problem."""


class Fit(Plain):
    """The power law c = exp(a * k^b), fitted to coverage."""

    kind: str = "exponentiated power law"
    """Name of the curve."""
    a: float
    """Parameter a, the logarithm of coverage at k=1; negative."""
    b: float
    """Parameter b; the more negative, the faster coverage rises."""
    loss: str = LOSS
    """Name of what the fit minimises."""
    a_low: float
    """Lower end of the bootstrap interval of a."""
    a_high: float
    """Upper end of the bootstrap interval of a."""
    b_low: float
    """Lower end of the bootstrap interval of b."""
    b_high: float
    """Upper end of the bootstrap interval of b."""
    error_mean: float
    """Mean of |fitted - measured coverage| over 100 k, evenly spaced in the logarithm."""
    error_sd: float
    """Standard deviation of |fitted - measured coverage| over the same k."""


class BetaFit(Plain):
    """The beta-binomial model: pass rates of problems follow Beta(alpha, beta)."""

    kind: str = "beta-binomial"
    """Name of the model."""
    alpha: float
    """First parameter of the beta distribution, above 0."""
    beta: float
    """Second parameter of the beta distribution, above 0."""
    loss: str
    """Name of what the fit optimises."""
    error_mean: float
    """Mean of |fitted - measured coverage|, as in `Fit`."""
    error_sd: float
    """Standard deviation of |fitted - measured coverage|, as in `Fit`."""


class ExtrapolationPoint(Plain):
    """Coverage that one curve predicts beyond the samples that were drawn, from measured coverage on."""

    kind: str
    """Name of the curve, as in `Fit` or `BetaFit`; `… on coverage` is the power law by least squares on coverage."""
    k: int
    """Samples per problem of the prediction: ten times the fewest decided samples of a problem."""
    value: float
    """Coverage at k, 0 to 1: 1 - (1 - measured(n)) * (1 - F(k)) / (1 - F(n)), with F the fitted curve."""
    prefix: int
    """Samples per problem, drawn at random from the existing ones, that the back-test fits the curves to."""
    measured_k: int
    """Samples per problem at which the back-test compares with measured coverage."""
    error: float | None
    """Error of the back-test of the mean of all curves, as in `Extrapolated`."""


class Extrapolated(Plain):
    """Coverage predicted beyond the samples that were drawn: the mean of all curves of `extrapolation`."""

    k: int
    """Samples per problem of the prediction: ten times the fewest decided samples of a problem."""
    value: float
    """Mean of the curves, 0 to 1."""
    low: float
    """Lowest of the curves. The range is no interval: nothing excludes problems that the model can never solve."""
    high: float
    """Highest of the curves."""
    error: float | None
    """Mean of |predicted - measured coverage| of the back-test, which fits a tenth of each problem's samples.

    It is no error bar: a small one does not mean that the prediction is good. None where so few samples have no fit, or
    sampling stopped early.
    """


class FlawPoint(Plain):
    """Accuracy of the first accepted sample, if the verifier accepted a share of the wrong samples."""

    false_positive_rate: float
    """Assumed share of wrong samples that the verifier accepts, 0 to 1."""
    k: int
    """Samples per problem: the fewest decided samples of a problem."""
    value: float
    """Share of problems whose first accepted sample is right; without an accepted sample a problem counts as wrong."""
    coverage: float
    """Measured coverage at the same k, which takes every accepted sample for right."""


class Stopped(Plain):
    """Signs that sampling stopped when a problem had enough passes.

    Coverage then uses the estimator that allows for it (Girshick, Mosteller and Savage 1946), up to the cap.
    """

    successes: int
    """Passes at which sampling seems to have stopped."""
    one_try: float
    """Unbiased estimate of pass@1, which `coverage` has."""
    biased: float
    """The usual estimate of pass@1, which is too large."""
    cap: int = 0
    """Samples at which a problem ends without so many passes, as far as the counts show."""


class Cost(Plain):
    """Amounts of the four things that are paid for."""

    tokens: float | None = None
    """Tokens; None for imported counts."""
    flops: float | None = None
    """Floating-point operations; None where the model's size is unknown."""
    gpu_hours: float | None = None
    """GPU hours; None where no engine time was measured."""
    usd: float | None = None
    """Dollars; None without a price."""


class Bounds(Plain):
    """Bounds of coverage when nothing is assumed about what faults and timeouts hide."""

    k: int
    """Samples per problem: the fewest decided samples of a problem."""
    low: float
    """Coverage at k if every fault hides a failure."""
    high: float
    """Coverage at k if every fault and every timeout hides a pass."""


class ProblemCounts(Plain):
    """Counts of one problem."""

    id: str
    """Identifier of the problem in its task."""
    n: int
    """Samples with a decided verdict: every status but `fault`."""
    c: int
    """Samples among them that passed."""
    faults: int
    """Samples with status `fault`: Troop failed to verify them."""
    timeouts: int
    """Samples among n with status `timeout`."""


class CopyRates(Plain):
    """Chance that two samples of one problem have the same text."""

    near: float
    """Chance for two samples with neighbouring indices, which one engine drew; the temperature explains it."""
    far: float
    """Chance for two samples far apart; independent ones repeat as often as near ones, copies more often."""


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
    scores: str | None = None
    """Version of the scores that `best_of` and `weighted` use; `verdicts` for the verdicts' own; None without any."""
    policy: str = ""
    """Answer policy in words, as `math/5, extraction kind, which boxed`; empty for imported verdicts.

    Keys with their default are left out, but for the extraction and the time limit. Where the problems' rules differ,
    they follow `mixed:`.
    """
    judged_by: tuple[JudgedBy, ...] = ()
    """The same policy with all its keys, one entry per kind of verifier; empty for imported verdicts."""


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


class Report(Plain):
    """The whole of report.json."""

    run: str = ""
    """Path or URI of the run."""
    unfinished: str = ""
    """How far the run is, as `12 of 40 samples`; empty where nothing is missing, or no plan is known."""
    population: Population = "problems"
    """What intervals are about: `problems` like these, or this very `benchmark`, of which only samples are drawn."""
    cells: tuple[Cell, ...] = ()
    """One entry per (model, task)."""
    crossovers: tuple[CrossoverReport, ...] = ()
    """One entry per model and baseline of the same task; empty without a baseline."""
    limits: tuple[str, ...] = ()
    """What these numbers do not say: one sentence for every number that is missing or needs care."""
    warnings: tuple[str, ...] = ()
    """Reasons to doubt the numbers; the page shows them first."""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Where the numbers come from, by name: code, engines, models, sampling, verifiers, scores."""
    predicted: tuple[Prediction, ...] = ()
    """Newest prediction of the run and what it came to; empty where `troop plan --calibrate` was never used."""
