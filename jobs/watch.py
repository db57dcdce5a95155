"""``troop status --watch``: a run's status again and again, from any machine that can read the store."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from jobs.progress import duration
from jobs.status import RunStatus
from sampling.errors import StoreError

EVERY_S = 5.0
READING_SHARE = 0.2  # the most of its time that a watch reads: counting a large run's verdicts is work

Read = Callable[[], RunStatus]
Show = Callable[[str], None]


def watch(read: Read, *, as_json: bool, every_s: float = EVERY_S) -> RunStatus:
    """Shows the status until the run is complete; returns the last status.

    It goes on while the store fails for a while. Raises BadInput if there is no run.
    """
    pace = Pace()
    with _display(as_json) as show:
        while True:
            began = time.monotonic()
            try:
                status = read()
            except StoreError as error:
                show(f"{error}; trying again")
            else:
                pace.add(began, sum(cell.committed for cell in status.cells))
                show(status.model_dump_json() if as_json else f"{status.as_text()}\n{pace.as_text(status)}")
                if status.complete:
                    return status
            time.sleep(max(every_s, (time.monotonic() - began) / READING_SHARE))


class Pace:
    """The rate of commits since the first look, and the time that the rest will take at that rate."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def add(self, at_s: float, committed: int) -> None:
        self._first = self._first or (at_s, committed)
        self._last = (at_s, committed)

    @property
    def rate(self) -> float:
        """Samples per second; 0 until something is committed between two looks."""
        first = self._first or self._last
        took = self._last[0] - first[0]
        return (self._last[1] - first[1]) / took if took > 0 else 0.0

    def as_text(self, status: RunStatus) -> str:
        if status.complete:
            return ""
        left = sum(cell.planned - cell.committed for cell in status.cells)
        if not self.rate:
            return f"  nothing committed for {duration(self._last[0] - (self._first or self._last)[0])}"
        return f"  {self.rate:,.0f} samples/s since this watch began, {duration(left / self.rate)} left"


@contextmanager
def _display(as_json: bool) -> Iterator[Show]:
    """Yields a function that shows a text: in a terminal one view that changes, otherwise one text below the other."""
    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        yield lambda text: print(text, file=sys.stdout, flush=True)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda text: live.update(Text(text), refresh=True)
