"""The curve that coverage follows as samples grow: c = exp(a * k^b), an exponentiated power law.

Fitted as "Large Language Monkeys" printed it (Brown et al. 2024, arXiv 2407.21787, section 3.1): least squares on the
natural logarithm of coverage, at the distinct whole k of a grid over four decades. For any b the best a is known in
closed form (variable projection, Golub & Pereyra 1973), so only b is searched, for every bootstrap resample at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jobs.numbers.estimators import RESAMPLES, Floats, Ints, bootstrap, pass_at_k, percentile_bounds, resample_weights

FEWEST_SOLVED = 5
FEWEST_KS = 3
LOSS = "least squares on log coverage"
_B_FROM, _B_TO, _B_STEP = -3.0, 1.0, 0.01
_ZOOMS, _ZOOM_POINTS = 4, 21


@dataclass(frozen=True)
class PowerLaw:
    """a and b of c = exp(a * k^b), their bootstrap bounds, and how far the curve lies from what was measured.

    ``error_mean`` and ``error_sd`` are of |exp(a k^b) - c| over ``error_ks``; ``largest_k`` is where the data ended.
    """

    a: float
    b: float
    a_low: float
    a_high: float
    b_low: float
    b_high: float
    error_mean: float
    error_sd: float
    largest_k: int
    loss: str = LOSS

    def __call__(self, k: ArrayLike) -> Floats:
        return exponentiated_power_law(self.a, self.b, k)


def exponentiated_power_law(a: float, b: float, k: ArrayLike) -> Floats:
    """exp(a * k^b)."""
    value: Floats = np.exp(a * np.asarray(k, dtype=np.float64) ** b)
    return value


def fit_ks(largest: int) -> Ints:
    """The k that are fitted: unique(int(logspace(0, 4, 20))), as far as there are samples."""
    ks = np.unique(np.logspace(0, 4, 20).astype(np.int64))
    return ks[ks <= largest]


def error_ks(largest: int) -> Ints:
    """The k over which the fit's error is averaged: int(logspace(0, 4, 100)), duplicates kept."""
    ks = np.logspace(0, 4, 100).astype(np.int64)
    return ks[ks <= largest]


def why_no_fit(n: ArrayLike, c: ArrayLike) -> str | None:
    """The reason why these counts get no fit, or None where they do."""
    solved, largest = int(np.count_nonzero(np.asarray(c))), int(np.min(n))
    if solved < FEWEST_SOLVED:
        return f"no fit: {solved} problems have a passing sample, at least {FEWEST_SOLVED} are needed"
    if len(fit_ks(largest)) < FEWEST_KS:
        return f"no fit: n={largest} samples a problem are too few for a curve"
    if np.all(np.asarray(c) == np.asarray(n)):
        return "no fit: every sample passed, there is no curve"
    return None


def fit_power_law(n: ArrayLike, c: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> PowerLaw | None:
    """The fit to the coverage of these counts, or None where ``why_no_fit`` has a reason.

    Resamples of problems in which none was solved have no logarithm and are left out of the interval.
    """
    if why_no_fit(n, c):
        return None
    ks = fit_ks(int(np.min(n)))
    values = pass_at_k(n, c, ks)
    draws = bootstrap(values, resample_weights(len(values), resamples, seed))
    curves = np.vstack([values.mean(axis=0), draws[(draws > 0).all(axis=1)]])
    a, b = fit_curves(ks, curves)
    (a_low, b_low), (a_high, b_high) = percentile_bounds(np.column_stack([a, b])[1:])
    mean, sd = fit_error(float(a[0]), float(b[0]), n, c)
    return PowerLaw(
        a=float(a[0]), b=float(b[0]), a_low=float(a_low), a_high=float(a_high), b_low=float(b_low),
        b_high=float(b_high), error_mean=mean, error_sd=sd, largest_k=int(np.min(n)),
    )  # fmt: skip


def fit_curves(ks: Ints, curves: Floats) -> tuple[Floats, Floats]:
    """(a, b) of the least-squares fit to log of each row of ``curves`` (R, K), all of which are positive."""
    logs = np.log(curves)
    grid = np.arange(_B_FROM, _B_TO + _B_STEP / 2, _B_STEP)
    powers = ks[:, None].astype(np.float64) ** grid
    explained = (logs @ powers) ** 2 / (powers**2).sum(axis=0)
    b = grid[explained.argmax(axis=1)]
    for zoom in range(_ZOOMS):
        b = _zoom(ks, logs, b, _B_STEP * (2 / (_ZOOM_POINTS - 1)) ** zoom)
    power = ks.astype(np.float64) ** b[:, None]
    a: Floats = (logs * power).sum(axis=1) / (power**2).sum(axis=1)
    return a, b


def _zoom(ks: Ints, logs: Floats, b: Floats, reach: float) -> Floats:
    """Each row's best b within ``reach`` of where it was, on a grid."""
    tried = b[:, None] + np.linspace(-reach, reach, _ZOOM_POINTS)
    powers = np.exp(tried[:, :, None] * np.log(ks))
    explained = np.einsum("rk,rbk->rb", logs, powers) ** 2 / np.einsum("rbk,rbk->rb", powers, powers)
    best: Floats = np.take_along_axis(tried, explained.argmax(axis=1)[:, None], axis=1)[:, 0]
    return best


def fit_error(a: float, b: float, n: ArrayLike, c: ArrayLike) -> tuple[float, float]:
    """Mean and standard deviation of |exp(a k^b) - coverage| over ``error_ks``."""
    ks = error_ks(int(np.min(n)))
    distinct, place = np.unique(ks, return_inverse=True)
    measured = pass_at_k(n, c, distinct).mean(axis=0)[place]
    error = np.abs(exponentiated_power_law(a, b, ks) - measured)
    return float(error.mean()), float(error.std())
