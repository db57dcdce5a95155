"""Charts: what they draw, in which colours, and where there is too much to draw."""

import re

import pytest

from jobs import charts, strip
from jobs.chart_frame import ticks, top_of
from jobs.chart_theme import LIGHT, NARROW, PICTURE, WIDE, svg
from jobs.report_data import build_report
from jobs.report_schema import Report
from tests.made_cells import FACTS, LARGE, cell, two_models


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(two_models(n=200, problems=20), FACTS)


def test_a_picture_has_its_size_its_names_and_the_crossover(report: Report) -> None:
    drawn = svg(charts.coverage_chart(report.cells, report.crossovers, "samples", PICTURE, LIGHT))
    assert 'width="900" height="480"' in drawn and "var(--" not in drawn
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"small-0.5B", "large-7B"} <= set(texts) and ">samples per problem, k<" in drawn
    assert any(text.startswith("k = ") for text in texts) and any("large-7B, one try: ." in text for text in texts)


def test_on_the_page_every_colour_is_a_variable(report: Report) -> None:
    for size in (WIDE, NARROW):
        drawn = svg(charts.coverage_chart(report.cells, report.crossovers, "dollars", size), on_page=True)
        assert "#" not in re.sub(r'"url\(#[^)]*\)"', "", drawn) and "var(--s0)" in drawn and "var(--ink)" in drawn
        assert " style=" not in drawn and " id=" not in drawn


def test_axes_are_those_whose_costs_are_known(report: Report) -> None:
    assert charts.axes_of(report.cells) == ["samples", "tokens", "flops", "dollars"]
    assert charts.axes_of(build_report([cell([9], [3])], {}).cells) == ["samples"]
    at = charts.cost_at(report.cells[0], "tokens", 3)
    assert at == pytest.approx(60 + 3 * 180) and charts.cost_at(report.cells[0], "samples", 3) == 3


def test_selection_is_drawn_for_models_that_voted(report: Report) -> None:
    drawn = svg(charts.selection_chart(report.cells, WIDE, LIGHT))
    assert "small-0.5B" in drawn and "large-7B" in drawn


def test_baselines_take_no_colour_from_the_models(report: Report) -> None:
    assert charts.places(report.cells) == {report.cells[0].model: 0, LARGE: None}


@pytest.mark.parametrize(
    ("low", "high", "most", "shown"),
    [(1, 100, 9, [1, 2, 5, 10, 20, 50, 100]), (1, 1e4, 6, [1, 10, 100, 1e3, 1e4]), (1, 1e8, 3, [1, 1e3, 1e6]),
     (3, 4, 5, [3, 4]), (2e-5, 3e-4, 20, [2e-5, 5e-5, 1e-4, 2e-4])],
)  # fmt: skip
def test_ticks_are_round_and_few(low: float, high: float, most: int, shown: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(shown)


def test_a_model_that_covers_little_gets_an_axis_that_shows_it() -> None:
    assert top_of([{"y": 0.04, "high": 0.08}]) == 0.1 and top_of([{"y": 0.3, "high": None}]) == 0.5
    assert top_of([{"y": 0.4, "high": 0.51}]) == 1.0 and top_of([]) == 1.0


def test_the_strip_goes_from_hard_to_easy_and_pools_what_is_too_narrow() -> None:
    cells = build_report([cell([10] * 4, [5, 0, 9, 1]), cell([10] * 3, [5, 0, 9], model=LARGE)], FACTS).cells
    made = strip.make_strip(cells)
    assert made.problems == ("p1", "p3", "p0", "p2") and made.counts[1][1] is None
    drawn = strip.strip_chart(made, 880)["datasets"]["rows"]
    assert len(drawn) == 7 and [row["heat"] for row in drawn if row["y"] == 0] == ["0", "4", "6", "6"]
    assert len(strip.strip_chart(made, 4)["datasets"]["rows"]) == 4


@pytest.mark.parametrize(("passed", "place"), [(0, 0), (1, 1), (10, 2), (11, 3), (300, 5), (301, 6)])
def test_heat_tells_one_pass_from_none(passed: int, place: int) -> None:
    assert strip.heat(passed, 1000) == place
