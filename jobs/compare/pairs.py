"""Paired numbers of two models on the same problems: differences at each k, and McNemar's exact test at k = 1.

The interval is about the mean difference. The test asks something else: whether the two draw right answers at the same
rate on every problem. Then a pair of samples that differ is as likely to favour one as the other (McNemar 1947), also
where problems are of unequal difficulty, as long as pairs are independent. They are not where both sides judge the very
same samples, where sampling stopped because of its outcome, or where the order of samples is somebody else's; the pairs
are problems then: which of the two did better, with the same symmetry (the sign test of Dixon & Mood 1946).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from jobs.compare.result import Difference, Mcnemar
from jobs.numbers.cells import IMPORTED, CellCounts
from jobs.numbers.estimators import ONE_TWO_FIVE, Ints, k_grid
from jobs.numbers.intervals import Population, difference_bounds, noise_difference_bounds
from jobs.numbers.tally import stopping_of, tally_of
from sampling.errors import BadInput


@dataclass(frozen=True)
class PairCounts:
    """Pairs of samples of each common problem, arrays of shape (P,)."""

    a_only: Ints
    """Pairs that are right in A alone."""
    b_only: Ints
    """Pairs that are right in B alone."""
    pairs: Ints
    equal: int = 0
    """Pairs with equal texts, of those whose hashes are kept."""
    hashed: int = 0


def differences(
    a: CellCounts, b: CellCounts, at: tuple[Ints, Ints], population: Population, ks: Sequence[int] = ()
) -> tuple[Difference, ...]:
    """Returns coverage of B minus that of A on the problems ``at`` (indices in A, in B), with paired intervals.

    Default ``ks``: 1, 2, 5, 10, … up to the fewest samples of a problem. Raises BadInput for a k beyond these.
    """
    first, second = tally_of(a, at[0]), tally_of(b, at[1])
    largest = min(first.largest, second.largest)
    if beyond := next((k for k in ks if k > largest), None):
        raise BadInput(
            f"k = {beyond}: some common problem of {a.task} has only {largest} samples; allowed: 1 to {largest}"
        )
    grid = np.array(sorted(set(ks)), dtype=np.int64) if ks else k_grid(largest, ONE_TWO_FIVE)
    values = first.values(grid), second.values(grid)
    step = values[1] - values[0]
    if population == "problems":
        low, high = difference_bounds(step)
    else:
        share = grid / min(int(first.n.min()), int(second.n.min()))
        noise = first.noise(grid) + second.noise(grid)
        low, high = noise_difference_bounds(step.mean(axis=0), noise, np.minimum(share, 1.0))
    means = [np.minimum(each.mean(axis=0), 1.0) for each in values]
    rows = zip(grid, *means, step.mean(axis=0), low, high, strict=True)
    return tuple(Difference(k=int(k), a=float(x), b=float(y), value=float(d), low=float(lo), high=float(hi))
                 for k, x, y, d, lo, hi in rows)  # fmt: skip


def mcnemar(a: CellCounts, b: CellCounts, at: tuple[Ints, Ints], pairs: PairCounts, same_samples: bool) -> Mcnemar:
    """Returns the exact test over samples where it is sound, else over problems; see this module's docstring."""
    why = _why_problems(a, b, pairs, same_samples)
    if not why:
        said = "a small p says that the two differ on some problem, not that the mean does"
        return _exact(int(pairs.a_only.sum()), int(pairs.b_only.sum()), pairs, "samples", said)
    if IMPORTED in (a.version, b.version):
        n = a.n[at[0]], b.n[at[1]]
        if not np.array_equal(*n):
            why = f"{why}, and their numbers differ, so that neither has the same chance to do better"
            return Mcnemar(unit="problems", why=why, pairs=0, a_only=0, b_only=0, p=None)
        net = b.c[at[1]] - a.c[at[0]]
    else:
        net = pairs.b_only - pairs.a_only
    return _exact(int((net < 0).sum()), int((net > 0).sum()), pairs, "problems", why)


def _exact(a_only: int, b_only: int, pairs: PairCounts, unit: str, why: str) -> Mcnemar:
    p = float(binomtest(b_only, a_only + b_only).pvalue) if a_only + b_only else 1.0
    return Mcnemar.model_validate(
        {"unit": unit, "why": why, "pairs": int(pairs.pairs.sum()), "a_only": a_only, "b_only": b_only, "p": p}
    )


def _why_problems(a: CellCounts, b: CellCounts, pairs: PairCounts, same_samples: bool) -> str:
    """Returns why samples cannot be the pairs; "" where they can."""
    if same_samples:
        return "over problems, since one rule of a verifier turns many of the same samples"
    if IMPORTED in (a.version, b.version):
        return "over problems, since the order of imported samples is unknown"
    if stopping_of(a) or stopping_of(b):
        return "over problems, since sampling stopped because of its outcome"
    return "" if pairs.pairs.any() else "over problems, since no sample has the same index in both"
