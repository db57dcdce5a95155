"""The estimates of a cell under the names that papers and other tools give them, each with its source."""

import numpy as np

from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import ONE_TWO_FIVE, Floats, Ints, k_grid
from jobs.numbers.intervals import curve_over_problems
from jobs.numbers.reliability import all_pass, share_passes
from jobs.numbers.tally import Tally, tally_of
from jobs.report.points import CoveragePoint, Metric, MetricPoint, SelectionPoint

POWERS = tuple(2**i for i in range(7))  # papers ask for pass^8 or G-Pass@16
TAUS = (0.25, 0.5, 0.75, 1.0)  # as in the paper
REFERENCES = {
    "pass@k": "1 - C(n-c, k) / C(n, k): Chen et al. 2021, arXiv 2107.03374, eq. 1",
    "avg@n": "c / n, the mean of n single tries: DeepSeek-AI 2025, arXiv 2501.12948, where it is called pass@1",
    "maj@k": "the most frequent answer of k: Wang et al. 2022, arXiv 2203.11171; maj1@k in arXiv 2206.14858",
    "pass^k": "C(c, k) / C(n, k): Yao et al. 2024, arXiv 2406.12045",
    "g-pass@k": "sum of C(c, j) C(n-c, k-j) / C(n, k) over j from ceil(tau k) to c: Liu et al. 2024, arXiv 2412.13147",
}


def metrics_of(
    part: CellCounts, decided: Ints, coverage: tuple[CoveragePoint, ...], majority: tuple[SelectionPoint, ...]
) -> dict[str, Metric]:
    """Returns every metric that the counts can give, by name; ``decided`` are the problems with a decided sample."""
    if not coverage:
        return {}
    tally, one = tally_of(part, decided), coverage[0]
    points = {
        "pass@k": [_as_metric(point) for point in coverage],
        "avg@n": [MetricPoint(k=int(tally.n.min()), value=one.value, low=one.low, high=one.high)],
        "maj@k": [_as_metric(point) for point in majority],
        **({} if tally.stopping else _reliability(tally)),
    }
    if tally.stopping:
        del points["avg@n"]  # the mean of c / n is biased then; coverage has the unbiased pass@1
    return {name: Metric(reference=REFERENCES[name], points=tuple(given)) for name, given in points.items() if given}


def _as_metric(point: CoveragePoint | SelectionPoint) -> MetricPoint:
    return MetricPoint(k=point.k, value=point.value, low=point.low, high=point.high)


def _reliability(tally: Tally) -> dict[str, list[MetricPoint]]:
    """Returns the points of pass^k and of G-Pass@k, for sampling that no outcome ended."""
    largest = int(tally.n.min())
    ks = np.array(sorted({*k_grid(largest, ONE_TWO_FIVE).tolist(), *(k for k in POWERS if k <= largest)}))
    shares = share_passes(tally.n, tally.c, ks, TAUS)
    return {
        "pass^k": _points(ks, all_pass(tally.n, tally.c, ks), None),
        "g-pass@k": [each for i, tau in enumerate(TAUS) for each in _points(ks, shares[:, :, i], tau)],
    }


def _points(ks: Ints, values: Floats, tau: float | None) -> list[MetricPoint]:
    curve, alone = curve_over_problems(ks, values), len(values) == 1
    ends = zip(ks, curve.value, curve.low, curve.high, strict=True)
    return [
        MetricPoint(k=int(k), tau=tau, value=float(v), low=None if alone else float(low),
                    high=None if alone else float(high))
        for k, v, low, high in ends
    ]  # fmt: skip
