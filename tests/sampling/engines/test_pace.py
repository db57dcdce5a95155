"""Rate limits and waits as arithmetic."""

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.engines.pace import LONGEST_WAIT_S, Endpoints, Pace, backoff_s, retry_after_s


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


def test_the_address_with_the_least_under_way_is_chosen_and_equals_take_turns() -> None:
    ends = Endpoints(["http://a/v1/", "http://b/v1", "http://c/v1"], random.Random(0))
    assert [ends.choose(0.0).url for _ in range(4)] == ["http://a/v1", "http://b/v1", "http://c/v1", "http://a/v1"]
    ends.all[0].in_flight, ends.all[1].in_flight = 2, 1
    assert ends.choose(0.0) is ends.all[2]
    assert ends.choose(0.0, {ends.all[2]}) is ends.all[1]
    assert ends.choose(0.0, set(ends.all)) is ends.all[2]


def test_an_address_that_fails_comes_back_by_one_request_at_a_time() -> None:
    ends = Endpoints(["http://a", "http://b"], random.Random(0))
    first, other = ends.all
    ends.failed(first, "500", 100.0)
    assert 100.5 <= first.back_at <= 101 and ends.choose(100.4) is other and ends.trouble == "http://a: 500"
    other.in_flight = 5
    assert ends.choose(101.1) is first
    first.in_flight = 1
    assert ends.choose(101.1) is other and not ends.has_another(101.1, {other})
    ends.worked(first)
    assert ends.choose(101.1) is first and ends.trouble == ""


@given(st.integers(1, 2000), st.floats(0, 900))
def test_an_address_is_left_out_for_a_minute_at_most_or_as_long_as_it_asks(failures: int, asked: float) -> None:
    ends = Endpoints(["http://a"], random.Random(0))
    for _ in range(failures):
        ends.failed(ends.all[0], "500", 0.0, asked)
    assert asked <= ends.all[0].back_at <= max(asked, LONGEST_WAIT_S)
    assert ends.choose(0.0) is ends.all[0], "the only one is chosen whatever it does"


def test_where_all_are_left_out_the_first_that_is_due_is_chosen() -> None:
    ends = Endpoints(["http://a", "http://b"], random.Random(0))
    ends.failed(ends.all[0], "429", 0.0, 30.0)
    ends.failed(ends.all[1], "404", 0.0, is_down=True)
    assert ends.choose(0.1) is ends.all[1] and not ends.are_down
    ends.failed(ends.all[0], "401", 0.0, is_down=True)
    assert ends.are_down and ends.trouble == "http://a: 401; http://b: 404"
