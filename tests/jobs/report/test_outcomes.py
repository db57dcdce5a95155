"""Outcomes in words: cut samples, empty answers and their reasons, reliability."""

from dataclasses import replace

from jobs.report.build import build_report
from jobs.report.outcomes import finish_reasons, invalid_in_words, is_cut, outcome_line, reliability
from jobs.report.schema import Cell
from tests.support.made_cells import cell


def made(**changes: object) -> Cell:
    return build_report([replace(cell([50] * 9, [3] * 9), **changes)], {}).cells[0]


def test_nothing_is_said_where_all_ended_with_an_answer() -> None:
    found = made(finish_counts={"stop": 450})
    assert (outcome_line(found), invalid_in_words(found), is_cut(found)) == ("", "–", False)


def test_a_line_says_what_was_cut_and_why_nothing_was_extracted() -> None:
    reasons = {"thought not finished": 80, "": 6, "x" * 99: 3, "\x1b[2J": 1}
    found = made(finish_counts={"length": 90, "stop": 360}, status_counts={"invalid": 90}, invalid_reasons=reasons)
    line = outcome_line(found)
    assert line.startswith(".20 of samples cut at max_tokens; nothing extracted from .20 (thought not finished 80; no")
    assert "x" * 59 + "… 3" in line and "\x1b" not in line and is_cut(found)


def test_finish_reasons_begin_with_the_usual_ones() -> None:
    cells = [made(finish_counts={"error": 1, "stop": 449}), made(finish_counts={"length": 450})]
    assert finish_reasons(cells) == ["stop", "length", "error"]


def test_reliability_is_shown_at_eight_or_the_most_there_is() -> None:
    assert reliability(made())[0] == "8" and len(reliability(made())) == 4
    assert reliability(build_report([cell([5, 6], [1, 2])], {}).cells[0])[0] == "4"
    assert reliability(build_report([cell([1, 1], [1, 0])], {}).cells[0]) == []
