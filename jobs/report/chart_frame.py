"""The frame of a chart and the marks in it: scales, colours, bands, lines, and labels that do not overlap."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.report.chart_theme import INK, REST, Row, Size, Spec, Theme, caption_lines, finish

TOPS = (0.1, 0.25, 0.5, 1.0)  # ends of the coverage axis: low coverage gets an axis that shows it
MOST_LABELLED = 3
_TOP, _BOTTOM, _LEFT, _CAPTION = 36, 58, 46, 22
_LONGEST_NAME = 230
_LINE, _LEADER, _PLACE, _LANE = 18, 13, 60, 10


@dataclass(frozen=True)
class Frame:
    """The part that all layers of a chart share; its methods make the layers and collect their rows."""

    title: str
    """Title of x."""
    form: str
    """Number format of x's labels."""
    label_width: int
    """Room for one label of x in pixels."""
    domain: tuple[float, float]
    """Ends of x."""
    top: float
    """Largest coverage on y."""
    paint: dict[str, str]
    """Name of each model's colour."""
    size: Size
    theme: Theme
    caption: str = ""
    y_title: str = "coverage: share of problems with a passing sample"
    linear: bool = False
    """True where x is linear, else it is logarithmic."""
    marks: tuple[float, ...] | None = None
    """Places of x's labels; None where round values are chosen."""
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Rows by name; every layer adds its own."""

    @property
    def floor(self) -> int:
        """The height of the plot itself in pixels."""
        lines = len(caption_lines(self.caption, self.size)) if self.size.caption else 0
        return self.size.height - _TOP - _BOTTOM - (_CAPTION + _LINE * (lines - 1) if self.size.caption else 0)

    def pixel(self, share: float) -> float:
        """Returns how many pixels below the top of the plot a coverage lies."""
        return self.floor * (1 - share / self.top)

    def coverage(self, pixel: float) -> float:
        """Returns the coverage that lies so many pixels below the top of the plot."""
        return self.top * (1 - pixel / self.floor)

    def bands(self, rows: Sequence[Row]) -> Spec:
        """Describes the interval around each curve. Grey models have none; with many models, bands are fainter."""
        held = [row for row in rows if row["low"] is not None and self.paint[row["model"]] != REST]
        mark = {"type": "area", "opacity": 0.16 if len({row["model"] for row in held}) <= MOST_LABELLED else 0.08}
        return self._layer(held, mark, x="x", y="low", y2="high")

    def between(self, rows: Sequence[Row]) -> list[Spec]:
        """Describes the worst and the best case: two thin dashed lines with a faint area between them."""
        if not rows:
            return []
        thin = {"type": "line", "strokeWidth": 1, "strokeDash": [4, 3]}
        area = {"type": "area", "opacity": 0.06}
        return [self._layer(rows, area, x="x", y="low", y2="high"),
                *(self._layer(rows, thin, x="x", y=end) for end in ("low", "high"))]  # fmt: skip

    def lines(self, rows: Sequence[Row], width: float = 2.5, dash: Sequence[float] = ()) -> list[Spec]:
        """Describes one line per model; grey ones are thinner and lie below the others."""
        grey = [row for row in rows if self.paint[row["model"]] == REST]
        rest = [row for row in rows if self.paint[row["model"]] != REST]
        mark: Spec = {"type": "line", "strokeCap": "round", "strokeJoin": "round"}
        if dash:
            mark["strokeDash"] = list(dash)
        drawn = ((grey, min(width, 1.5)), (rest, width))
        return [self._layer(part, mark | {"strokeWidth": wide}, x="x", y="y") for part, wide in drawn if part]

    def targets(self, rows: Sequence[Row]) -> list[Spec]:
        """Describes a line across the chart at each baseline's single try, with its name, and a point at its x."""
        ink, paper = self.theme[INK], self.theme["paper"]
        rule = {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.25, "color": ink}
        point = {"type": "point", "size": 60, "fill": paper, "stroke": ink, "opacity": 1}
        named = rows if len(rows) <= MOST_LABELLED else []
        words = [row | {"x": self.domain[1], "y": self._beside(row["y"])} for row in named]
        placed = [row for row in rows if "x" in row]
        return [self._layer(rows, rule, paint=False, y="y"), self._layer(placed, point, paint=False, x="x", y="y"),
                *self._words(words, "right")]  # fmt: skip

    def dots(self, rows: Sequence[Row], size: int = 45) -> list[Spec]:
        """Describes a dot at each row."""
        mark = {"type": "circle", "size": size, "opacity": 1}
        return [self._layer(rows, mark, x="x", y="y")] if rows else []

    def places(self, names: Sequence[str]) -> list[Spec]:
        """Describes names below the axis at x = 0, 1, 2, …, in place of its numbers; crowded ones are left out."""
        plot = round(0.7 * self.size.width)
        step = math.ceil(len(names) * _PLACE / plot)
        shown = [{"x": i, "y": 0, "name": name} for i, name in enumerate(names) if i % step == 0]
        mark = {"type": "text", "baseline": "top", "dy": 8, "fontSize": self.size.font - 1,
                "color": self.theme["muted"], "limit": plot * step // len(names)}  # fmt: skip
        return [self._layer(shown, mark, paint=False, x="x", y="y", text="name")]

    def crossings(self, rows: Sequence[Row]) -> list[Spec]:
        """Describes each crossover: its point, its interval along the baseline's line, and its k in words.

        Intervals that would cover each other lie above and below the line.
        """
        rows = self._in_lanes(rows)
        down = {"type": "rule", "strokeDash": [2, 3]}
        bar = {"type": "rule", "strokeWidth": 7, "opacity": 0.4, "strokeCap": "round"}
        dot = {"type": "circle", "size": 130, "opacity": 1, "stroke": self.theme["paper"], "strokeWidth": 2}
        few = rows if len(rows) <= MOST_LABELLED else []
        words = [row | {"y": self._above_floor(row["y"], i, len(few))} for i, row in enumerate(few)]
        arrow = {"type": "point", "shape": "triangle-right", "filled": True, "size": 150, "opacity": 0.8}
        ends = [row | {"x": row["high"]} for row in rows if row.get("open")]
        return [
            self._layer([row | {"zero": 0} for row in rows], down, x="x", y="y", y2="zero"),
            self._layer(rows, bar, x="low", x2="high", y="bar"),
            *([self._layer(ends, arrow, x="x", y="bar")] if ends else []),
            self._layer(rows, dot, x="x", y="y"),
            *self._words(words, "left"),
        ]

    def names(self, ends: Sequence[Row]) -> list[Spec]:
        """Describes the name at the end of each curve. Names that would touch are moved apart, with a line to it.

        Without room for all names, grey models have none.
        """
        if (len(ends) - 1) * self._gap > self.floor:
            ends = [row for row in ends if self.paint[row["model"]] != REST]
        placed = self._apart(ends)
        moved = [row for row in placed if abs(self.pixel(row["y"]) - self.pixel(row["end"])) > 3]
        leader = {"type": "rule", "strokeWidth": 1, "opacity": 0.6, "xOffset": 2, "x2Offset": _LEADER - 2}
        lines = self._layer([row | {"x2": row["x"]} for row in moved], leader, x="x", x2="x2", y="end", y2="y")
        grey = [row for row in placed if self.paint[row["model"]] == REST]
        rest = [row for row in placed if self.paint[row["model"]] != REST]
        style = {"dx": _LEADER, "fontSize": self.size.font, "limit": _LONGEST_NAME}
        muted: Spec = {"type": "text", "align": "left", "baseline": "middle", **style, "color": self.theme["muted"]}
        return [
            *([lines] if moved else []),
            *([self._layer(grey, muted, paint=False, x="x", y="y", text="name")] if grey else []),
            *self._words(rest, "left", style),
        ]

    def finish(self, layers: Sequence[Spec], names: Sequence[str]) -> Spec:
        """Returns the chart of these layers; the longest of ``names`` sets the margin for labels."""
        margins = (_LEFT, self._right(names), _TOP, self.size.height - _TOP - self.floor)
        caption = (self.caption, 6 - _LEFT, 6) if self.size.caption else None
        return finish(layers, self.rows, self.size, self.theme, margins, caption)

    def _right(self, names: Sequence[str]) -> int:
        """Returns the margin that the longest of these labels needs."""
        letters = max((len(name) for name in names), default=0)
        width = min(_LONGEST_NAME, round(0.68 * self.size.font * letters)) + _LEADER + 6
        return width if self.size.labels else 18

    @property
    def _gap(self) -> float:
        return 1.3 * self.size.font

    def _layer(self, rows: Sequence[Row], mark: Spec, paint: bool = True, **channels: str) -> Spec:
        """Describes a mark over ``rows``; ``channels`` name the fields to read, ``paint`` colours it by model."""
        name = f"rows{len(self.rows)}"
        self.rows[name] = list(rows)
        encoding = {channel: self._channel(channel, field) for channel, field in channels.items()}
        return {
            "data": {"name": name},
            "mark": mark,
            "encoding": encoding | ({"color": self._colour()} if paint else {}),
        }

    def _channel(self, channel: str, field: str) -> Spec:
        read: Spec = {"field": field}
        if channel == "text":
            return read | {"type": "nominal"}
        if channel in ("x2", "y2"):
            return read
        return read | {"type": "quantitative"} | (self._x() if channel == "x" else self._y())

    def _x(self) -> Spec:
        most, scale = self.size.width // self.label_width, "linear" if self.linear else "log"
        axis: Spec = {"title": self.title, "format": self.form, "grid": False, "ticks": True, "domain": True,
                      "labelFlush": False, "labelOverlap": self.linear}  # fmt: skip
        if self.marks is not None:
            axis["values"] = list(self.marks)
        elif self.linear:
            axis["tickCount"] = most
        else:
            axis["values"] = ticks(*self.domain, most)
        return {"axis": axis, "scale": {"type": scale, "domain": list(self.domain), "nice": False, "clamp": True}}

    def _y(self) -> Spec:
        axis: Spec = {"title": self.y_title, "format": "~g", "titleAngle": 0,
                      "titleAlign": "left", "titleBaseline": "bottom", "titleX": 4 - _LEFT, "titleY": -16,
                      "values": [self.top * i / 5 for i in range(6)]}  # fmt: skip
        return {"axis": axis, "scale": {"domain": [0, self.top]}}

    def _colour(self) -> Spec:
        colours = [self.theme[name] for name in self.paint.values()]
        return {"field": "model", "type": "nominal", "legend": None,
                "scale": {"domain": list(self.paint), "range": colours}}  # fmt: skip

    def _words(self, rows: Sequence[Row], align: str, style: Spec | None = None) -> list[Spec]:
        """Describes words in a model's colour, over a halo of paper that keeps lines from crossing them."""
        if not rows:
            return []
        mark: Spec = {"type": "text", "align": align, "baseline": "middle", "dx": 7 if align == "left" else -4,
                      "fontWeight": 600, "fontSize": self.size.font - 1, **(style or {})}  # fmt: skip
        halo = mark | {"stroke": self.theme["paper"], "strokeWidth": 4, "strokeJoin": "round"}
        under = self._layer(rows, halo, paint=False, x="x", y="y", text="name")
        return [under, self._layer(rows, mark, x="x", y="y", text="name")]

    def _beside(self, share: float) -> float:
        """Returns the y of words below the line of a coverage, or above it where the axis is too close."""
        below = self.pixel(share) + 13
        return self.coverage(below if below < self.floor - 8 else self.pixel(share) - 13)

    def _above_floor(self, share: float, line: int, lines: int) -> float:
        """Returns the y of words just above the axis, or above the line where that lies just above the axis."""
        room = self.floor - self.pixel(share)
        base = self.floor if room > (lines + 1) * _LINE else self.pixel(share) - 8
        return self.coverage(base - 14 - line * _LINE)

    def _in_lanes(self, rows: Sequence[Row]) -> list[Row]:
        """Returns the rows with ``bar``, the y of each interval: on its line, or in the next free lane beside it."""
        low, high = (self._at(end) for end in self.domain)
        gap = _LANE * (high - low) / self.size.width
        taken: dict[tuple[float, int], float] = {}  # right end of the last interval, by line and lane
        placed = []
        for row in sorted(rows, key=lambda row: float(row["low"])):
            start = self._at(row["low"]) - gap
            lane = next(lane for lane in itertools.count() if taken.get((row["y"], lane), start - 1) < start)
            taken[row["y"], lane] = self._at(row["high"])
            pixel = self.pixel(row["y"]) + _LANE * ((lane + 1) // 2) * (1 if lane % 2 else -1)
            placed.append(row | {"bar": self.coverage(min(max(pixel, 4.0), self.floor - 4.0)) if lane else row["y"]})
        return placed

    def _apart(self, ends: Sequence[Row]) -> list[Row]:
        """Moves ``y`` of each row so that no name touches another; ``end`` keeps the old value."""
        placed: list[Row] = []
        for column in self._columns(ends):
            pixels = spread([self.pixel(row["y"]) for row in column], self._gap, self.floor)
            placed += [row | {"y": self.coverage(at), "end": row["y"]} for row, at in zip(column, pixels, strict=True)]
        return placed

    def _at(self, x: float) -> float:
        """Returns the place on the axis, up to its unit."""
        return x if self.linear else math.log(x)

    def _columns(self, ends: Sequence[Row]) -> list[list[Row]]:
        """Groups rows whose ends are so close that their names could touch."""
        low, high = (self._at(end) for end in self.domain)
        near = (high - low) * _LONGEST_NAME / (self.size.width - _LEFT - _LONGEST_NAME)
        columns: list[list[Row]] = []
        for row in sorted(ends, key=lambda row: float(row["x"])):
            if columns and self._at(row["x"]) - self._at(columns[-1][-1]["x"]) < near:
                columns[-1].append(row)
            else:
                columns.append([row])
        return columns


def spread(positions: Sequence[float], gap: float, end: float) -> list[float]:
    """Moves positions as little as needed to lie ``gap`` apart, in their order, and within [0, end] if possible.

    Neighbours that touch become one block around their mean, which may then touch the next (pool adjacent violators).
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[tuple[list[int], float]] = []  # members, and the position of the first
    for i in order:
        members, start = [i], positions[i]
        while True:
            start = max(0.0, min(start, end - gap * (len(members) - 1)))
            if not blocks or blocks[-1][1] + gap * len(blocks[-1][0]) <= start:
                break
            members = blocks.pop()[0] + members
            start = sum(positions[m] - gap * at for at, m in enumerate(members)) / len(members)
        blocks.append((members, start))
    found = {m: start + gap * at for members, start in blocks for at, m in enumerate(members)}
    return [found[i] for i in range(len(positions))]


def top_of(rows: Sequence[Row]) -> float:
    """Returns the smallest of TOPS that holds every curve and band."""
    highest = max((row.get("high") or row["y"] for row in rows), default=1.0)
    return next(top for top in TOPS if highest <= top or top == TOPS[-1])


def extent(rows: Sequence[Row]) -> tuple[float, float]:
    """Returns the ends of x; a single value gets a decade, since a scale needs two ends."""
    xs = [row["x"] for row in rows]
    low, high = (min(xs), max(xs)) if xs else (1.0, 10.0)
    return (low, high) if high > low else (low, 10 * low)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Returns round values of a logarithmic axis, at most about ``most``."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [(step, float(f"{step}e{decade}")) for decade in decades for step in (1, 2, 5)]
    inside = [(step, value) for step, value in fine if low * 0.999 <= value <= high * 1.001]
    if len(inside) <= max(most, 3):
        return [value for _, value in inside] or [low, high]
    whole = [value for step, value in inside if step == 1]
    return whole[:: max(1, math.ceil(len(whole) / most))]
