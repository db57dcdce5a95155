"""Measures how often ``troop compare`` is right about made pairs. ``python -m bench.compared`` prints it.

A pair is two models on problems that are drawn anew each time: B's rate on a problem is A's with a change of its own,
so that the mean difference of all such problems is known. Without a difference both have the same rates.
"""

import sys
from collections.abc import Iterator

import numpy as np
from scipy.stats import kstest

from jobs.compare.pairs import PairCounts, differences, mcnemar
from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import Floats

PROBLEMS, SAMPLES, KS = 120, 50, (1, 10, 50)
_TRUTH = 2_000_000  # problems from which the true difference is computed


def rates(draw: np.random.Generator, size: int, change: float) -> tuple[Floats, Floats]:
    """Draws pass rates of A and of B; with no ``change`` they are equal."""
    a = draw.beta(0.6, 1.4, size)
    moved = a + change * (1 - a) * draw.random(size) - change / 2 * a * draw.random(size)
    return a, moved if change else a


def cell(model: str, outcomes: np.ndarray) -> CellCounts:
    """Returns the counts of outcomes (P, N)."""
    problems, samples = outcomes.shape
    none = np.zeros(problems, dtype=np.int64)
    n, c = np.full(problems, samples), outcomes.sum(axis=1).astype(np.int64)
    names = tuple(f"p{i}" for i in range(problems))
    return CellCounts(model, "made", names, n=n, c=c, faults=none, timeouts=none, status_counts={}, version="v1")


def pairs(times: int, change: float, seed: int = 0) -> Iterator[tuple[CellCounts, CellCounts, PairCounts]]:
    """Yields simulated pairs."""
    for number in range(times):
        draw = np.random.default_rng((seed, number))
        a, b = (draw.random((PROBLEMS, SAMPLES)) < p[:, None] for p in rates(draw, PROBLEMS, change))
        counts = PairCounts((a & ~b).sum(axis=1), (b & ~a).sum(axis=1), np.full(PROBLEMS, SAMPLES))
        yield cell("a", a), cell("b", b), counts


def coverage_of_intervals(times: int, change: float = 0.3) -> dict[int, float]:
    """Returns how often the interval of the difference holds the truth, by k."""
    a, b = rates(np.random.default_rng(7), _TRUTH, change)
    truth = {k: float(((1 - a) ** k - (1 - b) ** k).mean()) for k in KS}
    at, hits = np.arange(PROBLEMS), dict.fromkeys(KS, 0)
    for first, second, _ in pairs(times, change):
        for d in differences(first, second, (at, at), "problems", KS):
            hits[d.k] += d.low <= truth[d.k] <= d.high
    return {k: count / times for k, count in hits.items()}


def p_values(times: int, *, same_samples: bool = False) -> Floats:
    """Returns McNemar's p of pairs without a difference."""
    at = np.arange(PROBLEMS)
    found = [mcnemar(a, b, (at, at), counts, same_samples).p for a, b, counts in pairs(times, 0.0)]
    return np.array(found, dtype=np.float64)


def main(times: int) -> None:
    print(f"{times} pairs of {PROBLEMS} problems with {SAMPLES} samples")
    print(
        "interval holds the true difference: "
        + ", ".join(f"k={k} {v:.3f}" for k, v in coverage_of_intervals(times).items())
    )
    for name, same in (("samples", False), ("problems", True)):
        p = p_values(times, same_samples=same)
        share = ", ".join(f"p <= {level}: {(p <= level).mean():.3f}" for level in (0.01, 0.05, 0.1, 0.5))
        print(
            f"McNemar over {name} without a difference: {share}; Kolmogorov-Smirnov p {kstest(p, 'uniform').pvalue:.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
