"""The charts of a report in Vega-Lite: coverage against samples or cost, and selection against coverage."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from jobs.numbers.fits import exponentiated_power_law
from jobs.report.chart_frame import Frame, extent, top_of
from jobs.report.chart_theme import INK, REST, SERIES, VARIABLES, WIDE, Row, Size, Spec, Theme
from jobs.report.schema import Cell, CrossoverReport
from jobs.report.text import METHODS, amount, ks, label, methods_of, one_try, short_name

Axis = Literal["samples", "tokens", "flops", "dollars"]
Paint = Mapping[str, str]  # name of the colour, by model

# By axis: the field of Cost that it reads, its title, the format of its labels, and their width in pixels.
AXES: dict[Axis, tuple[str, str, str, int]] = {
    "samples": ("", "samples per problem, k", "~s", 45),
    "tokens": ("tokens", "tokens per problem", "~s", 45),
    "flops": ("flops", "FLOPs per problem", "~e", 60),
    "dollars": ("usd", "dollars per problem", "$~g", 85),
}
# By way of selection: width and dash of its line.
STYLES: dict[str, tuple[float, tuple[float, ...]]] = {
    "coverage": (1.25, ()),
    "majority": (2.5, ()),
    "best_of": (2.5, (9, 4)),
    "weighted": (2.5, (2, 5)),
}
SOLVED = "share of problems answered right"
MOST_BY_METHOD = 2  # models; with more, only the main line of each has a name


def axes_of(cells: Sequence[Cell]) -> list[Axis]:
    """Returns the axes on which every curve can be drawn: its cost is known and above zero for every model."""
    return [axis for axis in AXES if all(cost_at(cell, axis, 1) for cell in cells if cell.coverage)]


def cost_at(cell: Cell, axis: Axis, k: int) -> float | None:
    """Returns the position of k samples of a problem on an axis; None where that cost is unknown."""
    field = AXES[axis][0]
    if not field:
        return float(k)
    prompt, sample = getattr(cell.prompt_cost, field), getattr(cell.sample_cost, field)
    return None if prompt is None or sample is None else float(prompt + k * sample)


def paints(cells: Sequence[Cell]) -> dict[str, str]:
    """Names each model's colour: ink for baselines, five colours for models, grey for the rest.

    With more than five models, the coloured ones are spread evenly from the lowest coverage to the highest.
    """
    ends = {cell.model: [each.coverage[-1].value for each in cells if each.model == cell.model and each.coverage]
            for cell in cells if not cell.baseline}  # fmt: skip
    ranked = sorted(ends, key=lambda model: float(np.mean(ends[model] or [0.0])))
    picks = np.linspace(0, len(ranked) - 1, min(SERIES, len(ranked))).round().astype(int)
    chosen = {ranked[i] for i in picks}
    coloured = {model: f"s{i}" for i, model in enumerate(model for model in ends if model in chosen)}
    return {cell.model: INK if cell.baseline else coloured.get(cell.model, REST) for cell in cells}


def coverage_chart(
    cells: Sequence[Cell],
    crossovers: Sequence[CrossoverReport],
    axis: Axis = "samples",
    size: Size = WIDE,
    theme: Theme = VARIABLES,
    paint: Paint | None = None,
) -> Spec:
    """Describes one task's curves with bands, fits, the baselines' single tries and the crossovers."""
    drawn = [cell for cell in cells if cell.coverage]
    curves = {cell.model: _curve(cell, axis) for cell in drawn}
    rows = [row for curve in curves.values() for row in curve]
    paint = {model: name for model, name in (paint or paints(cells)).items() if model in curves}
    bounds = [row for cell in drawn if paint[cell.model] != REST for row in _bounds(cell, axis)]
    every = [*rows, *bounds]
    frame = Frame(*AXES[axis][1:], extent(every), top_of(every), paint, size, theme, how_to_read(cells, crossovers))
    fits = [row for cell in drawn if paint[cell.model] != REST for row in _fit(cell, axis)]
    ends = [curve[-1] | {"name": label(short_name(model))} for model, curve in curves.items()]
    crossed = [
        row for cross in crossovers if paint.get(cross.model, REST) != REST for row in _crossing(cross, drawn, axis)
    ]
    layers = [frame.bands(rows), *frame.between(bounds), *frame.lines(fits, 1.5, [1, 4]), *frame.lines(rows)]
    layers += frame.targets([_target(cell, axis, size) for cell in drawn if cell.baseline])
    layers += frame.crossings(crossed)
    return frame.finish([*layers, *(frame.names(ends) if size.labels else [])], [end["name"] for end in ends])


def selection_chart(
    cells: Sequence[Cell], size: Size = WIDE, theme: Theme = VARIABLES, paint: Paint | None = None
) -> Spec:
    """Describes the results of selection without an oracle, with coverage as a thin line."""
    drawn = [cell for cell in cells if methods_of(cell)]
    paint = {model: name for model, name in (paint or paints(cells)).items() if model in {c.model for c in drawn}}
    coverage = [row for cell in drawn for row in _points(cell, "coverage")]
    frame = Frame(
        *AXES["samples"][1:], extent(coverage), top_of(coverage), paint, size, theme, how_to_select(cells), SOLVED
    )
    layers = [
        layer
        for method, (width, dash) in STYLES.items()
        for layer in frame.lines([row for cell in drawn for row in _points(cell, method)], width, dash)
    ]
    ends = _named_ends(drawn)
    return frame.finish([*layers, *(frame.names(ends) if size.labels else [])], [end["name"] for end in ends])


def how_to_read(cells: Sequence[Cell], crossovers: Sequence[CrossoverReport]) -> str:
    """Explains the marks that a coverage chart has."""
    lines = {
        "Shaded: 95% interval over problems.": any(at.low is not None for c in cells for at in c.coverage),
        "Between thin dashes: worst and best case over all problems.": any(cell.bounded for cell in cells),
        "Dotted: fit c = exp(a·kᵇ).": any(cell.fit for cell in cells),
        "Dashed: the baseline’s single try.": any(cell.baseline for cell in cells),
        "Bar on it: 95% interval of the crossover.": any(cross.k is not None for cross in crossovers),
    }
    return " ".join(line for line, shown in lines.items() if shown)


def how_to_select(cells: Sequence[Cell]) -> str:
    """Explains the lines that a selection chart has."""
    lines = {
        "majority": "Thick: majority, the most frequent answer.",
        "best_of": "Dashed: the best score.",
        "weighted": "Dotted: the largest sum of weights.",
    }
    found = {method for cell in cells for method in methods_of(cell)}
    return " ".join(["Thin: coverage, an oracle’s pick.", *(lines[method] for method in METHODS if method in found)])


def _named_ends(cells: Sequence[Cell]) -> list[Row]:
    """Returns the labelled ends: of every line, or with many models only of each model's main line."""
    if len(cells) > MOST_BY_METHOD:
        return [_points(cell, methods_of(cell)[0])[-1] | {"name": label(short_name(cell.model))} for cell in cells]
    alone = len(cells) == 1
    return [
        _points(cell, method)[-1]
        | {"name": METHODS[method] if alone else label(f"{METHODS[method]}, {short_name(cell.model)}")}
        for cell in cells
        for method in ("coverage", *methods_of(cell))
    ]


def _points(cell: Cell, method: str) -> list[Row]:
    return [{"model": cell.model, "x": at.k, "y": at.value} for at in getattr(cell, method)]


def _curve(cell: Cell, axis: Axis) -> list[Row]:
    return [
        {"model": cell.model, "x": cost_at(cell, axis, at.k), "y": at.value, "low": at.low, "high": at.high}
        for at in cell.coverage
    ]


def _bounds(cell: Cell, axis: Axis) -> list[Row]:
    """Returns the worst and the best case over all problems, as both ends of a row."""
    return [
        {"model": cell.model, "x": cost_at(cell, axis, at.k), "y": at.best, "low": at.worst, "high": at.best}
        for at in cell.bounded
    ]


def _fit(cell: Cell, axis: Axis) -> list[Row]:
    if cell.fit is None:
        return []
    fitted = exponentiated_power_law(cell.fit.a, cell.fit.b, [at.k for at in cell.coverage])
    return [{**row, "y": float(y)} for row, y in zip(_curve(cell, axis), fitted, strict=True)]


def _target(cell: Cell, axis: Axis, size: Size) -> Row:
    y, name = cell.coverage[0].value, one_try(cell, named=size.labels)
    return {"model": cell.model, "x": cost_at(cell, axis, 1), "y": y, "name": name}


def _crossing(cross: CrossoverReport, cells: Sequence[Cell], axis: Axis) -> list[Row]:
    """Returns the row of a crossover, or no row where it is censored. An open interval is drawn to the last sample."""
    cell = next(cell for cell in cells if cell.model == cross.model)
    if cross.k is None:
        return []
    ends = (cross.low or cross.k, cross.high or (cross.n if cross.low else cross.k))
    x, low, high = (cost_at(cell, axis, k) for k in (cross.k, *ends))
    is_open = cross.high is None and cross.low is not None
    name = f"k = {ks(cross)}{_times(cross, axis)}"
    return [{"model": cell.model, "x": x, "low": low, "high": high, "y": cross.target, "name": name,
             "open": is_open}]  # fmt: skip


def _times(cross: CrossoverReport, axis: Axis) -> str:
    """Formats the cost of a crossover relative to the baseline's single try, on the axis of that cost."""
    ratio = {"dollars": cross.usd_ratio, "flops": cross.flops_ratio}.get(axis)
    return "" if ratio is None else f", {amount(ratio)}× the cost"
