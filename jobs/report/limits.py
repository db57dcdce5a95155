"""The limits of a cell's numbers: one sentence for every number that is missing or needs care."""

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.estimators import Ints, highest_after_none
from jobs.numbers.fits import why_no_fit
from jobs.report.cell_fields import decided_problems, stopped
from sampling.words import many


def cell_limits(cell: CellCounts, facts: ModelFacts) -> list[str]:
    """Returns what the numbers of this cell do not say, one sentence each."""
    decided = decided_problems(cell)
    if not len(decided):
        return ["no problem has a decided sample; there is no coverage."]
    return [*_counts_limits(cell, decided), *_stopped_limits(cell, decided), *_fault_and_cost_limits(cell, facts)]


def _counts_limits(cell: CellCounts, decided: Ints) -> list[str]:
    n, c, lines = cell.n[decided], cell.c[decided], []
    if len(decided) < len(cell.problem_ids):
        left = len(cell.problem_ids) - len(decided)
        verbs = ("has", "is") if left == 1 else ("have", "are")
        lines.append(f"{many(left, 'problem')} {verbs[0]} no decided sample and {verbs[1]} left out.")
    if n.min() < n.max():
        lines.append(f"problems have {n.min():,} to {n.max():,} decided samples; coverage ends at k={n.min():,}.")
    if len(decided) == 1:
        lines.append("one problem: there is nothing to resample, so no interval.")
    if not c.any():
        high = highest_after_none(len(decided))
        lines.append(f"no sample passed; the exact binomial interval still allows coverage up to {high:.2g}.")
    if len(decided) > 1 and c.all():
        low = 1 - highest_after_none(len(decided))
        lines.append(f"every problem has a pass; the exact binomial interval still allows coverage down to {low:.2g}.")
    reason = why_no_fit(n, c)
    if reason and c.any():
        lines.append(f"{reason}.")
    return lines


def _stopped_limits(cell: CellCounts, decided: Ints) -> list[str]:
    found = stopped(cell, decided)
    if found is None:
        return []
    end = "the first success" if found.successes == 1 else f"{found.successes} successes"
    return [
        f"sampling seems to have stopped at {end}, so n depends on the outcome and pass@k is biased upwards "
        f"(pass@1 is shown as {found.biased:.3g}; the unbiased estimate is {found.one_try:.3g})."
    ]


def _fault_and_cost_limits(cell: CellCounts, facts: ModelFacts) -> list[str]:
    lines = []
    if cell.unscorable:
        lines.append(f"{cell.unscorable}.")
    if cell.faults.any():
        lines.append(f"{cell.faults.sum():,} verdicts are missing because Troop failed; see the bounds on coverage.")
    if facts.usd_per_million_tokens is not None and facts.usd_per_million_prompt_tokens is None:
        lines.append("prompt tokens have no price; dollars leave them out.")
    priced = facts.usd_per_engine_hour is not None or facts.usd_per_million_tokens is not None
    if cell.judge_usd and not priced:
        lines.append("dollars are the judge's alone; the model has no price.")
    if facts.parameters is not None and (facts.layers is None or facts.hidden is None):
        lines.append("the model's shape is unknown; FLOPs leave attention out.")
    return lines
