"""Intervals of coverage and of differences, in closed form.

Two populations are meant by "coverage". ``problems``: problems like these, of which the benchmark is a sample; the
interval covers the choice of problems and the draw of samples. ``benchmark``: these very problems; the interval covers
the draw of samples alone. The percentile bootstrap over problems, which most papers use, covers .00 to .95 where its
95 % are promised: with few problems, and near 0 and 1 (bench/intervals.py measures both).
"""

from typing import Literal, get_args

import numpy as np
from scipy.special import betaincinv, stdtrit

from jobs.numbers.estimators import LEVEL, Curve, Floats, Interval, Ints, pass_chance
from sampling.errors import BadInput

Population = Literal["problems", "benchmark"]
POPULATIONS: tuple[Population, ...] = get_args(Population)
_TINY = 1e-12
_COIN = 0.25  # the variance of a fair coin: no share varies more
_NORMAL = float(stdtrit(1e9, (1 + LEVEL) / 2))


def mean_bounds(values: Floats) -> tuple[Floats, Floats]:
    """Returns the interval of the mean over problems like these, of ``values`` (P, K) in [0, 1]; shape (K,) each.

    Korn & Graubard 1998 (Survey Methodology 24): the exact binomial interval at the number of problems that would
    give this variance. One more problem with the variance of a coin at the smoothed mean (Agresti & Coull 1998) is
    added to the variance, since that of a few problems is often far too small. [0, 1] for a single problem.
    """
    problems, mean = len(values), values.mean(axis=0)
    if problems < 2:
        return np.zeros_like(mean), np.ones_like(mean)
    coin = (mean * problems + 1) / (problems + 2)
    variance = (values.var(axis=0, ddof=1) * (problems - 1) + coin * (1 - coin)) / problems
    variance = np.minimum(variance, mean * (1 - mean))  # shares vary no more than coins do
    shrink = (_NORMAL / _student(problems)) ** 2
    return exact_bounds(mean, variance / problems / shrink, problems)


def exact_bounds(mean: Floats, variance: Floats, trials: int) -> tuple[Floats, Floats]:
    """Returns the interval of Clopper & Pearson 1934 at as many trials as give ``variance`` to the mean.

    Where the mean is 0 or 1, ``trials`` are taken.
    """
    inside = (mean > _TINY) & (mean < 1 - _TINY) & (variance > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        count = np.where(inside, mean * (1 - mean) / variance, float(trials))
    hits, tail = np.clip(mean, 0, 1) * count, (1 - LEVEL) / 2
    low = np.where(mean > _TINY, betaincinv(np.maximum(hits, _TINY), count - hits + 1, tail), 0.0)
    high = np.where(mean < 1 - _TINY, betaincinv(hits + 1, np.maximum(count - hits, _TINY), 1 - tail), 1.0)
    return np.minimum(low, mean), np.maximum(high, np.minimum(mean, 1.0))


def difference_bounds(values: Floats) -> tuple[Floats, Floats]:
    """Returns the interval of the mean over problems like these, of paired differences (P, K) in [-1, 1].

    Student's t (1908) over problems. As in ``mean_bounds``, one more problem is added to the variance: one that
    differs by as much as these do on average. [-1, 1] for a single problem.
    """
    problems, mean = len(values), values.mean(axis=0)
    if problems < 2:
        return np.full_like(mean, -1.0), np.full_like(mean, 1.0)
    differ = (np.abs(values).sum(axis=0) + 1) / (problems + 2)
    added = np.maximum(differ - mean**2, 0)
    variance = (values.var(axis=0, ddof=1) * (problems - 1) + added) / problems
    return _around(mean, _student(problems) * np.sqrt(variance / problems))


def noise_variance(n: Ints, c: Ints, ks: Ints) -> Floats:
    """Estimates the variance that the draw of samples gives each problem's pass@k; shape (P, K).

    The jackknife over samples, which is never too small on average (Efron & Stein 1981); at k = n that of k = n - 1.
    """
    total, passed = n[:, None], c[:, None]
    fewer = np.maximum(n - 1, 1)
    k = np.minimum(ks[None, :], fewer[:, None])
    without_pass = pass_chance(fewer[:, None], np.maximum(passed - 1, 0), k)
    without_fail = pass_chance(fewer[:, None], np.minimum(passed, fewer[:, None]), k)
    step = np.where((passed > 0) & (passed < total), without_fail - without_pass, 0.0)
    value: Floats = (total - 1) * passed * (total - passed) / np.maximum(total, 1) ** 2 * step**2
    return np.where(total > 1, value, np.where(total == 1, _COIN, 0.0))


def noise_bounds(mean: Floats, variance: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Returns the interval of coverage of these very problems, from each one's ``noise_variance`` (P, K).

    ``share`` is k / n, shape (K,). One more problem as uncertain as one can be at that k is added, since no variance is
    seen where no single pass decides. The variance is never that of as many coins with one mean, or more.
    """
    problems = len(variance)
    found = (variance.sum(axis=0) + _COIN * share) / problems**2
    return exact_bounds(mean, np.minimum(found, mean * (1 - mean) / problems), problems)


def noise_difference_bounds(mean: Floats, variance: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Returns the interval of a difference on these very problems; ``variance`` (P, K) is that of the differences."""
    spread = np.sqrt(variance.sum(axis=0) + _COIN * share) / len(variance)
    return _around(mean, _NORMAL * spread)


def curve_over_problems(ks: Ints, values: Floats) -> Curve:
    """Returns the mean over problems of any per-problem ``values`` (P, K) in [0, 1], with its interval."""
    low, high = mean_bounds(values)
    return Curve(ks=ks, value=np.minimum(values.mean(axis=0), 1.0), low=low, high=high)


def never_falling(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Returns the ends of the intervals of a quantity that never falls with k: what holds at one k, holds at others."""
    return np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]


def paired_difference(first: Floats, second: Floats) -> Interval:
    """Returns mean(first) - mean(second) over the same problems, shape (P,) each, for problems like these."""
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise BadInput(f"a paired difference needs two values per problem, got shapes {first.shape} and {second.shape}")
    low, high = difference_bounds((first - second)[:, None])
    return Interval(float((first - second).mean()), float(low[0]), float(high[0]))


def _student(problems: int) -> float:
    return float(stdtrit(problems - 1, (1 + LEVEL) / 2))


def _around(mean: Floats, reach: Floats) -> tuple[Floats, Floats]:
    return np.maximum(mean - reach, -1.0), np.minimum(mean + reach, 1.0)
