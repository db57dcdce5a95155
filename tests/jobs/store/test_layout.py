"""Tests of keys: each is parsed back to what it was made from, whatever the names of models and tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store.layout import (
    LONGEST_NAME,
    ResultKey,
    final_samples_key,
    final_verdicts_key,
    parse_key,
    parse_problems_key,
    problems_key,
    quote,
    samples_key,
    shard_prefixes,
    unquote,
    verdicts_key,
)
from sampling.errors import BadInput
from sampling.samples import UNITS_PER_SHARD, Unit

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
units = st.builds(Unit, names, names, st.integers(0, 10**9), *[st.just(0)] * 4)
attempts = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=40)


def test_keys_of_the_design() -> None:
    unit = Unit("org/small model", "gsm8k", 12 * 256 + 34, 0, 8, 0, 256)
    cell = "model=org%2Fsmall%20model/task=gsm8k"
    assert samples_key(unit, "ab12") == f"samples/{cell}/s=00012/u0003106-ab12.parquet"
    assert verdicts_key("5f0e", unit) == f"verdicts/v=5f0e/{cell}/s=00012/u0003106.parquet"
    assert final_verdicts_key("5f0e", unit.model, unit.task, 12) == f"final/verdicts/v=5f0e/{cell}/s=00012/all.parquet"
    assert final_samples_key(unit.model, unit.task, 12, "ab12") == f"final/samples/{cell}/s=00012/all-ab12.parquet"
    assert problems_key("a/b", 7, "ab12") == "problems/task=a%2Fb/p0000007-ab12.parquet"


@given(units, attempts)
def test_samples_keys_lead_back(unit: Unit, attempt: str) -> None:
    key = parse_key(samples_key(unit, attempt))
    assert key == ResultKey("samples", unit.model, unit.task, unit.shard, unit.number, attempt=attempt)
    assert list(key.units) == [unit.number]


@given(units, names)
def test_verdicts_keys_lead_back(unit: Unit, version: str) -> None:
    text = verdicts_key(version, unit)
    assert parse_key(text) == ResultKey("verdicts", unit.model, unit.task, unit.shard, unit.number, version=version)
    assert text.startswith(shard_prefixes(version, unit.in_shard)[0])


@given(units, names, attempts)
def test_compacted_keys_lead_back(unit: Unit, version: str, attempt: str) -> None:
    samples = parse_key(final_samples_key(unit.model, unit.task, unit.shard, attempt))
    verdicts = parse_key(final_verdicts_key(version, unit.model, unit.task, unit.shard))
    assert samples == ResultKey("samples", unit.model, unit.task, unit.shard, attempt=attempt)
    assert verdicts == ResultKey("verdicts", unit.model, unit.task, unit.shard, version=version)
    assert len(verdicts.units) == UNITS_PER_SHARD
    assert unit.number in verdicts.units


@given(names, st.integers(0, 10**9))
def test_problems_keys_lead_back(task: str, first: int) -> None:
    assert parse_problems_key(problems_key(task, first, "0f")) == task


@given(names)
def test_quoted_names_are_one_safe_part(name: str) -> None:
    quoted = quote(name)
    assert unquote(quoted) == name
    assert quoted.isascii()
    assert not set(quoted) & set("/=?#&+\\ ")


@given(names, names)
def test_different_names_never_share_a_key(one: str, other: str) -> None:
    assert (quote(one) == quote(other)) == (one == other)


@pytest.mark.parametrize("key", [
    "samples/model=m/task=t/s=00000/u0000003.parquet",  # no attempt
    "samples/v=1/model=m/task=t/s=00000/u0000003-a.parquet",
    "verdicts/model=m/task=t/s=00000/u0000003.parquet",  # no version
    "verdicts/v=1/model=m/task=t/s=00000/u0000003-a.parquet",
    "verdicts/v=1/model=m/task=t/s=00001/u0000003.parquet",  # another shard
    "verdicts/v=1/model=m/task=t/s=0/u3.parquet",
    "verdicts/v=1/model=m%2f/task=t/s=00000/u0000003.parquet",  # not how we quote
    "verdicts/v=1/model=%FF/task=t/s=00000/u0000003.parquet",
    "verdicts/v=1/model=m/task=t/s=00000/u0000003.parquet.tmp",
    "verdicts/v=1/model=m/task=t/s00000.parquet",  # compacted, but not below final/
    "final/verdicts/v=1/model=m/task=t/s=00000/u0000003.parquet",
    f"verdicts/v=1/model={'m' * 300}/task=t/s=00000/u0000003.parquet",
    "plan.json",
])  # fmt: skip
def test_other_keys_are_passed_over(key: str) -> None:
    assert parse_key(key) is None


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1), "é" * LONGEST_NAME, "\ud800"])
def test_names_that_cannot_be_keys(name: str) -> None:
    with pytest.raises(BadInput, match="name"):
        quote(name)
