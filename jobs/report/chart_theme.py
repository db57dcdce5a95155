"""Colours and sizes of charts, and the parts that all charts share.

Charts are described in Vega-Lite's own JSON: a library would take a second to import and would validate every layer
again. A chart is drawn once per width instead of scaled, so that its letters stay readable on a phone. Its colours are
CSS variables, so that one picture serves light and dark; the files beside the page are the wide pictures in light
colours.

There are few colours, so that they stay distinct: five for models, ink for baselines, one grey for all other models.
Any two differ for colour-blind readers too, in light and in dark (tests/jobs/report/test_chart_theme.py measures it).
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]  # a piece of Vega-Lite

SERIES, HEAT_COLOURS = 5, 7
INK, REST = "ink", "rest"
FONT = "Roboto, DejaVu Sans, sans-serif"
_LETTER = 0.56  # width of a letter of wide fonts, as a share of its size

_SERIES_NAMES = tuple(f"s{i}" for i in range(SERIES))
_HEAT_NAMES = tuple(f"h{i}" for i in range(HEAT_COLOURS))
NAMES = (INK, "muted", "grid", "paper", REST, *_SERIES_NAMES, *_HEAT_NAMES)  # names of the page's CSS variables


@dataclass(frozen=True)
class Theme:
    """Colours by name."""

    colours: Mapping[str, str]
    background: str = "transparent"

    def __getitem__(self, name: str) -> str:
        return self.colours[name]

    @property
    def heat(self) -> list[str]:
        """The colours of heat, from no passes to most."""
        return [self[name] for name in _HEAT_NAMES]


LIGHT = Theme(
    dict(zip(NAMES, (
        "#1c2230", "#5d6675", "#e7eaef", "#ffffff", "#b4bbc7",
        "#174a9c", "#c4520c", "#0a8478", "#bd2fd8", "#5a4505",
        "#eceef2", "#dbe7f9", "#b5d0f3", "#84b1e9", "#4f8cda", "#2563c9", "#123f8c",
    ), strict=True)),
    background="#ffffff",
)  # fmt: skip

# The converter knows no CSS variables: unusual colours stand for them until the picture is drawn.
_VARIABLE = {f"#fe01{i:02x}": f"var(--{name})" for i, name in enumerate(NAMES)}
_STAND_INS = dict(zip(NAMES, _VARIABLE, strict=True))
VARIABLES = Theme(_STAND_INS, background=_STAND_INS["paper"])


@dataclass(frozen=True)
class Size:
    """The size of a whole picture."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    labels: bool = True
    """True where lines are labelled at their ends."""
    font: int = 13
    """Letter size in pixels."""
    caption: bool = False
    """True where the explanation of the marks is part of the picture."""


WIDE, NARROW = Size(880, 455, caption=True), Size(350, 310, labels=False, font=12)
WIDE_LOW, NARROW_LOW = Size(880, 345, caption=True), Size(350, 260, labels=False, font=12)


def finish(
    layers: Sequence[Spec],
    rows: Mapping[str, Sequence[Row]],
    size: Size,
    theme: Theme,
    margins: tuple[int, int, int, int],
    caption: tuple[str, int, int] | None = None,
) -> Spec:
    """Returns one Vega-Lite chart of exactly ``size``, made of layers over named ``rows``.

    ``margins`` are the pixels left, right, above and below the plot. ``caption`` is (words, dx, dy): the caption
    starts dx pixels right of the plot and dy pixels below its axis.
    """
    left, right, top, bottom = margins
    below = _caption(*caption, size, theme) if caption and caption[0] else {}
    return {
        "layer": list(layers),
        "datasets": dict(rows),
        "width": size.width - left - right,
        "height": size.height - top - bottom,
        "autosize": {"type": "none"},
        "padding": {"left": left, "right": right, "top": top, "bottom": bottom},
        "background": theme.background,
        **below,
        "config": {"aria": False, "font": FONT, "view": {"stroke": None}, "axis": _axis(size, theme)},
    }


def caption_lines(words: str, size: Size) -> list[str]:
    """Breaks a caption into lines that fit into the picture."""
    return textwrap.wrap(words, round(size.width / (_LETTER * (size.font - 1))))


def _caption(words: str, right: int, down: int, size: Size, theme: Theme) -> Spec:
    style: Spec = {"orient": "bottom", "anchor": "start", "frame": "group", "baseline": "top", "dx": right,
                   "offset": down, "color": theme["muted"], "fontSize": size.font - 1,
                   "fontWeight": "normal"}  # fmt: skip
    return {"title": {"text": caption_lines(words, size), **style}}


def _axis(size: Size, theme: Theme) -> Spec:
    muted = theme["muted"]
    return {
        "labelColor": muted, "titleColor": muted, "domainColor": muted, "tickColor": muted, "gridColor": theme["grid"],
        "labelFontSize": size.font - 1, "titleFontSize": size.font, "titleFontWeight": "normal", "titlePadding": 10,
        "labelPadding": 5, "domain": False, "ticks": False,
    }  # fmt: skip


def in_variables(drawn: str) -> str:
    """Replaces the stand-in colours of a drawn SVG by the page's CSS variables."""
    return re.sub("#fe01[0-9a-f]{2}", lambda found: _VARIABLE[found[0]], drawn)


def in_light(drawn: str) -> str:
    """Replaces the CSS variables of an SVG by the light colours, for a file of its own."""
    return re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], drawn)
