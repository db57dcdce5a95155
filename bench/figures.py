"""The result of every benchmark: figures with their rounds, and a table of minimum, median and maximum."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: what was measured, its unit, and one value per round."""

    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)


def as_markdown(figures: Sequence[Figure]) -> str:
    """Returns a table of minimum, median and maximum."""
    head = ["| | | min | median | max |", "|---|---|---:|---:|---:|"]
    return "\n".join([*head, *(_row(figure) for figure in figures)])


def _row(figure: Figure) -> str:
    values = (min(figure.values), figure.median, max(figure.values))
    shown = " | ".join(f"{value:,.0f}" if value >= 100 else f"{value:,.3g}" for value in values)
    return f"| {figure.what} | {figure.unit} | {shown} |"
