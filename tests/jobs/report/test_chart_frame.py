"""The frame of a chart: labels that do not overlap, and the ends and ticks of its axes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.report.chart_frame import spread, ticks, top_of


@given(st.lists(st.floats(0, 300), max_size=20))
def test_names_are_moved_apart_and_keep_their_order(places: list[float]) -> None:
    moved = spread(places, 15, 300)
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in moved)
    in_order = sorted(range(len(places)), key=lambda i: (places[i], moved[i]))
    assert all(moved[b] - moved[a] > 15 - 1e-6 for a, b in pairwise(in_order))


def test_names_with_room_stay_where_they_are() -> None:
    assert spread([10, 200, 50], 15, 300) == [10, 200, 50] and spread([100, 100], 15, 300) == [92.5, 107.5]


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
