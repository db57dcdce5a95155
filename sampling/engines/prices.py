"""What a service's answers cost, and the most that a request could cost before it is sent: pure arithmetic.

A spending cap can only be hard if the worst case is known in advance. A completion is bounded by ``max_tokens``; a
prompt by its bytes, since no byte-level tokenizer makes more than one token of a byte; a chat adds a few for its roles.
"""

from collections.abc import Iterable

from sampling.problems import Problem
from sampling.settings import ModelSpec, Prices, SamplingSettings, settings_on

MILLION = 1_000_000
TOKENS_PER_TURN = 16  # a role, its marks, and what a template adds
UNIT_USD = 1.0  # what is bought whole or lost: at most this much in a unit, at worst
UNITS_PER_CAP = 10  # and at most this part of a cap, so that little of it is left over


def usd(prices: Prices, prompt_tokens: int, tokens: int) -> float:
    """Dollars for tokens as a service reports them; a price that is not given counts as nothing."""
    prompt, each = prices.per_million_prompt_tokens or 0.0, prices.per_million_tokens or 0.0
    return (prompt_tokens * prompt + tokens * each) / MILLION


def most_prompt_tokens(problem: Problem) -> int:
    """No tokenizer makes more of the prompt."""
    turns = [message.content for message in problem.messages or ()] or [problem.prompt or ""]
    return sum(len(turn.encode("utf-8", "replace")) + TOKENS_PER_TURN for turn in turns)


def most_usd(model: ModelSpec, settings: SamplingSettings, problem: Problem, samples: int) -> float:
    """The most that these samples could cost, each with a prompt of its own."""
    most_tokens = settings_on(model, settings, problem.sampling).max_tokens
    return samples * usd(model.prices, most_prompt_tokens(problem), most_tokens)


def most_unit_rows(model: ModelSpec, settings: SamplingSettings, problems: Iterable[Problem]) -> int | None:
    """How many samples a unit may have where tokens cost money, as a lost one is paid twice; else None."""
    each = max((most_usd(model, settings, problem, 1) for problem in problems), default=0.0)
    return rows_for(each, model.service.cap_usd)


def rows_for(each: float, cap: float | None) -> int | None:
    """How many samples of so many dollars ``each`` a unit may have; None where they cost nothing."""
    unit = UNIT_USD if cap is None else min(UNIT_USD, cap / UNITS_PER_CAP)
    return max(1, int(min(unit / each, MILLION))) if each else None
