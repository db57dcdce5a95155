"""The beta-binomial model against explicit sums, and its fit against a grid."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from scipy.stats import betabinom

from jobs.numbers.beta_binomial import beta_coverage, fit_beta_binomial, likeliest, log_likelihoods
from jobs.numbers.estimators import coverage
from tests.support.made_cells import tally

PARAMETERS = st.floats(0.2, 8.0)


@settings(deadline=None, max_examples=40)
@given(PARAMETERS, PARAMETERS, st.integers(1, 12))
def test_coverage_is_the_mean_over_pass_rates(a: float, b: float, k: int) -> None:
    expected, _ = quad(lambda p: (1 - (1 - p) ** k) * beta_distribution.pdf(p, a, b), 0, 1, limit=200)
    assert beta_coverage(a, b, k) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(PARAMETERS, PARAMETERS, st.integers(1, 9), st.data())
def test_coverage_is_what_pass_at_k_is_on_average(a: float, b: float, n: int, data: st.DataObject) -> None:
    """The mean runs over every count that n samples of such a problem can have."""
    k = data.draw(st.integers(1, n))
    mean = sum(betabinom.pmf(c, n, a, b) * coverage([n], [c], [k])[0] for c in range(n + 1))
    assert beta_coverage(a, b, k) == pytest.approx(mean)


@settings(deadline=None)
@given(PARAMETERS, PARAMETERS, st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_the_likelihood_is_that_of_the_counts(a: float, b: float, rows: list[tuple[int, int]]) -> None:
    n, c = [n for n, _ in rows], [min(n, c) for n, c in rows]
    whole = sum(float(betabinom.logpmf(y, x, a, b)) - np.log(comb(x, y)) for x, y in zip(n, c, strict=True))
    assert log_likelihoods(a, b, np.array(n), np.array(c)).sum() == pytest.approx(whole)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 12), min_size=8, max_size=20))
def test_no_point_of_a_grid_is_likelier(c: list[int]) -> None:
    passed, total = np.array([1, *c], dtype=np.float64), np.full(len(c) + 1, 12.0)
    best = log_likelihoods(*likeliest(total, passed), total, passed).sum()
    grid = np.geomspace(0.05, 50, 12)
    assert best >= max(log_likelihoods(a, b, total, passed).sum() for a in grid for b in grid) - 1e-3


def test_what_was_put_in_comes_out() -> None:
    rng = np.random.default_rng(0)
    n = np.full(4000, 300)
    fit = fit_beta_binomial(tally(n, rng.binomial(n, rng.beta(0.4, 6.0, len(n)))))
    assert fit is not None and (fit.alpha, fit.beta) == (pytest.approx(0.4, rel=0.08), pytest.approx(6.0, rel=0.15))
    assert fit.error_mean < 0.01 and beta_coverage(fit.alpha, fit.beta, 1) == pytest.approx(0.4 / 6.4, rel=0.1)


def test_no_fit_where_the_power_law_has_none() -> None:
    assert fit_beta_binomial(tally([50] * 9, [0] * 9)) is None
    assert fit_beta_binomial(tally([50] * 9, [50] * 9)) is None
