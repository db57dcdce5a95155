"""The path-count estimator: unbiased, by enumeration in fractions; equal to the table that defines it."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.cells import Stopping
from jobs.numbers.estimators import pass_at_k
from jobs.numbers.paths import pass_when_stopped
from jobs.numbers.tally import Tally
from sampling.errors import BadInput

Ended = tuple[int, int, int]  # n, c, and the samples of the rounds before
SIZES = [(1, 2, 3, 4), (2, 4, 6), (3, 6), (2, 3, 7), (1, 3, 9), (4, 8), (2, 5, 6, 8), (5,)]
RATES = [Fraction(1, 20), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10)]


def choose(n: int, k: int) -> int:
    return comb(n, k) if 0 <= k <= n else 0


def exact(ended: Ended, r: int, k: int) -> Fraction:
    """Returns pass@k by the table of the estimator's cases."""
    n, c, m = ended
    b = n - m
    if m == 0:
        return 1 - Fraction(choose(n - k, c), choose(n, c)) if k <= n else Fraction(1)
    paths = sum(choose(m, s) * choose(b, c - s) for s in range(r))
    if k <= m:
        return 1 - Fraction(sum(choose(m - k, s) * choose(b, c - s) for s in range(r)), paths)
    return 1 - Fraction(choose(n - k, c), paths) if k <= n else Fraction(1)


@cache
def endings(sizes: tuple[int, ...], r: int) -> dict[Ended, int]:
    """Counts the orders of outcomes that end a problem at each (n, c, round before)."""
    alive, found = {0: 1}, dict[Ended, int]()
    for before, n in zip((0, *sizes), sizes, strict=False):
        grown: dict[int, int] = {}
        for c, orders in alive.items():
            for more in range(n - before + 1):
                grown[c + more] = grown.get(c + more, 0) + orders * comb(n - before, more)
        alive = {c: orders for c, orders in grown.items() if c < r and n < sizes[-1]}
        found |= {(n, c, before): orders for c, orders in grown.items() if c not in alive}
    return found


def cases() -> Iterator[tuple[tuple[int, ...], int, Fraction, int]]:
    for sizes in SIZES:
        for r in range(1, min(sizes[0], 3) + 1):
            for p in RATES:
                yield from ((sizes, r, p, k) for k in range(1, sizes[-1] + 1))


def test_no_case_is_biased_in_fractions() -> None:
    tried = list(cases())
    biased = [case for case in tried if mean(*case) != 1 - (1 - case[2]) ** case[3]]
    assert len(tried) >= 360 and not biased


def mean(sizes: tuple[int, ...], r: int, p: Fraction, k: int) -> Fraction:
    """Returns the expected value of the estimate of pass@k at the true rate ``p``."""
    ends = endings(sizes, r).items()
    return sum((orders * p ** e[1] * (1 - p) ** (e[0] - e[1]) * exact(e, r, k) for e, orders in ends), Fraction(0))


def test_the_usual_estimate_on_the_same_counts_is_biased() -> None:
    ends, p = endings((1, 2, 3, 4), 1), Fraction(1, 2)
    usual = sum(o * p ** e[1] * (1 - p) ** (e[0] - e[1]) * Fraction(e[1], e[0]) for e, o in ends.items())
    assert usual - p > Fraction(15, 100)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("r", [1, 2, 3])
def test_the_estimate_is_the_table(sizes: tuple[int, ...], r: int) -> None:
    ended, ks = list(endings(sizes, r)), np.arange(1, sizes[-1] + 1)
    n, c, before = np.array(ended).T
    found = pass_when_stopped(n, c, before, r, np.broadcast_to(ks, (len(n), len(ks))))
    wanted = [[float(exact(e, r, int(k))) if e[1] else 0.0 for k in ks] for e in ended]
    np.testing.assert_allclose(found, wanted, atol=1e-13)


def test_every_path_of_a_small_problem_counts_alike() -> None:
    """Averages "one of the first k passes" over the very orders that lead to n=6, c=3 by rounds of 2, 4, 6 and r=2."""
    paths = [set(o) for o in combinations(range(6), 3) if sum(place < 4 for place in o) < 2]
    for k in range(1, 7):
        value = np.mean([any(place < k for place in order) for order in paths])
        found = pass_when_stopped(np.array([6]), np.array([3]), np.array([4]), 2, np.array([[k]]))
        assert found[0, 0] == pytest.approx(value)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.sampled_from([1.5, 2.0, 3.0]), st.integers(1, 8), st.data())
def test_large_problems_are_exact_at_the_ends(first: int, grow: float, r: int, data: st.DataObject) -> None:
    ends = [first]
    while ends[-1] < 5000:
        ends.append(int(ends[-1] * grow) + 1)
    at = data.draw(st.integers(1, len(ends) - 1))
    before, n = ends[at - 1], ends[at]
    c = data.draw(st.integers(0, n - before))
    ks = np.unique(np.geomspace(1, n, 30).astype(np.int64))
    value = pass_when_stopped(np.array([n]), np.array([c]), np.array([before]), r, ks[None, :])[0]
    assert (np.diff(value) >= -1e-12).all() and value.min() >= 0 and value.max() <= 1
    if c == 0:
        assert not value.any()
    else:
        paths = [comb(before, s) * choose(n - before, c - s) for s in range(r)]
        one = sum((Fraction(s, before) * w for s, w in enumerate(paths)), Fraction(0)) / sum(paths)
        assert value[0] == pytest.approx(float(one), rel=1e-9, abs=1e-15)


def test_who_ended_in_the_first_round_has_the_usual_estimate() -> None:
    n, c, ks = np.array([100, 100]), np.array([7, 0]), np.array([1, 10, 100])
    found = pass_when_stopped(n, c, np.zeros(2, dtype=np.int64), 5, np.broadcast_to(ks, (2, 3)))
    np.testing.assert_array_equal(found, pass_at_k(n, c, ks))


def test_simulated_adaptive_sampling_is_unbiased_at_ten_thousand() -> None:
    rng, ends, r, ks = np.random.default_rng(5), [100, 200, 400, 800], 5, np.array([1, 10, 100, 800])
    p = np.repeat(rng.beta(0.5, 20, 40), 1000)
    n, c, before = np.full(len(p), ends[0]), rng.binomial(ends[0], p), np.zeros(len(p), dtype=np.int64)
    for last, end in pairwise(ends):
        on = c < r
        c = np.where(on & (n == last), c + rng.binomial(end - last, p), c)
        before, n = np.where(on, last, before), np.where(on, end, n)
    tally = Tally(n, c, Stopping(r, 800), before, c >= r)
    errors = tally.values(ks) - (1 - (1 - p[:, None]) ** ks)
    assert (np.abs(errors.mean(axis=0)) < 4 * errors.std(axis=0) / np.sqrt(len(p))).all()


def test_a_problem_that_has_not_ended_its_first_round_reaches_its_samples_alone() -> None:
    tally = Tally(np.array([50]), np.array([10]), Stopping(5, 800), np.array([0]), np.array([False]))
    worst, best = tally.bounds(np.array([50, 100]))
    assert tally.largest == 50 and best[0, 1] == 1.0 and worst[0, 1] == worst[0, 0]


def test_counts_that_no_path_leads_to_are_refused() -> None:
    with pytest.raises(BadInput, match="had its passes a round earlier"):
        pass_when_stopped(np.array([4]), np.array([4]), np.array([2]), 1, np.array([[1]]))
