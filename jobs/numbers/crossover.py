"""The crossover: how many samples of a small model reach what a large one gets in a single try.

It is the smallest k at which the model's coverage(k) is at least the baseline's pass@1, over the problems that both
have decided samples of (the comparison of Brown et al. 2024, arXiv 2407.21787, section 2). Nothing is extrapolated: a
crossover beyond the samples that were drawn is censored at n.
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
    """The crossover of one model against one baseline, over their common problems."""

    k: int | None
    """None where it lies beyond n (censored); so for both bounds."""
    low: int | None
    high: int | None
    n: int
    """Samples per problem: the fewest of any common problem."""
    target: Interval
    """The baseline's single try."""
    reached: float
    """The model's coverage at k, or at n where k is censored."""
    one_try: Interval
    """The model's single try minus the baseline's, paired by problem."""
    problems: int

    @property
    def censored(self) -> bool:
        return self.k is None


@dataclass(frozen=True)
class _Pair:
    """Both models on their common problems, arrays of shape (P,): the model's n and c, the baseline's pass rate."""

    n: Ints
    c: Ints
    single: Floats


def common_problems(model: CellCounts, baseline: CellCounts) -> tuple[Ints, Ints]:
    """Returns the indices of the problems that both have decided samples of: in the model, and in the baseline."""
    there = {name: i for i, name in enumerate(baseline.problem_ids) if baseline.n[i] > 0}
    here = [i for i, name in enumerate(model.problem_ids) if name in there and model.n[i] > 0]
    return np.array(here, dtype=np.int64), np.array([there[model.problem_ids[i]] for i in here], dtype=np.int64)


def find_crossover(model: CellCounts, baseline: CellCounts, resamples: int = RESAMPLES, seed: int = 0) -> Crossover:
    """Finds the crossover with a bootstrap interval over problems; model and baseline are resampled together.

    Raises BadInput where they have no problem in common.
    """
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
    """Returns the smallest k with coverage(k) >= target, or None. Bisection: coverage never falls as k grows."""
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
    """Returns the k at which the interval's ends are searched: each up to 256, then steps of one per cent."""
    dense = np.arange(1, min(largest, _EVERY_K_UP_TO) + 1)
    steps = int(np.log(max(largest / _EVERY_K_UP_TO, 1)) / _STEP) + 2
    sparse = np.geomspace(min(largest, _EVERY_K_UP_TO), largest, steps).round().astype(np.int64)
    return np.unique(np.concatenate([dense, sparse]))


def _bounds(pair: _Pair, weights: Floats, level: float = LEVEL) -> tuple[int | None, int | None]:
    """Returns the percentile interval of the crossover; a resample without a crossover counts as beyond every k."""
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
