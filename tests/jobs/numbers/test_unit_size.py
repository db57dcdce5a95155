"""The size of a unit: minutes of an engine, whatever its speed and the length of its samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.numbers.unit_size import DOUBT, LIST_BYTES, MOST_ROWS, MOST_UNITS, UNIT_S, Pace, add_paces, rows_of_unit
from sampling.settings import SamplingSettings

LOST_S = 300.0  # the most of an engine that a crash may cost, but for a sample that alone takes longer
SLOWEST = {True: 500, False: 2000}  # tokens/s of an engine, on a CPU and on a GPU
FASTEST = {True: 8000, False: 30_000}

lengths = st.integers(1, 1 << 18)
totals = st.integers(1, 10**9)
paces = st.builds(Pace, st.integers(1, 10**6), st.integers(1, 10**9), st.floats(1e-3, 1e7))


@given(lengths, totals, st.booleans(), st.none() | paces)
def test_a_unit_has_a_sample_and_at_most_2048(tokens: int, total: int, on_cpu: bool, pace: Pace | None) -> None:
    assert 1 <= rows_of_unit(max_tokens=tokens, samples=total, on_cpu=on_cpu, pace=pace) <= MOST_ROWS


@given(lengths, st.integers(1, MOST_UNITS), st.booleans())
def test_a_unit_of_unknown_pace_takes_five_minutes_of_the_slowest_engine_at_most(
    tokens: int, total: int, on_cpu: bool
) -> None:
    rows = rows_of_unit(max_tokens=tokens, samples=total, on_cpu=on_cpu)
    assert rows == 1 or rows * tokens / SLOWEST[on_cpu] <= LOST_S
    assert rows == MOST_ROWS or (rows + 1) * tokens / FASTEST[on_cpu] >= 16  # and some seconds of the fastest


@given(lengths, totals, st.booleans())
def test_longer_samples_make_no_larger_units_and_a_cpu_no_larger_ones_than_a_gpu(
    tokens: int, total: int, on_cpu: bool
) -> None:
    rows = rows_of_unit(max_tokens=tokens, samples=total, on_cpu=on_cpu)
    assert rows_of_unit(max_tokens=tokens + 1, samples=total, on_cpu=on_cpu) <= rows
    assert rows <= rows_of_unit(max_tokens=tokens, samples=total, on_cpu=False)


@given(lengths, totals, st.booleans())
def test_no_run_has_millions_of_tiny_units(tokens: int, total: int, on_cpu: bool) -> None:
    rows = rows_of_unit(max_tokens=tokens, samples=total, on_cpu=on_cpu)
    assert rows == MOST_ROWS or -(-total // rows) <= MOST_UNITS


@given(st.integers(16, 1 << 15), st.floats(0.01, 1), st.integers(500, 30_000), st.integers(1, 10**5))
def test_a_known_pace_gives_two_minutes_of_the_engine(tokens: int, share: float, speed: int, seen: int) -> None:
    mean = max(1, round(tokens * share))
    rows = rows_of_unit(
        max_tokens=tokens, samples=10**9, on_cpu=True, pace=Pace(seen, seen * mean, seen * mean / speed)
    )
    seconds = rows * mean / speed
    assert rows == 1 or seconds <= UNIT_S * 1.001
    if rows < MOST_ROWS and seen >= 100 * DOUBT * tokens / mean:  # enough of them to be believed
        assert (rows + 1) * mean / speed >= UNIT_S * 0.9


@pytest.mark.parametrize("answer", [1, 10, 40])
def test_a_model_that_answers_briefly_gets_full_units_as_soon_as_that_is_known(answer: int) -> None:
    known = Pace(2048, 2048 * answer, 2048 * answer / 2000)
    assert rows_of_unit(max_tokens=512, samples=10**8, on_cpu=True, pace=known) == MOST_ROWS


def test_a_few_short_samples_do_not_promise_that_all_are_short() -> None:
    few, many = (Pace(count, count * 100, count * 100 / 5000) for count in (8, 100_000))
    assert rows_of_unit(max_tokens=16_384, samples=10**6, on_cpu=False, pace=few) < 60
    assert rows_of_unit(max_tokens=16_384, samples=10**6, on_cpu=False, pace=many) == MOST_ROWS


def test_nothing_measured_is_as_nothing_known() -> None:
    for nothing in (Pace(0, 0, 0.0), Pace(5, 0, 1.0)):
        assert rows_of_unit(max_tokens=512, samples=9, on_cpu=True, pace=nothing) == 256
    assert add_paces([Pace(1, 2, 3.0), Pace(4, 5, 6.0)]) == Pace(5, 7, 9.0)
    assert add_paces([]) == Pace(0, 0, 0.0)


@pytest.mark.parametrize(
    ("tokens", "on_cpu", "rows"),
    [(24, True, 2048), (512, False, 1024), (512, True, 256), (16_384, False, 32), (16_384, True, 8)],
)
def test_sizes_that_the_documents_tell(tokens: int, on_cpu: bool, rows: int) -> None:
    assert rows_of_unit(max_tokens=tokens, samples=100_000, on_cpu=on_cpu) == rows


def test_lists_by_token_bound_a_unit_by_their_bytes() -> None:
    fast = Pace(10_000, 5_120_000, 171.0)
    for max_tokens, pace in ((512, fast), (16_384, fast), (16_384, None), (1 << 20, None)):
        rows = rows_of_unit(max_tokens=max_tokens, samples=10**5, on_cpu=False, pace=pace, token_bytes=168)
        length = max_tokens if pace is None else pace.tokens / pace.samples
        assert rows == 1 or rows * length * 168 <= LIST_BYTES
        assert rows <= rows_of_unit(max_tokens=max_tokens, samples=10**5, on_cpu=False, pace=pace)
    settings = [SamplingSettings.model_validate(given) for given in ({}, {"logprobs": True}, {"token_ids": True})]
    assert [one.token_bytes for one in settings] == [0, 0, 4]
    assert SamplingSettings(logprobs=20, token_ids=True).token_bytes == 168
