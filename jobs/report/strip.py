"""The strip of problems: one row per model, one column per problem, hardest first. It shows what a mean hides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.report.chart_theme import HEAT_COLOURS, INK, LIGHT, VARIABLES, WIDE, Row, Size, Spec, Theme, finish
from jobs.report.points import ProblemCounts
from jobs.report.schema import Cell
from jobs.report.text import label, short_name

HEAT_EDGES = (0.001, 0.01, 0.03, 0.1, 0.3)  # nearly logarithmic: with thousands of samples, rare passes matter
HEAT_LABELS = ("none", "≤ .001", "≤ .01", "≤ .03", "≤ .1", "≤ .3", "> .3")
assert len(HEAT_EDGES) + 2 == len(HEAT_LABELS) == HEAT_COLOURS
GAP = 4  # pixels between rows
MOST_TALL = 8  # models; with more, rows are lower
_LEFT, _RIGHT, _TOP, _KEY = 200, 16, 40, 56  # pixels around the strip in its own picture
_SWATCH = 78


@dataclass(frozen=True)
class Strip:
    """The problems of a task in drawing order, and each model's counts for them; None for a problem it has not met."""

    problems: tuple[str, ...]
    models: tuple[str, ...]
    counts: tuple[tuple[ProblemCounts | None, ...], ...]

    @property
    def row(self) -> int:
        """The height of a row in pixels."""
        return 30 if len(self.models) <= MOST_TALL else 16

    @property
    def height(self) -> int:
        """The height of all rows in pixels."""
        return len(self.models) * (self.row + GAP) - GAP

    def top(self, index: int) -> int:
        """Returns the distance in pixels from the top to a model's row."""
        return index * (self.row + GAP)


def make_strip(cells: Sequence[Cell]) -> Strip:
    """Sorts problems by their mean pass rate over the models that sampled them, lowest first; unsampled ones last."""
    tables = [{row.id: row for row in cell.per_problem} for cell in cells]
    problems = list(dict.fromkeys(name for table in tables for name in table))
    rates = {name: _mean_rate([table[name] for table in tables if name in table]) for name in problems}
    ordered = tuple(sorted(problems, key=lambda name: rates[name]))
    counts = tuple(tuple(table.get(name) for name in ordered) for table in tables)
    return Strip(ordered, tuple(cell.model for cell in cells), counts)


def _mean_rate(counts: Sequence[ProblemCounts]) -> float:
    rates = [each.c / each.n for each in counts if each.n]
    return float(np.mean(rates)) if rates else 2.0


def heat(passed: int, n: int) -> int:
    """Returns the number of a pass rate's colour; 0 is for problems that no sample solved."""
    return 0 if not passed else 1 + sum(passed / n > edge for edge in HEAT_EDGES)


def strip_chart(strip: Strip, width: int, theme: Theme = VARIABLES) -> Spec:
    """Describes the strip without margins, so that the page can compute the problem under the pointer.

    Neighbouring problems share a column where one would be narrower than two pixels.
    """
    size = Size(width, strip.height, labels=False)
    return finish([_blocks("rows", size, theme)], {"rows": _rows(strip, width)}, size, theme, (0, 0, 0, 0))


def strip_picture(strip: Strip, theme: Theme = LIGHT) -> Spec:
    """Describes the strip as a picture of its own, with the models' names and a key of the colours."""
    plot = Size(WIDE.width - _LEFT - _RIGHT, strip.height)
    whole = Size(WIDE.width, strip.height + _TOP + _KEY, font=WIDE.font)
    below, steps = strip.height + 26, [i * _SWATCH for i in range(HEAT_COLOURS)]
    rows: dict[str, list[Row]] = {
        "rows": _rows(strip, plot.width),
        "names": [
            {"x": -10, "y": strip.top(i) + strip.row / 2, "name": label(short_name(m))}
            for i, m in enumerate(strip.models)
        ],
        "swatches": [{"x": x, "x2": x + 14, "y": below, "y2": below + 14, "heat": str(i)} for i, x in enumerate(steps)],
        "labels": [{"x": x + 20, "y": below + 7, "name": name} for x, name in zip(steps, HEAT_LABELS, strict=True)],
        "title": [{"x": 0, "y": -20, "name": "share of samples that passed; one column per problem, hardest first"}],
    }
    layers = [
        _blocks("rows", plot, theme),
        _blocks("swatches", plot, theme),
        _text("names", plot, theme[INK], {"align": "right", "fontWeight": 600, "limit": _LEFT - 20}),
        *(_text(name, plot, theme["muted"], {"align": "left"}) for name in ("labels", "title")),
    ]
    return finish(layers, rows, whole, theme, (_LEFT, _RIGHT, _TOP, _KEY))


def _blocks(name: str, plot: Size, theme: Theme) -> Spec:
    """Describes rectangles from (x, y) to (x2, y2) in the colours of heat."""
    mark = {"type": "rect", "strokeWidth": 0.5, "stroke": theme["paper"]}
    paint = {"domain": [str(i) for i in range(HEAT_COLOURS)], "range": theme.heat}
    colour = {"field": "heat", "type": "nominal", "scale": paint, "legend": None}
    ends = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    return {"data": {"name": name}, "mark": mark, "encoding": {**_pixel_scales(plot), **ends, "color": colour}}


def _text(name: str, plot: Size, colour: str, style: Spec) -> Spec:
    mark = {"type": "text", "baseline": "middle", "fontSize": WIDE.font - 1, "color": colour, **style}
    words = {"text": {"field": "name", "type": "nominal"}}
    return {"data": {"name": name}, "mark": mark, "encoding": {**_pixel_scales(plot), **words}}


def _pixel_scales(plot: Size) -> Spec:
    """Returns scales that read pixels from the left and the top of the plot."""
    ends = (("x", plot.width, False), ("y", plot.height, True))
    return {
        axis: {"field": axis, "type": "quantitative", "axis": None,
               "scale": {"domain": [0, end], "reverse": down, "nice": False}}
        for axis, end, down in ends
    }  # fmt: skip


def _rows(strip: Strip, width: int) -> list[Row]:
    columns = max(1, min(len(strip.problems), width // 2))
    wide = width / columns
    return [
        {"x": x * wide, "x2": (x + 1) * wide, "y": strip.top(i), "y2": strip.top(i) + strip.row,
         "heat": str(heat(passed, n))}
        for i, row in enumerate(strip.counts)
        for x, (passed, n) in _pooled(row, columns).items()
    ]  # fmt: skip


def _pooled(row: Sequence[ProblemCounts | None], columns: int) -> dict[int, tuple[int, int]]:
    """Returns (passes, samples) of each column that has samples."""
    pooled: dict[int, tuple[int, int]] = {}
    for i, counts in enumerate(row):
        if counts is not None:
            passed, n = pooled.get(column := i * columns // len(row), (0, 0))
            pooled[column] = (passed + counts.c, n + counts.n)
    return pooled
