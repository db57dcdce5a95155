"""Estimators against enumeration of every draw."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers import estimators as e
from sampling.errors import BadInput
from tests.support.cost import cpu_below


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


def test_interval_is_what_a_plain_bootstrap_gives() -> None:
    rng = np.random.default_rng(0)
    n, c = np.full(40, 50), rng.integers(0, 20, 40)
    curve = e.coverage_curve(n, c, seed=1)
    values = e.pass_at_k(n, c, [10])[:, 0]
    plain = [values[rng.integers(0, 40, 40)].mean() for _ in range(20_000)]
    at = curve.at(10)
    assert at.value == pytest.approx(values.mean())
    assert (at.low, at.high) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=0.012)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    n, c = [30] * 20, list(range(20))
    first, again, other = (e.coverage_curve(n, c, seed=seed) for seed in (1, 1, 2))
    assert (first.low == again.low).all() and (first.high == again.high).all()
    assert not (first.low == other.low).all()


def test_a_k_off_the_curve_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="k=7 is not on this curve"):
        e.coverage_curve([6], [1]).at(7)


def test_pairing_sees_a_difference_that_separate_intervals_miss() -> None:
    rng = np.random.default_rng(5)
    hard = rng.uniform(0, 0.9, 60)
    better = hard + rng.uniform(0.02, 0.04, 60)
    difference = e.paired_difference(better, hard)
    assert difference.low > 0 and difference.high - difference.low < 0.01
    with pytest.raises(BadInput, match="paired difference"):
        e.paired_difference(better, hard[:5])


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


def test_after_no_success_the_exact_interval_is_that_of_clopper_and_pearson() -> None:
    assert e.highest_after_none(64) == pytest.approx(0.056, abs=5e-4)
    assert (1 - e.highest_after_none(10)) ** 10 == pytest.approx(0.025)


def test_two_thousand_resamples_of_a_large_benchmark_take_less_than_a_second() -> None:
    n, c = np.full(1319, 10_000), np.random.default_rng(0).integers(0, 10_000, 1319)
    with cpu_below(2.0):
        e.coverage_curve(n, c)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=4), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_intervals_are_those_of_every_resample(first: list[float], others: list[float]) -> None:
    """Compares with all P^P resamples of P problems, for a mean and for a paired difference."""
    second = others[: len(first)]
    problems = range(len(first))
    for found, values in [
        (e.paired_difference(np.array(first), np.array(second)), np.array(first) - np.array(second)),
        (e.curve_over_problems(np.array([1]), np.array(first)[:, None]).at(1), np.array(first)),
    ]:
        every = np.sort([values[list(drawn)].mean() for drawn in product(problems, repeat=len(first))])
        assert found.value == pytest.approx(values.mean())
        for end, share in ((found.low, 0.025), (found.high, 0.975)):
            low = np.quantile(every, max(share - 0.015, 0), method="lower")
            high = np.quantile(every, min(share + 0.015, 1), method="higher")
            assert low - 1e-9 <= end <= high + 1e-9


def stopped_sequences(p: float, most: int, successes: int) -> list[tuple[float, int, int]]:
    """Returns (chance, n, c) of every outcome when sampling ends at so many successes, or at ``most`` samples."""
    found = []
    for outcome in product((0, 1), repeat=most):
        ends = np.flatnonzero(np.cumsum(outcome) == successes)
        n = int(ends[0]) + 1 if len(ends) else most
        found.append((float(np.prod([p if o else 1 - p for o in outcome])), n, sum(outcome[:n])))
    return found


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 0.95), st.integers(2, 6), st.integers(1, 2))
def test_stopping_at_successes_biases_the_usual_estimate_but_not_this(p: float, most: int, successes: int) -> None:
    ways = stopped_sequences(p, most, successes)
    fair = sum(w * e.first_try_when_stopped([n], [c], successes)[0] for w, n, c in ways)
    assert fair == pytest.approx(p)
    if successes == 1:
        assert sum(w * c / n for w, n, c in ways) > p


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
