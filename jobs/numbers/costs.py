"""Cost of samples in tokens, floating-point operations, GPU hours and dollars; each is None where it is not known.

The k samples of a problem share one prompt, so a cost has two parts: what the prompt costs once, and what each sample
costs. A service bills the prompt with every request; there the prompt's dollars belong to the sample. Both parts are
means over the samples that were drawn, so a cost at any k comes from measured lengths and throughput.
"""

from dataclasses import dataclass

from jobs.numbers.cells import CellCounts, ModelFacts
from sampling.errors import BadInput

SECONDS_AN_HOUR = 3600
MILLION = 1_000_000


@dataclass(frozen=True)
class Spend:
    """Amounts of the four things that are paid for; None where an amount is not known."""

    tokens: float | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    usd: float | None = None


@dataclass(frozen=True)
class Rates:
    """Mean cost of one problem's prompt, paid once, and mean cost of one sample."""

    prompt: Spend
    sample: Spend

    def at(self, k: float) -> Spend:
        """Returns the mean cost of k samples of one problem."""
        return _combined(self, 1, k)

    def total(self, problems: int, samples: int) -> Spend:
        """Returns the cost of a whole cell."""
        return _combined(self, problems, samples)


def rates(cell: CellCounts, facts: ModelFacts) -> Rates:
    """Returns the mean cost per prompt and per sample. The engine's time is charged to the samples, in equal parts."""
    problems, samples = len(cell.problem_ids), samples_drawn(cell)
    if not problems or not samples or not cell.tokens:  # imported counts carry no tokens: no cost is known
        return Rates(Spend(), Spend())
    prompt, tokens, seconds = cell.prompt_tokens / problems, cell.tokens / samples, cell.engine_s / samples
    billed = cell.billed_prompt_tokens / samples
    return Rates(
        prompt=Spend(prompt, prompt_flops(facts, prompt), 0.0, 0.0 if billed else _prompt_usd(facts, prompt)),
        sample=Spend(tokens, sample_flops(facts, prompt, tokens), _gpu_hours(facts, seconds),
                     _with_judge(_sample_usd(facts, billed, tokens, seconds), cell.judge_usd / samples)),
    )  # fmt: skip


def samples_drawn(cell: CellCounts) -> int:
    """Counts the samples that were paid for: with a decided verdict, or with a fault."""
    return int(cell.n.sum() + cell.faults.sum())


def prompt_flops(facts: ModelFacts, tokens: float) -> float | None:
    """Returns the operations to read a prompt, once for all of its samples."""
    return _flops(facts, tokens, before=0.0)


def sample_flops(facts: ModelFacts, prompt_tokens: float, tokens: float) -> float | None:
    """Returns the operations to generate one sample after its prompt."""
    return _flops(facts, tokens, before=prompt_tokens)


def _flops(facts: ModelFacts, tokens: float, before: float) -> float | None:
    """Sums 2 (N + 2 L d t) over tokens, with t the context so far (arXiv 2407.21787, section 2.3).

    2N is one multiplication and one addition per parameter (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). The
    second term is attention over t tokens; it is left out where the model's shape is unknown. Lengths are means and
    attention is convex in them, so the true sum is never smaller.
    """
    if facts.parameters is None:
        return None
    contexts = tokens * before + tokens * (tokens + 1) / 2
    attention = 2 * (facts.layers or 0) * (facts.hidden or 0) * contexts
    return 2 * (facts.parameters * tokens + attention)


def _gpu_hours(facts: ModelFacts, seconds: float) -> float | None:
    return seconds * facts.gpus / SECONDS_AN_HOUR if seconds else None


def _prompt_usd(facts: ModelFacts, tokens: float) -> float:
    return tokens * facts.usd_per_million_prompt_tokens / MILLION if facts.usd_per_million_prompt_tokens else 0.0


def _sample_usd(facts: ModelFacts, billed: float, tokens: float, seconds: float) -> float | None:
    """Returns dollars by time, by tokens, or both; None without a price, or with a price per hour but no time."""
    by_hour, by_token = facts.usd_per_engine_hour, facts.usd_per_million_tokens
    if (by_hour is None and by_token is None) or (by_hour is not None and not seconds):
        return None
    by_tokens = (by_token or 0.0) * tokens / MILLION + _prompt_usd(facts, billed)
    return (by_hour or 0.0) * seconds / SECONDS_AN_HOUR + by_tokens


def _with_judge(usd: float | None, judge_usd: float) -> float | None:
    """Adds the judge's dollars, which are known even where the engine's are not."""
    return (usd or 0.0) + judge_usd if judge_usd else usd


def _combined(parts: Rates, prompts: float, samples: float) -> Spend:
    def add(prompt: float | None, sample: float | None) -> float | None:
        return None if prompt is None or sample is None else prompts * prompt + samples * sample

    one, each = parts.prompt, parts.sample
    return Spend(
        tokens=add(one.tokens, each.tokens),
        flops=add(one.flops, each.flops),
        gpu_hours=add(one.gpu_hours, each.gpu_hours),
        usd=add(one.usd, each.usd),
    )


def check_prices(facts: ModelFacts) -> None:
    """Raises BadInput for a negative price or size."""
    for name in ("parameters", "layers", "hidden", "gpus", "usd_per_engine_hour", "usd_per_million_prompt_tokens",
                 "usd_per_million_tokens"):  # fmt: skip
        value = getattr(facts, name)
        if value is not None and not value >= 0:
            raise BadInput(f"model {facts.name}: {name} is {value}; it must not be negative")
