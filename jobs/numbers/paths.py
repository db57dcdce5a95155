"""Unbiased pass@k of problems whose sampling ended because of its outcome: every path of outcomes counts alike.

A problem retires at the first end of a round at which it has r passes. Given that it ended at a round's end with c of n
samples passed, all orders of outcomes that lead there are equally likely, and they are the ones with s < r passes among
the m samples of the rounds before. So the conditional expectation of "one of the first k passes" is unbiased for every
k (Girshick, Mosteller & Savage 1946 for sequential binomial sampling; Rao & Blackwell). The usual estimate on the same
counts is off by up to .20.

The sum over orders is one over s: with weights C(m, s) C(n - m, c - s), the first k samples are k of the m earlier ones
of which s passed, and beyond m they all failed only if s = 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from jobs.numbers.estimators import Floats, Ints, pass_chance
from sampling.errors import BadInput

_MOST_VALUES = 4_000_000  # in memory at once


def pass_when_stopped(n: Ints, c: Ints, before: Ints, retire_at: int, ks: Ints) -> Floats:
    """Returns the unbiased pass@k of each problem; ``ks`` has shape (P, K), and so has the result.

    ``before`` holds the samples at the end of the round before, 0 where a problem ended in its first round: it has the
    usual estimate then. Beyond n the estimate is 1: who goes on to k has not retired. It is exact at k=1 and where none
    passed. Raises BadInput for counts that the rule cannot have led to.
    """
    value = pass_chance(n[:, None], c[:, None], np.minimum(ks, n[:, None]))
    late = np.flatnonzero((before > 0) & (c > 0))
    for part in np.array_split(late, -(-len(late) * ks.shape[1] * retire_at // _MOST_VALUES) or 1):
        value[part] = _late(n[part], c[part], before[part], retire_at, ks[part])
    return np.where((ks > n[:, None]) & (c[:, None] > 0), 1.0, value)


def _late(n: Ints, c: Ints, before: Ints, retire_at: int, ks: Ints) -> Floats:
    """Returns pass@k of problems that ended after their first round, for k up to n."""
    weights, m, k = _weights(n, c, before, retire_at), before[:, None], np.minimum(ks, n[:, None])
    seen = np.minimum(np.arange(min(retire_at, int(before.max(initial=0)) + 1)), m)
    chances = pass_chance(m[:, :, None], seen[:, None, :], np.minimum(k, m)[:, :, None])
    early = (chances * weights[:, None, :]).sum(axis=2)
    last = (n - before)[:, None]
    rest = pass_chance(last, np.minimum(c[:, None], last), np.maximum(k - m, 1))
    none = weights[:, :1]
    value: Floats = np.where(k <= m, early, 1 - none + none * rest)
    return np.minimum(value, 1.0)


def _weights(n: Ints, c: Ints, before: Ints, retire_at: int) -> Floats:
    """Returns the chance that s of the earlier rounds' samples passed, for s from 0 on, shape (P, r)."""
    seen = np.arange(min(retire_at, int(before.max(initial=0)) + 1))[None, :]
    logs = _log_choose(before[:, None], seen) + _log_choose((n - before)[:, None], c[:, None] - seen)
    most = logs.max(axis=1, keepdims=True)
    if not np.isfinite(most).all():
        raise BadInput("the stopping rule cannot have led to these counts: a problem had its passes a round earlier")
    share = np.exp(logs - most)
    value: Floats = share / share.sum(axis=1, keepdims=True)
    return value


def _log_choose(n: Ints, k: Ints) -> Floats:
    """Returns the logarithm of the binomial coefficient; minus infinity outside its range."""
    inside: NDArray[np.bool_] = (k >= 0) & (k <= n)
    top, low = np.where(inside, n, 0), np.where(inside, k, 0)
    value: Floats = gammaln(top + 1) - gammaln(low + 1) - gammaln(top - low + 1)
    return np.where(inside, value, -np.inf)
