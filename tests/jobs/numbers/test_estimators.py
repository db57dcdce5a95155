"""Estimators against enumeration of every draw."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers import estimators as e
from sampling.errors import BadInput


@st.composite
def counts(draw: st.DrawFn, most: int = 9) -> tuple[list[int], list[int]]:
    n = draw(st.lists(st.integers(1, most), min_size=1, max_size=5))
    return n, [draw(st.integers(0, each)) for each in n]


def enumerated(n: int, c: int, k: int) -> float:
    """Returns the share of all draws of k samples that hold a pass; the first c of the n samples pass."""
    return sum(any(i < c for i in drawn) for drawn in combinations(range(n), k)) / comb(n, k)


@settings(deadline=None)
@given(counts())
def test_pass_at_k_is_the_share_of_all_draws(case: tuple[list[int], list[int]]) -> None:
    n, c = case
    ks = list(range(1, min(n) + 1))
    expected = [[enumerated(n[i], c[i], k) for k in ks] for i in range(len(n))]
    np.testing.assert_allclose(e.pass_at_k(n, c, ks), expected, atol=1e-12)
    np.testing.assert_allclose(e.coverage(n, c, ks), np.mean(expected, axis=0), atol=1e-12)


@settings(deadline=None)
@given(counts(most=300))
def test_coverage_never_falls_and_ends_exactly(case: tuple[list[int], list[int]]) -> None:
    n, c = case
    values = e.pass_at_k(n, c, np.arange(1, min(n) + 1))
    assert (np.diff(values, axis=1) >= -1e-12).all()
    for row, (total, passed) in zip(values, zip(n, c, strict=True), strict=True):
        if passed == 0:
            assert (row == 0).all()
        sure = np.arange(1, min(n) + 1) > total - passed
        assert (row[sure] == 1).all() if passed else True


def test_large_counts_keep_their_precision() -> None:
    value = e.pass_at_k([10_000], [1], [1, 10, 10_000])[0]
    np.testing.assert_allclose(value, [1e-4, 1e-3, 1.0], atol=1e-10)


@pytest.mark.parametrize(
    ("n", "c", "ks", "says"),
    [
        ([5, 9], [1, 1], [6], "1 <= k <= 5"),
        ([5], [1], [0], "1 <= k <= 5"),
        ([5], [6], [1], "c=6 of n=5"),
        ([5], [-1], [1], "c=-1"),
        ([], [], [1], "no problems"),
        ([5.5], [1], [1], "whole numbers"),
        ([5], [1], [1.5], "whole numbers"),
    ],
)
def test_what_has_no_estimate_is_refused(n: list[float], c: list[int], ks: list[float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        e.pass_at_k(n, c, ks)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1,
             max_size=2),
)  # fmt: skip
def test_bounds_are_the_extremes_over_all_that_may_be_hidden(rows: list[tuple[int, int, int, int]]) -> None:
    """Each row has failures, passes, timeouts (among the decided) and faults."""
    n = [failed + passed + late for failed, passed, late, _ in rows]
    c = [row[1] for row in rows]
    faults, late = [row[3] for row in rows], [row[2] for row in rows]
    k = min(n)
    worlds = [
        e.coverage(
            [a + f for a, f in zip(n, faults, strict=True)], [a + h for a, h in zip(c, hidden, strict=True)], [k]
        )
        for hidden in product(*(range(f + t + 1) for f, t in zip(faults, late, strict=True)))
    ]
    bounds = e.coverage_bounds(n, c, faults, late, [k])
    assert bounds.low[0] == pytest.approx(np.min(worlds)) and bounds.high[0] == pytest.approx(np.max(worlds))
    assert bounds.value[0] == pytest.approx(e.coverage(n, c, [k])[0])


def test_bounds_go_further_than_the_estimate() -> None:
    bounds = e.coverage_bounds([4], [1], [2], [0], [4, 6])
    assert np.isnan(bounds.value[1]) and bounds.low[1] == 1.0


def test_grid_is_round_and_holds_both_ends() -> None:
    assert e.k_grid(1).tolist() == [1]
    assert e.k_grid(0).tolist() == []
    assert e.k_grid(37).tolist() == [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 31, 37]
    assert e.k_grid(100, e.ONE_TWO_FIVE).tolist() == [1, 2, 5, 10, 20, 50, 100]


def test_a_mean_never_exceeds_one() -> None:
    assert e.coverage([7] * 49, [7] * 49, [1, 3])[0] <= 1 and e.coverage([10] * 9, [9] * 9, [5])[0] <= 1


def test_after_no_success_the_exact_interval_is_that_of_clopper_and_pearson() -> None:
    assert e.highest_after_none(64) == pytest.approx(0.056, abs=5e-4)
    assert (1 - e.highest_after_none(10)) ** 10 == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("n", "c", "successes"),
    [
        ([3, 7, 1, 50, 50], [1, 1, 1, 0, 1], 1),
        ([3, 7, 5, 50], [2, 2, 2, 0], 2),
        ([50, 50, 50, 50], [1, 1, 0, 1], None),
        ([3, 7, 1, 50], [1, 0, 1, 0], None),
        ([3, 7, 1, 50], [1, 1, 1, 9], None),
        ([49, 48, 47, 50], [0, 0, 0, 0], None),
        ([49, 49, 50], [1, 1, 1], None),
    ],
)
def test_where_sampling_was_stopped_is_seen(n: list[int], c: list[int], successes: int | None) -> None:
    assert e.stopped_at(n, c) == successes
