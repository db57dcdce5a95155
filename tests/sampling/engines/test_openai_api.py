"""Requests to a service, and the meaning of its answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.engines.openai_api import SAID_CHARACTERS, Meaning, read_answer, share_tokens, top_k_of_all


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**4), min_size=1, max_size=50))
def test_shares_of_tokens_are_whole_and_add_up(total: int, weights: list[int]) -> None:
    shares = share_tokens(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    if whole:
        assert all(abs(share - total * weight / whole) <= 1 for share, weight in zip(shares, weights, strict=True))


@given(st.integers(100, 599), st.binary(max_size=300))
def test_whatever_comes_back_means_something(status: int, content: bytes) -> None:
    answer = read_answer(status, content)
    assert len(answer.said) <= SAID_CHARACTERS + 100
    assert "\n" not in answer.said


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, {"choices": [{"text": "x"}]}, Meaning.DRAWN),
        (200, {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}, Meaning.DRAWN),
        (200, {"choices": []}, Meaning.AGAIN),
        (200, {"choices": [{"text": 3}]}, Meaning.AGAIN),
        (200, [], Meaning.AGAIN),
        (429, {"error": {"message": "Rate limit reached"}}, Meaning.AGAIN),
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, Meaning.BROKEN),
        (400, {"error": {"message": "too many", "code": "context_length_exceeded"}}, Meaning.TOO_LONG),
        (400, {"error": "Unsupported parameter"}, Meaning.REFUSED),
        (413, "", Meaning.TOO_LONG),
        (401, {"error": {"message": "no"}}, Meaning.BROKEN),
        (301, "", Meaning.BROKEN),
    ],
)
def test_answers_mean_what_the_protocol_says(status: int, body: object, meaning: Meaning) -> None:
    assert read_answer(status, json.dumps(body).encode()).meaning is meaning


def test_an_answer_that_may_be_billed_is_told_apart() -> None:
    assert read_answer(200, b"{").may_cost
    assert not read_answer(503, b"").may_cost


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        ({"data": [{"id": "m", "owned_by": "vllm"}]}, -1),
        ({"data": [{"id": "m", "owned_by": "sglang"}]}, -1),
        ({"data": [{"id": "m", "owned_by": "openai"}]}, None),
        ({"data": [{"id": "m"}]}, None),
        ({"error": "no such page"}, None),
        ([], None),
    ],
)
def test_all_tokens_are_asked_for_where_a_default_would_fill_in(listed: object, sent: int | None) -> None:
    assert top_k_of_all(json.dumps(listed).encode()) == sent
