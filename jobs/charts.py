"""The charts of a report, described with Altair: coverage against samples or cost, and selection against coverage."""

from collections.abc import Sequence
from typing import Any, Literal

from jobs.chart_frame import Frame, Row, extent, top_of
from jobs.chart_theme import SERIES, VARIABLES, WIDE, Size, Theme
from jobs.fits import exponentiated_power_law
from jobs.report_schema import Cell, CrossoverReport
from jobs.report_text import ks, share, short_name

Axis = Literal["samples", "tokens", "flops", "dollars"]

# Which field of a cost an axis reads, its title, how its labels are written, and how wide they get in pixels.
AXES: dict[Axis, tuple[str, str, str, int]] = {
    "samples": ("", "samples per problem, k", "~s", 45),
    "tokens": ("tokens", "tokens per problem", "~s", 45),
    "flops": ("flops", "FLOPs per problem", "~e", 60),
    "dollars": ("usd", "dollars per problem", "$~g", 85),
}
METHODS = ("majority", "best_of", "weighted")


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
    frame = Frame(*AXES[axis][1:], extent(rows), top_of(rows), paint, size, theme, how_to_read(cells))
    fits = [row for cell in drawn for row in _fit(cell, axis)]
    ends = [curve[-1] | {"name": short_name(model)} for model, curve in curves.items()]
    layers = [frame.bands(rows), frame.lines(rows), frame.lines(fits, 1.5, [1, 4])]
    layers += frame.targets([_target(cell, axis, size) for cell in drawn if cell.baseline])
    layers += frame.crossings([row for cross in crossovers for row in _crossing(cross, drawn, axis)])
    return frame.finish([*layers, frame.names(ends)] if size.labels else layers, [end["name"] for end in ends])


def selection_chart(cells: Sequence[Cell], size: Size = WIDE, theme: Theme = VARIABLES) -> dict[str, Any]:
    """What selection without an oracle gets out of k samples, against coverage as a thin line."""
    drawn = [cell for cell in cells if cell.majority]
    paint = {cell.model: _paint(places(cells)[cell.model], theme) for cell in drawn}
    coverage, majority, best_of, weighted = (
        [row for cell in drawn for row in _points(cell, method)] for method in ("coverage", *METHODS)
    )
    frame = Frame(*AXES["samples"][1:], extent(coverage), top_of(coverage), paint, size, theme)
    layers = [frame.lines(coverage, 1.25), frame.lines(majority)]
    layers += [frame.lines(rows, 2.5, dash) for rows, dash in ((best_of, [9, 4]), (weighted, [3, 4])) if rows]
    ends = [_points(cell, "majority")[-1] | {"name": short_name(cell.model)} for cell in drawn]
    return frame.finish([*layers, frame.names(ends)] if size.labels else layers, [end["name"] for end in ends])


def how_to_read(cells: Sequence[Cell]) -> str:
    """What the marks of a coverage chart mean, of those that it has."""
    said = {
        "Shaded: 95% interval over problems.": any(at.low is not None for c in cells for at in c.coverage),
        "Dotted: fit c = exp(a·kᵇ).": any(cell.fit for cell in cells),
        "Dashed: the baseline’s single try.": any(cell.baseline for cell in cells),
    }
    return " ".join(words for words, there in said.items() if there)


def _points(cell: Cell, method: str) -> list[Row]:
    return [{"model": cell.model, "x": at.k, "y": at.value} for at in getattr(cell, method)]


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
    return {"model": cell.model, "x": cost_at(cell, axis, 1), "y": one.value, "name": name}


def _crossing(cross: CrossoverReport, cells: Sequence[Cell], axis: Axis) -> list[Row]:
    """The row of a crossover, or none where it is censored; an interval's open end is drawn to the last sample."""
    cell = next(cell for cell in cells if cell.model == cross.model)
    if cross.k is None:
        return []
    ends = (cross.low or cross.k, cross.high or (cross.n if cross.low else cross.k))
    x, low, high = (cost_at(cell, axis, k) for k in (cross.k, *ends))
    return [{"model": cell.model, "x": x, "low": low, "high": high, "y": cross.target, "name": f"k = {ks(cross)}"}]
