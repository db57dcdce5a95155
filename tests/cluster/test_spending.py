"""The spending cap: it is never exceeded, whatever units cost and in whatever order they end."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.batches import ModelWork, Work
from cluster.spending import Spending
from sampling.engines.model_info import ModelInfo
from sampling.engines.prices import MILLION, TOKENS_PER_TURN, UNIT_USD, most_unit_rows, most_usd, usd
from sampling.problems import Problem
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.service import Prices, ServiceSettings

SETTINGS = SamplingSettings(max_tokens=100)
PRICES = Prices(per_million_prompt_tokens=1000.0, per_million_tokens=10_000.0)
PROMPT = "x" * (100 - TOKENS_PER_TURN)
PROBLEM = Problem.model_validate({"id": "p", "prompt": PROMPT, "verifier": "exact", "reference": {"answer": "1"}})
WORST = 0.1 + 1.0  # dollars of one sample


def service(cap: float | None, prices: Prices = PRICES) -> ModelSpec:
    given = ServiceSettings(cap_usd=cap)
    return ModelSpec(name="m", path="m", engine="openai", base_url="http://h/v1", prices=prices, service=given)


def spending(cap: float | None, before: float = 0.0) -> tuple[Spending, list[Mapping[str, float]]]:
    saved: list[Mapping[str, float]] = []
    work = ModelWork(service(cap), ModelInfo("r"), SETTINGS, "h", ())
    return Spending(Work((work,), {"t": {0: PROBLEM}}, 0, None, None, ""), {"m": before}, saved.append), saved


def unit(number: int, samples: int = 1) -> Unit:
    return Unit("m", "t", number, 0, 1, number * samples, (number + 1) * samples)


@settings(deadline=None, max_examples=50)
@given(
    st.floats(0.01, 20), st.floats(0, 8), st.lists(st.one_of(st.none(), st.floats(0, WORST)), max_size=30),
    st.integers(1, 6), st.randoms(),
)  # fmt: skip
def test_a_cap_is_never_exceeded_and_used_as_far_as_it_goes(cap, before, costs, together, random) -> None:
    account, saved = spending(cap, before)
    paid = before

    async def one(number: int, cost: float | None, room: asyncio.Semaphore) -> bool:
        nonlocal paid
        async with room:
            if not await account.start(unit(number)):
                assert account._owed("m") + WORST > cap  # it really did not fit
                return False
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            paid += WORST if cost is None else cost
            assert paid <= cap + 1e-9
            assert before + saved[-1]["m"] >= paid - 1e-9  # what is kept never says less than what is owed
            account.settle(unit(number), cost)
            return True

    async def all_of_them() -> list[bool]:
        room = asyncio.Semaphore(together)
        return await asyncio.gather(*(one(i, cost, room) for i, cost in enumerate(costs)))

    started = asyncio.run(all_of_them())
    assert all(started) or paid + WORST > cap - 1e-9


def test_a_unit_waits_for_the_money_of_others() -> None:
    async def run() -> None:
        account, _ = spending(1.5)
        assert await account.start(unit(0))
        second = asyncio.create_task(account.start(unit(1)))
        await asyncio.sleep(0.05)
        assert not second.done()
        account.settle(unit(0), 0.2)
        assert await second

    asyncio.run(run())


def test_without_a_cap_nothing_is_kept_ahead() -> None:
    account, saved = spending(None)
    assert asyncio.run(account.start(unit(0, samples=1000)))
    assert saved == []


def test_a_refusal_says_what_to_raise() -> None:
    account, _ = spending(1.0, before=0.5)
    assert not asyncio.run(account.start(unit(0)))
    assert "$0.5000 of $1 are spent or owed" in account.refusal(unit(0))
    assert "models.m.service.cap_usd" in account.refusal(unit(0))


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 10**7), st.integers(0, 10**7))
def test_dollars_are_linear_in_tokens(prompt_price: float, price: float, prompt: int, tokens: int) -> None:
    prices = Prices(per_million_prompt_tokens=prompt_price, per_million_tokens=price)
    expected = prompt * prompt_price / MILLION + tokens * price / MILLION
    assert usd(prices, prompt, tokens) == pytest.approx(expected)


@given(st.text(max_size=200), st.integers(1, 2048), st.integers(1, 4096))
def test_a_prompt_has_no_more_tokens_than_bytes(prompt: str, samples: int, most: int) -> None:
    problem = PROBLEM.model_copy(update={"prompt": prompt})
    worst = most_usd(service(None), SamplingSettings(max_tokens=most), problem, samples)
    length = len(prompt.encode("utf-8", "replace"))
    assert worst >= samples * usd(PRICES, length, most) - 1e-9


@given(st.one_of(st.none(), st.floats(0.01, 100)), st.floats(0, 1e5))
def test_units_are_small_where_tokens_cost_money(cap: float | None, price: float) -> None:
    model = service(cap, Prices(per_million_prompt_tokens=0.0, per_million_tokens=price))
    rows = most_unit_rows(model, SETTINGS, [PROBLEM])
    assert (rows is None) == (price * SETTINGS.max_tokens / MILLION == 0)
    worst = most_usd(model, SETTINGS, PROBLEM, rows or 1)
    assert rows in (None, 1) or worst <= min(UNIT_USD, (cap or 1e9) / 10) + 1e-9
