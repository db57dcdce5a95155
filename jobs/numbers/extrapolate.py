"""Extrapolation: coverage at ten times the samples that were drawn, by both fitted curves, each with its error.

The error is measured on the data itself. Both curves are fitted to a tenth of each problem's samples, drawn at random;
their coverage at all samples is compared with the measured one. An extrapolation by the same factor cannot be trusted
further than that (Kazdan et al. 2025, arXiv 2510.05197, predict large k from few samples in the same way).
"""

from dataclasses import dataclass

import numpy as np

from jobs.numbers import beta_binomial, fits
from jobs.numbers.estimators import Floats, Ints, coverage
from jobs.numbers.fits import exponentiated_power_law, fit_curves, fit_ks, why_no_fit

FACTOR = 10
PREFIXES = 8
POWER_LAW = "exponentiated power law"


@dataclass(frozen=True)
class Extrapolation:
    """One curve's coverage at FACTOR times the samples per problem that were drawn."""

    kind: str
    k: int
    value: float
    prefix: int
    """Samples per problem of the fits that ``error`` is measured with."""
    measured_k: int
    """The k at which those fits are compared with measured coverage."""
    error: float | None
    """Mean of |predicted - measured| at measured_k; None where a prefix has no fit."""


def extrapolations(n: Ints, c: Ints, seed: int = 0) -> tuple[Extrapolation, ...]:
    """Returns one extrapolation per curve, FACTOR times beyond the data; empty where there is no fit."""
    if why_no_fit(n, c):
        return ()
    most = int(n.min())
    prefix = most // FACTOR
    errors = backtest(n, c, prefix, seed)
    return tuple(
        Extrapolation(kind, most * FACTOR, value, prefix, most, errors[kind])
        for kind, value in _predictions(n, c, most * FACTOR).items()
    )


def backtest(n: Ints, c: Ints, prefix: int, seed: int = 0) -> dict[str, float | None]:
    """Returns, by curve, the mean error at the smallest n of fits to ``prefix`` samples of each problem."""
    most, rng = int(n.min()), np.random.default_rng(seed)
    measured = float(coverage(n, c, [most])[0])
    tried = [prefix_counts(n, c, prefix, rng) for _ in range(PREFIXES)] if prefix else []
    total = np.full(len(n), prefix)
    found = [_predictions(total, drawn, most) for drawn in tried if not why_no_fit(total, drawn)]
    return {
        kind: float(np.mean([abs(each[kind] - measured) for each in found])) if found else None
        for kind in (POWER_LAW, beta_binomial.KIND)
    }


def prefix_counts(n: Ints, c: Ints, prefix: int, rng: np.random.Generator) -> Ints:
    """Draws the passes among ``prefix`` of each problem's samples, without replacement; shape (P,).

    Samples are independent, so a random part of them is as good as their first ones.
    """
    drawn: Ints = rng.hypergeometric(c, n - c, prefix)
    return drawn


def _predictions(n: Ints, c: Ints, k: int) -> dict[str, float]:
    ks = fit_ks(int(n.min()))
    a, b = fit_curves(ks, coverage(n, c, ks)[None, :])
    alpha, beta = beta_binomial.likeliest(n.astype(np.float64), c.astype(np.float64))
    law: Floats = exponentiated_power_law(float(a[0]), float(b[0]), k)
    return {POWER_LAW: float(law), beta_binomial.KIND: float(beta_binomial.beta_coverage(alpha, beta, k))}


assert len(fit_ks(FACTOR)) >= fits.FEWEST_KS, "a prefix of one decade can be fitted"
