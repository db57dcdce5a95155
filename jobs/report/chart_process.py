"""Draws charts in a process of its own, so that a report's samples are read at the same time."""

import base64
import contextlib
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from jobs.report.chart_theme import Spec, in_light, in_variables
from sampling.errors import TroopError

WORKER = Path(__file__).with_name("chart_worker.py")


class ChartProcess:
    """Context manager around one drawing process. Charts are drawn in the order in which they are requested.

    The process starts at once and is killed when the ``with`` block ends. Every method returns a future; its result
    raises TroopError if the process has ended early (a chart that cannot be drawn, no memory).
    """

    def __init__(self) -> None:
        # -P keeps this folder off the import path: a file here may have the same name as another package's module.
        # A process group of its own: Ctrl-C reaches only us, and we stop the process.
        command, pipe = [sys.executable, "-P", str(WORKER)], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, process_group=0)
        self._queue = ThreadPoolExecutor(1)

    def __enter__(self) -> "ChartProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._queue.shutdown(cancel_futures=True)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def svg(self, chart: Spec) -> Future[str]:
        """Requests a chart as SVG. A chart with the theme VARIABLES uses the page's CSS variables as colours."""
        return self._queue.submit(lambda: in_variables(self._request("svg", chart)))

    def png(self, drawn: Future[str]) -> Future[bytes]:
        """Requests an SVG that this process drew as PNG, in light colours."""
        return self._queue.submit(lambda: base64.b64decode(self._request("png", in_light(drawn.result()))))

    def _request(self, kind: str, given: object) -> str:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # the missing reply below reports it
            self._process.stdin.write(json.dumps([kind, given]) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise TroopError(f"report: the process that draws charts ended with code {self._process.wait()}")
        reply: str = json.loads(line)
        return reply
