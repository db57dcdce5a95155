"""Extrapolation: coverage at ten times the samples that were drawn.

Three curves are fitted: the power law by least squares on log coverage and on coverage itself, and the beta-binomial.
Each is *anchored*: it only says which share of what is unsolved at n is solved by K, so that it starts from measured
coverage. The prediction is their mean, with the range of the three. On the paper's verdicts this errs less than any one
curve (bench/extrapolate.py), but no curve excludes problems that the model can never solve.

A back-test fits the same to a tenth of each problem's samples, drawn at random, and compares with measured coverage
(Kazdan et al. 2025, arXiv 2510.05197, predict large k from few samples in the same way). It is no error bar: a
small error there does not mean a small one here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jobs.numbers import beta_binomial, fits
from jobs.numbers.estimators import Ints
from jobs.numbers.fits import at_a_bound, exponentiated_power_law, fit_curves, fit_ks, fit_shares, why_no_fit
from jobs.numbers.tally import Tally

FACTOR = 10
PREFIXES = 8
POWER_LAW = "exponentiated power law"
POWER_LAW_ON_SHARES = "exponentiated power law on coverage"
Curve = Callable[[float], float]  # coverage at k


@dataclass(frozen=True)
class Extrapolation:
    """Coverage at FACTOR times the samples per problem that were drawn: the anchored mean of all curves."""

    k: int
    value: float
    low: float
    """The lowest anchored curve."""
    high: float
    """The highest anchored curve."""
    anchored: Mapping[str, float]
    """Coverage at k by each anchored curve."""
    prefix: int
    """Samples per problem of the fits of the back-test."""
    measured_k: int
    """The k at which those fits are compared with measured coverage."""
    error: float | None
    """Mean of |predicted - measured| at measured_k; None where a prefix has no fit, or sampling stopped early."""


def log_power_law(tally: Tally) -> Curve:
    """Fits the power law by least squares on log coverage."""
    ks = fit_ks(tally.largest)
    a, b = fit_curves(ks, tally.values(ks).mean(axis=0)[None, :])
    return lambda k: float(exponentiated_power_law(float(a[0]), float(b[0]), k))


def share_power_law(tally: Tally) -> Curve:
    """Fits the power law by least squares on coverage."""
    ks = fit_ks(tally.largest)
    a, b = fit_shares(ks, tally.values(ks).mean(axis=0))
    return lambda k: float(exponentiated_power_law(a, b, k))


def likeliest_beta(tally: Tally) -> Curve:
    """Fits the beta-binomial by maximum likelihood."""
    alpha, beta = beta_binomial.likeliest(tally.n.astype(np.float64), tally.c.astype(np.float64))
    return lambda k: float(beta_binomial.beta_coverage(alpha, beta, k))


CURVES: Mapping[str, Callable[[Tally], Curve]] = {
    POWER_LAW: log_power_law,
    POWER_LAW_ON_SHARES: share_power_law,
    beta_binomial.KIND: likeliest_beta,
}


def why_not_identified(tally: Tally) -> str | None:
    """Returns the reason why these counts say nothing about larger k, or None where they do."""
    reason = why_no_fit(tally)
    if reason:
        return reason.replace("no fit", "not identified")
    ks = fit_ks(tally.largest)
    curve = tally.values(ks).mean(axis=0)
    if any(at_a_bound(b) for b in (float(fit_curves(ks, curve[None, :])[1][0]), fit_shares(ks, curve)[1])):
        return "not identified: the power law's b is at its bound"
    n, c = tally.n.astype(np.float64), tally.c.astype(np.float64)
    if beta_binomial.is_flat(n, c, *beta_binomial.likeliest(n, c)):
        return "not identified: very different beta-binomial models are equally likely"
    return None


def extrapolate(tally: Tally, seed: int = 0) -> Extrapolation | None:
    """Predicts coverage FACTOR times beyond the data; None where ``why_not_identified`` gives a reason."""
    if why_not_identified(tally):
        return None
    most = tally.largest
    found = anchored(tally, most * FACTOR)
    values, prefix = list(found.values()), most // FACTOR
    error = None if tally.stopping else backtest(tally, prefix, seed)
    return Extrapolation(
        most * FACTOR, float(np.mean(values)), min(values), max(values), found, prefix, most, error
    )  # fmt: skip


def anchored(tally: Tally, k: int, curves: Mapping[str, Callable[[Tally], Curve]] = CURVES) -> dict[str, float]:
    """Returns coverage at k by each curve, from measured coverage on: 1 - (1 - measured(n)) (1 - F(k)) / (1 - F(n))."""
    most = tally.largest
    measured = tally.mean(most)
    return {name: _anchor(measured, fit(tally), most, k) for name, fit in curves.items()}


def _anchor(measured: float, curve: Curve, most: int, k: int) -> float:
    left, later = 1 - curve(most), 1 - curve(k)
    return measured if left <= 0 else float(np.clip(1 - (1 - measured) * later / left, measured, 1.0))


def backtest(tally: Tally, prefix: int, seed: int = 0) -> float | None:
    """Returns the mean error at the largest k of predictions from ``prefix`` samples of each problem."""
    rng = np.random.default_rng(seed)
    tried = [prefix_of(tally, prefix, rng) for _ in range(PREFIXES)] if prefix else []
    found = [anchored(part, tally.largest) for part in tried if not why_no_fit(part)]
    measured = tally.mean(tally.largest)
    return float(np.mean([abs(np.mean(list(each.values())) - measured) for each in found])) if found else None


def prefix_of(tally: Tally, prefix: int, rng: np.random.Generator) -> Tally:
    """Draws ``prefix`` of each problem's samples, without replacement.

    Samples are independent, so a random part of them is as good as their first ones.
    """
    return Tally(np.full(len(tally.n), prefix), prefix_counts(tally.n, tally.c, prefix, rng))


def prefix_counts(n: Ints, c: Ints, prefix: int, rng: np.random.Generator) -> Ints:
    """Returns the passes among ``prefix`` samples of each problem, shape (P,)."""
    drawn: Ints = rng.hypergeometric(c, n - c, prefix)
    return drawn


assert len(fit_ks(FACTOR)) >= fits.FEWEST_KS, "a prefix of one decade can be fitted"
