"""Charts: their marks, their colours, and crowded cases."""

import re

import numpy as np
import pytest

from jobs.numbers.cells import AnswerCounts
from jobs.report import chart_worker, charts
from jobs.report.build import build_report
from jobs.report.chart_theme import INK, LIGHT, NARROW, REST, SERIES, WIDE, Spec, in_light, in_variables
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


def test_intervals_of_crossovers_do_not_cover_each_other() -> None:
    cells = [cell([999] * 9, [9 + i + 20 * j for j in range(9)], model=f"m{i}") for i in range(5)]
    report = build_report([*cells, cell([9] * 9, [5] * 9, model=LARGE)], FACTS)
    described = charts.coverage_chart(report.cells, report.crossovers, "samples", WIDE, LIGHT)
    bars = [row for rows in described["datasets"].values() for row in rows if "bar" in row and "zero" not in row]
    placed = {(row["model"], row["low"], row["high"], row["bar"]) for row in bars}
    assert len({model for model, *_ in placed}) == 5 and len({bar for *_, bar in placed}) > 1
    for a in placed:
        for b in placed - {a}:
            assert a[3] != b[3] or a[2] < b[1] or b[2] < a[1]


def test_a_lone_interval_lies_on_its_line(report: Report) -> None:
    described = charts.coverage_chart(report.cells, report.crossovers, "samples", WIDE, LIGHT)
    assert [row["bar"] == row["y"] for rows in described["datasets"].values() for row in rows if "zero" in row] == [
        True
    ]


def test_names_that_differ_in_their_end_stay_apart() -> None:
    names = [f"rl-of-the-second-try@step-4000@temperature={heat}" for heat in ("0.6", "1.0")]
    report = build_report([cell([99] * 9, list(range(9)), model=name) for name in names], {})
    said = re.findall(
        r"<text[^>]*>([^<]*)</text>", svg(charts.coverage_chart(report.cells, [], "samples", WIDE, LIGHT))
    )
    assert {"rl-of-the-sec…tep-4000@0.6", "rl-of-the-sec…tep-4000@1.0"} <= set(said)
