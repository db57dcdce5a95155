"""The samples of the page: how many, which ones, and their encoding."""

import base64
import gzip
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from jobs.report.samples import LONGEST_TEXT, MOST_SAMPLES, BrowserSample, embed, for_page, most_of_each
from tests.jobs.report.test_page import HOSTILE, samples
from tests.support.made_cells import SMALL


def test_a_page_takes_samples_in_turns_and_one_of_each_verdict_first() -> None:
    status = {99: "pass", 98: "timeout"}
    many = [BrowserSample(SMALL, "t", f"p{p}", i, status.get(i, "fail"), "x" * (2 * LONGEST_TEXT if p else 5))
            for p in range(80) for i in range(100)]  # fmt: skip
    chosen = for_page(many)
    assert len(chosen) < len(many) and {s.problem for s in chosen} == {f"p{p}" for p in range(80)}
    assert all({98, 99} <= {s.sample for s in chosen if s.problem == f"p{p}"} for p in range(80))
    assert [s.sample for s in chosen if s.problem == "p3"] == sorted(s.sample for s in chosen if s.problem == "p3")


@given(st.lists(st.integers(0, 300_000), max_size=30))
def test_as_much_is_read_of_each_problem_as_a_page_carries(counts: list[int]) -> None:
    most = most_of_each(counts)
    read = sum(min(count, most) for count in counts)
    assert read <= max(MOST_SAMPLES, len(counts))
    assert read == sum(counts) or read + len(counts) > MOST_SAMPLES


def test_what_is_packed_comes_out_as_it_was() -> None:
    packed = embed(samples()[:2], {("gsm8k", "p0"): HOSTILE})
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", packed)
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert data["samples"][0][4].endswith(HOSTILE) and data["problems"][0]["prompt"] == HOSTILE
