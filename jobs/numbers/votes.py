"""Majority vote over k samples: selection without an oracle, from counts of distinct answers.

k of a problem's n samples are drawn without replacement (with replacement, a right answer seen once could outvote
itself). The most frequent answer wins; ties are shared evenly. A sample without an answer is no candidate, and a draw
without a candidate is wrong. (Self-consistency: Wang et al. 2022, arXiv 2203.11171.)
"""

from collections.abc import Sequence
from math import comb

import numpy as np

from jobs.numbers.cells import AnswerCounts
from jobs.numbers.estimators import Floats, Ints, require_ks
from sampling.errors import BadInput

EXACT_UP_TO = 24  # samples of a problem
FEWEST_ORDERS, MOST_ORDERS, ORDERS_IN_ALL = 16, 1024, 8192
MOST_SHUFFLED = 4_000_000  # samples in memory at once


def majority_at_k(answers: Sequence[AnswerCounts], n: Ints, ks: Ints, seed: int = 0) -> Floats:
    """Returns the chance that the majority of k samples is right, per problem; shape (P, K).

    Exact for problems of at most 24 samples, at k=1 and at k=n. Otherwise the mean over R random orders of a problem's
    samples (the first k of an order are k draws without replacement), with R * P about 8,192, R from 16 to 1,024 and no
    more than four million samples shuffled at once. The random orders add a standard error of at most 0.5 / sqrt(R) to
    a problem, and of at most 0.5 / sqrt(R * P) to the mean over problems: .0055 at 64 problems of 10,000 samples, far
    below the error from the choice of problems. Raises BadInput for tables that contradict ``n``.
    """
    if len(answers) != len(n):
        raise BadInput(f"{len(answers)} answer tables for {len(n)} problems; one per problem is needed")
    require_ks(ks, int(n.min(initial=np.iinfo(np.int64).max)))
    orders = orders_for(n)
    rows = [
        _one(each, int(total), ks, orders, np.random.default_rng((seed, i)))
        for i, (each, total) in enumerate(zip(answers, n, strict=True))
    ]
    return np.array(rows).reshape(len(answers), len(ks))


def one_right_answer(answers: AnswerCounts) -> AnswerCounts:
    """Returns the same counts with all right answers as one: they are spellings of the reference, as 2√3 and √12."""
    if answers.right.sum() < 2:
        return answers
    count = np.append(answers.count[~answers.right], answers.count[answers.right].sum())
    return AnswerCounts(count, np.append(np.zeros(len(count) - 1, dtype=np.bool_), True))


def orders_for(n: Ints) -> int:
    """Returns how many random orders of each problem's samples are averaged."""
    room = MOST_SHUFFLED // max(int(n.max(initial=1)), 1)
    return max(FEWEST_ORDERS, min(ORDERS_IN_ALL // max(len(n), 1), MOST_ORDERS, room))


def _one(answers: AnswerCounts, n: int, ks: Ints, rows: int, rng: np.random.Generator) -> Floats:
    if answers.count.sum() > n:
        raise BadInput(f"{int(answers.count.sum())} answers from n={n} samples; a sample has at most one")
    if not answers.right.any():
        return np.zeros(len(ks))
    if n <= EXACT_UP_TO:
        return _exact(answers, n, ks)
    value = _sampled(answers, n, ks, rows, rng)
    value[ks == 1] = answers.count[answers.right].sum() / n
    value[ks == n] = _share_of_top(answers.count[None, :], answers.right)[0]
    return value


def _share_of_top(counts: Ints, right: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """Returns, per row of ``counts`` (R, A), the share of right answers among the most frequent ones."""
    most = counts.max(axis=1, keepdims=True)
    top = (counts == most) & (most > 0)
    share: Floats = (top & right).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    return share


def _sampled(answers: AnswerCounts, n: int, ks: Ints, rows: int, rng: np.random.Generator) -> Floats:
    """Returns the mean over random orders. Votes are counted from one k to the next, so each sample counts once."""
    kinds = len(answers.count)
    labels = np.full(n, kinds, dtype=np.int64)  # NumPy shuffles this type nearly twice as fast as a shorter one
    labels[: answers.count.sum()] = np.repeat(np.arange(kinds), answers.count)
    orders = rng.permuted(np.broadcast_to(labels, (rows, n)), axis=1)
    orders += (kinds + 1) * np.arange(rows)[:, None]
    counts, seen, value = np.zeros((rows, kinds + 1), dtype=np.int64), 0, np.zeros(len(ks))
    for index in np.argsort(ks):
        k = int(ks[index])
        counts += np.bincount(orders[:, seen:k].ravel(), minlength=counts.size).reshape(counts.shape)
        seen, value[index] = k, _share_of_top(counts[:, :kinds], answers.right).mean()
    return value


def _exact(answers: AnswerCounts, n: int, ks: Ints) -> Floats:
    """Counts every possible draw by generating functions, all k at once.

    For each right answer a and winning count t, the draws in which a has t votes, j - 1 others tie and the rest have
    fewer are C(m_a, t) times a coefficient of the product over b != a of (sum_{s<t} C(m_b, s) x^s + y C(m_b, t) x^t).
    Its share of such a tie is 1/j, which is the integral of y^(j-1) over [0, 1]: Gauss-Legendre nodes make it exact.
    """
    counts = [int(m) for m in answers.count]
    blank = n - sum(counts)
    favourable = np.zeros(n + 1)
    nodes, weights = np.polynomial.legendre.leggauss(n // 2 + 1)
    for a in np.flatnonzero(answers.right):
        others = counts[:a] + counts[a + 1 :]
        for t in range(1, counts[a] + 1):
            for y, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
                ways = _ways(others, blank, t, float(y), n - t)
                favourable[t:] += comb(counts[a], t) * weight * ways
    return np.array([favourable[k] / comb(n, int(k)) for k in ks])


def _ways(others: Sequence[int], blank: int, t: int, y: float, degree: int) -> Floats:
    """Returns the coefficients x^0..x^degree of the product in ``_exact``, samples without an answer included."""
    product: Floats = np.array([float(comb(blank, s)) for s in range(blank + 1)])
    for m in others:
        factor = [float(comb(m, s)) for s in range(min(m, t - 1) + 1)] + ([y * comb(m, t)] if m >= t else [])
        product = np.convolve(product, factor)[: degree + 1].astype(np.float64)
    return np.pad(product[: degree + 1], (0, max(0, degree + 1 - len(product))))
