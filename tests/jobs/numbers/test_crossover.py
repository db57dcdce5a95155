"""Crossovers against a scan over every k."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.crossover import common_problems, find_crossover, search_grid, smallest_k
from jobs.numbers.estimators import coverage
from sampling.errors import BadInput
from tests.support.made_cells import LARGE, SMALL, cell, two_models


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.floats(0.01, 1.0))
def test_smallest_k_is_what_a_scan_finds(c: list[int], target: float) -> None:
    n = np.full(len(c), 40)
    values = coverage(n, c, np.arange(1, 41))
    reached = np.flatnonzero(values >= target - 1e-12)
    assert smallest_k(n, np.array(c), target) == (int(reached[0]) + 1 if len(reached) else None)


def test_a_model_reaches_itself_at_once() -> None:
    small, _ = two_models(n=200)
    cross = find_crossover(small, small)
    assert (cross.k, cross.low, cross.high, cross.censored) == (1, 1, 1, False)
    assert (cross.one_try.low, cross.one_try.high) == (0, 0)


def test_the_interval_holds_the_crossover_and_repeats() -> None:
    small, large = two_models()
    cross = find_crossover(small, large)
    assert cross.k is not None and cross.low is not None and cross.high is not None
    assert 1 < cross.low <= cross.k <= cross.high < 1000
    assert cross.reached >= cross.target.value and cross.one_try.high < 0
    assert cross == find_crossover(small, large)


def test_the_interval_is_that_of_resampling_problems_of_both_together() -> None:
    small, large = two_models(n=100, problems=30)
    cross, rng, ks = find_crossover(small, large), np.random.default_rng(9), np.arange(1, 101)
    firsts = []
    for _ in range(800):
        drawn = rng.integers(0, 30, 30)
        reached = coverage(small.n[drawn], small.c[drawn], ks) >= (large.c[drawn] / large.n[drawn]).mean() - 1e-12
        firsts.append(ks[reached][0] if reached.any() else 1000)
    low, high = np.quantile(firsts, [0.025, 0.975])
    assert cross.low == pytest.approx(low, abs=2) and cross.high == pytest.approx(high, rel=0.3)


def test_beyond_the_samples_it_is_censored() -> None:
    cross = find_crossover(cell([10] * 8, [1, *[0] * 7]), cell([4] * 8, [3] * 8, model=LARGE))
    assert (cross.k, cross.low, cross.high, cross.censored, cross.n) == (None, None, None, True, 10)
    assert cross.reached == pytest.approx(1 / 8)


def test_only_common_problems_with_samples_count() -> None:
    small = cell([9, 9, 0], [1, 2, 0], ids=["a", "b", "c"])
    large = cell([2, 2, 2], [2, 1, 0], model=LARGE, ids=["c", "b", "x"])
    here, there = common_problems(small, large)
    assert (here.tolist(), there.tolist()) == ([1], [1])
    assert find_crossover(small, large).problems == 1
    with pytest.raises(BadInput, match="no problem of gsm8k in common"):
        find_crossover(cell([1], [1], model=SMALL, ids=["z"]), large)


@pytest.mark.parametrize("largest", [1, 2, 256, 257, 10_000])
def test_the_grid_ends_at_n_in_steps_of_a_hundredth(largest: int) -> None:
    grid = search_grid(largest)
    assert grid[0] == 1 and grid[-1] == largest
    assert len(grid) < 2 or (np.diff(grid) <= np.maximum(1, 0.011 * grid[:-1] + 1)).all()
