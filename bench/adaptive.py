"""Adaptive sampling on real verdicts: what it saves, and whether its numbers are the ones of uniform sampling.

``python -m bench.adaptive [MODEL …] [--retire-at R] [--local]`` replays the paper's verdicts (Pythia on MATH, 10,000
samples of 128 problems by seven models) through ``troop run``: plan, engines, verifiers, commits and rounds are the
product's own, only the completions are stored ones. Coverage is read back from the run and compared with the estimate
from all 10,000 samples of every problem, with the ratio of the two standard errors over problems. That is one draw of
the ratio, for one order of the samples; its mean over random orders of the same verdicts stands beside it.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np

from bench.extrapolate import OUTCOMES
from jobs.numbers.cells import CellCounts, Stopping
from jobs.numbers.costs import samples_drawn
from jobs.numbers.estimators import Floats, Ints, pass_at_k
from jobs.numbers.intervals import mean_bounds
from jobs.numbers.rounds import round_ends
from jobs.numbers.tally import Tally, tally_of
from jobs.run import run_sweep
from jobs.store.counts import read_planned_cells
from jobs.sweep import Sweep, open_run

K, KS = 10_000, np.array([1, 10, 100, 1_000, 10_000])
PUBLISHED = {
    5: {"70M": 0.93, "160M": 0.69, "1B": 0.56, "12B": 0.37},
    1: {"70M": 0.82, "160M": 0.52, "1B": 0.38, "12B": 0.22},
}
ORDERS = 200
SLACK = 0.03  # between the share that is measured and the one that was simulated


@dataclass(frozen=True)
class Row:
    """One model: the share of uniform sampling's samples, and both coverages at KS."""

    model: str
    share: float
    coverage: Floats
    uniform: Floats
    low: Floats
    high: Floats
    error_ratio: Floats
    mean_ratio: Floats
    layers: int
    retired: int

    @property
    def fails(self) -> bool:
        """True where a coverage lies outside uniform sampling's interval."""
        return bool(((self.coverage < self.low) | (self.coverage > self.high)).any())


def read_outcomes(model: str) -> Floats:
    """Returns which samples of each problem passed, shape (128, 10000), in the order in which they were drawn."""
    rows = duckdb.execute(
        f"""SELECT Score::DOUBLE AS passed FROM '{OUTCOMES}' WHERE Model = ? ORDER BY "Problem Idx", "Attempt Idx" """,
        [f"Pythia {model}"],
    ).fetchnumpy()
    passed: Floats = rows["passed"].reshape(-1, K)
    return passed


def models() -> list[str]:
    """Returns the names of the models, the smallest first."""
    found = duckdb.execute(f"SELECT DISTINCT Model FROM '{OUTCOMES}'").fetchall()
    names = [str(name).removeprefix("Pythia ") for (name,) in found]
    return sorted(names, key=lambda name: float(name[:-1]) * {"M": 1, "B": 1000}[name[-1]])


def measure(model: str, retire_at: int, folder: Path, *, local: bool) -> Row:
    """Replays one model's verdicts through an adaptive run."""
    passed = read_outcomes(model)
    write_inputs(passed, folder)
    sweep = Sweep.model_validate({
        "name": model, "store": str(folder / "runs"), "k": K,
        "models": [{"name": model, "engine": "replay", "path": str(folder / "samples.jsonl")}],
        "tasks": [{"name": "math", "kind": "jsonl", "path": str(folder / "problems.jsonl")}],
        "adaptive": {"first": 100, "grow": 2.0, "retire_at": retire_at},
        "verify": {"audit": 0},
    })  # fmt: skip
    run_sweep(sweep, address=None, local=local, say=lambda _: None)
    stored = open_run(sweep.run_uri)
    (cell,) = read_planned_cells(stored)
    return compare(cell, passed, retire_at, len(stored.layers))


def write_inputs(passed: Floats, folder: Path) -> None:
    """Writes the problems, whose right answer is 1, and the samples."""
    problems = (
        {"id": str(i), "prompt": "?", "verifier": "exact", "reference": {"answer": "1"}} for i in range(len(passed))
    )
    (folder / "problems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in problems))
    with (folder / "samples.jsonl").open("w") as file:
        for i, row in enumerate(passed.astype(int).tolist()):
            file.writelines(f'{{"problem":"{i}","sample":{s},"text":"{ok}"}}\n' for s, ok in enumerate(row))


def compare(cell: CellCounts, passed: Floats, retire_at: int, layers: int) -> Row:
    """Compares the estimates of a run with the ones from all samples."""
    counts: Ints = passed.sum(axis=1).astype(np.int64)
    uniform = pass_at_k(K, counts, KS)
    adaptive = tally_of(cell, np.arange(len(cell.n))).values(KS)
    low, high = mean_bounds(uniform)
    spread = uniform.std(axis=0, ddof=1)
    return Row(
        cell.model, samples_drawn(cell) / passed.size, adaptive.mean(axis=0), uniform.mean(axis=0), low, high,
        adaptive.std(axis=0, ddof=1) / np.where(spread > 0, spread, 1.0),
        ratio_over_orders(passed, retire_at), layers,
        int(cell.rounds.retired.sum()) if cell.rounds else 0,
    )  # fmt: skip


def ratio_over_orders(passed: Floats, retire_at: int, times: int = ORDERS, seed: int = 1) -> Floats:
    """Returns the mean ratio of standard errors over random orders of the samples, shape (K,)."""
    rng, total = np.random.default_rng(seed), passed.sum(axis=1).astype(np.int64)
    spread, ratios, ends = pass_at_k(K, total, KS).std(axis=0, ddof=1), [], round_ends(100, 2.0, K)
    for _ in range(times):
        n, before = np.full(len(total), ends[0]), np.zeros(len(total), dtype=np.int64)
        c = rng.hypergeometric(total, K - total, ends[0])
        for last, end in pairwise(ends):
            on = (c < retire_at) & (n == last)
            left = np.maximum(total - c, 0), np.maximum(K - last - (total - c), 0)
            c = np.where(on, c + rng.hypergeometric(*left, end - last), c)
            before, n = np.where(on, last, before), np.where(on, end, n)
        values = Tally(n, c, Stopping(retire_at, K), before, c >= retire_at).values(KS)
        ratios.append(values.std(axis=0, ddof=1) / spread)
    mean: Floats = np.mean(ratios, axis=0)
    return mean


def as_lines(row: Row, retire_at: int) -> Iterator[str]:
    """Yields one model's lines of the table: adaptive and uniform coverage, and the ratio of standard errors."""
    wanted = PUBLISHED.get(retire_at, {}).get(row.model)
    beside = "" if wanted is None else f" (simulated {wanted:.2f})"
    yield f"| {row.model} | {row.share:.3f}{beside} | adaptive | {' | '.join(f'{v:.4f}' for v in row.coverage)} |"
    ends = (f"{v:.4f} [{low:.3f}, {high:.3f}]" for v, low, high in zip(row.uniform, row.low, row.high, strict=True))
    yield f"| | {row.retired} retired, {row.layers} layers | uniform | {' | '.join(ends)} |"
    pairs = (f"{one:.2f} ({mean:.2f})" for one, mean in zip(row.error_ratio, row.mean_ratio, strict=True))
    yield f"| | | standard error, ratio (mean of {ORDERS} orders) | {' | '.join(pairs)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 where a share or a coverage is not what it has to be."""
    parser = argparse.ArgumentParser(prog="bench.adaptive")
    parser.add_argument("models", nargs="*", help="70M, 12B, …; default: all")
    parser.add_argument("--retire-at", type=int, default=5)
    parser.add_argument("--local", action="store_true", help="without Ray")
    given = parser.parse_args(arguments)
    print(f"rounds from 100, ×2, to {K:,}; retire at {given.retire_at}", flush=True)
    print(f"| model | share of uniform's samples | | {' | '.join(f'k={k:,}' for k in KS)} |\n|{'---|' * 8}", flush=True)
    wrong = []
    for model in given.models or models():
        with tempfile.TemporaryDirectory() as folder:
            row = measure(model, given.retire_at, Path(folder), local=given.local)
        print("\n".join(as_lines(row, given.retire_at)), flush=True)
        wanted = PUBLISHED.get(given.retire_at, {}).get(model, row.share)
        if row.fails or abs(row.share - wanted) > SLACK:
            wrong.append(model)
    print(f"outside: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
