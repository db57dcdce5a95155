"""Extrapolation: a prefix is a fair draw, and the error is measured on known coverage."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.beta_binomial import beta_coverage
from jobs.numbers.cells import Stopping
from jobs.numbers.extrapolate import (
    POWER_LAW,
    POWER_LAW_ON_SHARES,
    anchored,
    backtest,
    extrapolate,
    prefix_counts,
    why_not_identified,
)
from jobs.numbers.tally import Tally
from tests.support.made_cells import tally


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 7), st.data())
def test_a_prefix_is_drawn_as_often_as_it_occurs(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    expected = np.bincount([sum(i < c for i in drawn) for drawn in combinations(range(n), k)], minlength=k + 1)
    problems = np.full(4000, n)
    drawn = prefix_counts(problems, np.full(4000, c), k, np.random.default_rng(0))
    found = np.bincount(drawn, minlength=k + 1) / 4000
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.05)


def made(problems: int = 200, n: int = 1000) -> Tally:
    rng = np.random.default_rng(1)
    return tally(np.full(problems, n), rng.binomial(n, rng.beta(0.3, 8.0, problems)))


def test_the_mean_of_three_anchored_curves_is_near_the_truth() -> None:
    found = extrapolate(made())
    assert found is not None and (found.k, found.prefix, found.measured_k) == (10_000, 100, 1000)
    assert set(found.anchored) == {POWER_LAW, POWER_LAW_ON_SHARES, "beta-binomial"}
    assert found.low <= found.value <= found.high and found.value == pytest.approx(
        np.mean(list(found.anchored.values()))
    )
    assert abs(found.value - beta_coverage(0.3, 8.0, 10_000)) < 0.06
    assert found.error is not None and found.error < 0.05 and found == extrapolate(made())


def test_every_curve_starts_at_measured_coverage() -> None:
    counts = made()
    assert all(value == pytest.approx(counts.mean(1000)) for value in anchored(counts, 1000).values())
    assert all(value >= counts.mean(1000) for value in anchored(counts, 50_000).values())


def test_a_prefix_without_a_fit_has_no_error() -> None:
    assert backtest(tally(np.full(12, 40), [1] * 6 + [0] * 6), 0) is None


@pytest.mark.parametrize(
    ("n", "c", "says"),
    [
        (100, [0] * 9, "0 problems have a passing sample"),
        (100, [1, 1, 1, 1, 0, 0, 0, 0, 0], "4 problems have a passing sample"),
        (100, [1] * 6 + [0] * 60, "equally likely"),
        (1000, [500] * 40, "equally likely|at its bound"),
    ],
)
def test_nothing_is_extrapolated_from_what_does_not_identify_a_curve(n: int, c: list[int], says: str) -> None:
    counts = tally(np.full(len(c), n), c)
    assert extrapolate(counts) is None and re.search(says, str(why_not_identified(counts)))


def test_stopped_samples_have_no_back_test() -> None:
    rng, p = np.random.default_rng(0), np.random.default_rng(1).beta(0.4, 6.0, 150)
    first = rng.geometric(np.maximum(p, 1e-9))
    stopped = Tally(np.minimum(first, 500), (first <= 500).astype(np.int64), Stopping(1, 500))
    found = extrapolate(stopped)
    assert found is not None and found.error is None and stopped.mean(500) <= found.value < 1
