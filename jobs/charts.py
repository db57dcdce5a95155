"""The charts of a report, described with Altair: coverage against samples or cost, and selection against coverage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import altair as alt

from jobs.chart_theme import SERIES, VARIABLES, WIDE, Size, Theme, finish
from jobs.fits import exponentiated_power_law
from jobs.report_schema import Cell, CoveragePoint, CrossoverReport, SelectionPoint
from jobs.report_text import ks, share, short_name

Axis = Literal["samples", "tokens", "flops", "dollars"]
Row = dict[str, Any]
Layer = Any  # Altair leaves the type of ``encode`` open

# Which field of a cost an axis reads, its title, how its labels are written, and how wide they get in pixels.
AXES: dict[Axis, tuple[str, str, str, int]] = {
    "samples": ("", "samples per problem, k", "~s", 45),
    "tokens": ("tokens", "tokens per problem", "~s", 45),
    "flops": ("flops", "FLOPs per problem", "~e", 60),
    "dollars": ("usd", "dollars per problem", "$~g", 85),
}
HOW_TO_READ = "Shaded: 95% interval over problems. Dotted: fit c = exp(a·kᵇ). Dashed: the baseline’s single try."
_TOP, _BOTTOM, _LEFT = 14, 58, 60
_CAPTION = 20


def axes_of(cells: Sequence[Cell]) -> list[Axis]:
    """The axes along which every curve can be drawn, because all costs are known and more than nothing."""
    return [axis for axis in AXES if all(cost_at(cell, axis, 1) for cell in cells if cell.coverage)]


def cost_at(cell: Cell, axis: Axis, k: int) -> float | None:
    """Where k samples of a problem lie on an axis; None where that cost is unknown."""
    field = AXES[axis][0]
    if not field:
        return float(k)
    prompt, sample = getattr(cell.prompt_cost, field), getattr(cell.sample_cost, field)
    return None if prompt is None or sample is None else float(prompt + k * sample)


def places(cells: Sequence[Cell]) -> dict[str, int | None]:
    """Each model's place among the series' colours; a baseline has none and is drawn in ink."""
    models = dict.fromkeys(cell.model for cell in cells if not cell.baseline)
    return {cell.model: None for cell in cells} | {model: i % SERIES for i, model in enumerate(models)}


@dataclass(frozen=True)
class _Frame:
    """What all layers of a chart share: its scales, its colours and its size."""

    title: str
    form: str
    label_width: int
    domain: tuple[float, float]
    paint: dict[str, str]
    size: Size
    theme: Theme
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def _on(self, rows: Sequence[Row]) -> alt.Chart:
        """A chart over rows that are kept aside by name: Altair would copy them again at every step."""
        name = f"rows{len(self.rows)}"
        self.rows[name] = list(rows)
        return alt.Chart(alt.NamedData(name))

    @property
    def floor(self) -> int:
        """The height of the plot itself."""
        return self.size.height - _TOP - _BOTTOM - (_CAPTION if self.size.caption else 0)

    def x(self, name: str = "x") -> alt.X:
        title = [self.title, HOW_TO_READ] if self.size.caption else self.title
        shown = ticks(*self.domain, self.size.width // self.label_width)
        axis = alt.Axis(title=title, format=self.form, values=shown, grid=False,
                        ticks=True, domain=True, labelFlush=False, labelOverlap=False)  # fmt: skip
        scale = alt.Scale(type="log", domain=list(self.domain), nice=False, clamp=True)
        return alt.X(f"{name}:Q", axis=axis, scale=scale)

    def y(self, name: str = "y") -> alt.Y:
        axis = alt.Axis(title="coverage", format=".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1])
        return alt.Y(f"{name}:Q", axis=axis, scale=alt.Scale(domain=[0, 1]))

    def colour(self) -> alt.Color:
        scale = alt.Scale(domain=list(self.paint), range=list(self.paint.values()))
        return alt.Color("model:N", scale=scale, legend=None)

    def bands(self, rows: Sequence[Row]) -> Layer:
        held = [row for row in rows if row["low"] is not None]
        return self._on(held).mark_area(opacity=0.15).encode(self.x(), self.y("low"), alt.Y2("high:Q"), self.colour())

    def lines(self, rows: Sequence[Row]) -> Layer:
        marked = self._on(rows).mark_line(strokeWidth=2.5, strokeCap="round", strokeJoin="round")
        return marked.encode(self.x(), self.y(), self.colour())

    def dashes(self, rows: Sequence[Row]) -> Layer:
        marked = self._on(rows).mark_line(strokeWidth=1.5, strokeDash=[1, 4], strokeCap="round", color=self.theme.ink)
        return marked.encode(self.x(), self.y(), detail=alt.Detail("model:N"))

    def targets(self, rows: Sequence[Row]) -> list[Layer]:
        """A line across the chart at each baseline's single try, its name below it, and the try itself."""
        style: Row = {"color": self.theme.ink, "fontSize": self.size.font - 1, "align": "right", "baseline": "top"}
        return [
            self._on(rows).mark_rule(strokeDash=[6, 4], strokeWidth=1.25, color=self.theme.ink).encode(y=self.y()),
            self._on(rows).mark_text(dx=-4, dy=6, **style).encode(
                self.y(), alt.Text("name:N"), x=alt.value("width")),
            self._on(rows).mark_point(size=60, fill=self.theme.paper, stroke=self.theme.ink, opacity=1).encode(
                self.x(), self.y()),
        ]  # fmt: skip

    def crossings(self, rows: Sequence[Row]) -> list[Layer]:
        """Where a curve crosses: the point, its interval along the baseline's line, and k beside a line down."""
        text: Row = {"align": "left", "baseline": "bottom", "dx": 7, "fontWeight": 600, "fontSize": self.size.font - 1}
        return [
            self._on(rows).mark_rule(strokeDash=[2, 3]).encode(
                self.x(), self.y(), self.colour(), y2=alt.value(self.floor)),
            self._on(rows).mark_rule(strokeWidth=7, opacity=0.4, strokeCap="round").encode(
                self.x("low"), self.y(), self.colour(), x2=alt.X2("high:Q")),
            self._on(rows).mark_circle(size=130, opacity=1, stroke=self.theme.paper, strokeWidth=2).encode(
                self.x(), self.y(), self.colour()),
            *(self._on([row]).mark_text(**text).encode(
                self.x(), self.colour(), alt.Text("name:N"), y=alt.value(self.floor - 8 - 18 * i))
              for i, row in enumerate(rows)),
        ]  # fmt: skip

    def names(self, ends: Sequence[Row]) -> Layer:
        """The name of each curve where it ends, moved apart where two would touch."""
        style: Row = {"align": "left", "dx": 9, "fontSize": self.size.font, "fontWeight": 600, "limit": _LONGEST_NAME}
        return (
            self._on(self._apart(ends))
            .mark_text(**style)
            .encode(self.x(), self.y(), self.colour(), text=alt.Text("name:N"))
        )

    def _apart(self, ends: Sequence[Row]) -> list[Row]:
        gap, least, placed = 1.35 * self.size.font / self.floor, -1.0, []
        for row in sorted(ends, key=lambda row: float(row["y"])):
            least = max(row["y"], least + gap)
            placed.append({**row, "y": least})
        over = max(0.0, least - 1.0)
        return [{**row, "y": row["y"] - over} for row in placed]

    def finish(self, layers: Sequence[Layer], names: Sequence[str]) -> dict[str, Any]:
        letters = max((len(name) for name in names), default=0)
        right = min(_LONGEST_NAME, round(0.62 * self.size.font * letters)) + 18 if self.size.labels else 18
        return finish(
            layers, self.rows, self.size, self.theme, (_LEFT, right, _TOP, self.size.height - _TOP - self.floor)
        )


_LONGEST_NAME = 220


def coverage_chart(
    cells: Sequence[Cell],
    crossovers: Sequence[CrossoverReport],
    axis: Axis = "samples",
    size: Size = WIDE,
    theme: Theme = VARIABLES,
) -> dict[str, Any]:
    """One task's curves with bands, fits, the baselines' single tries and the crossovers, as Vega-Lite."""
    drawn = [cell for cell in cells if cell.coverage]
    curves = {cell.model: _curve(cell, axis) for cell in drawn}
    rows = [row for curve in curves.values() for row in curve]
    paint = {cell.model: _paint(places(cells)[cell.model], theme) for cell in drawn}
    frame = _Frame(*AXES[axis][1:], _extent(rows), paint, size, theme)
    ends = [curve[-1] | {"name": short_name(model)} for model, curve in curves.items()]
    layers = [frame.bands(rows), frame.lines(rows), frame.dashes([row for cell in drawn for row in _fit(cell, axis)])]
    layers += frame.targets([_target(cell, axis, size) for cell in drawn if cell.baseline])
    layers += frame.crossings([row for cross in crossovers for row in _crossing(cross, drawn, axis)])
    return frame.finish([*layers, frame.names(ends)] if size.labels else layers, [end["name"] for end in ends])


def selection_chart(cell: Cell, size: Size = WIDE, theme: Theme = VARIABLES) -> dict[str, Any]:
    """What selection without an oracle gets out of k samples, against coverage, for one cell."""
    methods: dict[str, Sequence[CoveragePoint | SelectionPoint]] = {
        "coverage": cell.coverage,
        "majority": cell.majority,
        "best of k": cell.best_of,
        "weighted": cell.weighted,
    }
    held = {name: curve for name, curve in methods.items() if curve}
    rows = [{"model": name, "name": name, "x": at.k, "y": at.value} for name, curve in held.items() for at in curve]
    ends = [[row for row in rows if row["name"] == name][-1] for name in held]
    paint = dict(zip(held, (theme.ink, *theme.series), strict=False))
    frame = _Frame(*AXES["samples"][1:], _extent(rows), paint, size, theme)
    return frame.finish([frame.lines(rows), *([frame.names(ends)] if size.labels else [])], list(held))


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values of a logarithmic axis, about as many as there is room for."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [(step, float(f"{step}e{decade}")) for decade in decades for step in (1, 2, 5)]
    inside = [(step, value) for step, value in fine if low * 0.999 <= value <= high * 1.001]
    if len(inside) <= most or len(inside) <= 3:
        return [value for _, value in inside]
    whole = [value for step, value in inside if step == 1]
    return whole[:: max(1, math.ceil(len(whole) / most))]


def _paint(place: int | None, theme: Theme) -> str:
    return theme.ink if place is None else theme.series[place]


def _curve(cell: Cell, axis: Axis) -> list[Row]:
    return [
        {"model": cell.model, "x": cost_at(cell, axis, at.k), "y": at.value, "low": at.low, "high": at.high}
        for at in cell.coverage
    ]


def _fit(cell: Cell, axis: Axis) -> list[Row]:
    if cell.fit is None:
        return []
    fitted = exponentiated_power_law(cell.fit.a, cell.fit.b, [at.k for at in cell.coverage])
    return [{**row, "y": float(y)} for row, y in zip(_curve(cell, axis), fitted, strict=True)]


def _target(cell: Cell, axis: Axis, size: Size) -> Row:
    one = cell.coverage[0]
    name = f"{short_name(cell.model)}, one try: {share(one.value)}" if size.labels else f"one try: {share(one.value)}"
    return {"x": cost_at(cell, axis, 1), "y": one.value, "name": name}


def _crossing(cross: CrossoverReport, cells: Sequence[Cell], axis: Axis) -> list[Row]:
    """The row of a crossover, or none where it is censored; an interval's open end is drawn to the last sample."""
    cell = next(cell for cell in cells if cell.model == cross.model)
    if cross.k is None:
        return []
    ends = (cross.low or cross.k, cross.high or (cross.n if cross.low else cross.k))
    x, low, high = (cost_at(cell, axis, k) for k in (cross.k, *ends))
    return [{"model": cell.model, "x": x, "low": low, "high": high, "y": cross.target, "name": f"k = {ks(cross)}"}]


def _extent(rows: Sequence[Row]) -> tuple[float, float]:
    """The ends of an axis; a single value gets a decade, since a scale needs two."""
    xs = [row["x"] for row in rows]
    low, high = (min(xs), max(xs)) if xs else (1.0, 10.0)
    return (low, high) if high > low else (low, 10 * low)
