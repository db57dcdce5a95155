"""Series: which lines and points come out of a grid's models, and their picture."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.report import chart_worker
from jobs.report.build import build_report
from jobs.report.chart_process import ChartProcess
from jobs.report.chart_theme import LIGHT, NARROW, WIDE
from jobs.report.markdown import summary_markdown
from jobs.report.page import write_report
from jobs.report.schema import Report, SeriesReport
from jobs.report.series_chart import is_geometric, series_chart
from tests.conftest import Troop, WriteSweep
from tests.support.made_cells import LARGE, cell

Place = dict[str, float | str]


def run_of(places: dict[str, Place], n: int = 100, *others: CellCounts) -> Report:
    rng = np.random.default_rng(5)
    cells = [cell([n] * 12, rng.binomial(n, 0.02 * (i + 1), 12).tolist(), model=name) for i, name in enumerate(places)]
    facts = {name: ModelFacts(name, series=place) for name, place in places.items()}
    facts |= {each.model: ModelFacts(each.model, baseline=True) for each in others}
    return build_report([*cells, *others], facts)


def grid(name: str = "rl", steps: tuple[int, ...] = (100, 20, 3000)) -> dict[str, Place]:
    return {
        f"{name}@step_{step}@temperature={heat}": {"checkpoint": step, "temperature": heat}
        for step in steps
        for heat in (0.6, 1.0)
    }


def test_each_key_of_a_grid_is_an_axis_and_the_others_make_the_lines() -> None:
    over_steps, over_heat = run_of(grid()).series
    assert (over_steps.over, over_steps.ks) == ("checkpoint", (1, 10, 100))
    assert [line.name for line in over_steps.lines] == ["rl, temperature 0.6", "rl, temperature 1"]
    assert [point.at for point in over_steps.lines[0].points] == [20, 100, 3000]
    assert [line.name for line in over_heat.lines] == [f"rl, checkpoint {step}" for step in (100, 20, 3000)]
    assert {len(point.coverage) for line in over_heat.lines for point in line.points} == {3}


def test_the_points_are_the_coverage_of_their_models() -> None:
    report = run_of(grid())
    curves = {each.model: {at.k: at for at in each.coverage} for each in report.cells}
    for series in report.series:
        for line in series.lines:
            for point in line.points:
                assert point.coverage == tuple(curves[point.model][k] for k in series.ks)
    assert Report.model_validate_json(report.model_dump_json()) == report


ONE, TWO = {"checkpoint": 1}, {"checkpoint": 2}
WARM: Place = {"temperature": 1.0}


@pytest.mark.parametrize(
    ("places", "lines"),
    [
        ({"a@1": ONE, "a@2": TWO, "b@1": ONE, "b@2": TWO}, ["a", "b"]),
        ({"lab/rl-100": {"step": 100}, "lab/rl-200": {"step": 200}}, ["rl"]),
        ({"hub@refs/pr/1": {"checkpoint": "refs/pr/1"}, "hub@main": {"checkpoint": "main"}}, ["hub"]),
        ({"a@1": ONE, "b@2": TWO}, []),
        ({"a": {}, "b": {}}, []),
        ({"a": WARM, "b": WARM}, []),
        ({"a@1@temperature=1": ONE | WARM, "a@2@temperature=1": TWO | WARM}, ["a, temperature 1"]),
    ],
    ids=["two models", "written by hand", "names", "one point each", "no series", "one place", "a key with one value"],
)
def test_models_that_differ_in_one_place_are_one_line(places: dict[str, Place], lines: list[str]) -> None:
    assert [line.name for series in run_of(places).series for line in series.lines] == lines


def test_models_with_fewer_samples_and_models_without_any_do_not_stop_a_series() -> None:
    places = grid()
    report = run_of(places)
    counts = [replace(cell([100] * 12, [3] * 12), model=name) for name in places]
    counts[0] = replace(cell([20] * 12, [3] * 12), model=counts[0].model)
    counts[1] = replace(cell([0] * 12, [0] * 12, faults=[1] * 12), model=counts[1].model)
    facts = {each.model: ModelFacts(each.model, series=each.series) for each in report.cells}
    over_steps, _ = build_report(counts, facts).series
    assert over_steps.ks == (1, 4, 20) and [len(line.points) for line in over_steps.lines] == [3, 2]


def texts(series: SeriesReport, size: object = WIDE, *others: object) -> list[str]:
    drawn = chart_worker.svg(series_chart(series, others, size, LIGHT))
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def test_a_picture_names_lines_places_and_the_baseline() -> None:
    report = run_of(grid(), 100, cell([9] * 12, [5] * 12, model=LARGE))
    said = texts(report.series[0], WIDE, report.cells[-1])
    assert {"rl, temperature 0.6", "rl, temperature 1", "20", "100", "checkpoint"} <= set(said)
    assert any(text.startswith("large-7B, one try: .5") for text in said)
    assert "rl, temperature 1" not in texts(report.series[0], NARROW)


def test_places_that_are_names_stand_below_the_axis_as_they_are() -> None:
    hostile = "</text><script>'+alert(1)+'"
    places: dict[str, Place] = {f"hub@{name}": {"checkpoint": name} for name in ("main", hostile, "v2")}
    (series,) = run_of(places).series
    drawn = chart_worker.svg(series_chart(series, [], WIDE, LIGHT))
    assert ">main<" in drawn and ">v2<" in drawn and "<script" not in drawn


@pytest.mark.parametrize(
    ("places", "is_log"),
    [([1, 10, 100], True), ([512, 1000, 2000, 4000, 8000, 16000], True), ([1000, 2000, 3000], False),
     ([0, 10, 1000], False), ([100, 3000, 6000, 9000], False), ([0.6, 1.0], False), ([1, 1000], False)],
)  # fmt: skip
def test_places_that_grow_by_factors_have_a_logarithmic_axis(places: list[float], is_log: bool) -> None:
    assert is_geometric(places) == is_log


def test_page_and_markdown_have_the_series(tmp_path: Path) -> None:
    report = run_of(grid())
    with ChartProcess() as process:
        page = write_report(report, [], tmp_path, process).read_text("utf-8")
    assert "<h3>Over checkpoint</h3>" in page and "<h3>Over temperature</h3>" in page
    assert {path.name for path in tmp_path.glob("series*.png")} == {"series.png", "series-2.png"}
    row = next(
        line for line in summary_markdown(report).splitlines() if line.startswith("| rl, temperature 0.6 | 20 |")
    )
    assert row.count("|") == 6


def test_a_grid_of_checkpoints_is_planned_run_and_reported(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    """Two temperatures times three checkpoints in one sweep file; later checkpoints solve more."""
    names = [f"rl@step-{step}@temperature={heat}" for step in (10, 20, 40) for heat in ("0.6", "1.0")]
    right = {"one": "2", "two": "4", "bad": "6"}
    rows = [
        {"model": name, "problem": problem, "sample": i, "text": right[problem] if i < rank // 2 else "nine"}
        for rank, name in enumerate(names)
        for problem in right
        for i in range(4)
    ]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"name": "rl", "path": "s.jsonl", "engine": "replay", "k": 4, "sampling": {"temperature": [0.6, 1.0]}}
    sweep = write_sweep(models=[model | {"checkpoints": ["step-10", "step-20", "step-40"]}])
    assert troop("run", sweep, "--local", "--no-report").code == 0
    done = troop("report", sweep, "--out", tmp_path / "out")
    assert done.code == 0
    over_steps, over_heat = json.loads((tmp_path / "out" / "report.json").read_text())["series"]
    assert [line["name"] for line in over_steps["lines"]] == ["rl, temperature 0.6", "rl, temperature 1"]
    assert [point["at"] for point in over_steps["lines"][0]["points"]] == [10, 20, 40]
    assert [point["coverage"][0]["value"] for point in over_steps["lines"][1]["points"]] == [0.0, 0.25, 0.5]
    assert [point["at"] for point in over_heat["lines"][0]["points"]] == [0.6, 1.0]
    assert (tmp_path / "out" / "series.png").read_bytes()[:4] == b"\x89PNG"
