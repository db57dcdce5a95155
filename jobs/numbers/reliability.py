"""Reliability: how often all of k samples pass, or a given share of them, where coverage asks for one.

All k are drawn without replacement from a problem's n samples, so the number of passes among them is hypergeometric.
These estimates are unbiased where n does not depend on the outcomes; where it does, they are not given.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

from jobs.numbers.estimators import Floats, Ints, require_ks

_REACH = 6.0  # Hoeffding 1963: the share of draws further than 6 sqrt(k) from their mean is below 1e-30
_MOST_VALUES = 2_000_000  # in memory at once
_ROUNDING = 1e-9


def all_pass(n: Ints, c: Ints, ks: Ints) -> Floats:
    """Returns the chance that all of k samples pass, C(c, k) / C(n, k), per problem; shape (P, K).

    pass^k of Yao et al. 2024 (arXiv 2406.12045). Raises BadInput for a k beyond the smallest n.
    """
    require_ks(ks, int(n.min()))
    total, passed, k = n[:, None], c[:, None], ks[None, :]
    logs = gammaln(passed + 1) - gammaln(np.maximum(passed - k, 0) + 1) - gammaln(total + 1) + gammaln(total - k + 1)
    value: Floats = np.where(passed < k, 0.0, np.where(passed == total, 1.0, np.exp(np.minimum(logs, 0.0))))
    return value


def share_passes(n: Ints, c: Ints, ks: Ints, shares: Sequence[float]) -> Floats:
    """Returns the chance that at least ``ceil(share * k)`` of k samples pass, per problem; shape (P, K, S).

    G-Pass@k of Liu et al. 2024 (arXiv 2412.13147): the sum of C(c, j) C(n-c, k-j) / C(n, k) over these j. A share of 1
    is ``all_pass``, and one below 1/k is pass@k. Raises BadInput for a k beyond the smallest n.
    """
    require_ks(ks, int(n.min()))
    pairs, place = np.unique(np.column_stack([n, c]), axis=0, return_inverse=True)
    columns = [_tails(pairs[:, 0], pairs[:, 1], int(k), [needed(share, int(k)) for share in shares]) for k in ks]
    return np.stack(columns, axis=1)[place.ravel()]


def needed(share: float, k: int) -> int:
    """Returns how many of k samples have to pass: ``ceil(share * k)``, at least one."""
    return max(1, math.ceil(share * k - _ROUNDING))


def _tails(n: Ints, c: Ints, k: int, least: Sequence[int]) -> Floats:
    """Returns the chance of at least so many passes among k, for each number in ``least``; shape (P, S)."""
    width = min(k + 1, 2 * math.ceil(_REACH * math.sqrt(k)) + 2)
    parts = np.array_split(np.arange(len(n)), -(-len(n) * width // _MOST_VALUES))
    return np.concatenate([_tails_of(n[part], c[part], k, width, least) for part in parts])


def _tails_of(n: Ints, c: Ints, k: int, width: int, least: Sequence[int]) -> Floats:
    first = np.clip(np.rint(k * c / n).astype(np.int64) - width // 2, 0, k + 1 - width)
    passes = first[:, None] + np.arange(width)
    chances = _chances(n[:, None], c[:, None], k, passes)
    above = np.cumsum(chances[:, ::-1], axis=1)[:, ::-1]  # of at least so many passes as the column has
    padded = np.column_stack([above, np.zeros(len(n))])
    places = np.clip(np.asarray(least)[None, :] - first[:, None], 0, width)
    value: Floats = np.clip(np.take_along_axis(padded, places, axis=1), 0.0, 1.0)
    return value


def _chances(n: Ints, c: Ints, k: int, j: Ints) -> Floats:
    """Returns the hypergeometric chance of j passes among k of n samples of which c passed."""
    possible = (j <= c) & (k - j <= n - c)
    inside = np.where(possible, j, np.clip(k - n + c, 0, None))
    logs = _log_choose(c, inside) + _log_choose(n - c, k - inside) - _log_choose(n, np.asarray(k))
    return np.where(possible, np.exp(logs), 0.0)


def _log_choose(n: Ints, k: Ints) -> Floats:
    value: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return value
