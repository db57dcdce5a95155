"""The second curve for coverage: problems whose pass rates are drawn from a beta distribution.

The power law describes the curve of coverage; this model describes the problems that make the curve. It can therefore
be fitted to counts by maximum likelihood, and gives coverage at every k (beta-binomial: Skellam 1948; as a model of
repeated sampling: Schaeffer et al. 2025, arXiv 2502.17578). How far it can be trusted beyond the data is measured in
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
_SMALLEST, _LARGEST = 1e-4, 1e6  # bounds of alpha and of beta


@dataclass(frozen=True)
class BetaBinomial:
    """A fit: pass rates follow Beta(alpha, beta); the errors are defined as in ``jobs.numbers.fits.PowerLaw``."""

    alpha: float
    beta: float
    error_mean: float
    error_sd: float


def beta_coverage(alpha: float, beta: float, k: ArrayLike) -> Floats:
    """Returns the coverage at k: the mean of 1 - (1 - p)^k over p from Beta(alpha, beta).

    Closed form: 1 - B(alpha, beta + k) / B(alpha, beta).
    """
    value: Floats = -np.expm1(betaln(alpha, beta + np.asarray(k, dtype=np.float64)) - betaln(alpha, beta))
    return value


def log_likelihoods(alpha: float, beta: float, n: Floats, c: Floats) -> Floats:
    """Returns each problem's log B(c + alpha, n - c + beta) / B(alpha, beta), shape (P,): no binomial coefficients."""
    value: Floats = betaln(c + alpha, n - c + beta) - betaln(alpha, beta)
    return value


def fit_beta_binomial(n: ArrayLike, c: ArrayLike) -> BetaBinomial | None:
    """Fits alpha and beta to counts; None where ``jobs.numbers.fits.why_no_fit`` gives a reason."""
    if why_no_fit(n, c):
        return None
    alpha, beta = likeliest(np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64))
    ks = error_ks(int(np.min(n)))
    distinct, index = np.unique(ks, return_inverse=True)
    error = np.abs(beta_coverage(alpha, beta, distinct) - pass_at_k(n, c, distinct).mean(axis=0))[index]
    return BetaBinomial(alpha, beta, float(error.mean()), float(error.std()))


def likeliest(n: Floats, c: Floats) -> tuple[float, float]:
    """Returns the (alpha, beta) with the largest likelihood. The search runs over logarithms, equal counts pooled."""
    pairs, times = np.unique(np.column_stack([n, c]), axis=0, return_counts=True)
    total, passed = pairs.T

    def loss(logs: Floats) -> float:
        alpha, beta = np.exp(logs)
        return -float((log_likelihoods(alpha, beta, total, passed) * times).sum())

    rate = c.sum() / n.sum()
    start = np.log([max(rate, _SMALLEST), max(1 - rate, _SMALLEST)])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(np.log(_SMALLEST), np.log(_LARGEST))] * 2)
    alpha, beta = np.exp(found.x)
    return float(alpha), float(beta)
