"""Coverage of unequal and of stopped samples, against the enumeration of every outcome."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.cells import Stopping
from jobs.numbers.estimators import coverage
from jobs.numbers.tally import Tally, bounds_over_all, mean_tries, stopping_of, tally_of
from sampling.errors import BadInput
from tests.support.made_cells import cell, tally

RULES = [
    Stopping(1, 5), Stopping(2, 5), Stopping(1, 4, (1, 2, 3, 4)), Stopping(1, 6, (2, 4, 6)), Stopping(2, 6, (2, 4, 6)),
    Stopping(2, 6, (2, 3, 6)), Stopping(3, 6, (3, 6)), Stopping(9, 4, (2, 4)),
]  # fmt: skip


def ended(outcome: tuple[int, ...], rule: Stopping) -> tuple[int, int]:
    """Returns n and c of a problem whose samples come out like this."""
    ends = rule.rounds or range(1, rule.cap + 1)
    n = next((end for end in ends if sum(outcome[:end]) >= rule.retire_at), rule.cap)
    return n, sum(outcome[:n])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("p", [0.1, 0.6])
def test_stopped_sampling_is_unbiased_at_every_k(rule: Stopping, p: float) -> None:
    outcomes, ks = list(product((0, 1), repeat=rule.cap)), np.arange(1, rule.cap + 1)
    chances = np.array([np.prod([p if o else 1 - p for o in each]) for each in outcomes])
    n, c = np.array([ended(each, rule) for each in outcomes]).T
    stopped = Tally(n, c, rule)
    assert stopped.largest == rule.cap
    np.testing.assert_allclose(chances @ stopped.values(ks), 1 - (1 - p) ** ks, atol=1e-12)
    if rule.retire_at == 1:
        assert chances @ (c / n) >= p


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_each_stopped_problem_has_a_curve_that_never_falls(rule: Stopping) -> None:
    n, c = np.array([ended(each, rule) for each in product((0, 1), repeat=rule.cap)]).T
    values = Tally(n, c, rule).values(np.arange(1, rule.cap + 1))
    assert (np.diff(values, axis=1) >= -1e-12).all() and values.min() >= 0 and values.max() <= 1


def test_counts_that_no_stop_can_have_led_to_are_refused() -> None:
    with pytest.raises(BadInput, match="had its passes a round earlier"):
        Tally(np.array([6]), np.array([6]), Stopping(1, 6)).values([1])


def test_a_stop_is_seen_or_known() -> None:
    seen = cell([3, 7, 1, 50], [1, 1, 1, 0])
    assert stopping_of(seen) == Stopping(1, 50)
    known = Stopping(1, 8, (2, 4, 8))
    assert stopping_of(replace(cell([2, 8], [1, 0]), stopping=known)) == known
    assert stopping_of(cell([0, 0], [0, 0])) is None and stopping_of(cell([9, 9], [1, 0])) is None
    assert tally_of(seen, np.arange(4)).mean(1) == pytest.approx(0.25)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=3), st.integers(1, 6))
def test_bounds_are_the_estimate_where_samples_reach_and_open_where_not(rows: list[tuple[int, int]], k: int) -> None:
    n, c = [n for n, _ in rows], [min(n, c) for n, c in rows]
    worst, best = (values[:, 0] for values in tally(n, c).bounds(np.array([k])))
    assert worst == pytest.approx([coverage([a], [b], [min(k, a)])[0] for a, b in zip(n, c, strict=True)])
    assert best == pytest.approx([1.0 if k > a else low for a, low in zip(n, worst, strict=True)])


def test_bounds_count_every_problem_of_the_plan() -> None:
    worst, best, low, high = bounds_over_all(tally([10, 10], [10, 0]), 2, np.array([1, 10]))
    assert worst == pytest.approx([0.25, 0.25]) and best == pytest.approx([0.75, 0.75])
    assert (low < worst).all() and (high > best).all()


def test_one_short_problem_does_not_cut_the_others() -> None:
    counts = tally([3, *[10_000] * 127], [0, *range(127)])
    assert (counts.largest, counts.furthest) == (3, 10_000)
    worst, best = (values.mean() for values in counts.bounds(np.array([10_000])))
    assert best - worst == pytest.approx(1 / 128)
    assert counts.without_short().largest == 10_000 and len(counts.without_short().n) == 127


@given(st.integers(1, 8), st.integers(0, 8), st.data())
def test_mean_tries_are_those_of_every_order(n: int, c: int, data: st.DataObject) -> None:
    passed, k = min(n, c), data.draw(st.integers(1, n))
    orders = {order for order in product((0, 1), repeat=n) if sum(order) == passed}
    tried = [next((at + 1 for at in range(k) if order[at]), k) for order in orders]
    assert mean_tries(tally([n], [passed]), k) == pytest.approx(np.mean(tried))
