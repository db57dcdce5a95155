"""Reliability: pass^k and G-Pass@k are what enumeration of all draws gives."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from jobs.numbers.estimators import pass_at_k
from jobs.numbers.reliability import all_pass, needed, share_passes
from sampling.errors import BadInput
from tests.support.cost import cpu_below

SHARES = (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1.0)


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_they_are_shares_of_all_draws(given: tuple[int, int, int]) -> None:
    n, c, k = given
    draws = [sum(draw) for draw in combinations([1] * c + [0] * (n - c), k)]
    counts = np.array([n]), np.array([c]), np.array([k])
    assert all_pass(*counts)[0, 0] == pytest.approx(np.mean([passed == k for passed in draws]), abs=1e-12)
    expected = [np.mean([passed >= max(1, -(-round(share * k, 6) // 1)) for passed in draws]) for share in SHARES]
    assert share_passes(*counts, SHARES)[0, 0] == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1)), min_size=1, max_size=5), st.data())
def test_they_are_the_published_sums(problems: list[tuple[int, float]], data: st.DataObject) -> None:
    n = np.array([total for total, _ in problems])
    c = np.array([round(total * share) for total, share in problems])
    ks = np.array(data.draw(st.lists(st.integers(1, int(n.min())), min_size=1, max_size=4)))
    found, all_of = share_passes(n, c, ks, SHARES), all_pass(n, c, ks)
    for p, (total, passed) in enumerate(zip(n.tolist(), c.tolist(), strict=True)):
        for i, k in enumerate(ks.tolist()):
            ways = [comb(passed, j) * comb(total - passed, k - j) for j in range(k + 1)]
            sums = [sum(ways[needed(share, k) :]) / comb(total, k) for share in SHARES]
            assert found[p, i] == pytest.approx(sums, abs=1e-10)
            assert all_of[p, i] == pytest.approx(comb(passed, k) / comb(total, k), abs=1e-10)


def test_a_share_of_one_is_all_and_a_tiny_share_is_coverage() -> None:
    n, c, ks = np.array([50, 50, 80]), np.array([0, 49, 13]), np.arange(1, 51)
    found = share_passes(n, c, ks, (1e-6, 1.0))
    assert found[:, :, 1] == pytest.approx(all_pass(n, c, ks), abs=1e-12)
    assert found[:, :, 0] == pytest.approx(pass_at_k(n, c, ks), abs=1e-12)


@pytest.mark.parametrize(("share", "k", "passes"), [(0.1, 30, 3), (1 / 3, 9, 3), (0.5, 5, 3), (0.0, 4, 1), (1.0, 7, 7)])
def test_rounding_asks_for_no_pass_too_many(share: float, k: int, passes: int) -> None:
    assert needed(share, k) == passes


def test_large_counts_are_exact_and_cheap() -> None:
    """The sum runs over what can happen at all: its time grows with the root of k."""
    n, c = np.full(300, 100_000), np.arange(0, 99_001, 331)[:300]
    ks = np.array([1, 1000, 30_000, 100_000])
    with cpu_below(5):
        found = share_passes(n, c, ks, (0.5,))
    for p in (0, 3, 140, 150, 299):
        expected = [hypergeom.sf(needed(0.5, int(k)) - 1, 100_000, c[p], k) for k in ks]
        assert found[p, :, 0] == pytest.approx(expected, abs=1e-7)


def test_a_k_beyond_the_samples_is_refused() -> None:
    with pytest.raises(BadInput, match="k=4"):
        all_pass(np.array([3]), np.array([1]), np.array([4]))
    with pytest.raises(BadInput, match="k=4"):
        share_passes(np.array([3]), np.array([1]), np.array([4]), (0.5,))
