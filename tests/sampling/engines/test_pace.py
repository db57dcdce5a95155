"""Rate limits and waits as arithmetic."""

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.engines.pace import LONGEST_WAIT_S, Pace, backoff_s, retry_after_s


@given(st.floats(0.5, 6000), st.lists(st.tuples(st.floats(0, 30), st.floats(0, 500)), min_size=1, max_size=60))
def test_no_minute_holds_more_than_the_limit(limit: float, asked: list[tuple[float, float]]) -> None:
    pace, now, left = Pace(limit), 0.0, []
    for gap, amount in asked:
        now += gap
        left.append((now + pace.book(now, amount), amount))
    for first, (start, _) in enumerate(left):
        inside = [amount for moment, amount in left[first:] if moment < start + 60 * (1 - 1e-9)]
        assert sum(inside[:-1]) <= limit * (1 + 1e-6)  # the one that fills the minute may be of any size


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(None)
    assert [pace.book(0.0, 1e9) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_what_was_not_used_is_given_back() -> None:
    pace = Pace(60)
    pace.book(0.0, 100)
    pace.give_back(90)
    assert pace.book(0.0, 1) == pytest.approx(10)


@given(st.integers(1, 30), st.floats(0, 900), st.integers(0, 2**32))
def test_waits_double_up_to_a_minute_and_never_undercut_the_service(attempt: int, asked: float, seed: int) -> None:
    wait = backoff_s(attempt, asked, random.Random(seed))
    assert wait >= asked
    assert min(2.0 ** (attempt - 1), LONGEST_WAIT_S) / 2 <= max(wait, 0.5) <= max(asked, LONGEST_WAIT_S)


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 11, 25, 8, 0, tzinfo=UTC).timestamp()
    date = format_datetime(datetime(2026, 11, 25, 8, 0, 30, tzinfo=UTC), usegmt=True)
    headers = ("1.5", date, "Mon, 01 Jan 2001 00:00:00 GMT", "soon", "-3", None)
    assert [retry_after_s(header, now) for header in headers] == [1.5, 30.0, 0.0, 0.0, 0.0, 0.0]
