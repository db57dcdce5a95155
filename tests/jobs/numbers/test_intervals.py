"""Intervals against closed forms and against simulations whose truth is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta as beta_distribution
from scipy.stats import binomtest

from bench.intervals import measure
from jobs.numbers import intervals as i
from jobs.numbers.estimators import highest_after_none, pass_at_k
from jobs.numbers.tally import coverage_curve
from sampling.errors import BadInput
from tests.support.cost import cpu_below
from tests.support.made_cells import tally


@pytest.mark.parametrize("problems", [2, 5, 64])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_is_alike_the_interval_is_the_exact_binomial_one(problems: int, value: float) -> None:
    low, high = i.mean_bounds(np.full((problems, 1), value))
    reach = highest_after_none(problems)
    assert (low[0], high[0]) == pytest.approx((0.0, reach) if value == 0 else (1 - reach, 1.0))


@given(st.integers(1, 40), st.data())
def test_exact_bounds_are_those_of_clopper_and_pearson(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    mean = np.array([hits / trials])
    expected = binomtest(hits, trials).proportion_ci(0.95, method="exact")
    low, high = i.exact_bounds(mean, mean * (1 - mean) / trials, trials)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_an_interval_holds_its_mean_and_is_never_a_point(values: list[float]) -> None:
    column = np.array(values)[:, None]
    low, high = i.mean_bounds(column)
    assert 0 <= low[0] <= column.mean() + 1e-12 and column.mean() - 1e-12 <= high[0] <= 1 and low[0] < high[0]
    low, high = i.difference_bounds(column - column[::-1])
    assert -1 <= low[0] < high[0] <= 1


def test_with_many_problems_it_is_the_usual_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).beta(2, 3, (2000, 1))
    low, high = i.mean_bounds(values)
    reach = 1.96 * values.std(ddof=1) / np.sqrt(2000)
    assert (low[0], high[0]) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=3e-4)


def test_pairing_sees_a_difference_that_separate_intervals_miss() -> None:
    rng = np.random.default_rng(5)
    hard = rng.uniform(0, 0.9, 60)
    better = hard + rng.uniform(0.02, 0.04, 60)
    difference = i.paired_difference(better, hard)
    assert difference.low > 0 and difference.high - difference.low < 0.02
    with pytest.raises(BadInput, match="paired difference"):
        i.paired_difference(better, hard[:5])


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 7), st.floats(0.02, 0.98), st.data())
def test_noise_is_never_underestimated(n: int, p: float, data: st.DataObject) -> None:
    """Compares with the variance of pass@k over every outcome of n samples."""
    k = data.draw(st.integers(1, n - 1))
    chances = np.array([np.prod([p if o else 1 - p for o in each]) for each in product((0, 1), repeat=n)])
    c = np.array([sum(each) for each in product((0, 1), repeat=n)])
    values = pass_at_k(np.full(len(c), n), c, [k])[:, 0]
    variance = (chances * values**2).sum() - (chances * values).sum() ** 2
    found = (chances * i.noise_variance(np.full(len(c), n), c, np.array([k]))[:, 0]).sum()
    assert found >= variance - 1e-12
    if k == 1:
        assert found == pytest.approx(variance)


def test_these_very_problems_leave_less_open_than_problems_like_these() -> None:
    counts = tally([1000] * 30, np.random.default_rng(1).binomial(1000, beta_distribution.rvs(1, 3, size=30)))
    wide, narrow = (coverage_curve(counts, population=population) for population in i.POPULATIONS)
    assert (wide.value == narrow.value).all()
    assert ((narrow.high - narrow.low) <= (wide.high - wide.low) + 0.01).all()
    assert narrow.high[0] - narrow.low[0] < 0.2 * (wide.high[0] - wide.low[0])


def test_very_problems_are_covered() -> None:
    rng, p, held = np.random.default_rng(3), np.random.default_rng(4).beta(0.3, 3, 40), []
    for _ in range(200):
        curve = coverage_curve(tally([50] * 40, rng.binomial(50, p)), np.array([1, 10, 50]), "benchmark")
        truth = (1 - (1 - p[:, None]) ** curve.ks).mean(axis=0)
        held.append((curve.low <= truth) & (truth <= curve.high))
    assert (np.mean(held, axis=0) > 0.9).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), min_size=2, max_size=30), st.sampled_from(i.POPULATIONS))
def test_no_end_falls_where_coverage_rises(c: list[int], population: i.Population) -> None:
    """Just below 1 the variance vanishes; an interval from 0 to 1 there would be absurd after a short one."""
    curve = coverage_curve(tally([300] * len(c), c), population=population)
    assert (np.diff(curve.low) >= 0).all() and (np.diff(curve.high) >= 0).all()
    assert (curve.low <= curve.value + 1e-9).all() and (curve.value <= curve.high + 1e-9).all()


def test_nearly_all_is_not_less_certain_than_all() -> None:
    low, _ = i.mean_bounds(np.full((30, 1), 1 - 1e-9))
    assert low[0] > 0.85


def test_one_problem_says_nothing_about_others_but_something_about_itself() -> None:
    wide = coverage_curve(tally([20], [4]), np.array([1]))
    assert (wide.low[0], wide.high[0]) == (0, 1)
    narrow = coverage_curve(tally([20], [4]), np.array([1]), "benchmark")
    assert 0 < narrow.low[0] < 0.2 < narrow.high[0] < 0.7


def test_a_large_benchmark_takes_less_than_a_second() -> None:
    counts = tally(np.full(1319, 10_000), np.random.default_rng(0).integers(0, 10_000, 1319))
    with cpu_below(1.0):
        coverage_curve(counts)


@pytest.mark.slow
def test_nominal_intervals_hold_the_truth_in_every_cell() -> None:
    rows = [row for row in measure(times=300) if row.problems <= 128]
    assert not [row for row in rows if row.fails and row.held < 0.9]
