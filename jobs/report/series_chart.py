"""The chart of a series: coverage at fixed k over checkpoints, temperatures or other places."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from jobs.report.chart_frame import Frame, top_of
from jobs.report.chart_theme import INK, REST, SERIES, VARIABLES, WIDE, Row, Size, Spec, Theme
from jobs.report.points import SeriesLine
from jobs.report.schema import Cell, SeriesReport
from jobs.report.series import Place, is_numeric, places_of, said
from jobs.report.text import label, one_try, point

STYLES: tuple[tuple[float, tuple[float, ...]], ...] = ((2.5, ()), (1.75, (9, 4)), (1.75, (2, 5)))  # from the largest k
WORDS = ("Thick", "Dashed", "Dotted")
LOG_FROM = 30.0  # places that span so large a ratio, and grow by factors, get a logarithmic axis
MOST_MARKS, LABEL = 9, 45  # labels of the axis, and pixels for one
FORM_FROM = 10_000  # larger places are labelled as 10k
MARGIN = 0.03  # of the axis, on both sides of a linear one


def line_paints(series: SeriesReport) -> dict[str, str]:
    """Names the colour of each line; grey for those beyond the colours."""
    return {line.name: f"s{i}" if i < SERIES else REST for i, line in enumerate(series.lines)}


def series_chart(series: SeriesReport, baselines: Sequence[Cell], size: Size = WIDE, theme: Theme = VARIABLES) -> Spec:
    """Describes one line per group of models and k, the interval of the largest k, and the baselines' single tries."""
    at = _positions(series)
    rows = {k: [row for line in series.lines for row in _rows(line, k, at)] for k in series.ks}
    last, targets = rows[series.ks[-1]], [_target(cell, size) for cell in baselines if cell.coverage]
    paint = {cell.model: INK for cell in baselines} | line_paints(series)
    frame = _frame(series, list(at.values()), paint, top_of([*last, *targets]), size, theme)
    layers = [frame.bands(last)]
    for k, (width, dash) in zip(reversed(series.ks), STYLES, strict=False):
        layers += [*frame.lines(rows[k], width, dash), *frame.dots(rows[k], 55 if k == series.ks[-1] else 25)]
    layers += frame.targets(targets)
    if not is_numeric(at):
        layers += frame.places(list(map(said, at)))
    ends = [_rows(line, series.ks[-1], at)[-1] | {"name": label(line.name)} for line in series.lines]
    return frame.finish([*layers, *(frame.names(ends) if size.labels else [])], [end["name"] for end in ends])


def _frame(
    series: SeriesReport, xs: Sequence[float], paint: Mapping[str, str], top: float, size: Size, theme: Theme
) -> Frame:
    numeric = is_numeric(places_of(series))
    linear = not (numeric and is_geometric(xs))
    form = "~s" if max(map(abs, xs)) >= FORM_FROM else "~r"
    marks = _marks(xs, linear, size) if numeric else ()
    return Frame(series.over, form, LABEL, _domain(xs, linear), top, dict(paint), size, theme, how_to_read(series),
                 linear=linear, marks=marks)  # fmt: skip


def _positions(series: SeriesReport) -> dict[Place, float]:
    """Returns the position of each place on the axis: its number, or 0, 1, 2, … where some places are names."""
    places = places_of(series)
    return {place: float(place) if is_numeric(places) else float(i) for i, place in enumerate(places)}


def how_to_read(series: SeriesReport) -> str:
    """Explains the lines of the chart."""
    lines = [f"{word}: k={k:,}." for word, k in zip(WORDS, reversed(series.ks), strict=False)]
    shaded = any(at.low is not None for line in series.lines for each in line.points for at in each.coverage)
    return " ".join([*lines, *(["Shaded: 95% interval."] if shaded else [])])


def series_in_words(series: SeriesReport) -> str:
    """Returns the text alternative of the chart."""
    k = series.ks[-1]
    lines = [
        f"{line.name} goes from {point(line.points[0].coverage[-1])} at {said(line.points[0].at)} to "
        f"{point(line.points[-1].coverage[-1])} at {said(line.points[-1].at)}"
        for line in series.lines
    ]
    return f"Coverage at k={k:,} over {series.over}: {'; '.join(lines)}."


def series_rows(series: SeriesReport) -> list[list[str]]:
    """Returns the rows of its table: line, place, and coverage with its interval at each k."""
    return [[line.name, said(model.at), *map(point, model.coverage)] for line in series.lines for model in line.points]


def series_heads(series: SeriesReport) -> list[str]:
    """Returns the heads of its table."""
    return ["series", series.over, *(f"coverage at k={k:,}" for k in series.ks)]


def is_geometric(places: Sequence[float]) -> bool:
    """Tells whether places grow by factors rather than by steps, and far enough for a logarithmic axis."""
    ordered = sorted(places)
    if len(ordered) < 3 or ordered[0] <= 0 or ordered[-1] / ordered[0] < LOG_FROM:
        return False
    middle = ordered[len(ordered) // 2]
    return middle < (ordered[0] + ordered[-1]) / 4


def _rows(line: SeriesLine, k: int, at: Mapping[Place, float]) -> list[Row]:
    found = ((at[model.at], one) for model in line.points for one in model.coverage if one.k == k)
    return [{"model": line.name, "x": x, "y": one.value, "low": one.low, "high": one.high} for x, one in found]


def _target(cell: Cell, size: Size) -> Row:
    return {"model": cell.model, "y": cell.coverage[0].value, "name": one_try(cell, named=size.labels)}


def _domain(places: Sequence[float], linear: bool) -> tuple[float, float]:
    low, high = min(places), max(places)
    pad = MARGIN * (high - low) if linear else 0.0
    return low - pad, high + pad


def _marks(places: Sequence[float], linear: bool, size: Size) -> tuple[float, ...] | None:
    """Returns the places to label: all where they are few and far apart, else None."""
    on_axis = [place if linear else math.log(place) for place in sorted(places)]
    gaps = [(b - a) / (on_axis[-1] - on_axis[0]) * size.width for a, b in pairwise(on_axis)]
    return tuple(sorted(places)) if len(places) <= MOST_MARKS and min(gaps) > 2 * LABEL else None
