"""The curve of coverage over k: c = exp(a * k^b), an exponentiated power law.

The fit is the one of "Large Language Monkeys" (Brown et al. 2024, arXiv 2407.21787, section 3.1): least squares on the
natural logarithm of coverage, at the distinct whole k of a grid over four decades. For any b the best a is known in
closed form (variable projection, Golub & Pereyra 1973), so only b is searched, for all bootstrap resamples at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from jobs.numbers.estimators import RESAMPLES, Floats, Ints, bootstrap, percentile_bounds, resample_weights
from jobs.numbers.tally import Tally
from sampling.words import many

FEWEST_SOLVED = 5
FEWEST_KS = 3
LOSS = "least squares on log coverage"
_B_FROM, _B_TO, _B_STEP = -3.0, 1.0, 0.01
_ZOOMS, _ZOOM_POINTS = 4, 21


@dataclass(frozen=True)
class PowerLaw:
    """A fit c = exp(a * k^b) with bootstrap bounds.

    ``error_mean`` and ``error_sd`` are the mean and standard deviation of |exp(a k^b) - c| over ``error_ks``.
    """

    a: float
    b: float
    a_low: float
    a_high: float
    b_low: float
    b_high: float
    error_mean: float
    error_sd: float
    loss: str = LOSS


def exponentiated_power_law(a: float, b: float, k: ArrayLike) -> Floats:
    """Returns exp(a * k^b)."""
    value: Floats = np.exp(a * np.asarray(k, dtype=np.float64) ** b)
    return value


def fit_ks(largest: int) -> Ints:
    """Returns the k of the fit: unique(int(logspace(0, 4, 20))) up to ``largest``."""
    ks = np.unique(np.logspace(0, 4, 20).astype(np.int64))
    return ks[ks <= largest]


def error_ks(largest: int) -> Ints:
    """Returns the k of the fit's error: int(logspace(0, 4, 100)) up to ``largest``, duplicates kept."""
    ks = np.logspace(0, 4, 100).astype(np.int64)
    return ks[ks <= largest]


def why_no_fit(tally: Tally) -> str | None:
    """Returns the reason why these counts have no fit, or None where they have one."""
    solved, largest = int(np.count_nonzero(tally.c)), tally.largest
    if solved < FEWEST_SOLVED:
        have = "has" if solved == 1 else "have"
        return f"no fit: {many(solved, 'problem')} {have} a passing sample, at least {FEWEST_SOLVED} are needed"
    if len(fit_ks(largest)) < FEWEST_KS:
        return f"no fit: n={largest} samples per problem are too few for a curve"
    if np.all(tally.c == tally.n):
        return "no fit: every sample passed, there is no curve"
    return None


def fit_power_law(tally: Tally, resamples: int = RESAMPLES, seed: int = 0) -> PowerLaw | None:
    """Fits the coverage of these counts; None where ``why_no_fit`` gives a reason.

    A resample without a solved problem has no logarithm; the interval leaves it out.
    """
    if why_no_fit(tally):
        return None
    ks = fit_ks(tally.largest)
    values = tally.values(ks)
    draws = bootstrap(values, resample_weights(len(values), resamples, seed))
    curves = np.vstack([values.mean(axis=0), draws[(draws > 0).all(axis=1)]])
    a, b = fit_curves(ks, curves)
    (a_low, b_low), (a_high, b_high) = percentile_bounds(np.column_stack([a, b])[1:])
    mean, sd = fit_error(tally, lambda k: exponentiated_power_law(float(a[0]), float(b[0]), k))
    return PowerLaw(
        a=float(a[0]), b=float(b[0]), a_low=float(a_low), a_high=float(a_high), b_low=float(b_low),
        b_high=float(b_high), error_mean=mean, error_sd=sd,
    )  # fmt: skip


def at_a_bound(b: float) -> bool:
    """Tells whether the search for b ended where it had to: these counts do not identify the curve."""
    return b <= _B_FROM + _B_STEP or b >= 0


def fit_shares(ks: Ints, curve: Floats) -> tuple[float, float]:
    """Fits (a, b) by least squares on coverage itself instead of its logarithm, from the other fit on."""
    start = [float(part[0]) for part in fit_curves(ks, curve[None, :])]
    limits = ([-np.inf, _B_FROM - _B_STEP], [0.0, _B_TO + _B_STEP])
    start[0] = min(start[0], -1e-9)

    def residuals(at: Floats) -> Floats:
        return exponentiated_power_law(float(at[0]), float(at[1]), ks) - curve

    def slopes(at: Floats) -> Floats:
        power = ks.astype(np.float64) ** at[1]
        share = np.exp(at[0] * power)
        return np.column_stack([share * power, share * at[0] * power * np.log(ks)])

    found = least_squares(residuals, start, slopes, bounds=limits)
    return float(found.x[0]), float(found.x[1])


def fit_curves(ks: Ints, curves: Floats) -> tuple[Floats, Floats]:
    """Fits each row of ``curves`` (R, K), all positive, by least squares on logarithms; returns (a, b), (R,) each."""
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
    """Returns each row's best b on a grid within ``reach`` of the one given."""
    tried = b[:, None] + np.linspace(-reach, reach, _ZOOM_POINTS)
    powers = np.exp(tried[:, :, None] * np.log(ks))
    explained = np.einsum("rk,rbk->rb", logs, powers) ** 2 / np.einsum("rbk,rbk->rb", powers, powers)
    best: Floats = np.take_along_axis(tried, explained.argmax(axis=1)[:, None], axis=1)[:, 0]
    return best


def fit_error(tally: Tally, curve: Callable[[Ints], Floats]) -> tuple[float, float]:
    """Returns mean and standard deviation of |curve - coverage| over ``error_ks``."""
    ks = error_ks(tally.largest)
    distinct, index = np.unique(ks, return_inverse=True)
    error = np.abs(curve(ks) - tally.values(distinct).mean(axis=0)[index])
    return float(error.mean()), float(error.std())
