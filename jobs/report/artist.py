"""The report's side of ``artist_worker.py``: charts are asked for, and drawn while it does something else."""

import base64
import contextlib
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from jobs.report.chart_theme import Spec, in_light, in_variables
from sampling.errors import TroopError

WORKER = Path(__file__).with_name("artist_worker.py")


class Artist:
    """Draws in the order in which it is asked; it starts at once, and is gone when its ``with`` ends.

    Where the process ends before its time (a chart that cannot be drawn, no memory), results raise TroopError.
    """

    def __init__(self) -> None:
        # -P: a module of ours may have the name of another's. A group of its own: an interrupt is for us to handle.
        command, pipe = [sys.executable, "-P", str(WORKER)], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, process_group=0)
        self._line = ThreadPoolExecutor(1)

    def __enter__(self) -> "Artist":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._line.shutdown(cancel_futures=True)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def svg(self, described: Spec) -> Future[str]:
        """The chart as SVG, in the page's variables where its theme is VARIABLES."""
        return self._line.submit(lambda: in_variables(self._ask("svg", described)))

    def png(self, drawn: Future[str]) -> Future[bytes]:
        """An SVG of this artist as PNG, in light colours."""
        return self._line.submit(lambda: base64.b64decode(self._ask("png", in_light(drawn.result()))))

    def _ask(self, kind: str, given: object) -> str:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # then there is no reply either
            self._process.stdin.write(json.dumps([kind, given]) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise TroopError(f"report: the process that draws charts ended with code {self._process.wait()}")
        reply: str = json.loads(line)
        return reply
