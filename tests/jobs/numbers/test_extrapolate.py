"""Extrapolation: a prefix is a fair draw, and the error is measured on known coverage."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.estimators import coverage
from jobs.numbers.extrapolate import POWER_LAW, backtest, extrapolations, prefix_counts


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 7), st.data())
def test_a_prefix_is_drawn_as_often_as_it_occurs(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    expected = np.bincount([sum(i < c for i in drawn) for drawn in combinations(range(n), k)], minlength=k + 1)
    problems = np.full(4000, n)
    drawn = prefix_counts(problems, np.full(4000, c), k, np.random.default_rng(0))
    found = np.bincount(drawn, minlength=k + 1) / 4000
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.05)


def made(problems: int = 200, n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return np.full(problems, n), rng.binomial(n, rng.beta(0.3, 8.0, problems))


def test_what_is_drawn_from_a_beta_is_predicted_by_it() -> None:
    law, beta = extrapolations(*made())
    assert (law.kind, beta.kind, law.k, law.prefix, law.measured_k) == (POWER_LAW, "beta-binomial", 10_000, 100, 1000)
    assert beta.error is not None and beta.error < 0.05 and beta.value > coverage(*made(), [1000])[0]
    assert extrapolations(*made()) == (law, beta)


def test_a_prefix_without_a_fit_has_no_error() -> None:
    n, c = np.full(12, 40), np.array([1] * 6 + [0] * 6)
    assert [each.error for each in extrapolations(n, c)] == [None, None]
    assert backtest(n, c, 0) == {POWER_LAW: None, "beta-binomial": None}


@pytest.mark.parametrize("c", [[0] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0]])
def test_nothing_is_extrapolated_from_too_few_successes(c: list[int]) -> None:
    assert extrapolations(np.full(9, 100), np.array(c)) == ()
