"""The strip of problems: one row a model, one column a problem, the hardest first. It shows what a mean hides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from jobs.chart_theme import HEAT_COLOURS, VARIABLES, Size, Theme, finish
from jobs.report_schema import Cell, ProblemCounts

HEAT_EDGES = (0.001, 0.01, 0.03, 0.1, 0.3)  # nearly logarithmic: among thousands of samples rare passes matter
HEAT_LABELS = ("none", "≤ .001", "≤ .01", "≤ .03", "≤ .1", "≤ .3", "> .3")
assert len(HEAT_EDGES) + 2 == len(HEAT_LABELS) == HEAT_COLOURS
ROW, GAP = 30, 4


@dataclass(frozen=True)
class Strip:
    """The problems of a task in the order in which they are drawn, and each model's counts for them."""

    problems: tuple[str, ...]
    models: tuple[str, ...]
    counts: tuple[tuple[ProblemCounts | None, ...], ...]


def make_strip(cells: Sequence[Cell]) -> Strip:
    """Problems from the lowest mean pass rate to the highest, whichever models met them."""
    tables = [{row.id: row for row in cell.per_problem} for cell in cells]
    problems = list(dict.fromkeys(name for table in tables for name in table))
    rates = {name: float(np.mean([rate(table[name]) for table in tables if name in table])) for name in problems}
    ordered = tuple(sorted(problems, key=lambda name: rates[name]))
    counts = tuple(tuple(table.get(name) for name in ordered) for table in tables)
    return Strip(ordered, tuple(cell.model for cell in cells), counts)


def rate(counts: ProblemCounts) -> float:
    return counts.c / counts.n if counts.n else 0.0


def heat(passed: int, n: int) -> int:
    """The place of a pass rate among the colours; 0 is for problems that no sample solved."""
    return 0 if not passed else 1 + sum(passed / n > edge for edge in HEAT_EDGES)


def strip_chart(strip: Strip, width: int, theme: Theme = VARIABLES) -> dict[str, Any]:
    """The strip as Vega-Lite, edge to edge: a place on the picture is a problem, which the page makes use of.

    Where problems would be narrower than two pixels, neighbours share a column.
    """
    columns = max(1, min(len(strip.problems), width // 2))
    size = Size(width, len(strip.models) * (ROW + GAP) - GAP, labels=False)
    rows = [
        {"x": x, "x2": x + 1, "y": y * (ROW + GAP), "y2": y * (ROW + GAP) + ROW, "heat": str(heat(passed, n))}
        for y, row in enumerate(strip.counts)
        for x, (passed, n) in _pooled(row, columns).items()
    ]
    gap = 0.5 if columns * 3 < width else 0
    marked = alt.Chart(alt.NamedData("rows")).mark_rect(strokeWidth=gap, stroke=theme.paper)
    paint = alt.Scale(domain=[str(i) for i in range(HEAT_COLOURS)], range=list(theme.heat))
    chart = marked.encode(
        alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, columns], nice=False)),
        alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, size.height], reverse=True, nice=False)),
        alt.X2("x2:Q"), alt.Y2("y2:Q"), alt.Color("heat:N", scale=paint, legend=None),
    )  # fmt: skip
    return finish([chart], {"rows": rows}, size, theme, (0, 0, 0, 0))


def _pooled(row: Sequence[ProblemCounts | None], columns: int) -> dict[int, tuple[int, int]]:
    """(passes, samples) of each column that has any samples."""
    pooled: dict[int, tuple[int, int]] = {}
    for i, counts in enumerate(row):
        if counts is not None:
            passed, n = pooled.get(column := i * columns // len(row), (0, 0))
            pooled[column] = (passed + counts.c, n + counts.n)
    return pooled
