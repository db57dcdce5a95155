"""Do intervals that promise 95 % hold the truth so often? ``python -m bench.intervals`` prints the tables.

Problems are drawn from five distributions of difficulty, 100 samples from each problem, and the truth is known in
closed form. Each cell of the tables is the share of benchmarks whose interval holds the truth, with the median width;
beside it stands the percentile bootstrap over problems. The baseline of a crossover reaches with one try what the
model reaches with 9.5 samples; three in ten problems are as hard for it as some other problem is for the model.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from jobs.numbers.crossover import search_grid
from jobs.numbers.estimators import Floats, Ints, k_grid, pass_at_k, percentile_bounds, resample_weights
from jobs.numbers.extrapolate import FACTOR, extrapolate
from jobs.numbers.intervals import difference_bounds, mean_bounds, never_falling
from jobs.numbers.tally import Tally

N = 100
PROBLEMS = (5, 10, 20, 64, 128, 500)
KS = np.array([1, 10, 100])
Mixture = tuple[tuple[float, float, float], ...]  # (weight, alpha, beta) of each part; alpha 0: never solved
DIFFICULTIES: Mapping[str, Mixture] = {
    "spread": ((1, 0.5, 1.5),),
    "hard": ((1, 0.2, 8),),
    "easy": ((1, 4, 0.6),),
    "half impossible": ((0.5, 0, 1), (0.5, 1, 2)),
    "few solved": ((0.85, 0.3, 60), (0.15, 2, 2)),
}
_AT = 9.5
_GRID = search_grid(N)
_TABLE = pass_at_k(np.full(N + 1, N), np.arange(N + 1), _GRID)  # by passes and k
_SLACK = 1e-9


@dataclass(frozen=True)
class Row:
    """One cell of a table: how often the interval holds the truth, and its median width; then the bootstrap's."""

    what: str
    problems: int
    difficulty: str
    truth: float
    held: float
    width: float
    held_before: float
    width_before: float

    @property
    def fails(self) -> bool:
        """True where the interval holds too rarely, or is much wider than a bootstrap that holds often enough."""
        fair = self.problems >= 64 and self.held_before >= 0.92 and self.width_before > 0
        return self.held < 0.92 or (fair and self.width > 1.3 * self.width_before)


def measure(times: int = 1000, seed: int = 1) -> Iterator[Row]:
    """Yields every cell, for ``times`` benchmarks each."""
    rng = np.random.default_rng(seed)
    for problems in PROBLEMS:
        weights = resample_weights(problems)
        for name, mixture in DIFFICULTIES.items():
            p = drawn(mixture, rng, (times, problems))
            other = np.where(rng.random(p.shape) < 0.7, p, drawn(mixture, rng, p.shape))
            c, single = rng.binomial(N, p), rng.binomial(N, 1 - (1 - other) ** _AT) / N
            yield from _coverage(name, mixture, c, weights)
            yield _crossover(name, c, single, weights)
            yield _difference(name, mixture, c, single, weights)


def drawn(mixture: Mixture, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Draws pass rates."""
    part, p = rng.choice(len(mixture), p=[weight for weight, _, _ in mixture], size=shape), np.zeros(shape)
    for i, (_, alpha, beta) in enumerate(mixture):
        if alpha:
            p = np.where(part == i, rng.beta(alpha, beta, shape), p)
    return p


def true_coverage(mixture: Mixture, k: float) -> float:
    """Returns the coverage of all problems of a distribution."""
    return float(sum(w * -np.expm1(betaln(a, b + k) - betaln(a, b)) for w, a, b in mixture if a))


def _coverage(name: str, mixture: Mixture, c: Ints, weights: Floats) -> Iterator[Row]:
    grid = k_grid(N)
    ends = zip(*(mean_bounds(_values(c, int(k)).T) for k in grid), strict=True)
    lows, highs = never_falling(*(np.array(each) for each in ends))  # (K, times)
    for k in KS:
        at, truth = int(np.searchsorted(grid, k)), true_coverage(mixture, float(k))
        before = percentile_bounds(weights @ _values(c, int(k)).T)
        yield _row(f"coverage, k = {k}", c.shape[1], name, truth, (lows[at], highs[at]), before)


def _difference(name: str, mixture: Mixture, c: Ints, single: Floats, weights: Floats) -> Row:
    values = (c / N - single).T
    truth = true_coverage(mixture, 1) - true_coverage(mixture, _AT)
    now, before = difference_bounds(values), percentile_bounds(weights @ values)
    return _row("difference", len(values), name, truth, now, before)


def _crossover(name: str, c: Ints, single: Floats, weights: Floats) -> Row:
    values = [(_values(c, int(k)) - single).T for k in _GRID]
    lows, highs = (np.array(ends) for ends in zip(*map(difference_bounds, values), strict=True))  # (K, times)
    now = _first(highs >= -_SLACK), _last(lows < -_SLACK)
    firsts = _first(np.array([weights @ each for each in values]) >= -1e-12)  # (R, times)
    before = percentile_bounds(firsts)
    return _row("crossover k", c.shape[1], name, float(np.ceil(_AT)), now, before)


def _values(c: Ints, k: int) -> Floats:
    return np.asarray(_TABLE[c, np.searchsorted(_GRID, k)])


def _first(reached: np.ndarray) -> Floats:
    """Returns the first k that is True, by column; infinity where none is. The first axis is k."""
    return np.where(reached.any(axis=0), _GRID[reached.argmax(axis=0)].astype(float), 10.0 * N)


def _last(below: np.ndarray) -> Floats:
    """Returns the first k after the last one that is True."""
    after = len(_GRID) - below[::-1].argmax(axis=0)
    ends = np.append(_GRID, 10 * N).astype(float)
    return np.where(below.any(axis=0), ends[after], ends[0])


def _row(
    what: str, problems: int, name: str, truth: float, now: tuple[Floats, Floats], before: tuple[Floats, Floats]
) -> Row:
    figures = []
    for low, high in (now, before):
        held = (low <= truth + _SLACK) & (truth - _SLACK <= high)
        figures += [float(held.mean()), float(np.median(high - low))]
    return Row(what, problems, name, truth, *figures)


def extrapolated(times: int = 40, problems: int = 128, seed: int = 2) -> str:
    """Returns how often the range of the three curves holds the truth at ten times the samples: it is no interval."""
    rng, lines = np.random.default_rng(seed), ["| difficulty | truth | mean error | range holds it | identified |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, mixture in DIFFICULTIES.items():
        truth = true_coverage(mixture, N * FACTOR)
        p = drawn(mixture, rng, (times, problems))
        tallies = (Tally(np.full(problems, N), rng.binomial(N, each)) for each in p)
        found = [each for each in map(extrapolate, tallies) if each]
        error = np.mean([abs(each.value - truth) for each in found]) if found else np.nan
        held = np.mean([each.low <= truth <= each.high for each in found]) if found else np.nan
        lines.append(f"| {name} | {truth:.3f} | {error:.3f} | {held:.2f} | {len(found) / times:.2f} |")
    return "\n".join(lines)


def as_table(rows: list[Row]) -> str:
    """Returns the cells as a Markdown table: one line per quantity and difficulty, one column per P."""
    lines = ["| share that holds the truth (median width); then the bootstrap's | "
             + " | ".join(f"P = {problems}" for problems in PROBLEMS) + " |",
             "| --- |" + " --- |" * len(PROBLEMS)]  # fmt: skip
    for what in dict.fromkeys(row.what for row in rows):
        for name in DIFFICULTIES:
            cells = [row for row in rows if (row.what, row.difficulty) == (what, name)]
            said = [
                f"{'**' if r.fails else ''}{r.held:.2f}{'**' if r.fails else ''} ({_width(r.width)}); "
                f"{r.held_before:.2f} ({_width(r.width_before)})"
                for r in cells
            ]
            lines.append(f"| {what}, {name} | " + " | ".join(said) + " |")
    return "\n".join(lines)


def _width(width: float) -> str:
    return "open" if width > N else f"{width:.0f}" if width >= 1 else f"{width:.3f}"


if __name__ == "__main__":
    found = list(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
    print(as_table(found))
    print(f"\n{sum(row.fails for row in found)} of {len(found)} cells fail\n")
    print(extrapolated())
