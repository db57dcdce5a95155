"""Coverage from counts, also where problems have unequal samples, or where sampling stopped because of its outcome.

A problem *reaches* k where its pass@k has an unbiased estimate: up to its number of samples or, where it retired with
enough passes, up to the cap. Beyond, its pass@k lies between that of its own samples (the worst case) and 1 (the best).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.numbers.cells import CellCounts, Stopping
from jobs.numbers.estimators import Curve, Floats, Ints, k_grid, pass_chance, stopped_at
from jobs.numbers.intervals import (
    Population,
    curve_over_problems,
    mean_bounds,
    never_falling,
    noise_bounds,
    noise_variance,
)
from jobs.numbers.paths import pass_when_stopped

_MOST_VALUES = 4_000_000  # in memory at once
_SHORT = 0.05  # share of problems that may be left out of fits, so that one short problem does not cut all others


@dataclass(frozen=True)
class Tally:
    """Counts of one model on some problems, arrays of shape (P,), and the rule that ended sampling early, if any."""

    n: Ints
    c: Ints
    stopping: Stopping | None = None
    before: Ints | None = None
    """Samples at the end of the round before the one that a problem ended at; None: the rule tells it."""
    retired: NDArray[np.bool_] | None = None
    """True where a problem ended with enough passes; None: its passes tell it."""

    @property
    def reach(self) -> Ints:
        """The largest k with an unbiased estimate, by problem."""
        if self.stopping is None:
            return self.n
        retired = self.c >= self.stopping.retire_at if self.retired is None else self.retired
        return np.where(retired, np.maximum(self.n, self.stopping.cap), self.n)

    @property
    def largest(self) -> int:
        """The largest k that every problem reaches."""
        return int(self.reach.min())

    @property
    def furthest(self) -> int:
        """The largest k that any problem reaches."""
        return int(self.reach.max())

    def part(self, indices: Ints) -> "Tally":
        before = None if self.before is None else self.before[indices]
        retired = None if self.retired is None else self.retired[indices]
        return Tally(self.n[indices], self.c[indices], self.stopping, before, retired)

    def values(self, ks: ArrayLike) -> Floats:
        """Returns the unbiased pass@k of each problem; shape (P, K). Beyond a problem's reach it is the worst case."""
        draws = np.minimum(np.atleast_1d(np.asarray(ks, dtype=np.int64))[None, :], self.reach[:, None])
        n, c = self.n[:, None], self.c[:, None]
        if self.stopping is None:
            return pass_chance(n, c, draws)
        before = self.stopping.round_before(self.n) if self.before is None else self.before
        return pass_when_stopped(self.n, self.c, before, self.stopping.retire_at, draws)

    def bounds(self, ks: Ints) -> tuple[Floats, Floats]:
        """Returns pass@k of each problem in the worst and in the best case; equal within a problem's reach."""
        worst = self.values(ks)
        return worst, np.where(ks[None, :] > self.reach[:, None], 1.0, worst)

    def mean(self, k: int) -> float:
        """Returns coverage at k, in the worst case."""
        return float(min(self.values([k]).mean(), 1.0))

    def noise(self, ks: Ints) -> Floats:
        """Returns the variance that the draw of samples gives to ``values``; the largest possible where it stopped."""
        if self.stopping is not None:
            return np.full((len(self.n), len(ks)), 0.25)
        return noise_variance(self.n, self.c, ks)

    def without_short(self) -> "Tally":
        """Returns the problems without those, at most a twentieth, that have the fewest samples."""
        floor = np.quantile(self.reach, _SHORT, method="higher")
        return self.part(np.flatnonzero(self.reach >= floor))


def coverage_curve(tally: Tally, ks: Ints | None = None, population: Population = "problems") -> Curve:
    """Returns coverage with its interval at ``ks``; default: a log-spaced grid up to the largest k of every problem."""
    grid = k_grid(tally.largest) if ks is None else ks
    curve = curve_over_problems(grid, tally.values(grid))
    low, high = curve.low, curve.high
    if population == "benchmark":
        low, high = noise_bounds(curve.value, tally.noise(grid), grid / max(tally.largest, 1))
    return Curve(grid, curve.value, *never_falling(low, high))


def mean_tries(tally: Tally, k: int) -> float:
    """Returns the mean number of samples of a problem if one stops at the first pass, and at k in any case.

    It is the sum of 1 - coverage(j) over j < k: sample j + 1 is drawn where the first j failed.
    """
    steps = np.arange(1, k)
    parts = np.array_split(steps, -(-len(steps) * len(tally.n) // _MOST_VALUES)) if k > 1 else []
    return 1.0 + sum(float((1 - tally.values(part).mean(axis=0)).sum()) for part in parts)


def bounds_over_all(
    tally: Tally, unmet: int, ks: Ints, population: Population = "problems"
) -> tuple[Floats, Floats, Floats, Floats]:
    """Returns coverage in the worst and in the best case over all problems, ``unmet`` ones without samples included.

    Then the lower end of the interval of the worst case, and the upper end of that of the best.
    """
    worst, best = (
        np.vstack([values, np.full((unmet, len(ks)), fill)])
        for values, fill in zip(tally.bounds(ks), (0.0, 1.0), strict=True)
    )
    lows, highs = (_bounds_of(values, tally, unmet, ks, population) for values in (worst, best))
    return worst.mean(axis=0), np.minimum(best.mean(axis=0), 1.0), *never_falling(lows[0], highs[1])


def _bounds_of(values: Floats, tally: Tally, unmet: int, ks: Ints, population: Population) -> tuple[Floats, Floats]:
    if population == "problems":
        return mean_bounds(values)
    noise = np.vstack([tally.noise(ks), np.zeros((unmet, len(ks)))])
    return noise_bounds(values.mean(axis=0), noise, np.minimum(ks / tally.n.max(), 1.0))


def tally_of(cell: CellCounts, indices: Ints) -> Tally:
    """Returns the counts of some of a cell's problems, with the rule that is known or seen to have ended sampling."""
    if cell.rounds is not None:
        rounds = cell.rounds.part(indices)
        return Tally(rounds.n, rounds.c, cell.stopping, rounds.before, rounds.retired)
    return Tally(cell.n[indices], cell.c[indices], stopping_of(cell))


def stopping_of(cell: CellCounts) -> Stopping | None:
    """Returns the rule that ended a cell's sampling because of its outcome; None where there is none."""
    decided = cell.n > 0
    if cell.stopping is not None or not decided.any():
        return cell.stopping
    passes = stopped_at(cell.n[decided], cell.c[decided])
    return None if passes is None else Stopping(retire_at=passes, cap=int(cell.n.max()))
