"""Charts: their marks, their colours, and crowded cases."""

import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.numbers.cells import AnswerCounts
from jobs.report import chart_worker, charts, strip
from jobs.report.build import build_report
from jobs.report.chart_frame import spread, ticks, top_of
from jobs.report.chart_theme import INK, LIGHT, NAMES, NARROW, REST, SERIES, WIDE, Spec, in_light, in_variables
from jobs.report.schema import Report
from tests.support.made_cells import FACTS, LARGE, cell, two_models


def svg(described: Spec) -> str:
    return in_variables(chart_worker.svg(described))


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(two_models(n=200, problems=20), FACTS)


def test_a_picture_has_its_size_its_names_and_the_crossover(report: Report) -> None:
    drawn = svg(charts.coverage_chart(report.cells, report.crossovers, "samples", WIDE, LIGHT))
    assert 'width="880" height="455"' in drawn and "var(--" not in drawn
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"small-0.5B", "large-7B"} <= set(texts) and ">samples per problem, k<" in drawn
    assert any(text.startswith("k = ") for text in texts) and any("large-7B, one try: ." in text for text in texts)


def test_on_the_page_every_colour_is_a_variable(report: Report) -> None:
    for size in (WIDE, NARROW):
        drawn = svg(charts.coverage_chart(report.cells, report.crossovers, "dollars", size))
        assert "#" not in re.sub(r'"url\(#[^)]*\)"', "", drawn) and "var(--s0)" in drawn and "var(--ink)" in drawn
        assert " style=" not in drawn and " id=" not in drawn
        assert "var(" not in in_light(drawn) and 'fill="#ffffff"' in in_light(drawn)


def test_axes_are_those_whose_costs_are_known(report: Report) -> None:
    assert charts.axes_of(report.cells) == ["samples", "tokens", "flops", "dollars"]
    assert charts.axes_of(build_report([cell([9], [3])], {}).cells) == ["samples"]
    at = charts.cost_at(report.cells[0], "tokens", 3)
    assert at == pytest.approx(60 + 3 * 180) and charts.cost_at(report.cells[0], "samples", 3) == 3


def test_a_crossover_says_its_cost_on_the_axis_of_that_cost(report: Report) -> None:
    drawn = svg(charts.coverage_chart(report.cells, report.crossovers, "dollars", WIDE, LIGHT))
    assert re.search(r">k = [\d,]+ \[[^<]*\], [\d.]+× the cost<", drawn)


def test_every_way_of_selection_is_named_where_few_models_voted(report: Report) -> None:
    scored = report.cells[0].model_copy(update={"best_of": report.cells[0].majority})
    assert ">best of k<" in svg(charts.selection_chart([scored], WIDE, LIGHT))
    both = svg(charts.selection_chart(report.cells, WIDE, LIGHT))
    assert ">majority vote, small-0.5B<" in both and ">coverage, large-7B<" in both
    three = build_report([cell([9], [3], model=name, answers=report_answers()) for name in "abc"], {}).cells
    assert {"a", "b", "c"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg(charts.selection_chart(three))))


def report_answers() -> tuple[AnswerCounts, ...]:
    return (AnswerCounts(np.array([3, 6]), np.array([True, False])),)


def test_models_have_colours_of_their_own_until_there_are_too_many() -> None:
    few = build_report([cell([9], [i], model=f"m{i}") for i in range(SERIES)], {}).cells
    assert list(charts.paints(few).values()) == [f"s{i}" for i in range(SERIES)]
    many = build_report([cell([99] * 3, [i] * 3, model=f"m{i}") for i in range(20)], {}).cells
    paint = charts.paints(many)
    coloured = [model for model, name in paint.items() if name != REST]
    assert coloured == ["m0", "m5", "m10", "m14", "m19"] and len({paint[model] for model in coloured}) == SERIES


def test_baselines_take_no_colour_from_the_models(report: Report) -> None:
    assert charts.paints(report.cells) == {report.cells[0].model: "s0", LARGE: INK}


def test_names_of_twenty_models_fit_on_the_chart() -> None:
    many = build_report([cell([99] * 9, [i + j for j in range(9)], model=f"model-{i}") for i in range(20)], {}).cells
    drawn = svg(charts.coverage_chart(many, [], "samples", WIDE, LIGHT))
    assert {f"model-{i}" for i in range(20)} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", drawn))


@given(st.lists(st.floats(0, 300), max_size=20))
def test_names_are_moved_apart_and_keep_their_order(places: list[float]) -> None:
    moved = spread(places, 15, 300)
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in moved)
    in_order = sorted(range(len(places)), key=lambda i: (places[i], moved[i]))
    assert all(moved[b] - moved[a] > 15 - 1e-6 for a, b in pairwise(in_order))


def test_names_with_room_stay_where_they_are() -> None:
    assert spread([10, 200, 50], 15, 300) == [10, 200, 50] and spread([100, 100], 15, 300) == [92.5, 107.5]


# Machado, Oliveira and Fernandes 2009, severity 1: what is left of linear RGB without one kind of cone.
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(colour: str, blindness: str) -> np.ndarray:
    """Returns the colour in OKLab as a person with that kind of colour-blindness sees it."""
    return OKLAB @ np.cbrt(CONES @ np.clip(BLINDNESS[blindness] @ linear(colour), 0, 1))


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """Returns the style sheet's variables, in light and in dark."""
    style = (Path(charts.__file__).parent / "page.css").read_text()
    parts = re.findall(r":root\{(.*?)\}", style, re.DOTALL)
    return dict(zip(("light", "dark"), (dict(re.findall(r"--(\w+):(#\w{6})", part)) for part in parts), strict=True))


def test_the_page_and_the_pictures_have_the_same_light_colours() -> None:
    assert {name: themes()["light"][name] for name in NAMES} == dict(LIGHT.colours)
    assert set(NAMES) <= set(themes()["dark"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_differ_for_the_colour_blind_and_names_in_them_can_be_read(scheme: str) -> None:
    colours = themes()[scheme]
    series = [colours[name] for name in (INK, *(f"s{i}" for i in range(SERIES)))]
    for blindness in BLINDNESS:
        for one, other in combinations(series, 2):
            assert np.linalg.norm(seen(one, blindness) - seen(other, blindness)) > 0.085, (blindness, one, other)
    assert min(contrast(colour, colours["paper"]) for colour in [*series, colours["muted"]]) >= 4.5


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
    assert ">small-0.5B<" in svg(strip.strip_picture(made)) and ">≤ .001<" in svg(strip.strip_picture(made))
    assert len(strip.strip_chart(made, 4)["datasets"]["rows"]) == 4


@pytest.mark.parametrize(("passed", "place"), [(0, 0), (1, 1), (10, 2), (11, 3), (300, 5), (301, 6)])
def test_heat_tells_one_pass_from_none(passed: int, place: int) -> None:
    assert strip.heat(passed, 1000) == place
