"""The limits of a cell's numbers: one sentence for every number that is missing or needs care."""

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import samples_drawn
from jobs.numbers.estimators import Ints
from jobs.numbers.fits import why_no_fit
from jobs.numbers.rounds import RoundCounts
from jobs.numbers.tally import Tally, tally_of
from jobs.report.cell_fields import decided_problems, stopped
from jobs.report.points import Stopped
from sampling.words import many


def cell_limits(cell: CellCounts, compared: CellCounts, facts: ModelFacts) -> list[str]:
    """Returns what the numbers of this cell do not say, one sentence each; estimates are over ``compared``."""
    decided, missing = decided_problems(compared), _plan_limits(cell, compared)
    if not len(decided):
        return [*missing, "no problem has a decided sample; there is no coverage."]
    counts = _counts_limits(tally_of(compared, decided))
    return [*missing, *counts, *_stopped_limits(compared, decided), *_fault_and_cost_limits(cell, facts)]


def _plan_limits(cell: CellCounts, compared: CellCounts) -> list[str]:
    """Returns sentences on samples that are planned and not there, and on problems that are left out."""
    lines, drawn = [], samples_drawn(cell)
    planned, used = max(cell.planned_problems, len(cell.problem_ids)), int((compared.n > 0).sum())
    if cell.unfinished:
        lines.append(f"the run is not finished: {drawn:,} of {cell.planned_samples:,} samples{_of_rounds(cell)}.")
    if 0 < used < planned:
        left = f"{many(cell.unmet, 'problem')} {'has' if cell.unmet == 1 else 'have'} no decided sample"
        others = int((cell.n > 0).sum()) - used
        rest = f"{many(others, 'problem')} {'is' if others == 1 else 'are'} not decided for every model"
        why = " and ".join(line for line, count in ((left, cell.unmet), (rest, others)) if count)
        lines.append(f"{why}; estimates are over the other {used:,}, bounds over all {planned:,}.")
    return lines


def _of_rounds(cell: CellCounts) -> str:
    left = cell.open_problems
    more = "may call for more" if left == 1 else "may call for more rounds"
    return f" of the rounds so far; {many(left, 'problem')} {more}" if left else ""


def _counts_limits(tally: Tally) -> list[str]:
    lines, problems = [], len(tally.n)
    short, long = int((tally.reach < tally.furthest).sum()), tally.without_short()
    if short:
        lines.append(
            f"problems {'reach k =' if tally.stopping else 'have'} {tally.reach.min():,} to {tally.furthest:,}"
            f"{'' if tally.stopping else ' decided samples'}; coverage ends at "
            f"k={tally.largest:,}, and bounds that allow for the {short:,} with fewer go on to k={tally.furthest:,}."
        )
    if len(long.n) < problems:
        lines.append(
            f"fits leave out {many(problems - len(long.n), 'problem')} with fewer than {long.largest:,} samples."
        )
    if problems == 1:
        lines.append("one problem: it says nothing about others, so there is no interval over problems.")
    if not tally.c.any():
        lines.append("no sample passed; the interval says what is still possible.")
    reason = why_no_fit(long)
    if reason and tally.c.any():
        lines.append(f"{reason}.")
    return lines


def _stopped_limits(cell: CellCounts, decided: Ints) -> list[str]:
    found = stopped(cell, decided)
    if found is None:
        return []
    if cell.rounds is not None:
        return _rounds_limits(cell.rounds, found)
    end = "the first success" if found.successes == 1 else f"{found.successes} successes"
    known = "sampling stopped" if cell.stopping else "sampling seems to have stopped"
    return [
        f"{known} at {end}, so n depends on the outcome; coverage allows for it (the usual pass@1 would be "
        f"{found.biased:.3g}, the unbiased one is {found.one_try:.3g})."
    ]


def _rounds_limits(rounds: RoundCounts, found: Stopped) -> list[str]:
    """Returns sentences on adaptive sampling: what coverage allows for, and what has fewer samples."""
    passes = "1 pass" if found.successes == 1 else f"{found.successes:,} passes"
    lines = [
        f"adaptive sampling: problems retire at {passes}, so n depends on the outcome; "
        f"coverage allows for it (the usual pass@1 would be {found.biased:.3g}, the unbiased one is "
        f"{found.one_try:.3g}). Majority, best-of and votes use the first round alone."
    ]
    if rounds.otherwise:
        lines.append(
            f"verdicts of another version would have decided {many(rounds.otherwise, 'problem')} otherwise than the "
            "plan: estimates go by these verdicts, and end where the samples do; `troop run` draws what they call for."
        )
    return lines


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
