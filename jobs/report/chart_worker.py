"""The drawing process. It runs as a script, answers JSON lines in order, and ends when its standard input ends.

The converter holds the interpreter's lock while it draws, and its JavaScript engine takes longer to start than any
chart takes to draw. In a process of its own, both happen while the report's samples are read. The script imports
nothing of Troop, which keeps its start short.
"""

import base64
import json
import sys
from typing import Any

import vl_convert

EMPTY_CHART = {"mark": "point", "data": {"values": []}}
_VEGA_LITE = "6.1"


def serve() -> None:
    """Draws requests until standard input ends. An empty chart first: it starts the converter before anyone waits."""
    svg(EMPTY_CHART)
    for line in sys.stdin:
        kind, given = json.loads(line)
        drawn = svg(given) if kind == "svg" else base64.b64encode(png(given)).decode()
        print(json.dumps(drawn), flush=True)


def svg(chart: dict[str, Any]) -> str:
    """Draws a Vega-Lite chart as SVG."""
    drawn: str = vl_convert.vegalite_to_svg(chart, vl_version=_VEGA_LITE)
    return drawn


def png(drawn: str) -> bytes:
    """Converts an SVG to PNG at twice its size in pixels, so that it is sharp on any screen."""
    picture: bytes = vl_convert.svg_to_png(drawn, scale=2)
    return picture


if __name__ == "__main__":
    serve()
