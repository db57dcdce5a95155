"""Costs of a service's answers, and the most that a request could cost before it is sent: pure arithmetic.

A spending cap can only be strict if the worst case is known in advance. ``max_tokens`` bounds a completion. Its bytes
bound a prompt, because no byte-level tokenizer makes more than one token of a byte; a chat adds a few for its roles.
"""

from collections.abc import Iterable

from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings, settings_on
from sampling.settings.service import Prices

MILLION = 1_000_000
TOKENS_PER_TURN = 16  # a role, its marks, and what a template adds
UNIT_USD = 1.0  # most dollars of one unit, at worst: a lost unit is paid for again
UNITS_PER_CAP = 10  # a unit costs at most this part of a cap, so that little of the cap stays unused


def usd(prices: Prices, prompt_tokens: int, tokens: int) -> float:
    """Returns the US dollars for tokens that a service reports; a price that is not given counts as 0."""
    prompt, each = prices.per_million_prompt_tokens or 0.0, prices.per_million_tokens or 0.0
    return (prompt_tokens * prompt + tokens * each) / MILLION


def most_prompt_tokens(problem: Problem) -> int:
    """Returns an upper bound on the prompt's tokens, for every tokenizer."""
    turns = [message.content for message in problem.messages or ()] or [problem.prompt or ""]
    return sum(len(turn.encode("utf-8", "replace")) + TOKENS_PER_TURN for turn in turns)


def most_usd(model: ModelSpec, settings: SamplingSettings, problem: Problem, samples: int) -> float:
    """Returns the most US dollars that these samples could cost, each with its own prompt."""
    most_tokens = settings_on(model, settings, problem.sampling).max_tokens
    return samples * usd(model.prices, most_prompt_tokens(problem), most_tokens)


def most_unit_rows(model: ModelSpec, settings: SamplingSettings, problems: Iterable[Problem]) -> int | None:
    """Returns the most samples of a unit where tokens cost money, since a lost unit is paid twice; else None."""
    each = max((most_usd(model, settings, problem, 1) for problem in problems), default=0.0)
    return rows_for(each, model.service.cap_usd)


def rows_for(each: float, cap: float | None) -> int | None:
    """Returns the most samples of a unit that cost ``each`` US dollars; None where they cost nothing."""
    unit = UNIT_USD if cap is None else min(UNIT_USD, cap / UNITS_PER_CAP)
    return max(1, int(min(unit / each, MILLION))) if each else None
