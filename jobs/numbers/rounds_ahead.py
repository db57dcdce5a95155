"""Prediction of the samples that adaptive sampling will draw, from what a run has drawn so far.

Pass rates are taken to follow a beta distribution, fitted to the counts; each problem's own counts then narrow it. The
rounds are played out many times. A prediction is about these very problems, so its interval is over the draws.
"""

from dataclasses import dataclass

import numpy as np

from jobs.numbers.beta_binomial import likeliest
from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import Floats, Ints, percentile_bounds
from jobs.numbers.rounds import next_end
from sampling.settings import Adaptive

PLAYS = 400


@dataclass(frozen=True)
class Ahead:
    """Samples of a model on a task when all rounds are over: the mean, and 95 % of the plays."""

    samples: float
    low: float
    high: float
    uniform: int

    @property
    def share(self) -> float:
        """Share of the samples that uniform sampling draws."""
        return self.samples / self.uniform if self.uniform else 1.0


def look_ahead(cell: CellCounts, policy: Adaptive, k: int, problems: int, seed: int = 0) -> Ahead | None:
    """Predicts a cell of ``problems`` problems; None before any sample is decided.

    Problems without a sample are like the others.
    """
    known = np.flatnonzero(cell.n > 0)
    if not len(known):
        return None
    n, c = (np.concatenate([values[known], np.zeros(max(0, problems - len(known)), dtype=np.int64)])
            for values in (cell.n, cell.c))  # fmt: skip
    alpha, beta = _prior(cell.n[known], cell.c[known])
    rng = np.random.default_rng(seed)
    totals = _play(n, c, rng.beta(alpha + c, beta + n - c, (PLAYS, len(n))), policy, k, rng).sum(axis=1)
    low, high = percentile_bounds(totals[:, None].astype(np.float64))
    return Ahead(float(totals.mean()), float(low[0]), float(high[0]), len(n) * k)


def _prior(n: Ints, c: Ints) -> tuple[float, float]:
    """Returns alpha and beta of the pass rates; with fewer than two problems that passed, hardly more than a guess."""
    if np.count_nonzero(c) < 2 or np.all(c == n):
        return 0.5, 0.5 * max(1.0, (n.sum() - c.sum() + 1) / (c.sum() + 1))
    return likeliest(n.astype(np.float64), c.astype(np.float64))


def _play(n: Ints, c: Ints, p: Floats, policy: Adaptive, k: int, rng: np.random.Generator) -> Ints:
    """Returns the samples of each problem in each play; shape (PLAYS, P)."""
    drawn, passed = (np.broadcast_to(values, p.shape).copy() for values in (n, c))
    end = 0
    while end < k:
        end = next_end(end, policy.first, policy.grow, k)
        on = (drawn < end) & ((passed < policy.retire_at) | (drawn < policy.first))
        more = np.where(on, end - drawn, 0)
        passed += rng.binomial(more, p)
        drawn += more
    return drawn
