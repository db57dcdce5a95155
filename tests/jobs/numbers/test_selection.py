"""Selection against enumeration of every draw, and of every order in which a verifier can see the samples."""

from itertools import combinations, permutations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.cells import AnswerCounts, ScoredSamples
from jobs.numbers.selection import (
    EXP,
    SCORE,
    best_of_k,
    first_accepted,
    one_right_answer,
    right_among_accepted,
    transform_of,
    weighted_at_k,
)
from jobs.numbers.votes import majority_at_k
from sampling.errors import BadInput

Row = tuple[float, int, bool]  # score, answer (-1: none), right
ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(-1, 2), st.booleans()), max_size=6)


def scored(rows: list[Row]) -> ScoredSamples:
    kinds = sorted(set(rows))
    count = [sum((row[0], row[1]) == kind for row in rows) for kind in sorted({(s, a) for s, a, _ in kinds})]
    places = sorted({(s, a) for s, a, _ in kinds})
    right = [sum(row[2] and (row[0], row[1]) == place for row in rows) for place in places]
    columns: list[Any] = [[s for s, _ in places], [a for _, a in places], count, right]
    types = (np.float64, np.int64, np.int64, np.int64)
    return ScoredSamples(*(np.array(column, dtype=kind) for column, kind in zip(columns, types, strict=True)))


def mean_over_draws(rows: list[Row | None], k: int, value: Any) -> float:
    return float(np.mean([value([row for row in drawn if row is not None]) for drawn in combinations(rows, k)]))


def best(drawn: list[Row]) -> float:
    top = [right for score, _, right in drawn if score == max(s for s, *_ in drawn)]
    return sum(top) / len(top) if top else 0.0


@settings(deadline=None)
@given(ROWS, st.integers(0, 2))
def test_best_of_k_is_the_share_of_all_draws(rows: list[Row], blank: int) -> None:
    n = len(rows) + blank
    ks = np.arange(1, n + 1)
    if n:
        expected = [mean_over_draws([*rows, *[None] * blank], int(k), best) for k in ks]
        np.testing.assert_allclose(best_of_k([scored(rows)], np.array([n]), ks)[0], expected, atol=1e-12)


def test_best_of_k_keeps_its_precision_and_refuses_k_beyond_n() -> None:
    rows = ScoredSamples(np.array([0.1, 0.9]), np.array([-1, -1]), np.array([99_999, 1]), np.array([0, 1]))
    value = best_of_k([rows], np.array([100_000]), np.array([1, 1000, 100_000]))[0]
    np.testing.assert_allclose(value, [1e-5, 1e-2, 1.0], atol=1e-9)
    with pytest.raises(BadInput, match="k=4"):
        best_of_k([scored([(0.5, -1, True)] * 3)], np.array([3]), np.array([4]))


def heaviest(rows: list[Row], weigh: Any) -> Any:
    given_ = {a: [right for _, answer, right in rows if answer == a] for _, a, _ in rows}
    right = {a: 2 * sum(all_) > len(all_) for a, all_ in given_.items()}

    def value(drawn: list[Row]) -> float:
        votes = {a: sum(weigh(s) or 1e-200 for s, b, _ in drawn if b == a) for _, a, _ in drawn if a >= 0}
        top = [a for a, weight in votes.items() if np.isclose(weight, max(votes.values()), rtol=1e-9, atol=0)]
        return sum(right[a] for a in top) / len(top) if top else 0.0

    return value


@settings(deadline=None)
@given(ROWS, st.integers(0, 2), st.sampled_from([SCORE, EXP]))
def test_weighted_vote_is_the_share_of_all_draws(rows: list[Row], blank: int, transform: str) -> None:
    n = len(rows) + blank
    ks = np.arange(1, n + 1)
    if n:
        value = heaviest(rows, np.exp if transform == EXP else float)
        expected = [mean_over_draws([*rows, *[None] * blank], int(k), value) for k in ks]
        found = weighted_at_k([scored(rows)], np.array([n]), ks, transform)[0]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_vote_of_many_equal_weights_is_a_majority() -> None:
    rows = [(0.5, 0, True)] * 15 + [(0.5, 1, False)] * 30
    ks, n, problems = np.array([2, 9]), np.full(64, 60), 64
    found = weighted_at_k([scored(rows)] * problems, n, ks, SCORE).mean(axis=0)
    votes = AnswerCounts(np.array([15, 30]), np.array([True, False]))
    np.testing.assert_allclose(found, majority_at_k([votes] * problems, n, ks).mean(axis=0), atol=3 * 0.008)


def test_logits_are_weighed_by_their_exponential() -> None:
    assert transform_of([scored([(0.5, 0, True)]), scored([])]) == SCORE
    assert transform_of([scored([(0.5, 0, True), (-3.0, 1, False)])]) == EXP


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))).flatmap(
    lambda p: st.tuples(st.just(p[0]), st.just(p[1]), st.integers(0, p[1]))))  # fmt: skip
def test_first_accepted_is_the_share_of_all_orders(counts: tuple[int, int, int]) -> None:
    """Samples with an index below ``right`` are right, samples with an index below ``accepted`` are accepted."""
    n, accepted, right = counts
    for k in range(1, n + 1):
        firsts = [next((i for i in order[:k] if i < accepted), None) for order in permutations(range(n))]
        expected = np.mean([first is not None and first < right for first in firsts])
        assert first_accepted([n], [accepted], [right], [k])[0, 0] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(0, 50), st.floats(0, 0.9))
def test_false_positives_are_taken_off_again(n: int, right: int, rate: float) -> None:
    right = min(right, n)
    accepted = right + rate * (n - right)
    assert right_among_accepted([n], [accepted], rate)[0] == pytest.approx(right, abs=1e-9)
    assert right_among_accepted([n], [0], rate)[0] == 0


def alone(scores: list[float], answers: list[int], right: list[int]) -> ScoredSamples:
    ones = np.ones(len(scores), dtype=np.int64)
    return ScoredSamples(np.array(scores), np.array(answers), ones, np.array(right))


@pytest.mark.parametrize("n", [4, 12])
def test_votes_without_any_weight_still_count(n: int) -> None:
    none = alone([0.0] * 4, [0, 0, 0, 1], [1, 1, 1, 0])
    assert weighted_at_k([none], np.array([n]), np.array([n]), SCORE)[0, 0] == 1


@pytest.mark.parametrize("n", [4, 12])
def test_scores_far_below_the_best_keep_their_order(n: int) -> None:
    """The best sample is rarely drawn; among the others, exponentials relative to it would all be 0."""
    far = alone([0.0, -800.0, -900.0, -900.0], [0, 1, 2, 2], [0, 1, 0, 0])
    found = weighted_at_k([far], np.array([n]), np.array([3]), EXP)[0, 0]
    expected = comb(n - 2, 2) / comb(n, 3)  # draws with the second sample and without the first
    assert found == pytest.approx(expected, abs=0.03 if n == 12 else 1e-12)


def test_spellings_of_the_right_answer_are_one_vote() -> None:
    both = one_right_answer(alone([1.0, 1.0, 1.0, 1.0, 1.0], [0, 1, 2, 2, 2], [1, 1, 0, 0, 0]))
    assert both.answer.tolist() == [0, 0, 2, 2, 2]
