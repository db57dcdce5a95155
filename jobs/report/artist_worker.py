"""The process that draws charts. It is run as a script, answers JSON lines in their order, and ends with its input.

The converter holds the interpreter's lock while it draws, and its JavaScript takes longer to start than any chart to
draw: here both happen while a report's samples are read. Nothing of Troop is imported.
"""

import base64
import json
import sys
from typing import Any

import vl_convert

NOTHING = {"mark": "point", "data": {"values": []}}
_VEGA_LITE = "6.1"


def serve() -> None:
    """Draws until standard input ends; a first chart of nothing starts the converter before anyone waits for it."""
    svg(NOTHING)
    for line in sys.stdin:
        kind, given = json.loads(line)
        drawn = svg(given) if kind == "svg" else base64.b64encode(png(given)).decode()
        print(json.dumps(drawn), flush=True)


def svg(described: dict[str, Any]) -> str:
    """A chart described in Vega-Lite, as SVG."""
    drawn: str = vl_convert.vegalite_to_svg(described, vl_version=_VEGA_LITE)
    return drawn


def png(drawn: str) -> bytes:
    """An SVG as PNG, at two pixels for one so that it is sharp on any screen."""
    picture: bytes = vl_convert.svg_to_png(drawn, scale=2)
    return picture


if __name__ == "__main__":
    serve()
