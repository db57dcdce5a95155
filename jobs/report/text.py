"""The report in words: formatted numbers, the headline, text alternatives of charts, and the Markdown summary."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from jobs.numbers.cells import OWN_SCORES
from jobs.report.schema import Cell, CoveragePoint, CrossoverReport, Report
from verify.verdict import Status

NONE = "–"
METHODS = {"coverage": "coverage", "majority": "majority vote", "best_of": "best of k", "weighted": "weighted vote"}


def share(value: float | None) -> str:
    """Formats a share as papers print it: .41, with two significant digits where it is small: .0027."""
    if value is None or math.isnan(value):
        return NONE
    if value <= 0 or value >= 1:
        return "0" if value <= 0 else "1"
    text = f"{value:.{max(2, 1 - math.floor(math.log10(value)))}f}"
    return ">.99" if text.startswith("1") else text.removeprefix("0")


def shares(low: float | None, high: float | None) -> str:
    """Formats an interval of shares; an empty string where there is none."""
    return "" if low is None or high is None else f"[{share(low)}, {share(high)}]"


def amount(value: float | None, unit: str = "") -> str:
    """Formats any other quantity with three significant digits and thousands marks: 1,230 or 0.00412 or 3.1e+18."""
    if value is None:
        return NONE
    if unit == "$" and 0.1 <= value < 1e9:
        return f"${value:,.2f}"
    if value == 0 or 1e-4 <= abs(value) < 1e9:
        digits = 0 if value == 0 or abs(value) >= 100 else 2 - math.floor(math.log10(abs(value)))
        text = f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.2e}"
    return unit + text if unit == "$" else f"{text} {unit}".rstrip()


def between(low: float | None, high: float | None) -> str:
    """Formats an interval of quantities."""
    return NONE if low is None or high is None else f"[{amount(low)}, {amount(high)}]"


def compact(value: float | None) -> str:
    """Formats a large quantity where room is short: 11.5 M, 3.26 k; as a power of ten from a million millions on."""
    if value is None or abs(value) < 1e4 or abs(value) >= 1e12:
        return amount(value)
    size, unit = next((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size)
    return amount(value / size, unit)


def short_name(model: str) -> str:
    """Returns a model's name without the organisation in front of it."""
    return model.rsplit("/", 1)[-1] or model


def ks(cross: CrossoverReport) -> str:
    """Formats the crossover with its interval: 12 [9, 17], or >1,000 where it is censored."""
    beyond = f">{cross.n:,}"
    value = beyond if cross.k is None else f"{cross.k:,}"
    if cross.problems == 1 or (cross.low is None and cross.high is None):
        return value
    low, high = (beyond if end is None else f"{end:,}" for end in (cross.low, cross.high))
    return f"{value} [{low}, {high}]"


def ratio(cross: CrossoverReport) -> str:
    """Formats the cost of the crossover relative to one try of the baseline: in dollars, else in FLOPs."""
    if cross.usd_ratio is not None:
        return f"{amount(cross.usd_ratio)}× the dollars"
    return NONE if cross.flops_ratio is None else f"{amount(cross.flops_ratio)}× the FLOPs"


def crossing(cross: CrossoverReport) -> str:
    """Returns one crossover as a sentence."""
    model, baseline = short_name(cross.model), short_name(cross.baseline)
    target = f"{share(cross.target)} {shares(cross.target_low, cross.target_high)}".strip()
    if cross.k is None:
        covered = f"{share(cross.reached)} with n={cross.n:,}"
        return f"{model} covers {covered}: less than one try of {baseline}, {target}."
    cost = ratio(cross)
    tail = "" if cost == NONE else f", for {cost}"
    return f"{model} at k={ks(cross)} matches one try of {baseline}: {target}{tail}."


def headline(report: Report) -> str:
    """Returns the main result as a sentence: a crossover if there is one, else the best coverage."""
    reached = [cross for cross in report.crossovers if cross.k is not None]
    if report.crossovers:
        return crossing((reached or list(report.crossovers))[0])
    curves = [cell for cell in report.cells if cell.coverage]
    if not curves:
        return "Nothing to report yet: no sample has a decided verdict."
    best = max(curves, key=lambda cell: cell.coverage[-1].value)
    first, last = best.coverage[0], best.coverage[-1]
    if last.value == 0:
        return f"No sample passed: {share(0)} at k={last.k:,} for every model."
    name = short_name(best.model)
    return f"{name} covers {point(first)} of {best.task} with one sample and {point(last)} with {last.k:,}."


def point(at: CoveragePoint) -> str:
    """Formats a coverage with its interval."""
    return f"{share(at.value)} {shares(at.low, at.high)}".strip()


def coverage_in_words(
    cells: Sequence[Cell],
    crossovers: Sequence[CrossoverReport],
    axis: str = "samples",
    at: Callable[[Cell, int], str] = lambda _, k: f"k={k:,}",
) -> str:
    """Returns the text alternative of a coverage chart; ``at`` formats the position of k samples on its axis."""
    curves = [
        f"{short_name(cell.model)} rises from {point(cell.coverage[0])} at {at(cell, 1)}"
        f" to {point(cell.coverage[-1])} at {at(cell, cell.coverage[-1].k)}"
        for cell in cells
        if cell.coverage
    ]
    return " ".join([f"Coverage against {axis}:", "; ".join(curves) + ".", *map(crossing, crossovers)])


def duplicates_in_words(cell: Cell) -> str:
    """Formats the share of samples that repeat an earlier one word for word."""
    return NONE if cell.duplicate_rate is None else f"{100 * cell.duplicate_rate:.2g}%"


def strip_in_words(cells: Sequence[Cell]) -> str:
    """Returns the text alternative of the strip of problems."""
    return "; ".join(
        f"{short_name(cell.model)} solved {sum(row.c > 0 for row in cell.per_problem):,} of {cell.problems:,} problems"
        for cell in cells
    )


def selection_in_words(cells: Sequence[Cell]) -> str:
    """Returns the text alternative of a selection chart."""
    lines = []
    for cell in cells:
        found = [(METHODS[method], getattr(cell, method)) for method in methods_of(cell)]
        if found:
            spans = [f"{name} goes from {share(p[0].value)} to {share(p[-1].value)}" for name, p in found]
            last = found[0][1][-1].k
            end = f"from k=1 to k={last:,}, coverage to {share(cell.coverage[-1].value)}"
            lines.append(f"{short_name(cell.model)}: {', '.join(spans)} {end}.")
    return " ".join(lines)


def at_last(cell: Cell, method: str) -> float | None:
    """Returns the value of one way of selection at its largest k; None where the cell does not have it."""
    points = getattr(cell, method)
    return points[-1].value if points else None


def selection_line(cell: Cell) -> str:
    """Returns the results of selection at the largest k as one line."""
    found = [f"{METHODS[name]} {share(at_last(cell, name))}" for name in METHODS if getattr(cell, name)]
    last = cell.coverage[-1].k if cell.coverage else 0
    return f"{short_name(cell.model)} on {cell.task}, k={last:,}: {', '.join(found)}; scores {scores_in_words(cell)}"


def scores_in_words(cell: Cell) -> str:
    """Returns the version of the scores that selection uses, and how they become the weights of votes."""
    if not cell.scores:
        return NONE
    return f"{cell.scores}, votes by {cell.weighted_by}" if cell.weighted_by else cell.scores


def policies_of(cells: Sequence[Cell]) -> list[str]:
    """Returns one sentence per answer policy that a task's cells were judged by; it names the models if they differ."""
    models: dict[str, list[str]] = {}
    for cell in cells:
        if cell.policy:
            models.setdefault(cell.policy, []).append(short_name(cell.model))
    if len(models) == 1:
        return [f"Judged by {policy}." for policy in models]
    return [f"{', '.join(names)}: judged by {policy}." for policy, names in models.items()]


def scores_of(cells: Sequence[Cell]) -> list[str]:
    """Returns one sentence per version of the scores that selection uses."""
    models: dict[tuple[str, str | None], list[str]] = {}
    for cell in cells:
        if cell.scores:
            models.setdefault((cell.scores, cell.weighted_by), []).append(short_name(cell.model))
    lines = []
    for (scores, weight), names in models.items():
        by = "the scores in its verdicts" if scores == OWN_SCORES else f"the scores {scores}"
        votes = f"; votes are weighted by {weight}" if weight else ""
        lines.append(f"Selection of {', '.join(names)} uses {by}{votes}.")
    return lines


def methods_in(cells: Iterable[Cell]) -> dict[str, str]:
    """Returns the ways of selection that any of the cells has, coverage first, with their names."""
    found = {method for cell in cells for method in methods_of(cell)}
    return {method: name for method, name in METHODS.items() if method in found or method == "coverage"}


def methods_of(cell: Cell) -> list[str]:
    """Returns the ways of selection that the cell has, the main one first."""
    return [method for method in METHODS if method != "coverage" and getattr(cell, method)]


def statuses(cells: Sequence[Cell]) -> list[str]:
    """Returns every status that occurs, from pass to fault; unknown ones follow by name."""
    found = {status for cell in cells for status in cell.status_counts}
    known = [status.value for status in Status]
    return [status for status in known if status in found] + sorted(found.difference(known))


def summary_markdown(report: Report) -> str:
    """Returns the report for a pull request: headline, warnings, tables of cells and crossovers, limits."""
    parts = [f"### {_plain(headline(report))}"]
    if report.cells:
        parts.append(_table(_CELL_HEADS, map(_cell_row, report.cells)))
    if report.warnings:
        parts.insert(1, "\n>\n".join(f"> **Warning:** {_plain(line)}" for line in report.warnings))
    chosen = [cell for cell in report.cells if methods_of(cell)]
    if chosen:
        methods = methods_in(chosen)
        rows = [[c.model, c.task, *(share(at_last(c, name)) for name in methods), _last_k(c), scores_in_words(c)]
                for c in chosen]  # fmt: skip
        parts.append(_table(["selection", "task", *methods.values(), "at k", "scores"], rows))
    if report.crossovers:
        parts.append(_table(_CROSS_HEADS, map(_cross_row, report.crossovers)))
    if report.limits:
        parts.append("\n".join(["**Limits**", "", *(f"- {_plain(line)}" for line in report.limits)]))
    if report.provenance:
        parts.append("; ".join(f"{_plain(name)}: {_plain(value)}" for name, value in report.provenance.items()))
    return "\n\n".join(parts) + "\n"


_CELL_HEADS = (
    "model",
    "task",
    "problems",
    "samples",
    "one try",
    "coverage at k",
    "k",
    "tokens",
    "GPU hours",
    "dollars",
    "judged by",
)
_CROSS_HEADS = ("model", "baseline", "task", "crossover k", "baseline's one try", "cost against one try")


def _cell_row(cell: Cell) -> list[str]:
    first, last = (point(cell.coverage[0]), point(cell.coverage[-1])) if cell.coverage else (NONE, NONE)
    return [cell.model, cell.task, f"{cell.problems:,}", f"{cell.samples:,}", first, last, _last_k(cell),
            amount(cell.tokens), amount(cell.gpu_hours), amount(cell.usd, "$"), cell.policy or NONE]  # fmt: skip


def _last_k(cell: Cell) -> str:
    return f"{cell.coverage[-1].k:,}" if cell.coverage else NONE


def _cross_row(cross: CrossoverReport) -> list[str]:
    target = f"{share(cross.target)} {shares(cross.target_low, cross.target_high)}"
    return [cross.model, cross.baseline, cross.task, ks(cross), target, ratio(cross)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_plain(entry) for entry in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Escapes text so that Markdown shows it unchanged: names come from outside and must not become links or tags."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&@])", r"\\\1", " ".join(text.split()))
