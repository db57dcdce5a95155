"""The report in words: formatted numbers, the headline, text alternatives of charts, and the Markdown summary."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from jobs.numbers.cells import OWN_SCORES
from jobs.report.points import BoundedPoint, CoveragePoint
from jobs.report.schema import Cell, CrossoverReport, Report
from verify.verdict import Status

NONE = "–"
LONGEST_LABEL = 26  # letters
SMALLEST_PLAIN, TINY = 1e-5, 1e-12  # smaller shares as powers of ten; still smaller ones are rounding
# Keys in a model's name (`@temperature=0.6`) and in the name of a line over a series (`, temperature 0.6`).
_GRID_KEYS = re.compile(r"(?<=[@,])[a-z_]+=|(?<=, )[a-z_]+ (?=[^ ,]+(?:,|$))")
METHODS = {"coverage": "coverage", "majority": "majority vote", "best_of": "best of k", "weighted": "weighted vote"}


def share(value: float | None) -> str:
    """Formats a share as papers print it: .41, with two significant digits where it is small: .0027, 1.3e-07."""
    if value is None or math.isnan(value):
        return NONE
    if value <= 0 or value >= 1:
        return "0" if value <= 0 else "1"
    if value < SMALLEST_PLAIN:
        return f"{value:.1e}" if value > TINY else "0"
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
    """Returns a model's name without the organisation in front of it; a revision after an @ may have slashes."""
    name, at, rest = model.partition("@")
    return (name.rsplit("/", 1)[-1] + at + rest) or model


def label(name: str) -> str:
    """Returns a name that fits beside a line: of a long one without a grid's keys, and else without its middle.

    Example: ``rl@step_3000+code@temperature=0.6`` becomes ``rl@step_3000+code@0.6``.
    """
    half = LONGEST_LABEL // 2
    name = name if len(name) <= LONGEST_LABEL else _GRID_KEYS.sub("", name)
    return name if len(name) <= LONGEST_LABEL else f"{name[:half]}…{name[1 - half :]}"


def one_try(cell: Cell, *, named: bool) -> str:
    """Returns the words beside the line of a baseline's single try, with its name where lines are ``named``."""
    said = f"one try: {share(cell.coverage[0].value)}"
    return f"{short_name(cell.model)}, {said}" if named else said


def ks(cross: CrossoverReport) -> str:
    """Formats the crossover with its interval: 12 [9, 17], or >1,000 where it is censored."""
    beyond = f">{cross.n:,}"
    value = beyond if cross.k is None else f"{cross.k:,}"
    if cross.best_k != cross.k and cross.best_k is not None:
        value = f"{cross.best_k:,} to {value}"
    if cross.problems == 1 or (cross.low is None and cross.high is None):
        return value
    if cross.low is None:
        return value
    return f"{value} [{cross.low:,}, {beyond if cross.high is None else f'{cross.high:,}'}]"


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


def ratio_between(cross: CrossoverReport) -> str:
    """Formats the interval of the cost of the crossover, of what ``ratio`` gives; open where k's is."""
    money = cross.usd_ratio is not None
    low, high = (
        (cross.usd_ratio_low, cross.usd_ratio_high) if money else (cross.flops_ratio_low, cross.flops_ratio_high)
    )
    if low is None or ratio(cross) == NONE:
        return ""
    return f"[{amount(low)}, {'open' if high is None else amount(high)}]"


def tries(cross: CrossoverReport) -> str:
    """Formats the mean number of samples where a verifier stops at the first pass, with its cost."""
    if cross.tries is None:
        return NONE
    cost = cross.tries_flops_ratio if cross.tries_usd_ratio is None else cross.tries_usd_ratio
    return amount(cross.tries) if cost is None else f"{amount(cross.tries)}, {amount(cost)}×"


def headline(report: Report) -> str:
    """Returns the main result as a sentence; how far the run is comes first, where it is not finished."""
    said = _main_result(report)
    return f"{report.unfinished}; so far: {said}" if report.unfinished else said


def _main_result(report: Report) -> str:
    """Returns a crossover if there is one, the cheapest of several, else the best coverage."""
    if report.crossovers:
        return _crossings(report.crossovers)
    curves = [cell for cell in report.cells if cell.coverage]
    if not curves:
        return "Nothing to report yet: no sample has a decided verdict."
    best = max(curves, key=lambda cell: cell.coverage[-1].value)
    first, last = best.coverage[0], best.coverage[-1]
    if last.value == 0:
        return f"No sample passed: {share(0)} at k={last.k:,} for every model."
    name = short_name(best.model)
    return f"{name} covers {point(first)} of {best.task} with one sample and {point(last)} with {last.k:,}."


def _crossings(crossovers: Sequence[CrossoverReport]) -> str:
    """Returns the cheapest crossover, after how many models have one where there are more than two."""
    reached = [cross for cross in crossovers if cross.k is not None]
    if not reached:
        return crossing(max(crossovers, key=lambda cross: cross.reached))
    best = min(reached, key=_price)
    if len(crossovers) < 3:
        return crossing(best)
    alike = [cross for cross in crossovers if (cross.baseline, cross.task) == (best.baseline, best.task)]
    count = sum(cross.k is not None for cross in alike)
    names = "model reaches" if len(alike) == 1 else "models reach"
    target = f"one try of {short_name(best.baseline)} on {best.task}"
    return f"{count} of {len(alike)} {names} {target}; the cheapest: {crossing(best)}"


def _price(cross: CrossoverReport) -> tuple[float, float, float]:
    """Orders crossovers by dollars, then operations, then samples; unknown ones last."""
    unknown = math.inf
    usd, flops = cross.usd_ratio, cross.flops_ratio
    return (unknown if usd is None else usd, unknown if flops is None else flops, float(cross.k or unknown))


def intervals_in_words(report: Report) -> str:
    """Returns what the intervals are: their level, and what they are over."""
    over = "over problems" if report.population == "problems" else "over samples of these very problems"
    return f"95 % intervals, {over}"


def problems_in_words(cell: Cell) -> str:
    """Formats the problems and samples that a cell's coverage rests on: 16 of 64 problems, n = 100."""
    many = f"{cell.compared:,} of {cell.problems:,}" if cell.compared != cell.problems else f"{cell.problems:,}"
    counts = [row.n for row in cell.per_problem if row.n]
    thing = "problem" if cell.problems == 1 else "problems"
    if not counts:
        return f"{many} {thing}"
    low, high = min(counts), max(counts)
    return f"{many} {thing}, n = {low:,}" if low == high else f"{many} {thing}, n = {low:,} to {high:,}"


def shown_bounds(cell: Cell) -> list[BoundedPoint]:
    """Returns the bounds at the first and the last k, and at the powers of ten between."""
    ends = (cell.bounded[0], cell.bounded[-1]) if cell.bounded else ()
    return [at for at in cell.bounded if at in ends or str(at.k).strip("0") == "1"]


def bounded_in_words(cell: Cell) -> str:
    """Returns the bounds at the largest k that some problems are short of."""
    last = cell.bounded[-1]
    return (
        f"over all {cell.problems:,} problems, {last.short:,} of them short: {share(last.worst)} to "
        f"{share(last.best)} {shares(last.low, last.high)} at k={last.k:,}"
    )


def extrapolation_line(cell: Cell) -> str:
    """Returns what is extrapolated, with the range of the curves; or why nothing is."""
    found = cell.extrapolated
    if found is None:
        return cell.not_identified
    test = "" if found.error is None else f" (back-test: off by {share(found.error)} on average, which is no error bar)"
    return f"{share(found.value)} at k={found.k:,}, curves from {share(found.low)} to {share(found.high)}{test}"


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


def selected(cell: Cell, method: str) -> str:
    """Formats the result of one way of selection at its largest k, with its interval."""
    points = getattr(cell, method)
    return f"{share(points[-1].value)} {shares(points[-1].low, points[-1].high)}".strip() if points else NONE


def selection_k(cell: Cell) -> str:
    """Formats the largest k of selection."""
    ends = [getattr(cell, method)[-1].k for method in methods_of(cell)]
    return f"{ends[0]:,}" if ends else NONE


def selection_line(cell: Cell) -> str:
    """Returns the results of selection at the largest k as one line."""
    found = [f"{METHODS[name]} {selected(cell, name)}" for name in METHODS if getattr(cell, name)]
    start = f"{short_name(cell.model)} on {cell.task}, k={selection_k(cell)}"
    return f"{start}: {', '.join(found)}; scores {scores_in_words(cell)}"


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


def difference(cross: CrossoverReport) -> str:
    """Formats the paired difference of single tries with its interval: -.12 [-.20, -.05]."""
    if cross.one_try is None:
        return NONE
    ends = [signed(end) for end in (cross.one_try_low, cross.one_try_high) if end is not None]
    return f"{signed(cross.one_try)} [{', '.join(ends)}]" if ends else signed(cross.one_try)


def signed(value: float) -> str:
    """Formats a difference of shares with its sign."""
    return f"−{share(-value)}" if value < 0 else share(value) if value == 0 else f"+{share(value)}"
