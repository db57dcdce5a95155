"""The process that draws charts: its results, its errors, and its end."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from jobs.report.chart_process import ChartProcess
from jobs.report.chart_theme import LIGHT
from sampling.errors import TroopError


def point(colour: str) -> dict[str, Any]:
    return {"mark": {"type": "point", "color": colour}, "data": {"values": [{"x": 1}]}, "encoding": {
        "x": {"field": "x", "type": "quantitative"}}}  # fmt: skip


def test_what_is_asked_for_together_comes_in_order() -> None:
    with ChartProcess() as made:
        colours = [f"#0000{i:02x}" for i in range(9)]
        drawn = [made.svg(point(colour)) for colour in colours]
        assert all(f'stroke="{colour}"' in each.result() for colour, each in zip(colours, drawn, strict=True))


def test_a_picture_has_the_light_colours_of_its_drawing() -> None:
    with ChartProcess() as made:
        variable, light = made.svg(point("#fe0100")), made.svg(point(LIGHT["ink"]))
        assert 'stroke="var(--ink)"' in variable.result()
        assert made.png(variable).result() == made.png(light).result() != made.png(made.svg(point("red"))).result()


def test_what_cannot_be_drawn_is_an_error_and_no_wait(capfd: pytest.CaptureFixture[str]) -> None:
    with ChartProcess() as made, pytest.raises(TroopError, match="ended with code 1"):
        made.svg({"mark": "no such mark"}).result()
    assert "ValueError" in capfd.readouterr().err


def test_it_is_gone_when_the_report_fails() -> None:
    with pytest.raises(KeyboardInterrupt), ChartProcess() as made:
        waiting = [made.svg(point("red")) for _ in range(50)]
        raise KeyboardInterrupt
    assert made._process.returncode is not None and waiting[-1].cancelled()


def test_it_ends_by_itself_when_its_parent_was_killed() -> None:
    source = """import os, signal; from jobs.report.chart_process import ChartProcess
made = ChartProcess(); made.svg({"mark": "point", "data": {"values": []}}).result()
os.kill(os.getpid(), signal.SIGKILL)"""
    # The drawing process inherits our pipe as its standard error, so reading to the end proves that it has ended too.
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL and not done.stderr
