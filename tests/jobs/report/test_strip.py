"""The strip of problems: its order, its columns, its colours."""

import pytest

from jobs.report import chart_worker, strip
from jobs.report.build import build_report
from tests.support.made_cells import FACTS, LARGE, cell


def test_the_strip_goes_from_hard_to_easy_and_pools_what_is_too_narrow() -> None:
    cells = build_report([cell([10] * 4, [5, 0, 9, 1]), cell([10] * 3, [5, 0, 9], model=LARGE)], FACTS).cells
    made = strip.make_strip(cells)
    assert made.problems == ("p1", "p3", "p0", "p2") and made.counts[1][1] is None
    drawn = strip.strip_chart(made, 880)["datasets"]["rows"]
    assert len(drawn) == 7 and [row["heat"] for row in drawn if row["y"] == 0] == ["0", "4", "6", "6"]
    picture = chart_worker.svg(strip.strip_picture(made))
    assert ">small-0.5B<" in picture and ">≤ .001<" in picture
    assert len(strip.strip_chart(made, 4)["datasets"]["rows"]) == 4


@pytest.mark.parametrize(("passed", "place"), [(0, 0), (1, 1), (10, 2), (11, 3), (300, 5), (301, 6)])
def test_heat_tells_one_pass_from_none(passed: int, place: int) -> None:
    assert strip.heat(passed, 1000) == place
