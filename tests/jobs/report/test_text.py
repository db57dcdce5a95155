"""Formatting of numbers and names."""

import pytest

from jobs.report import text
from jobs.report.build import build_report
from jobs.report.markdown import summary_markdown
from jobs.report.schema import Cell
from sampling.judged_by import collect_rules
from tests.support.made_cells import LARGE, SMALL, cell


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


@pytest.mark.parametrize(
    ("name", "written"),
    [("small", "small"), ("rl@step_3000+code@temperature=0.6", "rl@step_3000+code@0.6"),
     ("a@temperature=0.6", "a@temperature=0.6"), ("q@temperature=0.6,max_tokens=512", "q@0.6,512"),
     ("rl, adapter code, temperature 0.6", "rl, code, 0.6"), ("m" * 40, "m" * 13 + "…" + "m" * 12)],
)  # fmt: skip
def test_long_names_beside_a_line_lose_a_grids_keys_first(name: str, written: str) -> None:
    assert text.label(name) == written


def test_statuses_keep_their_order() -> None:
    cells = build_report([cell([3], [1])], {}).cells
    assert text.statuses(cells) == ["pass", "fail", "fault"]


def test_markdown_shows_hostile_names_as_they_are() -> None:
    name = "a|b`<script>[x](http://y)\n# @team"
    written = summary_markdown(build_report([cell([3], [1], model=name)], {}))
    assert "<script>" not in written.replace("\\<script\\>", "") and "\n# @" not in written
    row = next(line for line in written.splitlines() if "gsm8k" in line and line.startswith("| a"))
    assert row.replace("\\|", "").count("|") == 16


def test_the_policy_is_said_once_a_task_and_by_model_where_models_differ() -> None:
    def judged(model: str, policy: str) -> Cell:
        return Cell(model=model, task="t", problems=1, samples=1, policy=policy)

    new, old = "math/5, extraction kind", "math, extraction kind"
    assert text.policies_of([judged("a/x", new), judged("y", new)]) == [f"Judged by {new}."]
    assert text.policies_of([judged("a/x", new), judged("y", old), judged("z", new), judged("imported", "")]) == [
        f"x, z: judged by {new}.",
        f"y: judged by {old}.",
    ]
    assert text.policies_of([judged("imported", "")]) == []


def test_markdown_names_the_policy_beside_each_cell() -> None:
    rules = {(SMALL, "gsm8k"): collect_rules([("math", {"extraction": "gsm8k"})], {"math": "math/5"})}
    report = build_report([cell([3], [1]), cell([3], [1], model=LARGE)], {}, judged_by=rules)
    rows = [line for line in summary_markdown(report).splitlines() if line.startswith("| lab")]
    assert [row.rsplit(" | ", 1)[1] for row in rows] == ["math/5, extraction published (gsm8k) |", "– |"]


def test_the_scores_that_selection_goes_by_are_named_once_a_version() -> None:
    def scored(model: str, scores: str, weight: str | None) -> Cell:
        return Cell(model=model, task="t", problems=1, samples=1, scores=scores, weighted_by=weight)

    by = ("rm-last-1", "exp(score)")
    cells = [scored("a/x", *by), scored("y", *by), scored("z", "verdicts", None)]
    assert text.scores_of(cells) == [
        "Selection of x, y uses the scores rm-last-1; votes are weighted by exp(score).",
        "Selection of z uses the scores in its verdicts.",
    ]
