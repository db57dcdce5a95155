"""Fits: known parameters are recovered, and the paper's figures are reproduced."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers import fits
from jobs.numbers.estimators import coverage
from tests.support.made_cells import tally

OUTCOMES = Path("../shared/data/outcomes/large_language_monkeys_pythia_math_individual_outcomes.parquet")


@pytest.mark.parametrize(("a", "b"), [(-7.59, -0.18), (-3.92, -0.35), (-1.0, -2.2), (-0.3, 0.2)])
def test_a_curve_of_the_family_is_recovered(a: float, b: float) -> None:
    ks = fits.fit_ks(10_000)
    found_a, found_b = fits.fit_curves(ks, np.array([fits.exponentiated_power_law(a, b, ks)]))
    assert (found_a[0], found_b[0]) == pytest.approx((a, b), abs=1e-4)


def test_no_neighbour_fits_better() -> None:
    n, c = np.full(40, 300), np.random.default_rng(1).integers(0, 30, 40)
    law = fits.fit_power_law(tally(n, c))
    assert law is not None
    ks = fits.fit_ks(300)
    logs = np.log(coverage(n, c, ks))

    def loss(a: float, b: float) -> float:
        return float(((logs - a * ks.astype(float) ** b) ** 2).sum())

    near = [loss(law.a + i * 1e-3, law.b + j * 1e-3) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    assert loss(law.a, law.b) == pytest.approx(min(near)) and law.loss == "least squares on log coverage"
    assert law.a_low < law.a < law.a_high and law.b_low < law.b < law.b_high
    assert fits.exponentiated_power_law(law.a, law.b, 1) == pytest.approx(np.exp(law.a))


def test_the_grids_are_those_of_the_paper() -> None:
    assert len(fits.fit_ks(10_000)) == 19 and fits.fit_ks(10_000)[-1] == 10_000
    assert len(fits.error_ks(10_000)) == 100 and fits.error_ks(100)[-1] <= 100


@pytest.mark.parametrize(
    ("n", "c", "says"),
    [
        ([100] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0], "4 problems have a passing sample"),
        ([1] * 9, [1, 1, 1, 1, 1, 0, 0, 0, 0], "too few for a curve"),
        ([50] * 9, [50] * 9, "every sample passed"),
    ],
)
def test_no_fit_where_there_is_none(n: list[int], c: list[int], says: str) -> None:
    assert says in str(fits.why_no_fit(tally(n, c)))
    assert fits.fit_power_law(tally(n, c)) is None


@pytest.fixture(scope="module")
def pythia() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if not OUTCOMES.exists():
        pytest.skip("the paper's verdicts are not on this machine")
    rows = duckdb.sql(
        f"""select "Model" as model, list(n order by problem) as n, list(c order by problem) as c from (
        select "Model", "Problem Idx" as problem, count(*) as n, sum("Score")::BIGINT as c from '{OUTCOMES}'
        group by all) group by all"""
    ).fetchall()
    return {model: (np.array(n), np.array(c)) for model, n, c in rows}


def test_the_papers_coverage(pythia: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    value = coverage(*pythia["Pythia 160M"], [1, 10_000])
    assert [f"{v:.4f}" for v in value] == ["0.0027", "0.5703"]


@pytest.mark.parametrize(
    ("model", "printed"),
    [("Pythia 70M", "-7.59 -0.18 0.0052 0.0071"), ("Pythia 12B", "-3.92 -0.35 0.0189 0.0118")],
)
def test_the_papers_fits(model: str, printed: str, pythia: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    law = fits.fit_power_law(tally(*pythia[model]))
    assert law is not None
    assert f"{law.a:.2f} {law.b:.2f} {law.error_mean:.4f} {law.error_sd:.4f}" == printed
    assert law.a_low < law.a < law.a_high and law.b_low < law.b < law.b_high


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=5, max_size=9))
def test_no_point_of_a_grid_fits_better(c: list[int]) -> None:
    n = np.full(len(c), 40)
    ks = fits.fit_ks(40)
    logs = np.log(coverage(n, np.array(c), ks))
    a, b = (float(part[0]) for part in fits.fit_curves(ks, np.exp(logs)[None, :]))
    grid = [(x, y) for x in np.linspace(-6, 0, 61) for y in np.linspace(-2.9, 0.9, 39)]
    losses = [((logs - x * ks.astype(float) ** y) ** 2).sum() for x, y in grid]
    assert ((logs - a * ks.astype(float) ** b) ** 2).sum() <= min(losses) + 1e-9
