"""Majority vote against enumeration of every draw of k samples."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.cells import AnswerCounts
from jobs.numbers.votes import majority_at_k, one_right_answer
from sampling.errors import BadInput


def table(counts: list[int], right: list[bool]) -> AnswerCounts:
    return AnswerCounts(np.array(counts, dtype=np.int64), np.array(right, dtype=np.bool_))


def enumerated(counts: list[int], right: list[bool], blank: int, k: int) -> float:
    labels = [answer for answer, count in enumerate(counts) for _ in range(count)] + [None] * blank
    scores = []
    for drawn in combinations(labels, k):
        votes = {answer: drawn.count(answer) for answer in set(drawn) - {None}}
        top = [answer for answer, count in votes.items() if count == max(votes.values())]
        scores.append(sum(right[answer] for answer in top) / len(top) if top else 0.0)
    return float(np.mean(scores))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4), st.integers(0, 3))
def test_exact_where_small(answers: list[tuple[int, bool]], blank: int) -> None:
    counts, right = [count for count, _ in answers], [good for _, good in answers]
    n = min(sum(counts) + blank, 10)
    if sum(counts) > n:
        counts, right, blank = counts[:2], right[:2], 1
        n = sum(counts) + blank
    blank = n - sum(counts)
    ks = np.arange(1, n + 1)
    value = majority_at_k([table(counts, right)], np.array([n]), ks)[0]
    np.testing.assert_allclose(value, [enumerated(counts, right, blank, int(k)) for k in ks], atol=1e-9)


def test_orders_of_many_samples_agree_with_the_exact_vote_of_few() -> None:
    """Problems of 60 samples are beyond the exact method; at k=2 the vote has a closed form."""
    counts, n = [15, 30], 60
    problems = [table(counts, [True, False])] * 64
    value = majority_at_k(problems, np.full(64, n), np.array([1, 2, 60])).mean(axis=0)
    pairs = 60 * 59 / 2
    both, tied, alone = 15 * 14 / 2, 15 * 30 / 2, 15 * 15
    assert value[0] == pytest.approx(15 / 60) and value[2] == 0.0
    assert value[1] == pytest.approx((both + tied + alone) / pairs, abs=3 * 0.0055)


def test_equal_seeds_give_equal_votes() -> None:
    tables, n, ks = [table([40, 41], [True, False])], np.array([100]), np.array([3, 10, 50])
    first, again, other = (majority_at_k(tables, n, ks, seed) for seed in (1, 1, 2))
    assert (first == again).all() and not (first == other).all()


def test_no_candidates_and_no_right_answer_are_wrong() -> None:
    assert majority_at_k([table([], [])], np.array([30]), np.array([1, 30])).tolist() == [[0.0, 0.0]]
    assert majority_at_k([table([9], [False])], np.array([9]), np.array([9])).tolist() == [[0.0]]


def test_impossible_tables_are_refused() -> None:
    with pytest.raises(BadInput, match="5 answers from n=4"):
        majority_at_k([table([5], [True])], np.array([4]), np.array([1]))
    with pytest.raises(BadInput, match="one per problem"):
        majority_at_k([], np.array([4]), np.array([1]))
    with pytest.raises(BadInput, match="k=5"):
        majority_at_k([table([4], [True])], np.array([4]), np.array([5]))


def test_spellings_of_the_right_answer_are_one_vote() -> None:
    split = AnswerCounts(np.array([3, 2, 2]), np.array([False, True, True]))
    one = one_right_answer(split)
    assert (one.count.tolist(), one.right.tolist()) == ([3, 4], [False, True])
    assert majority_at_k([one], np.array([7]), np.array([7]))[0, 0] == 1
    assert majority_at_k([split], np.array([7]), np.array([7]))[0, 0] == 0
