"""Crossovers against a scan over every k."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.crossover import common_problems, find_crossover, search_grid, smallest_k
from jobs.numbers.estimators import coverage, pass_at_k
from jobs.numbers.intervals import difference_bounds
from sampling.errors import BadInput
from tests.support.made_cells import LARGE, SMALL, cell, tally, two_models


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.floats(0.01, 1.0))
def test_smallest_k_is_what_a_scan_finds(c: list[int], target: float) -> None:
    n = np.full(len(c), 40)
    values = coverage(n, c, np.arange(1, 41))
    reached = np.flatnonzero(values >= target - 1e-9)
    assert smallest_k(tally(n, c).mean, 40, target) == (int(reached[0]) + 1 if len(reached) else None)


def test_a_model_reaches_itself_at_once() -> None:
    small, _ = two_models(n=200)
    cross = find_crossover(small, small)
    assert (cross.k, cross.low, cross.censored) == (1, 1, False) and cross.high in (1, 2)
    assert cross.one_try.value == 0 and -0.01 < cross.one_try.low < cross.one_try.high < 0.01


def test_rounding_does_not_move_the_crossover() -> None:
    """Log-gamma errs by 3e-10 at so many samples."""
    n, c = np.full(37, 100_000), np.random.default_rng(2).integers(0, 99_999, 37)
    assert find_crossover(cell(n.tolist(), c.tolist()), cell(n.tolist(), c.tolist(), model=LARGE)).k == 1


def test_the_interval_holds_the_crossover_and_repeats() -> None:
    small, large = two_models()
    cross = find_crossover(small, large)
    assert cross.k is not None and cross.low is not None and cross.high is not None
    assert 1 < cross.low <= cross.k <= cross.high < 1000
    assert cross.reached >= cross.target.value and cross.one_try.high < 0
    assert cross == find_crossover(small, large)


def test_the_interval_holds_each_k_that_a_paired_test_does_not_exclude() -> None:
    small, large = two_models(n=100, problems=30)
    cross, ks = find_crossover(small, large), np.arange(1, 101)
    single = large.c / large.n
    lows, highs = difference_bounds(pass_at_k(small.n, small.c, ks) - single[:, None])
    assert cross.low == ks[highs >= 0][0] and cross.high == ks[lows < 0][-1] + 1


def test_a_short_problem_gives_a_range_of_crossovers() -> None:
    small = cell([2, *[100] * 19], [0, *[5] * 12, *[0] * 7])
    large = cell([20] * 20, [11] * 20, model=LARGE)
    cross = find_crossover(small, large)
    assert cross.n == 100 and cross.k is not None and cross.best_k is not None and cross.best_k < cross.k


def test_these_very_problems_narrow_the_interval() -> None:
    small, large = two_models(problems=20)
    wide, narrow = find_crossover(small, large), find_crossover(small, large, "benchmark")
    assert wide.k == narrow.k and wide.low is not None and narrow.low is not None and narrow.high is not None
    assert wide.low <= narrow.low <= narrow.high <= (wide.high or 1000)
    assert narrow.high - narrow.low < (wide.high or 1000) - wide.low


def test_beyond_the_samples_it_is_censored() -> None:
    cross = find_crossover(cell([10] * 8, [1, *[0] * 7]), cell([4] * 8, [3] * 8, model=LARGE))
    assert (cross.k, cross.high, cross.censored, cross.n) == (None, None, True, 10)
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
