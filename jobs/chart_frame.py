"""The frame of a chart and the marks in it: scales, colours, bands, lines, and where words find room."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from jobs.chart_theme import Size, Theme, finish

Row = dict[str, Any]
Layer = Any  # Altair leaves the type of ``encode`` open

TOPS = (0.1, 0.25, 0.5, 1.0)  # a model that covers little gets an axis that shows it
MOST_LABELLED = 3
_TOP, _BOTTOM, _LEFT, _CAPTION = 14, 58, 60, 20
_LONGEST_NAME = 220
_LINE = 18


@dataclass(frozen=True)
class Frame:
    """What all layers of a chart share. ``domain`` is of x; ``top`` is the largest coverage on the axis."""

    title: str
    form: str
    label_width: int
    domain: tuple[float, float]
    top: float
    paint: dict[str, str]
    size: Size
    theme: Theme
    caption: str = ""
    rows: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def floor(self) -> int:
        """The height of the plot itself."""
        return self.size.height - _TOP - _BOTTOM - (_CAPTION if self.size.caption else 0)

    def pixel(self, share: float) -> float:
        """How far below the top of the plot a coverage lies."""
        return self.floor * (1 - share / self.top)

    def x(self, name: str = "x") -> alt.X:
        title = [self.title, self.caption] if self.size.caption else self.title
        shown = ticks(*self.domain, self.size.width // self.label_width)
        axis = alt.Axis(title=title, format=self.form, values=shown, grid=False,
                        ticks=True, domain=True, labelFlush=False, labelOverlap=False)  # fmt: skip
        scale = alt.Scale(type="log", domain=list(self.domain), nice=False, clamp=True)
        return alt.X(f"{name}:Q", axis=axis, scale=scale)

    def y(self, name: str = "y") -> alt.Y:
        axis = alt.Axis(title="coverage", format="~g", values=[self.top * i / 5 for i in range(6)])
        return alt.Y(f"{name}:Q", axis=axis, scale=alt.Scale(domain=[0, self.top]))

    def colour(self) -> alt.Color:
        scale = alt.Scale(domain=list(self.paint), range=list(self.paint.values()))
        return alt.Color("model:N", scale=scale, legend=None)

    def bands(self, rows: Sequence[Row]) -> Layer:
        held = [row for row in rows if row["low"] is not None]
        opacity = 0.16 if len(self.paint) <= MOST_LABELLED else 0.09
        marked = self._on(held).mark_area(opacity=opacity)
        return marked.encode(self.x(), self.y("low"), self.colour(), alt.Y2("high:Q"))

    def lines(self, rows: Sequence[Row], width: float = 2.5, dash: Sequence[float] = ()) -> Layer:
        dashed: Row = {"strokeDash": list(dash)} if dash else {}
        marked = self._on(rows).mark_line(strokeWidth=width, strokeCap="round", strokeJoin="round", **dashed)
        return marked.encode(self.x(), self.y(), self.colour())

    def targets(self, rows: Sequence[Row]) -> list[Layer]:
        """A line across the chart at each baseline's single try, its name at the end, and the try itself."""
        line = self._on(rows).mark_rule(strokeDash=[6, 4], strokeWidth=1.25, color=self.theme.ink)
        point = self._on(rows).mark_point(size=60, fill=self.theme.paper, stroke=self.theme.ink, opacity=1)
        words = [self._words(row, self._beside(row["y"], 0), "right", x=alt.value("width")) for row in rows]
        return [line.encode(y=self.y()), point.encode(self.x(), self.y()), *(layer for two in words for layer in two)]

    def crossings(self, rows: Sequence[Row]) -> list[Layer]:
        """Where a curve crosses: the point, its interval along the baseline's line, and what k that is."""
        down = self._on(rows).mark_rule(strokeDash=[2, 3])
        bar = self._on(rows).mark_rule(strokeWidth=7, opacity=0.4, strokeCap="round")
        dot = self._on(rows).mark_circle(size=130, opacity=1, stroke=self.theme.paper, strokeWidth=2)
        few = rows if len(rows) <= MOST_LABELLED else []
        words = [self._words(row, self._above_floor(row["y"], i), "left", x=self.x()) for i, row in enumerate(few)]
        return [
            down.encode(self.x(), self.y(), self.colour(), y2=alt.value(self.floor)),
            bar.encode(self.x("low"), self.y(), self.colour(), x2=alt.X2("high:Q")),
            dot.encode(self.x(), self.y(), self.colour()),
            *(layer for two in words for layer in two),
        ]

    def names(self, ends: Sequence[Row]) -> Layer:
        """The name of each curve where it ends, moved apart where two would touch."""
        style: Row = {"align": "left", "dx": 9, "fontSize": self.size.font, "fontWeight": 600, "limit": _LONGEST_NAME}
        marked = self._on(self._apart(ends)).mark_text(**style)
        return marked.encode(self.x(), self.y(), self.colour(), text=alt.Text("name:N"))

    def finish(self, layers: Sequence[Layer], names: Sequence[str]) -> dict[str, Any]:
        letters = max((len(name) for name in names), default=0)
        right = min(_LONGEST_NAME, round(0.62 * self.size.font * letters)) + 18 if self.size.labels else 18
        margins = (_LEFT, right, _TOP, self.size.height - _TOP - self.floor)
        return finish(layers, self.rows, self.size, self.theme, margins)

    def _on(self, rows: Sequence[Row]) -> alt.Chart:
        """A chart over rows that are kept aside by name: Altair would copy them again at every step."""
        name = f"rows{len(self.rows)}"
        self.rows[name] = list(rows)
        return alt.Chart(alt.NamedData(name))

    def _words(self, row: Row, y: float, align: str, x: Any) -> list[Layer]:
        """Words in a model's colour over a halo of paper, so that a line behind them does not strike them out."""
        style: Row = {"align": align, "baseline": "middle", "dx": 7 if align == "left" else -4, "fontWeight": 600,
                      "fontSize": self.size.font - 1}  # fmt: skip
        halo = self._on([row]).mark_text(stroke=self.theme.paper, strokeWidth=4, strokeJoin="round", **style)
        words = self._on([row]).mark_text(**style)
        place = {"x": x, "y": alt.value(y), "text": alt.Text("name:N")}
        return [halo.encode(**place), words.encode(**place, color=self.colour())]

    def _beside(self, share: float, line: int) -> float:
        """Below the line of a coverage, or above it where the axis is too close."""
        below = self.pixel(share) + 13 + line * _LINE
        return below if below < self.floor - 8 else self.pixel(share) - 13 - line * _LINE

    def _above_floor(self, share: float, line: int) -> float:
        """Just above the axis, or above the line of a coverage that is itself just above the axis."""
        room = self.floor - self.pixel(share)
        return (self.floor if room > (MOST_LABELLED + 1) * _LINE else self.pixel(share) - 8) - 14 - line * _LINE

    def _apart(self, ends: Sequence[Row]) -> list[Row]:
        gap, least, placed = 1.35 * self.size.font / self.floor * self.top, -1.0, []
        for row in sorted(ends, key=lambda row: float(row["y"])):
            least = max(row["y"], least + gap)
            placed.append({**row, "y": least})
        over = max(0.0, least - self.top)
        return [{**row, "y": row["y"] - over} for row in placed]


def top_of(rows: Sequence[Row]) -> float:
    """The smallest round top that holds every curve and band."""
    highest = max((row.get("high") or row["y"] for row in rows), default=1.0)
    return next(top for top in TOPS if highest <= top or top == TOPS[-1])


def extent(rows: Sequence[Row]) -> tuple[float, float]:
    """The ends of an axis; a single value gets a decade, since a scale needs two."""
    xs = [row["x"] for row in rows]
    low, high = (min(xs), max(xs)) if xs else (1.0, 10.0)
    return (low, high) if high > low else (low, 10 * low)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values of a logarithmic axis, about as many as there is room for."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [(step, float(f"{step}e{decade}")) for decade in decades for step in (1, 2, 5)]
    inside = [(step, value) for step, value in fine if low * 0.999 <= value <= high * 1.001]
    if len(inside) <= max(most, 3):
        return [value for _, value in inside] or [low, high]
    whole = [value for step, value in inside if step == 1]
    return whole[:: max(1, math.ceil(len(whole) / most))]
