"""Selection of one of k samples by scores, or by a verifier that sometimes errs.

The rules are those of jobs/numbers/votes.py: k of a problem's n samples are drawn without replacement, ties are shared
evenly, and a sample without an answer (or without a score) is no candidate. A draw without a candidate is wrong.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from jobs.numbers.cells import ScoredSamples
from jobs.numbers.estimators import Floats, Ints, pass_at_k, require_ks
from jobs.numbers.votes import orders_for

SCORE, EXP = "score", "exp(score)"
EXACT_UP_TO = 10  # samples of a problem; it has 2^10 subsets
_TIE = 1e-9


def best_of_k(scored: Sequence[ScoredSamples], n: Ints, ks: Ints) -> Floats:
    """Returns the chance that the best-scored of k samples is right, per problem; shape (P, K). Exact, from ranks.

    With m samples that score at most s, the best of k scores at most s with chance C(m, k) / C(n, k). The chance that
    it scores exactly s is a difference of two of these, and then each sample of that score is equally likely to be
    taken (best-of-N: Cobbe et al. 2021, arXiv 2110.14168; unbiased over subsets as pass@k in arXiv 2107.03374).
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
    """Returns how scores become weights: unchanged where all lie in [0, 1], else ``exp(score)``, as for logits."""
    within = all(((each.score >= 0) & (each.score <= 1)).all() for each in scored)
    return SCORE if within else EXP


def weighted_at_k(scored: Sequence[ScoredSamples], n: Ints, ks: Ints, transform: str, seed: int = 0) -> Floats:
    """Returns the chance that the answer with the largest sum of weights among k samples is right; shape (P, K).

    (Weighted vote: Li et al. 2023, arXiv 2206.02336.) Exact for problems of at most 10 samples, else the mean over as
    many random orders as ``majority_at_k`` takes, with the same bound on the error.
    """
    require_ks(ks, int(n.min(initial=np.iinfo(np.int64).max)))
    orders = orders_for(n)
    rows = [
        _weighted(each, int(total), ks, transform, orders, np.random.default_rng((seed, i)))
        for i, (each, total) in enumerate(zip(scored, n, strict=True))
    ]
    return np.array(rows).reshape(len(scored), len(ks))


def _weighted(scored: ScoredSamples, n: int, ks: Ints, transform: str, orders: int, rng: np.random.Generator) -> Floats:
    """Returns the chances of one problem, (K,). A sample's label is its answer, or ``kinds`` without an answer."""
    kinds = int(scored.answer.max(initial=-1)) + 1
    labels, logs = np.full(n, kinds), np.full(n, -np.inf)
    voters = int(scored.count.sum())
    labels[:voters] = np.repeat(np.where(scored.answer < 0, kinds, scored.answer), scored.count)
    logs[:voters] = np.repeat(np.where(scored.answer < 0, -np.inf, _log_weights(scored.score, transform)), scored.count)
    given, passed = (np.bincount(scored.answer[scored.answer >= 0], w[scored.answer >= 0], kinds)
                     for w in (scored.count, scored.right))  # fmt: skip
    right = np.append(2 * passed > given, False)
    if n <= EXACT_UP_TO:
        return _every_subset(labels, logs, right, ks)
    return _some_orders(labels, logs, right, ks, orders, rng)


def _log_weights(score: Floats, transform: str) -> Floats:
    """Returns the logarithm of each score's weight: exponentials of far scores would all be 0.

    A weight of 0 becomes one so small that any other outweighs it, so that votes without any weight still count.
    """
    value: Floats = score if transform == EXP else np.log(np.maximum(score, np.finfo(np.float64).tiny))
    return value


def _every_subset(labels: Ints, logs: Floats, right: Floats, ks: Ints) -> Floats:
    drawn = ((np.arange(1 << len(labels))[:, None] >> np.arange(len(labels))) & 1) > 0
    weights = np.where(drawn, logs, -np.inf)
    weights = _scaled(weights, weights.max(axis=1)[:, None])
    votes = np.zeros((len(labels), len(right)))
    votes[np.arange(len(labels)), labels] = 1
    won, size = _share_of_heaviest(weights @ votes, right), drawn.sum(axis=1)
    return np.array([won[size == k].mean() for k in ks])


def _some_orders(labels: Ints, logs: Floats, right: Floats, ks: Ints, orders: int, rng: np.random.Generator) -> Floats:
    """Returns the mean over random orders; weights are relative to the largest one that each order has drawn."""
    kinds, n = len(right), len(labels)
    order = rng.permuted(np.broadcast_to(np.arange(n), (orders, n)), axis=1)
    slot = labels[order] + kinds * np.arange(orders)[:, None]
    votes, most, seen, value = np.zeros((orders, kinds)), np.full(orders, -np.inf), 0, np.zeros(len(ks))
    for at in np.argsort(ks):
        k = int(ks[at])
        part = logs[order[:, seen:k]]
        before, most = most, np.maximum(most, part.max(axis=1, initial=-np.inf))
        votes *= _scaled(before, most)[:, None]
        added = _scaled(part, most[:, None])
        votes += np.bincount(slot[:, seen:k].ravel(), added.ravel(), votes.size).reshape(votes.shape)
        seen, value[at] = k, _share_of_heaviest(votes, right).mean()
    return value


def _scaled(logs: Floats, most: Floats) -> Floats:
    """Returns exp(logs - most); 0 where there is no weight yet."""
    value: Floats = np.exp(logs - np.where(np.isfinite(most), most, 0.0))
    return value


def one_right_answer(scored: ScoredSamples) -> ScoredSamples:
    """Returns the same samples with all right answers as one: they are spellings of the reference, as 2√3 and √12."""
    kinds, held = int(scored.answer.max(initial=-1)) + 1, scored.answer >= 0
    given, passed = (np.bincount(scored.answer[held], w[held], kinds) for w in (scored.count, scored.right))
    right = np.flatnonzero(2 * passed > given)
    if len(right) < 2:
        return scored
    return replace(scored, answer=np.where(np.isin(scored.answer, right), right[0], scored.answer))


def _share_of_heaviest(votes: Floats, right: Floats) -> Floats:
    """Returns, per row, the share of right answers among the ones with the largest weight, up to rounding."""
    most = votes.max(axis=1, keepdims=True)
    top = (votes >= most * (1 - _TIE)) & (most > 0)
    share: Floats = (top & (right > 0)).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    return share


def first_accepted(n: ArrayLike, accepted: ArrayLike, right: ArrayLike, ks: ArrayLike) -> Floats:
    """Returns the chance that k samples hold an accepted one and the first accepted one is right; shape (P, K).

    A verifier accepted ``accepted`` of a problem's ``n`` samples; only ``right`` of these are right. The first accepted
    sample is any of them with equal chance, so more samples do not help beyond right / accepted: a flawed verifier
    sets a bound that no k overcomes (Stroebl et al. 2024, arXiv 2411.17501).
    """
    share = np.asarray(right, dtype=np.float64) / np.maximum(np.asarray(accepted), 1)
    value: Floats = pass_at_k(n, accepted, ks) * share[:, None]
    return value


def right_among_accepted(n: ArrayLike, accepted: ArrayLike, false_positives: float) -> Floats:
    """Returns the expected number of right samples among the accepted ones, at that rate of false positives.

    Solves accepted = right + rate * (n - right) for right; never below zero.
    """
    total, taken = np.asarray(n, dtype=np.float64), np.asarray(accepted, dtype=np.float64)
    value: Floats = np.maximum(taken - false_positives * total, 0) / (1 - false_positives)
    return value
