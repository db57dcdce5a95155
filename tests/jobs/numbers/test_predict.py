"""Predictions against explicit sums; intervals where the truth is known; consistent units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.predict import Capacity, MeasuredCell, predict
from jobs.numbers.prediction import Prediction

HERE = Capacity({"small": 1, "large": 2}, ready_s=20.0, verifiers=4, verify_s=0.01)


def measured(model: str, samples: list[float], each_s: list[float], price: float | None = None) -> MeasuredCell:
    """Makes problems with these samples; a sample takes ``each_s`` seconds and has ten tokens per second."""
    n, engine_s = np.array(samples), np.array(samples) * np.array(each_s)
    usd = None if price is None else price * engine_s
    return MeasuredCell(model, "t", n, 10 * engine_s, engine_s, usd, stored_bytes=50.0)


def by_name(rows: tuple[Prediction, ...]) -> dict[str, Prediction]:
    return {row.what: row for row in rows}


def test_totals_are_what_was_measured_times_what_is_left() -> None:
    cells = [measured("small", [10, 10], [0.1, 0.3], 0.5), measured("large", [4, 4], [2.0, 2.0], 0.25)]
    rows = by_name(predict(cells, {("small", "t"): 1000, ("large", "t"): 500}, HERE))
    assert rows["tokens"].predicted == pytest.approx(10 * (1000 * 0.2 + 500 * 2.0))
    assert rows["hours"].predicted == pytest.approx((20 + 500 * 2.0 / 2) / 3600)  # two engines of the slower model
    assert rows["dollars"].predicted == pytest.approx(0.5 * 200 + 0.25 * 1000)
    assert rows["stored"].predicted == pytest.approx(1500 * 50 / 1e6)
    assert rows["busy verifiers"].predicted == pytest.approx(1500 * 0.01 / 500)
    assert rows["verifiers that keep up"] == rows["busy verifiers"].model_copy(
        update={"what": "verifiers that keep up"}
    )
    assert (rows["hours"].unit, rows["stored"].unit, rows["dollars"].unit) == ("h", "MB", "$")


def test_a_pool_that_does_not_keep_up_sets_the_time() -> None:
    slow = Capacity({"small": 1}, ready_s=20.0, verifiers=2, verify_s=0.6)
    rows = by_name(predict([measured("small", [10, 10], [0.1, 0.1])], {("small", "t"): 1000}, slow))
    assert rows["hours"].predicted == pytest.approx((20 + 1000 * 0.6 / 2) / 3600)
    assert rows["busy verifiers"].predicted == pytest.approx(2)
    assert rows["verifiers that keep up"].predicted == pytest.approx(6)


def test_what_nobody_priced_has_no_dollars_and_one_problem_no_interval() -> None:
    rows = by_name(predict([measured("small", [10], [0.1])], {("small", "t"): 10}, HERE))
    assert "dollars" not in rows
    assert all(row.low is None and row.high is None for row in rows.values())


def test_nothing_left_takes_nothing() -> None:
    rows = predict([measured("small", [10, 10], [0.1, 0.2])], {("small", "t"): 0}, HERE)
    assert all(row.predicted == 0 for row in rows)


seconds = st.floats(0.001, 100)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 200), seconds), min_size=2, max_size=20), st.integers(1, 10**9))
def test_the_estimate_lies_in_its_interval_and_between_the_cheapest_and_the_dearest(drawn, left: int) -> None:
    samples, each = [float(n) for n, _ in drawn], [s for _, s in drawn]
    rows = by_name(predict([measured("small", samples, each, 1.0)], {("small", "t"): left}, HERE, resamples=200))
    for name, scale in (("tokens", 10.0), ("dollars", 1.0)):
        row = rows[name]
        slack = 1e-6 * row.predicted
        assert 0 <= row.low <= row.predicted + slack and row.predicted - slack <= row.high
        assert left * scale * min(each) - slack <= row.predicted <= left * scale * max(each) + slack


@settings(deadline=None, max_examples=40)
@given(st.lists(seconds, min_size=2, max_size=10), st.integers(1, 10**6), st.integers(2, 50), st.integers(1, 16))
def test_totals_are_linear_in_samples_and_engines_share_the_time(each, left: int, factor: int, engines: int) -> None:
    def rows(count: int, engines: int) -> dict[str, Prediction]:
        capacity = Capacity({"small": engines}, 0.0, 10**6, 0.01)
        return by_name(
            predict([measured("small", [8.0] * len(each), each, 1.0)], {("small", "t"): count}, capacity, 50)
        )

    once, often, shared = rows(left, 1), rows(factor * left, 1), rows(left, engines)
    for name in ("tokens", "hours", "dollars", "stored"):
        assert often[name].predicted == pytest.approx(factor * once[name].predicted)
    assert shared["hours"].predicted * engines == pytest.approx(once["hours"].predicted)
    assert shared["busy verifiers"].predicted == pytest.approx(engines * once["busy verifiers"].predicted)
    assert shared["tokens"] == once["tokens"]


@pytest.mark.parametrize("problems", [4, 24])
def test_intervals_hold_about_as_often_as_they_say(problems: int) -> None:
    """Samples take a random time; the interval from so many problems is compared with the true total."""
    rng, hits = np.random.default_rng(5), 0
    for trial in range(200):
        each = rng.gamma(4.0, 0.1, problems)
        cell = measured("small", [50.0] * problems, each.tolist())
        row = by_name(predict([cell], {("small", "t"): 1000}, HERE, resamples=500, seed=trial))["tokens"]
        hits += row.low <= 1000 * 10 * 0.4 <= row.high
    assert 0.88 <= hits / 200 <= 0.99
