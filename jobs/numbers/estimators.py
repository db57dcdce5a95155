"""Coverage and its uncertainty, from per-problem counts alone.

Arrays have shape (P,), one entry per problem: ``n`` samples, of which ``c`` passed. (P, K) adds one column per k, (R,
…) one row per bootstrap resample. jobs/numbers/intervals.py has the intervals of coverage; resamples are for what has
no closed form, as the parameters of a fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from sampling.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RESAMPLES = 2_000
LEVEL = 0.95
RENARD = (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)  # ISO 3: ten round steps a decade
ONE_TWO_FIVE = (1, 2, 5)


@dataclass(frozen=True)
class Interval:
    """A point estimate with the bounds of a two-sided interval."""

    value: float
    low: float
    high: float


def pass_at_k(n: ArrayLike, c: ArrayLike, ks: ArrayLike) -> Floats:
    """Returns the chance that k of a problem's n samples, drawn without replacement, hold a pass; shape (P, K).

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. 2021 (arXiv 2107.03374, eq. 1), by log-gamma so that
    no binomial overflows (the error is about 1e-11 at n=10,000). It is exactly 1 where fewer than k samples failed and
    exactly 0 where none passed. The problems' n may differ. Raises BadInput for a k beyond the smallest n, where no
    unbiased estimator exists.
    """
    samples, passed, draws = _counts(n, c), _counts(c, c), _whole(ks)
    _check(samples, passed, draws)
    return pass_chance(samples[:, None], passed[:, None], draws[None, :])


def pass_chance(n: Ints, c: Ints, k: Ints) -> Floats:
    """Returns ``pass_at_k`` element by element, of arrays whose shapes broadcast; 1 <= k <= n is not checked."""
    log_none = gammaln(n - c + 1) - gammaln(np.maximum(n - c - k, 0) + 1) - (gammaln(n + 1) - gammaln(n - k + 1))
    value: Floats = np.where(n - c < k, 1.0, -np.expm1(np.minimum(log_none, 0.0)))
    return np.where(c == 0, 0.0, np.where(k == 1, c / np.maximum(n, 1), value))


def coverage(n: ArrayLike, c: ArrayLike, ks: ArrayLike) -> Floats:
    """Returns the mean of ``pass_at_k`` over problems, shape (K,)."""
    return _mean_over_problems(pass_at_k(n, c, ks))


def k_grid(largest: int, series: Sequence[float] = RENARD) -> Ints:
    """Returns round whole numbers from 1 to ``largest``, both included, about evenly spaced in the logarithm."""
    decades = range(len(str(max(largest, 1))))
    spaced = {int(step * 10**decade) for decade in decades for step in series}
    return np.array(sorted(k for k in spaced | {largest} if 1 <= k <= largest), dtype=np.int64)


def resample_weights(problems: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Draws how often each problem occurs in each bootstrap resample, divided by P; shape (R, P).

    The bootstrap of Efron 1979 as a matrix: a resample's mean is its row times the values, so a whole curve is one
    matrix product. Equal arguments give equal weights, which pairs two models.
    """
    drawn = np.random.default_rng(seed).multinomial(problems, np.full(problems, 1 / problems), size=resamples)
    return drawn / problems


def bootstrap(values: Floats, weights: Floats) -> Floats:
    """Returns the mean of ``values`` (P, K) over the problems of every resample, shape (R, K)."""
    return weights @ values


def percentile_bounds(draws: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Returns the percentile interval (Efron 1981) of ``draws`` (R, K) over resamples: (low, high), shape (K,) each."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class Curve:
    """A quantity as a function of k, with its interval; arrays of shape (K,)."""

    ks: Ints
    value: Floats
    low: Floats
    high: Floats

    def at(self, k: int) -> Interval:
        """Returns the interval at ``k``; raises BadInput where the curve does not have that k."""
        index = int(np.searchsorted(self.ks, k))
        if index == len(self.ks) or self.ks[index] != k:
            raise BadInput(f"k={k} is not on this curve; it has {self.ks.tolist()}")
        return Interval(float(self.value[index]), float(self.low[index]), float(self.high[index]))


def coverage_bounds(n: ArrayLike, c: ArrayLike, faults: ArrayLike, timeouts: ArrayLike, ks: ArrayLike) -> Curve:
    """Returns the bounds of coverage when nothing is assumed about faults and timeouts.

    The bounds of Manski 1989: at worst every fault hides a failure, at best every fault and every timeout hides a
    pass. ``value`` is the estimate from decided samples; NaN at a k beyond their number.
    """
    decided, passed, missing, late = _counts(n, c), _counts(c, c), _counts(faults, c), _counts(timeouts, c)
    draws = _whole(ks)
    every = decided + missing
    low = coverage(every, passed, draws)
    high = coverage(every, np.minimum(passed + missing + late, every), draws)
    known = draws <= decided.min()
    value = np.full(len(draws), np.nan)
    if known.any():
        value[known] = coverage(decided, passed, draws[known])
    return Curve(ks=draws, value=value, low=low, high=high)


def highest_after_none(problems: int, level: float = LEVEL) -> float:
    """Returns the upper end of the exact binomial interval (Clopper & Pearson 1934) after no success in ``problems``.

    A bootstrap of zeros alone gives the interval [0, 0], which claims far too much.
    """
    return float(1 - ((1 - level) / 2) ** (1 / problems))


def stopped_at(n: ArrayLike, c: ArrayLike) -> int | None:
    """Returns the number of successes at which sampling seems to have stopped, or None.

    Evidence for a stop: all problems that have fewer samples than the most have equally many passes, and no problem
    has more.
    """
    samples, passed = _counts(n, c), _counts(c, c)
    short = samples < samples.max(initial=0)
    if len(np.unique(samples[short])) < 3 or len(np.unique(passed[short])) != 1:
        return None
    successes = int(passed[short][0])
    return successes if successes and (passed <= successes).all() else None


def _mean_over_problems(values: Floats) -> Floats:
    mean: Floats = np.minimum(values.mean(axis=0), 1.0)  # a mean of ones can exceed 1 by rounding
    return mean


def _counts(values: ArrayLike, like: ArrayLike) -> Ints:
    """Returns whole numbers of shape (P,); a single number stands for every problem."""
    shape = np.broadcast_shapes(np.shape(values), np.shape(like), (1,))
    return np.broadcast_to(_whole(values), shape)


def _whole(values: ArrayLike) -> Ints:
    array: NDArray[Any] = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or not np.array_equal(array, np.floor(array)):
        raise BadInput("counts and k must be whole numbers in one dimension")
    return array.astype(np.int64)


def _check(n: Ints, c: Ints, ks: Ints) -> None:
    if not len(n):
        raise BadInput("no problems: pass@k needs at least one")
    if n.shape != c.shape:
        raise BadInput(f"{len(n)} sample counts but {len(c)} pass counts; each problem needs one of each")
    wrong = np.flatnonzero((c < 0) | (c > n))
    if len(wrong):
        raise BadInput(f"problem {wrong[0]}: c={c[wrong[0]]} of n={n[wrong[0]]} passed; 0 <= c <= n is needed")
    require_ks(ks, int(n.min()))


def require_ks(ks: Ints | Sequence[int], largest: int) -> None:
    """Raises BadInput for a k that is not between 1 and ``largest``."""
    outside = [int(k) for k in ks if not 1 <= k <= largest]
    if outside:
        raise BadInput(f"k={outside[0]}: pass@k is defined for 1 <= k <= {largest}, the fewest samples of a problem")
