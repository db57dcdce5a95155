"""Do the intervals of adaptive sampling hold the truth? ``python -m bench.adaptive_intervals`` prints the table.

As bench/intervals.py, whose five distributions of difficulty it takes: problems are drawn, each gets samples by rounds
until it retires, and the truth is known in closed form. Beside the share of benchmarks whose interval holds the truth
stands that of the usual pass@k on the very same counts.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.intervals import DIFFICULTIES, Mixture, drawn, true_coverage
from jobs.numbers.cells import Stopping
from jobs.numbers.estimators import Floats, Ints, pass_chance
from jobs.numbers.intervals import mean_bounds
from jobs.numbers.rounds import round_ends
from jobs.numbers.tally import Tally

K, KS, PROBLEMS = 10_000, np.array([1, 10, 100, 1_000, 10_000]), (64, 128, 500)
_SLACK = 1e-9


@dataclass(frozen=True)
class Row:
    """One cell of the table; ``bias`` is the mean error of the estimate, ``noise`` the standard error of that mean."""

    problems: int
    difficulty: str
    retire_at: int
    k: int
    held: float
    held_usual: float
    bias: float
    noise: float


def measure(times: int = 400, seed: int = 1) -> Iterator[Row]:
    """Yields every cell, for ``times`` benchmarks each."""
    rng = np.random.default_rng(seed)
    for problems in PROBLEMS:
        for name, mixture in DIFFICULTIES.items():
            for retire_at in (5, 1):
                p = drawn(mixture, rng, (times, problems))
                yield from _rows(name, mixture, sample_by_rounds(p.ravel(), retire_at, rng), (times, problems))


def sample_by_rounds(p: Floats, retire_at: int, rng: np.random.Generator) -> Tally:
    """Draws problems with these pass rates by rounds from 100 on, doubled up to K."""
    ends = round_ends(100, 2.0, K)
    n, c, before = np.full(len(p), ends[0]), rng.binomial(ends[0], p), np.zeros(len(p), dtype=np.int64)
    for last, end in pairwise(ends):
        on = (c < retire_at) & (n == last)
        c = np.where(on, c + rng.binomial(end - last, p), c)
        before, n = np.where(on, last, before), np.where(on, end, n)
    return Tally(n, c, Stopping(retire_at, K), before, c >= retire_at)


def _rows(name: str, mixture: Mixture, tally: Tally, shape: tuple[int, int]) -> Iterator[Row]:
    values, usual = tally.values(KS), _usual(tally.n, tally.c)
    assert tally.stopping is not None
    for at, k in enumerate(KS):
        truth = true_coverage(mixture, float(k))
        held, before = (_held(each[:, at].reshape(shape).T, truth) for each in (values, usual))
        errors = values[:, at].reshape(shape).mean(axis=1) - truth
        noise = float(errors.std() / np.sqrt(len(errors)))
        yield Row(shape[1], name, tally.stopping.retire_at, int(k), held, before, float(errors.mean()), noise)


def _usual(n: Ints, c: Ints) -> Floats:
    """Returns the usual pass@k of each problem; beyond its samples, that of all of them."""
    return pass_chance(n[:, None], c[:, None], np.minimum(KS[None, :], n[:, None]))


def _held(values: Floats, truth: float) -> float:
    low, high = mean_bounds(values)
    return float(((low <= truth + _SLACK) & (truth - _SLACK <= high)).mean())


def as_table(rows: list[Row]) -> str:
    """Returns the cells as a Markdown table: one line per difficulty and policy, one column per P and k."""
    heads = [f"P={problems}, k={k:,}" for problems in PROBLEMS for k in KS]
    lines = ["| holds the truth; usual pass@k | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    for name in DIFFICULTIES:
        for retire_at in (5, 1):
            cells = [row for row in rows if (row.difficulty, row.retire_at) == (name, retire_at)]
            said = " | ".join(f"{row.held:.2f}; {row.held_usual:.2f}" for row in cells)
            lines.append(f"| {name}, r={retire_at} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    found = list(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
    print(as_table(found))
    held = [row.held for row in found]
    off = sum(abs(row.bias) > 4 * row.noise + 1e-4 for row in found)
    print(
        f"\n{len(found)} cells: held {min(held):.2f} to {max(held):.2f}; {off} are off by more than 4 standard errors"
    )
