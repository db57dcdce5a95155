"""The shape of report.json: what machines read, and all that the page and the charts are drawn from.

Fields are only ever added, with a default, so that older reports stay readable.
"""

from pydantic import Field

from jobs.numbers.fits import LOSS
from sampling.validate import Plain


class CoveragePoint(Plain):
    """Coverage at k with its interval, which one problem alone does not have."""

    k: int
    value: float
    low: float | None
    high: float | None


class SelectionPoint(Plain):
    """What a selection method gets out of k samples."""

    k: int
    value: float


class Fit(Plain):
    """c = exp(a * k^b)."""

    kind: str = "exponentiated power law"
    a: float
    b: float
    loss: str = LOSS
    a_low: float
    a_high: float
    b_low: float
    b_high: float
    error_mean: float
    error_sd: float


class BetaFit(Plain):
    """Pass rates of problems drawn from Beta(alpha, beta), fitted by maximum likelihood; errors as in ``Fit``."""

    kind: str = "beta-binomial"
    alpha: float
    beta: float
    loss: str
    error_mean: float
    error_sd: float


class ExtrapolationPoint(Plain):
    """A fit's coverage at ``k``, beyond the samples there are.

    ``error`` is the mean of |predicted - measured| at ``measured_k`` of fits to ``prefix`` samples a problem.
    """

    kind: str
    k: int
    value: float
    prefix: int
    measured_k: int
    error: float | None


class FlawPoint(Plain):
    """What the first accepted sample's accuracy tends to, if that share of wrong samples were accepted.

    ``value`` counts a problem in which no sample was accepted as wrong; it is held against ``coverage`` at the same k.
    """

    false_positive_rate: float
    k: int
    value: float
    coverage: float


class Stopped(Plain):
    """Sampling seems to have ended at that many successes: the unbiased pass@1, and the usual, biased one."""

    successes: int
    one_try: float
    biased: float


class Cost(Plain):
    """Amounts of everything that is paid for; None where unknown."""

    tokens: float | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    usd: float | None = None


class Bounds(Plain):
    """Where coverage at k lies whatever faults and timeouts hide."""

    k: int
    low: float
    high: float


class ProblemCounts(Plain):
    """One problem: n decided samples, c of them passed; faults and timeouts."""

    id: str
    n: int
    c: int
    faults: int
    timeouts: int


class CopyRates(Plain):
    """Of pairs of samples of one problem, the share with the same text: near each other, and farther apart."""

    near: float
    far: float


class Cell(Plain):
    """One model on one task. ``scores`` names what ``best_of`` and ``weighted`` select by: a version of the scores."""

    model: str
    task: str
    problems: int
    samples: int
    coverage: tuple[CoveragePoint, ...] = ()
    fit: Fit | None = None
    majority: tuple[SelectionPoint, ...] = ()
    best_of: tuple[SelectionPoint, ...] = ()
    weighted: tuple[SelectionPoint, ...] = ()
    duplicate_rate: float | None = None
    status_counts: dict[str, int] = Field(default_factory=dict)
    tokens: int | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    usd: float | None = None
    baseline: bool = False
    bounds: Bounds | None = None
    prompt_cost: Cost = Cost()
    sample_cost: Cost = Cost()
    tiers: dict[str, int] = Field(default_factory=dict)
    version: str = ""
    copies: CopyRates | None = None
    per_problem: tuple[ProblemCounts, ...] = ()
    beta_binomial: BetaFit | None = None
    extrapolation: tuple[ExtrapolationPoint, ...] = ()
    weighted_by: str | None = None
    verifier_flaw: tuple[FlawPoint, ...] = ()
    stopped: Stopped | None = None
    scores: str | None = None


class CrossoverReport(Plain):
    """The smallest k at which ``model`` reaches ``baseline``'s single try; None beyond the ``n`` samples there are.

    ``usd`` is what k samples of a problem cost, from ``usd_low`` to ``usd_high`` over the interval of k, and
    ``baseline_usd`` one try of the baseline. ``one_try`` is the difference of both single tries, paired by problem.
    """

    model: str
    baseline: str
    task: str
    k: int | None
    low: int | None
    high: int | None
    censored: bool
    usd_ratio: float | None
    flops_ratio: float | None = None
    n: int
    problems: int
    target: float
    target_low: float | None
    target_high: float | None
    reached: float
    usd: float | None = None
    usd_low: float | None = None
    usd_high: float | None = None
    baseline_usd: float | None = None
    one_try: float | None = None
    one_try_low: float | None = None
    one_try_high: float | None = None


class Prediction(Plain):
    """What the plan expected, with a 95 % interval where there is one, and what it was."""

    what: str
    unit: str = ""
    predicted: float
    low: float | None = None
    high: float | None = None
    actual: float | None = None


class Report(Plain):
    """All of report.json."""

    run: str = ""
    cells: tuple[Cell, ...] = ()
    crossovers: tuple[CrossoverReport, ...] = ()
    limits: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: dict[str, str] = Field(default_factory=dict)
    predicted: tuple[Prediction, ...] = ()
