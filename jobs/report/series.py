"""Series: coverage at fixed k over checkpoints, temperatures or any other place that models have in a series."""

from collections.abc import Iterable, Sequence

import numpy as np

from jobs.report.points import SeriesLine, SeriesPoint
from jobs.report.schema import Cell, SeriesReport
from jobs.report.text import short_name

Place = float | str


def series_of(cells: Sequence[Cell]) -> tuple[SeriesReport, ...]:
    """Returns the series of each task, one for each key that has at least two values."""
    drawn = [cell for cell in cells if cell.coverage and cell.series]
    found = []
    for task in dict.fromkeys(cell.task for cell in drawn):
        of_task = [cell for cell in drawn if cell.task == task]
        for key in dict.fromkeys(key for cell in of_task for key in cell.series):
            found += _series(task, key, [cell for cell in of_task if key in cell.series])
    return tuple(found)


def places_of(series: SeriesReport) -> list[Place]:
    """Returns the places on the axis in order: numbers by size; names, and numbers beside names, as they come."""
    places = list(dict.fromkeys(point.at for line in series.lines for point in line.points))
    return sorted(places, key=float) if is_numeric(places) else places


def is_numeric(places: Iterable[Place]) -> bool:
    return not any(isinstance(place, str) for place in places)


def _series(task: str, key: str, cells: Sequence[Cell]) -> list[SeriesReport]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_name(cell, key), []).append(cell)
    lines = {name: _in_order(group, key) for name, group in groups.items()}
    lines = {name: group for name, group in lines.items() if len({cell.series[key] for cell in group}) > 1}
    if not lines:
        return []
    ks = _common_ks([cell for group in lines.values() for cell in group])
    made = tuple(
        SeriesLine(name=name, points=tuple(_point(cell, key, ks) for cell in group)) for name, group in lines.items()
    )
    return [SeriesReport(task=task, over=key, ks=ks, lines=made)]


def _in_order(cells: Sequence[Cell], key: str) -> list[Cell]:
    if is_numeric(cell.series[key] for cell in cells):
        return sorted(cells, key=lambda cell: float(cell.series[key]))
    return list(cells)


def _name(cell: Cell, key: str) -> str:
    """Returns what a model has in common with those that differ in ``key`` alone: its base and its other places."""
    others = [f"{name} {said(value)}" for name, value in cell.series.items() if name != key]
    return ", ".join([_base(cell), *others])


def _base(cell: Cell) -> str:
    """Returns the name that a grid's models share, before the first @; of others, the name without its places."""
    base, at, _ = cell.model.partition("@")
    for value in () if at else sorted(map(said, cell.series.values()), key=len, reverse=True):
        base = "".join(base.rsplit(value, 1))
    return short_name(base.strip("-_ ./")) or cell.model


def said(value: Place) -> str:
    """Formats a place: a number as short as it is, a name as it stands."""
    return value if isinstance(value, str) else f"{value:.12g}"


def _common_ks(cells: Sequence[Cell]) -> tuple[int, ...]:
    """Returns 1, the largest k that all cells have, and the one nearest to the middle between them on a log scale."""
    common = sorted(set.intersection(*({at.k for at in cell.coverage} for cell in cells)))
    middle = min(common, key=lambda k: abs(np.log(k) - np.log(common[-1]) / 2))
    return tuple(sorted({common[0], middle, common[-1]}))


def _point(cell: Cell, key: str, ks: Sequence[int]) -> SeriesPoint:
    kept = {at.k: at for at in cell.coverage if at.k in ks}
    return SeriesPoint(at=cell.series[key], model=cell.model, coverage=tuple(kept[k] for k in ks))
