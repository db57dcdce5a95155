"""The crossover: how many samples of a small model reach what a large one gets in a single try.

It is the smallest k at which the model's coverage(k) is at least the baseline's pass@1, over the problems that both
have decided samples of (the comparison of Brown et al. 2024, arXiv 2407.21787, section 2). Nothing is extrapolated: a
crossover beyond the samples that were drawn is censored at n. Its interval holds every k that a test does not exclude
(inversion of tests: Neyman 1937): the difference of coverage(k) and the baseline's single try, paired by problem.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import Floats, Interval, Ints
from jobs.numbers.intervals import Population, difference_bounds, mean_bounds, noise_bounds, noise_difference_bounds
from jobs.numbers.tally import Tally, tally_of
from sampling.errors import BadInput

_EVERY_K_UP_TO = 256
_STEP = 0.01
_TOLERANCE = 1e-9  # log-gamma errs by up to 3e-10
_ONE = np.ones(1, dtype=np.int64)
_MOST_VALUES = 4_000_000  # in memory at once


@dataclass(frozen=True)
class Crossover:
    """The crossover of one model against one baseline, over their common problems."""

    k: int | None
    """None where it lies beyond n (censored); so for both bounds. Where problems are short, that of the worst case."""
    low: int | None
    high: int | None
    n: int
    """Samples per problem: the most of any common problem."""
    target: Interval
    """The baseline's single try."""
    reached: float
    """The model's coverage at k, or at n where k is censored; in the worst case."""
    one_try: Interval
    """The model's single try minus the baseline's, paired by problem."""
    problems: int
    best_k: int | None = None
    """The crossover if all that short problems lack had passed; equal to k where no problem is short."""

    @property
    def censored(self) -> bool:
        return self.k is None


@dataclass(frozen=True)
class _Pair:
    """Both models on their common problems."""

    model: Tally
    baseline: Tally
    population: Population

    @property
    def single(self) -> Floats:
        """The baseline's single try by problem, shape (P, 1)."""
        return self.baseline.values(_ONE)

    def differences(self, ks: Ints) -> tuple[Floats, Floats]:
        """Returns the lower end of the interval in the worst case at each k, and the upper end in the best case."""
        worst, best = (values - self.single for values in self.model.bounds(ks))
        if self.population == "problems":
            return difference_bounds(worst)[0], difference_bounds(best)[1]
        share = np.minimum(ks / self.model.n.min(), 1.0)
        variance = self.model.noise(ks) + self.baseline.noise(_ONE)
        ends = [noise_difference_bounds(values.mean(axis=0), variance, share) for values in (worst, best)]
        return ends[0][0], ends[1][1]


def common_problems(model: CellCounts, baseline: CellCounts) -> tuple[Ints, Ints]:
    """Returns the indices of the problems that both have decided samples of: in the model, and in the baseline."""
    there = {name: i for i, name in enumerate(baseline.problem_ids) if baseline.n[i] > 0}
    here = [i for i, name in enumerate(model.problem_ids) if name in there and model.n[i] > 0]
    return np.array(here, dtype=np.int64), np.array([there[model.problem_ids[i]] for i in here], dtype=np.int64)


def find_crossover(model: CellCounts, baseline: CellCounts, population: Population = "problems") -> Crossover:
    """Finds the crossover with its interval. Raises BadInput where the two have no problem in common."""
    here, there = common_problems(model, baseline)
    if not len(here):
        raise BadInput(f"{model.model} and {baseline.model} have no problem of {model.task} in common")
    pair = _Pair(tally_of(model, here), tally_of(baseline, there), population)
    target, most = float(pair.single.mean()), pair.model.furthest
    k, (low, high) = smallest_k(pair.model.mean, most, target), _bounds(pair)
    return Crossover(
        k=k, low=low, high=high, n=most, problems=len(here),
        target=_single_try(pair),
        reached=pair.model.mean(k or most),
        one_try=_one_try(pair),
        best_k=smallest_k(_in_best_case(pair.model), most, target),
    )  # fmt: skip


def smallest_k(coverage: Callable[[int], float], most: int, target: float) -> int | None:
    """Returns the smallest k up to ``most`` with coverage(k) >= target, or None; coverage must never fall with k."""
    reached, beyond = 0, most
    if coverage(beyond) < target - _TOLERANCE:
        return None
    while beyond - reached > 1:
        middle = (reached + beyond) // 2
        if coverage(middle) < target - _TOLERANCE:
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


def _in_best_case(model: Tally) -> Callable[[int], float]:
    return lambda k: float(model.bounds(np.array([k]))[1].mean())


def _bounds(pair: _Pair) -> tuple[int | None, int | None]:
    """Returns the ends of the interval: the first k that a test does not exclude, and the k from which all are enough.

    Between two k of the grid, the lower end is the smaller and the upper end the larger one.
    """
    grid = search_grid(pair.model.furthest)
    parts = np.array_split(grid, -(-len(grid) * len(pair.model.n) // _MOST_VALUES))
    lows, highs = (np.concatenate(ends) for ends in zip(*map(pair.differences, parts), strict=True))
    possible, enough = np.flatnonzero(highs >= -_TOLERANCE), np.flatnonzero(lows < -_TOLERANCE)
    first, last = (int(possible[0]) if len(possible) else len(grid)), (int(enough[-1]) + 1 if len(enough) else 0)
    low = None if first == len(grid) else int(grid[first - 1] + 1 if first else 1)
    return low, None if last == len(grid) else int(grid[last])


def _single_try(pair: _Pair) -> Interval:
    value = pair.single.mean(axis=0)
    if pair.population == "problems":
        low, high = mean_bounds(pair.single)
    else:
        low, high = noise_bounds(value, pair.baseline.noise(_ONE), _ONE / pair.baseline.n.min())
    return Interval(float(value[0]), float(low[0]), float(high[0]))


def _one_try(pair: _Pair) -> Interval:
    low, high = pair.differences(_ONE)
    return Interval(float((pair.model.values(_ONE) - pair.single).mean()), float(low[0]), float(high[0]))
