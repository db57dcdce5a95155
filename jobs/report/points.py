"""The parts of report.json: points of curves, fits, costs, counts. Shares, rates and coverages are from 0 to 1."""

from jobs.numbers.fits import LOSS
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


class MetricPoint(Plain):
    """One value of a metric."""

    k: int
    """Samples per problem: k in the metric's name; for `avg@n` the fewest decided samples of a problem."""
    tau: float | None = None
    """Share of the k samples that have to pass, for `g-pass@k`; None for the others."""
    value: float
    """Mean over problems, 0 to 1."""
    low: float | None = None
    """Lower end of its interval, as in `CoveragePoint`; for `maj@k`, `pass^k` and `g-pass@k` as in `SelectionPoint`."""
    high: float | None = None
    """Upper end of its interval, likewise."""


class Metric(Plain):
    """A metric under the name that papers and other tools give it."""

    reference: str
    """Formula of the metric and its paper. Of a problem, n samples are decided and c of them passed."""
    points: tuple[MetricPoint, ...]
    """Values of the metric, over the same problems as `coverage`."""


class SeriesPoint(Plain):
    """Coverage of one model of a series."""

    at: float | str
    """Place on the series' axis, as 1000 for a checkpoint or 0.6 for a temperature."""
    model: str
    """Name of the model."""
    coverage: tuple[CoveragePoint, ...]
    """Coverage of the model at each k of the series."""


class SeriesLine(Plain):
    """Models that differ in nothing but their place on the axis of a series."""

    name: str
    """Name of what the models have in common, as `rl, temperature 0.6`."""
    points: tuple[SeriesPoint, ...]
    """Models of the line, in the order of the axis."""


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


class RoundsReport(Plain):
    """The rounds of adaptive sampling: what is decided so far, and what that saves."""

    first: int
    """Samples that every problem gets at first; majority, best-of and votes use these alone."""
    grow: float
    """Factor from one round's end to the next."""
    retire_at: int
    """Passes at which a problem retires when its round ends."""
    k: int
    """Samples at which the last round ends."""
    ends: tuple[int, ...]
    """Ends of the rounds so far."""
    retired: int
    """Problems that have retired."""
    capped: int
    """Problems that have not retired and have all k samples."""
    open: int
    """Problems that are in a round, or wait for the next."""
    samples: int
    """Samples that were drawn."""
    uniform: int
    """Samples that uniform sampling draws: k for each problem."""
    saved: int
    """Samples that uniform sampling would have drawn more, for the problems that retired."""
    otherwise: int = 0
    """Problems that these verdicts, of another version, would have decided otherwise than the plan did."""


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
