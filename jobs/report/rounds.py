"""Rounds of adaptive sampling in a report: their numbers, and how the page, the text and the command line say them."""

from jobs.numbers.cells import CellCounts
from jobs.numbers.costs import samples_drawn
from jobs.report.points import RoundsReport
from sampling.words import many

HEADS = ["model", "rounds end at", "passes to retire", "retired", "have all k", "open", "samples", "of uniform's"]
_SHOWN = 3  # ends of rounds, before the last


def rounds_of(cell: CellCounts) -> RoundsReport | None:
    """Returns the rounds of a cell; None where its samples were not planned by rounds."""
    if cell.rounds is None:
        return None
    rounds, last = cell.rounds, cell.rounds.last
    problems = max(cell.planned_problems, len(cell.problem_ids))
    drawn, retired = (cell.n + cell.faults)[rounds.retired], int(rounds.retired.sum())
    return RoundsReport(
        first=last.first,
        grow=last.grow,
        retire_at=last.retire_at,
        k=last.k,
        ends=rounds.sizes,
        retired=retired,
        capped=int(rounds.ended.sum()) - retired,
        open=problems - int(rounds.ended.sum()),
        samples=samples_drawn(cell),
        uniform=problems * last.k,
        saved=int((last.k - drawn).clip(min=0).sum()),
        otherwise=rounds.otherwise,
    )


def ends_in_words(rounds: RoundsReport) -> str:
    """Returns ``100, 200, 400, …, 10,000``."""
    ends = [f"{end:,}" for end in rounds.ends]
    return ", ".join(ends if len(ends) <= _SHOWN + 2 else [*ends[:_SHOWN], "…", ends[-1]])


def rounds_in_words(rounds: RoundsReport) -> str:
    """Returns what was decided so far, and the samples against uniform sampling's."""
    problems = rounds.retired + rounds.capped + rounds.open
    still = f", {rounds.open:,} still open" if rounds.open else ""
    return (
        f"rounds to {ends_in_words(rounds)}: {rounds.retired:,} of {many(problems, 'problem')} retired at "
        f"{rounds.retire_at:,} {'pass' if rounds.retire_at == 1 else 'passes'}, {rounds.capped:,} have all "
        f"{rounds.k:,} samples{still}; {rounds.samples:,} samples, {_share(rounds)} of uniform sampling's "
        f"{rounds.uniform:,}; saved so far: {rounds.saved:,}"
    )


def rounds_row(rounds: RoundsReport) -> list[str]:
    """Returns the entries of a table under HEADS, but for the model."""
    counts = (rounds.retire_at, rounds.retired, rounds.capped, rounds.open, rounds.samples)
    return [ends_in_words(rounds), *(f"{count:,}" for count in counts), _share(rounds)]


def _share(rounds: RoundsReport) -> str:
    return f"{rounds.samples / max(rounds.uniform, 1):.1%}"
