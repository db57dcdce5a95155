"""Colours and sizes of charts, and what all of them have in common.

Charts are described in Vega-Lite as it is written down, JSON: a library between would take a second to import and
validate every layer again. A chart is drawn once per width rather than scaled, so that its letters stay readable on a
phone. Its colours are CSS variables, which is how one picture serves light and dark; files beside the page are the wide
pictures with the light colours put in.

Few colours, so that they stay apart: five for models, ink for baselines, one grey for whatever models are left. Any
two of them differ also for the colour-blind, in light and in dark (tests/jobs/report/test_charts.py measures that).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]  # a piece of Vega-Lite

SERIES, HEAT_COLOURS = 5, 7
INK, REST = "ink", "rest"
FONT = "Roboto, DejaVu Sans, sans-serif"

_SERIES_NAMES = tuple(f"s{i}" for i in range(SERIES))
_HEAT_NAMES = tuple(f"h{i}" for i in range(HEAT_COLOURS))
NAMES = (INK, "muted", "grid", "paper", REST, *_SERIES_NAMES, *_HEAT_NAMES)  # as the page's CSS variables are called


@dataclass(frozen=True)
class Theme:
    """Colours by name: one for each series, and for heat from nothing to most."""

    colours: Mapping[str, str]
    background: str = "transparent"

    def __getitem__(self, name: str) -> str:
        return self.colours[name]

    @property
    def heat(self) -> list[str]:
        return [self[name] for name in _HEAT_NAMES]


LIGHT = Theme(
    dict(zip(NAMES, (
        "#1c2230", "#5d6675", "#e7eaef", "#ffffff", "#b4bbc7",
        "#174a9c", "#c4520c", "#0a8478", "#bd2fd8", "#5a4505",
        "#eceef2", "#dbe7f9", "#b5d0f3", "#84b1e9", "#4f8cda", "#2563c9", "#123f8c",
    ), strict=True)),
    background="#ffffff",
)  # fmt: skip

# Colours that no one would pick stand for the page's CSS variables until the picture is drawn.
_VARIABLE = {f"#fe01{i:02x}": f"var(--{name})" for i, name in enumerate(NAMES)}
_STAND_INS = dict(zip(NAMES, _VARIABLE, strict=True))
VARIABLES = Theme(_STAND_INS, background=_STAND_INS["paper"])


@dataclass(frozen=True)
class Size:
    """Of a whole picture in pixels; ``labels`` are written at the ends of lines where there is room for them."""

    width: int
    height: int
    labels: bool = True
    font: int = 13
    caption: bool = False


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
    """The layers over named ``rows`` as one Vega-Lite chart in exactly ``size``.

    ``margins`` are left, right, above and below the plot; ``caption`` has its words, and how far to the right of the
    plot and below its axis they begin.
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


def _caption(words: str, right: int, down: int, size: Size, theme: Theme) -> Spec:
    style: Spec = {"orient": "bottom", "anchor": "start", "frame": "group", "baseline": "top", "dx": right,
                   "offset": down, "color": theme["muted"], "fontSize": size.font - 1,
                   "fontWeight": "normal"}  # fmt: skip
    return {"title": {"text": words, **style}}


def _axis(size: Size, theme: Theme) -> Spec:
    muted = theme["muted"]
    return {
        "labelColor": muted, "titleColor": muted, "domainColor": muted, "tickColor": muted, "gridColor": theme["grid"],
        "labelFontSize": size.font - 1, "titleFontSize": size.font, "titleFontWeight": "normal", "titlePadding": 10,
        "labelPadding": 5, "domain": False, "ticks": False,
    }  # fmt: skip


def in_variables(drawn: str) -> str:
    """A drawn SVG with the page's CSS variables in place of what stands for them."""
    return re.sub("#fe01[0-9a-f]{2}", lambda found: _VARIABLE[found[0]], drawn)


def in_light(drawn: str) -> str:
    """An SVG of the page with the light colours in place of variables, for a file of its own."""
    return re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], drawn)
