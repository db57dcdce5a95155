"""Measures how far extrapolated coverage is from measured coverage. ``python -m bench.extrapolate`` prints the table.

The paper's own verdicts (Pythia on MATH, 10,000 samples of 128 problems by seven models) are cut to a few samples per
problem; every curve predicts coverage at many more, and is compared with what was measured. A curve of your own is one
more entry of ``CURVES``: a function from counts to a function of k.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import duckdb
import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import beta as beta_distribution

from jobs.numbers.extrapolate import CURVES, Curve, anchored, prefix_of
from jobs.numbers.fits import why_no_fit
from jobs.numbers.tally import Tally

OUTCOMES = Path("../shared/data/outcomes/large_language_monkeys_pythia_math_individual_outcomes.parquet")
SETTINGS = ((100, 10_000), (100, 1_000), (300, 10_000), (1_000, 10_000), (30, 1_000), (30, 300))
DRAWS = 10
MEAN = "anchored mean of the three"
_QUANTILES = (np.arange(200) + 0.5) / 200


def scaled_beta(tally: Tally) -> Curve:
    """Fits pass rates s * Beta(a, b) on a grid of quantiles (the scaled, discretised beta of published estimators)."""
    pairs, times = np.unique(np.column_stack([tally.n, tally.c]), axis=0, return_counts=True)
    n, c = (column[:, None].astype(np.float64) for column in pairs.T)

    def rates(logs: np.ndarray) -> np.ndarray:
        a, b, s = np.exp(logs[0]), np.exp(logs[1]), 1 / (1 + np.exp(-logs[2]))
        clipped: np.ndarray = np.clip(s * beta_distribution.ppf(_QUANTILES, a, b), 1e-12, 1 - 1e-12)
        return clipped

    def loss(logs: np.ndarray) -> float:
        p = rates(logs)[None, :]
        logs_of = gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1) + c * np.log(p) + (n - c) * np.log1p(-p)
        return -float((np.log(np.exp(logs_of).mean(axis=1) + 1e-300) * times).sum())

    found = minimize(loss, np.array([-1.0, 2.0, 2.0]), method="Nelder-Mead", options={"maxiter": 200})
    p = rates(found.x)
    return lambda k: float(-np.expm1(k * np.log1p(-p)).mean())


OTHERS: Mapping[str, Callable[[Tally], Curve]] = {"scaled beta": scaled_beta}


def measure(others: Mapping[str, Callable[[Tally], Curve]] = {}) -> dict[tuple[int, int], dict[str, float]]:
    """Returns the mean absolute error over models and draws, by setting and by way to predict."""
    cells, curves = read_cells(), {**CURVES, **others}
    return {setting: _errors(cells, *setting, curves) for setting in SETTINGS}


def read_cells() -> dict[str, Tally]:
    """Returns the counts of each model."""
    rows = duckdb.execute(
        f"""select model, list(n order by problem), list(c order by problem) from (
        select "Model" as model, "Problem Idx" as problem, count(*) as n, sum("Score")::BIGINT as c from '{OUTCOMES}'
        group by all) group by all order by model"""
    ).fetchall()
    return {model: Tally(np.array(n), np.array(c)) for model, n, c in rows}


def _errors(
    cells: Mapping[str, Tally], few: int, many: int, curves: Mapping[str, Callable[[Tally], Curve]]
) -> dict[str, float]:
    found = defaultdict(list)
    for tally in cells.values():
        rng, measured = np.random.default_rng(0), tally.mean(many)
        for _ in range(DRAWS):
            part = prefix_of(tally, few, rng)
            if not why_no_fit(part):
                for way, value in _predictions(part, many, curves):
                    found[way].append(abs(value - measured))
    return {way: float(np.mean(errors)) for way, errors in found.items()}


def _predictions(part: Tally, many: int, curves: Mapping[str, Callable[[Tally], Curve]]) -> Iterable[tuple[str, float]]:
    values = anchored(part, many, curves)
    for name, fit in curves.items():
        yield name, fit(part)(many)
        yield f"{name}, anchored", values[name]
    yield MEAN, float(np.mean([values[name] for name in CURVES]))


def as_table(errors: Mapping[tuple[int, int], Mapping[str, float]]) -> str:
    """Returns the errors as a Markdown table, one column per setting."""
    heads = ["mean absolute error of coverage", *(f"{few:,} → {many:,}" for few, many in errors), "mean"]
    found = {way: [each[way] for each in errors.values()] for way in next(iter(errors.values()))}
    rows = [[way, *(f"{error:.3f}" for error in [*each, np.mean(each)])] for way, each in found.items()]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(as_table(measure(OTHERS)))
