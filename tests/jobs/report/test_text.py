"""Formatting of numbers and names."""

import pytest

from jobs.report import text
from jobs.report.build import build_report
from jobs.report.schema import Cell
from tests.support.made_cells import cell


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.41, ".41"), (0.0027, ".0027"), (0.5, ".50"), (0.00999, ".0100"), (0, "0"), (1, "1"), (0.9999, ">.99"),
     (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_shares(value: float | None, written: str) -> None:
    assert text.share(value) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [(0, "", "0"), (1234, "", "1,234"), (12.345, "h", "12.3 h"), (0.000412, "$", "$0.000412"), (3.1e18, "", "3.10e+18"),
     (2.0, "$", "$2.00"), (1234.5, "$", "$1,234.50"), (None, "$", "–")],
)  # fmt: skip
def test_amounts(value: float | None, unit: str, written: str) -> None:
    assert text.amount(value, unit) == written


@pytest.mark.parametrize(("value", "written"), [(9_999, "9,999"), (11_523_840, "11.5 M"), (2e15, "2.00e+15")])
def test_compact(value: float, written: str) -> None:
    assert text.compact(value) == written


def test_statuses_keep_their_order() -> None:
    cells = build_report([cell([3], [1])], {}).cells
    assert text.statuses(cells) == ["pass", "fail", "fault"]


def test_markdown_shows_hostile_names_as_they_are() -> None:
    name = "a|b`<script>[x](http://y)\n# @team"
    written = text.summary_markdown(build_report([cell([3], [1], model=name)], {}))
    assert "<script>" not in written.replace("\\<script\\>", "") and "\n# @" not in written
    row = next(line for line in written.splitlines() if "gsm8k" in line and line.startswith("| a"))
    assert row.replace("\\|", "").count("|") == 11


def test_the_scores_that_selection_goes_by_are_named_once_a_version() -> None:
    def scored(model: str, scores: str, weight: str | None) -> Cell:
        return Cell(model=model, task="t", problems=1, samples=1, scores=scores, weighted_by=weight)

    by = ("rm-last-1", "exp(score)")
    cells = [scored("a/x", *by), scored("y", *by), scored("z", "verdicts", None)]
    assert text.scores_of(cells) == [
        "Selection of x, y uses the scores rm-last-1; votes are weighted by exp(score).",
        "Selection of z uses the scores in its verdicts.",
    ]
