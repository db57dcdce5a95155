"""The other curve for coverage: problems whose pass rates are drawn from a beta distribution.

Where the power law describes a curve, this describes the problems under it, so that it can be fitted to counts by
maximum likelihood, and its coverage is known for every k (beta-binomial: Skellam 1948; as a model of repeated sampling:
Schaeffer et al. 2025, arXiv 2502.17578). It can go where the data ends, for better or worse: see
jobs/numbers/extrapolate.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln

from jobs.numbers.estimators import Floats, pass_at_k
from jobs.numbers.fits import error_ks, why_no_fit

KIND = "beta-binomial"
LOSS = "maximum likelihood of the counts"
_SMALLEST, _LARGEST = 1e-4, 1e6  # of both parameters


@dataclass(frozen=True)
class BetaBinomial:
    """Pass rates are Beta(alpha, beta); errors as in ``jobs.numbers.fits.PowerLaw``."""

    alpha: float
    beta: float
    error_mean: float
    error_sd: float

    def __call__(self, k: ArrayLike) -> Floats:
        return beta_coverage(self.alpha, self.beta, k)


def beta_coverage(alpha: float, beta: float, k: ArrayLike) -> Floats:
    """The mean of 1 - (1 - p)^k over p from Beta(alpha, beta): 1 - B(alpha, beta + k) / B(alpha, beta)."""
    value: Floats = -np.expm1(betaln(alpha, beta + np.asarray(k, dtype=np.float64)) - betaln(alpha, beta))
    return value


def log_likelihood(alpha: float, beta: float, n: ArrayLike, c: ArrayLike) -> float:
    """The sum over problems of log B(c + alpha, n - c + beta) / B(alpha, beta), without the binomial coefficients."""
    passed, total = np.asarray(c, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return float((betaln(passed + alpha, total - passed + beta) - betaln(alpha, beta)).sum())


def fit_beta_binomial(n: ArrayLike, c: ArrayLike) -> BetaBinomial | None:
    """The likeliest parameters, or None where the power law has no fit either (``jobs.numbers.fits.why_no_fit``)."""
    if why_no_fit(n, c):
        return None
    alpha, beta = likeliest(np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64))
    ks = error_ks(int(np.min(n)))
    distinct, place = np.unique(ks, return_inverse=True)
    error = np.abs(beta_coverage(alpha, beta, distinct) - pass_at_k(n, c, distinct).mean(axis=0))[place]
    return BetaBinomial(alpha, beta, float(error.mean()), float(error.std()))


def likeliest(n: Floats, c: Floats) -> tuple[float, float]:
    """(alpha, beta), searched by their logarithms; equal counts are looked at once."""
    pairs, times = np.unique(np.column_stack([n, c]), axis=0, return_counts=True)
    total, passed = pairs.T

    def loss(logs: Floats) -> float:
        alpha, beta = np.exp(logs)
        return -float(((betaln(passed + alpha, total - passed + beta) - betaln(alpha, beta)) * times).sum())

    rate = c.sum() / n.sum()
    start = np.log([max(rate, _SMALLEST), max(1 - rate, _SMALLEST)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(np.log(_SMALLEST), np.log(_LARGEST))] * 2)
    alpha, beta = np.exp(found.x)
    return float(alpha), float(beta)
