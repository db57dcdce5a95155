"""Costs against explicit sums; None for an unknown cost."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.cells import ModelFacts
from jobs.numbers.costs import check_prices, prompt_flops, rates, sample_flops
from sampling.errors import BadInput
from tests.support.made_cells import cell

SHAPE = ModelFacts("m", parameters=1000, layers=3, hidden=7)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_flops_are_the_sum_over_tokens(prompt: int, tokens: int) -> None:
    def at(context: int) -> int:
        return 2 * (1000 + 2 * 3 * 7 * context)

    assert prompt_flops(SHAPE, prompt) == sum(at(t) for t in range(1, prompt + 1))
    assert sample_flops(SHAPE, prompt, tokens) == sum(at(t + prompt) for t in range(1, tokens + 1))


def test_without_a_shape_attention_is_left_out_and_without_a_size_everything() -> None:
    assert sample_flops(ModelFacts("m", parameters=10), 5, 4) == 80
    assert sample_flops(ModelFacts("m"), 5, 4) is None


def test_a_prompt_is_paid_once_and_time_by_the_sample() -> None:
    facts = ModelFacts("m", gpus=2, usd_per_engine_hour=7.2)
    cost = rates(cell([8, 8], [1, 0], faults=[2, 2], tokens=200, prompt_tokens=60, engine_s=100.0), facts)
    assert cost.at(3).tokens == 30 + 3 * 10
    assert cost.at(1).usd == pytest.approx(7.2 * 5 / 3600)
    assert cost.total(2, 20).tokens == 260 and cost.total(2, 20).usd == pytest.approx(7.2 * 100 / 3600)
    assert cost.total(2, 20).gpu_hours == pytest.approx(2 * 100 / 3600)


def test_prices_by_the_token() -> None:
    facts = ModelFacts("m", usd_per_million_tokens=10, usd_per_million_prompt_tokens=2)
    cost = rates(cell([10, 10], [0, 0], tokens=2000, prompt_tokens=600), facts)
    assert cost.at(5).usd == pytest.approx((300 * 2 + 5 * 100 * 10) / 1e6)


def test_a_service_bills_a_prompt_with_every_request() -> None:
    facts = ModelFacts("m", usd_per_million_tokens=10, usd_per_million_prompt_tokens=2)
    drawn = replace(cell([10, 10], [0, 0], tokens=2000, prompt_tokens=600), billed_prompt_tokens=10 * 600)
    assert rates(drawn, facts).at(1).usd == pytest.approx((300 * 2 + 100 * 10) / 1e6)
    assert rates(drawn, facts).total(2, 20).usd == pytest.approx((10 * 600 * 2 + 2000 * 10) / 1e6)


@pytest.mark.parametrize(
    "facts", [ModelFacts("m"), ModelFacts("m", usd_per_engine_hour=1.0)], ids=["no price", "hours nobody measured"]
)
def test_dollars_are_unknown(facts: ModelFacts) -> None:
    assert rates(cell([10], [0], tokens=100), facts).at(1).usd is None


def test_imported_counts_have_no_costs() -> None:
    spend = rates(cell([10], [0]), ModelFacts("m", parameters=5, usd_per_million_tokens=1)).at(1)
    assert (spend.tokens, spend.flops, spend.gpu_hours, spend.usd) == (None, None, None, None)


def test_negative_prices_are_refused() -> None:
    with pytest.raises(BadInput, match="usd_per_engine_hour is -1"):
        check_prices(ModelFacts("m", usd_per_engine_hour=-1))
    with pytest.raises(BadInput, match="gpus is nan"):
        check_prices(ModelFacts("m", gpus=float("nan")))
