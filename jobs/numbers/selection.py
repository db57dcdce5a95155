"""Selecting one of k samples by scores, or by a verifier that sometimes errs.

As in jobs/numbers/votes.py k of a problem's n samples are drawn without replacement, ties are shared evenly, and
samples without an answer (or without a score) are no candidates: a draw that has no candidate is wrong.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from jobs.numbers.cells import ScoredSamples
from jobs.numbers.estimators import Floats, Ints, pass_at_k, require_ks
from jobs.numbers.votes import orders_for

SCORE, EXP = "score", "exp(score)"
EXACT_UP_TO = 10  # samples of a problem: 2^10 subsets
_TIE = 1e-9


def best_of_k(scored: Sequence[ScoredSamples], n: Ints, ks: Ints) -> Floats:
    """The chance that the best-scored of k samples is right, per problem; shape (P, K). Exact, from ranks alone.

    The best of k is among the m that score at most s with chance C(m, k) / C(n, k); so the chance that it scores s is a
    difference of two of these, and then each sample of that score is equally likely the one that is taken (best-of-N:
    Cobbe et al. 2021, arXiv 2110.14168; unbiased over subsets as pass@k in arXiv 2107.03374).
    """
    require_ks(ks, int(n.min(initial=np.iinfo(np.int64).max)))
    logs = gammaln(np.arange(int(n.max(initial=0)) + 2) + 1.0)
    return np.array([_best(each, int(total), ks, logs) for each, total in zip(scored, n, strict=True)])


def _best(scored: ScoredSamples, n: int, ks: Ints, logs: Floats) -> Floats:
    _, level = np.unique(scored.score, return_inverse=True)
    count, right = (np.bincount(level, weights=w).astype(np.int64) for w in (scored.count, scored.right))
    up_to = np.concatenate([[n - count.sum()], n - count.sum() + np.cumsum(count)]).astype(np.int64)
    m, k = up_to[:, None], ks[None, :]
    none = logs[m] - logs[np.maximum(m - k, 0)] - (logs[n] - logs[n - k])
    below = np.where(m >= k, np.exp(none), 0.0)
    share = right / np.maximum(count, 1)
    value: Floats = (np.diff(below, axis=0) * share[:, None]).sum(axis=0)
    return value


def transform_of(scored: Sequence[ScoredSamples]) -> str:
    """How scores become weights: as they are where all lie in [0, 1], as ``exp(score)`` where they are logits."""
    within = all(((each.score >= 0) & (each.score <= 1)).all() for each in scored)
    return SCORE if within else EXP


def weighted_at_k(scored: Sequence[ScoredSamples], n: Ints, ks: Ints, transform: str, seed: int = 0) -> Floats:
    """The chance that the answer with the largest sum of weights among k samples is right; shape (P, K).

    (Weighted vote: Li et al. 2023, arXiv 2206.02336.) Exact for problems of at most 10 samples, else the mean over
    random orders, as many as ``majority_at_k`` takes, with the same bound on their error.
    """
    require_ks(ks, int(n.min(initial=np.iinfo(np.int64).max)))
    orders = orders_for(n)
    rows = [
        _weighted(each, int(total), ks, transform, orders, np.random.default_rng((seed, i)))
        for i, (each, total) in enumerate(zip(scored, n, strict=True))
    ]
    return np.array(rows).reshape(len(scored), len(ks))


def _weighted(scored: ScoredSamples, n: int, ks: Ints, transform: str, orders: int, rng: np.random.Generator) -> Floats:
    """Samples one by one: the answer each votes for (none: one past the last) and its weight."""
    kinds = int(scored.answer.max(initial=-1)) + 1
    labels, weights = np.full(n, kinds), np.zeros(n)
    voters = int(scored.count.sum())
    labels[:voters] = np.repeat(np.where(scored.answer < 0, kinds, scored.answer), scored.count)
    weights[:voters] = np.repeat(_weights(scored.score, transform), scored.count)
    given, passed = (np.bincount(scored.answer[scored.answer >= 0], w[scored.answer >= 0], kinds)
                     for w in (scored.count, scored.right))  # fmt: skip
    right = np.append(2 * passed > given, False)
    if n <= EXACT_UP_TO:
        return _every_subset(labels, weights, right, ks)
    return _some_orders(labels, weights, right, ks, orders, rng)


def _weights(score: Floats, transform: str) -> Floats:
    """Of exponentials only ratios matter: the largest is 1."""
    value: Floats = np.exp(score - score.max(initial=-np.inf)) if transform == EXP else score
    return value


def _every_subset(labels: Ints, weights: Floats, right: Floats, ks: Ints) -> Floats:
    drawn = (np.arange(1 << len(labels))[:, None] >> np.arange(len(labels))) & 1
    votes = np.zeros((len(labels), len(right)))
    votes[np.arange(len(labels)), labels] = weights
    votes[:, -1] = 0
    won, size = _share_of_heaviest(drawn @ votes, right), drawn.sum(axis=1)
    return np.array([won[size == k].mean() for k in ks])


def _some_orders(
    labels: Ints, weights: Floats, right: Floats, ks: Ints, orders: int, rng: np.random.Generator
) -> Floats:
    kinds, n = len(right), len(labels)
    order = rng.permuted(np.broadcast_to(np.arange(n), (orders, n)), axis=1)
    place = labels[order] + kinds * np.arange(orders)[:, None]
    votes, seen, value = np.zeros((orders, kinds)), 0, np.zeros(len(ks))
    for at in np.argsort(ks):
        k = int(ks[at])
        part = order[:, seen:k]
        votes += np.bincount(place[:, seen:k].ravel(), weights[part].ravel(), votes.size).reshape(votes.shape)
        votes[:, -1] = 0
        seen, value[at] = k, _share_of_heaviest(votes, right).mean()
    return value


def _share_of_heaviest(votes: Floats, right: Floats) -> Floats:
    """Of the answers with the largest weight in each row, up to rounding, the share that is right."""
    most = votes.max(axis=1, keepdims=True)
    top = (votes >= most * (1 - _TIE)) & (most > 0)
    share: Floats = (top & (right > 0)).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    return share


def first_accepted(n: ArrayLike, accepted: ArrayLike, right: ArrayLike, ks: ArrayLike) -> Floats:
    """The chance that among k samples one is accepted and the first of these is right; shape (P, K).

    Of a problem's ``n`` samples a verifier accepted some, of which only ``right`` are right. The first accepted one is
    any of them with equal chance, so more samples do not help beyond right / accepted: a flawed verifier sets a bound
    that no k overcomes (Stroebl et al. 2024, arXiv 2411.17501).
    """
    share = np.asarray(right, dtype=np.float64) / np.maximum(np.asarray(accepted), 1)
    value: Floats = pass_at_k(n, accepted, ks) * share[:, None]
    return value


def right_among_accepted(n: ArrayLike, accepted: ArrayLike, false_positives: float) -> Floats:
    """How many of the accepted samples are right, in expectation, if that share of wrong ones is accepted.

    accepted = right + rate * (n - right), solved for right; never below zero.
    """
    total, taken = np.asarray(n, dtype=np.float64), np.asarray(accepted, dtype=np.float64)
    value: Floats = np.maximum(taken - false_positives * total, 0) / (1 - false_positives)
    return value
