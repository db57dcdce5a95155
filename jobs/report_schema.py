"""The shape of report.json: what machines read, and all that the page and the charts are drawn from.

Fields are only ever added, with a default, so that older reports stay readable.
"""

from pydantic import Field

from jobs.fits import LOSS
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


class Cell(Plain):
    """One model on one task."""

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
    per_problem: tuple[ProblemCounts, ...] = ()


class CrossoverReport(Plain):
    """The smallest k at which ``model`` reaches ``baseline``'s single try; None beyond the ``n`` samples there are."""

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
    provenance: dict[str, str] = Field(default_factory=dict)
    predicted: tuple[Prediction, ...] = ()
