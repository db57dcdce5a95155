"""Colours and sizes of charts, and how a chart becomes a picture.

A chart is drawn once per width rather than scaled, so that its letters stay readable on a phone. On the page colours
are CSS variables, which is how one picture serves light and dark; files beside the page get the light colours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

SERIES, HEAT_COLOURS = 8, 7
FONT = "Roboto, DejaVu Sans, sans-serif"
_VEGA_LITE = "6.1"


@dataclass(frozen=True)
class Theme:
    """Colours of a chart: one for each series, and for heat from nothing to most."""

    ink: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, ...]
    heat: tuple[str, ...]
    background: str | None = None


LIGHT = Theme(
    ink="#1c2230", muted="#5d6675", grid="#e7eaef", paper="#ffffff", background="#ffffff",
    series=("#2563c9", "#c2570c", "#1d8a5b", "#8b45c4", "#c23a5e", "#0e8296", "#8a6a1f", "#5a6f2a"),
    heat=("#eceef2", "#dbe7f9", "#b5d0f3", "#84b1e9", "#4f8cda", "#2563c9", "#123f8c"),
)  # fmt: skip

# Colours that no one would pick stand for the page's CSS variables until the picture is drawn.
_NAMES = ("ink", "muted", "grid", "paper", *(f"s{i}" for i in range(SERIES)), *(f"h{i}" for i in range(HEAT_COLOURS)))
_VARIABLE = {f"#fe01{i:02x}": f"var(--{name})" for i, name in enumerate(_NAMES)}
_STAND_INS = tuple(_VARIABLE)
VARIABLES = Theme(
    ink=_STAND_INS[0], muted=_STAND_INS[1], grid=_STAND_INS[2], paper=_STAND_INS[3],
    series=_STAND_INS[4 : 4 + SERIES], heat=_STAND_INS[4 + SERIES :],
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Of a whole picture in pixels; ``labels`` are written at the ends of lines where there is room for them."""

    width: int
    height: int
    labels: bool = True
    font: int = 13
    caption: bool = False


WIDE, NARROW = Size(880, 420), Size(350, 300, labels=False, font=12)
WIDE_LOW, NARROW_LOW = Size(880, 300), Size(350, 240, labels=False, font=12)
PICTURE = Size(900, 480, font=14, caption=True)  # what a README shows


def finish(
    layers: Sequence[Any],
    rows: dict[str, list[dict[str, Any]]],
    size: Size,
    theme: Theme,
    margins: tuple[int, int, int, int],
) -> dict[str, Any]:
    """The layers over named ``rows`` as one Vega-Lite chart in exactly ``size``.

    ``margins`` are left, right, above and below the plot.
    """
    left, right, top, bottom = margins
    return {
        "layer": [_bare(layer) for layer in layers],
        "datasets": rows,
        "width": size.width - left - right,
        "height": size.height - top - bottom,
        "autosize": {"type": "none"},
        "padding": {"left": left, "right": right, "top": top, "bottom": bottom},
        "background": theme.background or "transparent",
        "config": _style(size, theme),
    }


def _bare(layer: Any) -> dict[str, Any]:
    """One layer as Altair describes it. Altair's own layering gives the same, but copies every layer many times."""
    described = layer.to_dict(validate=False)
    return {key: described[key] for key in ("data", "mark", "encoding")}


def _style(size: Size, theme: Theme) -> dict[str, Any]:
    axis = alt.AxisConfig(
        labelColor=theme.muted, titleColor=theme.muted, gridColor=theme.grid, domainColor=theme.muted,
        tickColor=theme.muted, labelFontSize=size.font - 1, titleFontSize=size.font, titleFontWeight="normal",
        titlePadding=10, labelPadding=5, domain=False, ticks=False,
    )  # fmt: skip
    style = alt.Config(aria=False, font=FONT, axis=axis, view=alt.ViewConfig(stroke=None))
    described: dict[str, Any] = style.to_dict(validate=False)
    return described


def svg(described: dict[str, Any], on_page: bool = False) -> str:
    """The chart as SVG; on the page its colours become the page's variables."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(described, vl_version=_VEGA_LITE)
    return re.sub("#fe01[0-9a-f]{2}", lambda found: _VARIABLE[found[0]], drawn) if on_page else drawn


def png(drawn: str) -> bytes:
    """A drawn SVG as PNG, at two pixels for one so that it is sharp on any screen."""
    import vl_convert

    picture: bytes = vl_convert.svg_to_png(drawn, scale=2)
    return picture
