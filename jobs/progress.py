"""The display of progress: a live table in a terminal, plain lines in a log. Both go to standard error."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cluster.tally import CellProgress, EngineProgress, OnProgress, Progress
from sampling.words import many

LINE_EVERY_S = 10.0
OnCount = Callable[[int, int], None]  # how many items are done, of how many
T = TypeVar("T")


@contextmanager
def progress_display() -> Iterator[OnProgress]:
    """Yields a function that shows each snapshot."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield PlainLines()
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield lambda progress: live.update(live_view(progress))


@contextmanager
def count_display(what: str) -> Iterator[OnCount]:
    """Yields a function that shows how many ``what`` are done: a live bar in a terminal, else lines."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield CountLines(what)
        return
    columns = (TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.description}"), BarColumn(), TimeLeft())
    with Bars(*columns, console=console) as bars:
        bar = bars.add_task(what, total=None, visible=False)
        yield lambda done, total: bars.update(bar, completed=done, total=total, visible=True)


def show_count(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields the items and shows how many there have been, with ``count_display``."""
    with count_display(what) as show:
        for number, item in enumerate(items, 1):
            yield item
            show(number, total)


class CountLines:
    """Writes a line every LINE_EVERY_S seconds, and at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = self._started = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_S or done == total:
            self._last = now
            _say(f"{done:,} of {total:,} {self._what} in {duration(now - self._started)}")


class PlainLines:
    """Writes a line when an engine changes its state, and a summary every LINE_EVERY_S seconds."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        for engine in progress.engines:
            if self._states.get(engine.name) != engine.state:
                self._states[engine.name] = engine.state
                _say(f"engine {engine.name}: {engine_words(engine)}")
        if time.monotonic() - self._last >= LINE_EVERY_S or progress.committed == progress.planned:
            self._last = time.monotonic()
            _say(summary_line(progress))


def summary_line(progress: Progress) -> str:
    """Says everything that matters in one line."""
    cells = "; ".join(map(_cell_words, progress.cells))
    left = f", {duration(progress.left_s)} left" if progress.left_s is not None else ""
    return (
        f"{duration(progress.elapsed_s)}: {progress.sampled:,} sampled, {progress.verified:,} verified "
        f"({progress.shared:,} copies), {progress.committed:,} of {progress.planned:,} committed{left}; "
        f"{_rates(progress)}; {progress.backlog:,} wait for a verdict; "
        f"bottleneck {bottleneck(progress)}; engines idle {progress.idle:.1%}; "
        f"set aside {many(progress.set_aside, 'unit')}; coverage so far: {cells}"
    )


def live_view(progress: Progress) -> Group:
    """Shows the snapshot as tables: one row for each (model, task), one for each engine, and the totals."""
    total = Text(
        f"{progress.committed:,} of {progress.planned:,} samples committed"
        f" · {tokens_per_second(progress):,.0f} tokens/s · {progress.backlog:,} wait for a verdict"
        f" · bottleneck: {bottleneck(progress)}"
        f" · {duration(progress.elapsed_s)} elapsed"
        + (f" · {duration(progress.left_s)} left" if progress.left_s is not None else "")
        + (f" · {many(progress.set_aside, 'unit')} set aside" if progress.set_aside else "")
    )
    return Group(_cells(progress), _engines(progress), total)


def bottleneck(progress: Progress) -> str:
    """Names the side that the other waits for, and how many verifiers would balance them."""
    if progress.bottleneck != "verifiers" or not progress.balanced:
        return progress.bottleneck
    return f"verifiers ({progress.balanced} would keep up)"


def duration(seconds: float) -> str:
    """Formats seconds as ``1:05`` or ``2:03:04``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def tokens_per_second(progress: Progress) -> float:
    return sum(engine.tokens_per_s for engine in progress.engines)


def engine_words(engine: EngineProgress) -> str:
    """Says what an engine is doing."""
    again = f" (start {engine.restarts + 1})" if engine.restarts else ""
    words = {
        "waiting": "waiting for its share of the cluster",
        "starting": f"starting{again}, 10 to 50 s; {duration(engine.state_s)} so far",
        "sampling": f"sampling, {engine.tokens_per_s:,.0f} tokens/s",
    }
    return words.get(engine.state, engine.state)


def _cells(progress: Progress) -> Table:
    table = Table("model", "task", "samples", "", "coverage so far", box=None, padding=(0, 2, 0, 0))
    for cell in progress.cells:
        bar = ProgressBar(total=max(cell.planned, 1), completed=cell.committed, width=24)
        count = f"{cell.committed:,}/{cell.planned:,}"
        table.add_row(cell.model, cell.task, count, bar, _coverage(cell))
    return table


def _engines(progress: Progress) -> Table:
    table = Table("engine", "state", box=None, padding=(0, 2, 0, 0))
    for engine in progress.engines:
        table.add_row(engine.name, engine_words(engine))
    return table


def _rates(progress: Progress) -> str:
    rates = [f"{e.name} {e.tokens_per_s:,.0f}" for e in progress.engines if e.state == "sampling"]
    return f"tokens/s {', '.join(rates) or '0'}"


def _cell_words(cell: CellProgress) -> str:
    return f"{cell.model} on {cell.task}: {_coverage(cell)} ({cell.committed:,} of {many(cell.planned, 'sample')})"


def _coverage(cell: CellProgress) -> str:
    return "no verdicts yet" if cell.coverage is None else f"{'≥' if cell.at_least else ''}{cell.coverage:.3f}"


def _say(line: str) -> None:
    print(f"troop: {line}", file=sys.stderr, flush=True)
