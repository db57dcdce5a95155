"""The second curve for coverage: problems whose pass rates are drawn from a beta distribution.

The power law describes the curve of coverage; this model describes the problems that make the curve. It can therefore
be fitted to counts by maximum likelihood, and gives coverage at every k (beta-binomial: Skellam 1948; as a model of
repeated sampling: Schaeffer et al. 2025, arXiv 2502.17578). How far it can be trusted beyond the data is measured in
jobs/numbers/extrapolate.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.special import betaln, psi

from jobs.numbers.estimators import Floats
from jobs.numbers.fits import fit_error, why_no_fit
from jobs.numbers.tally import Tally

KIND = "beta-binomial"
LOSS = "maximum likelihood of the counts"
_SMALLEST, _LARGEST = 1e-4, 1e6  # bounds of alpha and of beta
_WIDE, _UNITS = 10.0, 2.0


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


def fit_beta_binomial(tally: Tally) -> BetaBinomial | None:
    """Fits alpha and beta to counts; None where ``jobs.numbers.fits.why_no_fit`` gives a reason.

    A rule that ends sampling early leaves the likelihood as it is: only a factor without alpha and beta is added.
    """
    if why_no_fit(tally):
        return None
    alpha, beta = likeliest(tally.n.astype(np.float64), tally.c.astype(np.float64))
    return BetaBinomial(alpha, beta, *fit_error(tally, lambda ks: beta_coverage(alpha, beta, ks)))


def is_flat(n: Floats, c: Floats, alpha: float, beta: float) -> bool:
    """Tells whether the counts are as likely with a beta ten times larger or smaller, or an end of the search is met.

    Alpha is fitted again. Two units of log-likelihood are the usual 95 % for one parameter.
    """
    if not all(_SMALLEST * 1.01 < value < _LARGEST / 1.01 for value in (alpha, beta)):
        return True
    best = float(log_likelihoods(alpha, beta, n, c).sum())

    def loss(log: float, other: float) -> float:
        return -float(log_likelihoods(float(np.exp(log)), other, n, c).sum())

    ends = (np.log(_SMALLEST), np.log(_LARGEST))
    fits = [minimize_scalar(loss, bounds=ends, args=(beta * by,), method="bounded") for by in (_WIDE, 1 / _WIDE)]
    return any(best + float(fit.fun) < _UNITS for fit in fits)


def likeliest(n: Floats, c: Floats) -> tuple[float, float]:
    """Returns the (alpha, beta) with the largest likelihood. The search runs over logarithms, equal counts pooled."""
    pairs, times = np.unique(np.column_stack([n, c]), axis=0, return_counts=True)
    total, passed = pairs.T

    def loss(logs: Floats) -> tuple[float, Floats]:
        alpha, beta = np.exp(logs)
        by_alpha, by_beta = psi(passed + alpha) - psi(alpha), psi(total - passed + beta) - psi(beta)
        common = psi(total + alpha + beta) - psi(alpha + beta)
        slope = np.array([alpha * ((by_alpha - common) @ times), beta * ((by_beta - common) @ times)])
        return -float(log_likelihoods(alpha, beta, total, passed) @ times), -slope

    rate = c.sum() / n.sum()
    start = np.log([max(rate, _SMALLEST), max(1 - rate, _SMALLEST)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(np.log(_SMALLEST), np.log(_LARGEST))] * 2)
    alpha, beta = np.exp(found.x)
    return float(alpha), float(beta)
