"""The report as Markdown, for a pull request or a message."""

import re
from collections.abc import Iterable, Sequence

from jobs.report.rounds import HEADS, rounds_row
from jobs.report.schema import Cell, CrossoverReport, Report
from jobs.report.series_chart import series_heads, series_rows
from jobs.report.text import (
    NONE,
    amount,
    bounded_in_words,
    difference,
    extrapolation_line,
    headline,
    intervals_in_words,
    ks,
    methods_in,
    methods_of,
    point,
    problems_in_words,
    ratio,
    ratio_between,
    scores_in_words,
    selected,
    selection_k,
    share,
    shares,
    tries,
)


def summary_markdown(report: Report) -> str:
    """Returns the report for a pull request: headline, warnings, tables of cells and crossovers, limits."""
    parts = [f"### {_plain(headline(report))}"]
    if report.cells:
        parts.append(_table(_CELL_HEADS, map(_cell_row, report.cells)))
        parts.append(f"In brackets: {intervals_in_words(report)}; n is the samples of a problem.")
    if report.warnings:
        parts.insert(1, "\n>\n".join(f"> **Warning:** {_plain(line)}" for line in report.warnings))
    chosen = [cell for cell in report.cells if methods_of(cell)]
    if chosen:
        methods = methods_in(chosen)
        rows = [[c.model, c.task, *(selected(c, name) for name in methods), selection_k(c), scores_in_words(c)]
                for c in chosen]  # fmt: skip
        parts.append(_table(["selection", "task", *methods.values(), "at k", "scores"], rows))
    rounds = [[cell.model, cell.task, *rounds_row(cell.rounds)] for cell in report.cells if cell.rounds]
    if rounds:
        parts.append(_table([HEADS[0], "task", *HEADS[1:]], rounds))
    if report.crossovers:
        parts.append(_table(_CROSS_HEADS, map(_cross_row, report.crossovers)))
    for series in report.series:
        heads = [f"{series.task} over {series.over}", *series_heads(series)[1:]]
        parts.append(_table([_plain(head) for head in heads], series_rows(series)))
    if report.limits:
        parts.append("\n".join(["**Limits**", "", *(f"- {_plain(line)}" for line in report.limits)]))
    if report.provenance:
        parts.append("; ".join(f"{_plain(name)}: {_plain(value)}" for name, value in report.provenance.items()))
    return "\n\n".join(parts) + "\n"


_CELL_HEADS = (
    "model",
    "task",
    "problems and n",
    "samples",
    "one try",
    "nothing extracted",
    "cut",
    "coverage at k",
    "k",
    "bounds over all problems",
    "extrapolated",
    "tokens",
    "GPU hours",
    "dollars",
    "judged by",
)
_CROSS_HEADS = ("model", "baseline", "task", "crossover k", "baseline's one try", "model minus baseline, one try",
    "cost against one try", "tries to the first pass")  # fmt: skip


def _cell_row(cell: Cell) -> list[str]:
    first, last = (point(cell.coverage[0]), point(cell.coverage[-1])) if cell.coverage else (NONE, NONE)
    return [cell.model, cell.task, problems_in_words(cell), _samples(cell), first,
            share(cell.nothing_extracted), share(cell.cut), last, _last_k(cell),
            bounded_in_words(cell) if cell.bounded else NONE, extrapolation_line(cell) or NONE,
            amount(cell.tokens), amount(cell.gpu_hours), amount(cell.usd, "$"), cell.policy or NONE]  # fmt: skip


def _samples(cell: Cell) -> str:
    return f"{cell.samples:,} of {cell.planned_samples:,}" if cell.unfinished else f"{cell.samples:,}"


def _last_k(cell: Cell) -> str:
    return f"{cell.coverage[-1].k:,}" if cell.coverage else NONE


def _cross_row(cross: CrossoverReport) -> list[str]:
    target = f"{share(cross.target)} {shares(cross.target_low, cross.target_high)}"
    cost = f"{ratio(cross)} {ratio_between(cross)}".strip()
    return [cross.model, cross.baseline, cross.task, ks(cross), target, difference(cross), cost, tries(cross)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_plain(entry) for entry in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Escapes text so that Markdown shows it unchanged: names come from outside and must not become links or tags."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&@])", r"\\\1", " ".join(text.split()))
