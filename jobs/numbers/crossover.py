"""Where a small model's many samples reach what a large one gets in a single try.

The crossover is the smallest k at which coverage(k) of the model is at least pass@1 of the baseline, over the problems
that both have met (the comparison of Brown et al. 2024, arXiv 2407.21787, section 2). Beyond the samples that were
drawn nothing is extrapolated: the crossover is then censored at n.
"""

from dataclasses import dataclass

import numpy as np

from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import (
    LEVEL,
    RESAMPLES,
    Floats,
    Interval,
    Ints,
    bootstrap,
    coverage,
    paired_difference,
    pass_at_k,
    percentile_bounds,
    resample_weights,
)
from sampling.errors import BadInput

_EVERY_K_UP_TO = 256
_STEP = 0.01
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Crossover:
    """``k``, ``low`` and ``high`` are None where they lie beyond ``n``, the samples there are (censored).

    ``target`` is the baseline's single try, ``reached`` the model's coverage at k (at n where censored), and
    ``one_try`` the paired difference of both models' single tries, all over ``problems`` common problems.
    """

    k: int | None
    low: int | None
    high: int | None
    n: int
    target: Interval
    reached: float
    one_try: Interval
    problems: int

    @property
    def censored(self) -> bool:
        return self.k is None


@dataclass(frozen=True)
class _Pair:
    """Counts of both models on their common problems."""

    n: Ints
    c: Ints
    single: Floats


def common_problems(model: CellCounts, baseline: CellCounts) -> tuple[Ints, Ints]:
    """Where the problems that both have decided samples of are, in the one and in the other."""
    there = {name: i for i, name in enumerate(baseline.problem_ids) if baseline.n[i] > 0}
    here = [i for i, name in enumerate(model.problem_ids) if name in there and model.n[i] > 0]
    return np.array(here, dtype=np.int64), np.array([there[model.problem_ids[i]] for i in here], dtype=np.int64)


def find_crossover(model: CellCounts, baseline: CellCounts, resamples: int = RESAMPLES, seed: int = 0) -> Crossover:
    """The crossover with a bootstrap interval over problems, model and baseline resampled together."""
    here, there = common_problems(model, baseline)
    if not len(here):
        raise BadInput(f"{model.model} and {baseline.model} have no problem of {model.task} in common")
    pair = _Pair(model.n[here], model.c[here], baseline.c[there] / baseline.n[there])
    weights = resample_weights(len(here), resamples, seed)
    k, (low, high) = smallest_k(pair.n, pair.c, float(pair.single.mean())), _bounds(pair, weights)
    most = int(pair.n.min())
    return Crossover(
        k=k, low=low, high=high, n=most, problems=len(here),
        target=_single_try(pair.single, weights),
        reached=float(coverage(pair.n, pair.c, [k or most])[0]),
        one_try=paired_difference(pair.c / pair.n, pair.single, resamples, seed),
    )  # fmt: skip


def smallest_k(n: Ints, c: Ints, target: float) -> int | None:
    """The smallest k with coverage(k) >= target, by bisection (coverage never falls as k grows); None if none is."""
    reached, beyond = 0, int(n.min())
    if coverage(n, c, [beyond])[0] < target - _TOLERANCE:
        return None
    while beyond - reached > 1:
        middle = (reached + beyond) // 2
        if coverage(n, c, [middle])[0] < target - _TOLERANCE:
            reached = middle
        else:
            beyond = middle
    return beyond


def search_grid(largest: int) -> Ints:
    """Every k up to 256, then in steps of one per cent: what an interval's ends are read from."""
    dense = np.arange(1, min(largest, _EVERY_K_UP_TO) + 1)
    steps = int(np.log(max(largest / _EVERY_K_UP_TO, 1)) / _STEP) + 2
    sparse = np.geomspace(min(largest, _EVERY_K_UP_TO), largest, steps).round().astype(np.int64)
    return np.unique(np.concatenate([dense, sparse]))


def _bounds(pair: _Pair, weights: Floats, level: float = LEVEL) -> tuple[int | None, int | None]:
    """The percentile interval of the crossover; a resample that never crosses counts as beyond every k."""
    grid = search_grid(int(pair.n.min()))
    curves = bootstrap(pass_at_k(pair.n, pair.c, grid), weights)
    reached = curves >= (weights @ pair.single)[:, None] - _TOLERANCE
    firsts = np.append(grid, np.iinfo(np.int64).max)[np.where(reached.any(axis=1), reached.argmax(axis=1), len(grid))]
    tail = (1 - level) / 2
    ends = np.quantile(firsts, [tail, 1 - tail], method="inverted_cdf")
    low, high = (int(end) if end <= grid[-1] else None for end in ends)
    return low, high


def _single_try(single: Floats, weights: Floats) -> Interval:
    low, high = percentile_bounds(weights @ single[:, None])
    return Interval(float(single.mean()), float(low[0]), float(high[0]))
