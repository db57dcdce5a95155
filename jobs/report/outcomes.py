"""Outcomes in words: how reliably samples pass, why they ended, and what nothing was extracted from."""

from collections.abc import Iterable, Sequence

from jobs.numbers.doubts import MOST_CUT
from jobs.report.schema import Cell
from jobs.report.text import NONE, share, shares
from sampling.words import printable

RELIABILITY_HEADS = ["pass^k: all", "G-Pass, τ = .75", "G-Pass, τ = .5"]
LONGEST_REASON = 60
SHOWN_KS = (8, 4, 2)  # the first that a cell has


def has_reliability(cells: Iterable[Cell]) -> bool:
    """Tells whether any cell has pass^k at a k above 1."""
    return any(reliability(cell) for cell in cells)


def reliability(cell: Cell) -> list[str]:
    """Returns k, then pass^k and G-Pass@k with their intervals there, as text; nothing where the cell has none."""
    if "pass^k" not in cell.metrics:
        return []
    every = [*cell.metrics["pass^k"].points, *cell.metrics["g-pass@k"].points]
    found = {(at.k, at.tau): f"{share(at.value)} {shares(at.low, at.high)}".strip() for at in every}
    k = next((k for k in SHOWN_KS if (k, None) in found), None)
    return [] if k is None else [f"{k}", *(found[k, tau] for tau in (None, 0.75, 0.5))]


def finish_reasons(cells: Sequence[Cell]) -> list[str]:
    """Returns every finish reason that occurs: stop and length first, then by name."""
    found = {reason for cell in cells for reason in cell.finish_counts}
    first = [reason for reason in ("stop", "length") if reason in found]
    return first + sorted(found.difference(first))


def is_cut(cell: Cell) -> bool:
    """Tells whether so many samples were cut that a warning is given."""
    return cell.cut is not None and cell.cut > MOST_CUT


def invalid_in_words(cell: Cell) -> str:
    """Returns the reasons why nothing was extracted, with their samples; long ones are cut."""
    said = [f"{_short(reason)} {count:,}" for reason, count in cell.invalid_reasons.items()]
    return "; ".join(said) or NONE


def _short(reason: str) -> str:
    plain = printable(reason) or "no reason given"
    return plain if len(plain) <= LONGEST_REASON else f"{plain[: LONGEST_REASON - 1]}…"


def outcome_line(cell: Cell) -> str:
    """Returns which samples were cut and which had nothing to judge; an empty string where there are none."""
    cut = f"{share(cell.cut)} of samples cut at max_tokens" if cell.cut else ""
    said = f"nothing extracted from {share(cell.nothing_extracted)} ({invalid_in_words(cell)})"
    return "; ".join(line for line in (cut, said if cell.nothing_extracted else "") if line)
