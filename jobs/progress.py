"""The display of progress: a live table in a terminal, plain lines in a log. Both go to standard error."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from jobs.numbers.doubts import MOST_CUT
from sampling.words import many, printable

LINE_EVERY_S = 10.0
LINE_LENGTH = 390  # most characters of a line in a log, without what `_say` puts before it
CELLS_SHOWN, ENGINES_SHOWN = 20, 8  # most rows of the live tables; of more engines, one row is a model
AROUND = 6  # lines of the live view that are no rows: two heads, what is left out, a total of up to three
NAME_LENGTH = 32  # most characters of a name in a line
OnCount = Callable[[int, int], None]  # how many items are done, of how many
T = TypeVar("T")


@contextmanager
def progress_display(watch: OnProgress = lambda _: None) -> Iterator[OnProgress]:
    """Yields a function that shows each snapshot, and hands it to ``watch``."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _both(PlainLines(), watch)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield _both(lambda progress: live.update(live_view(progress, console.size.height)), watch)


def _both(show: OnProgress, watch: OnProgress) -> OnProgress:
    def each(progress: Progress) -> None:
        show(progress)
        watch(progress)

    return each


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
        changed = [engine for engine in progress.engines if self._states.get(engine.name) != engine.state]
        self._states |= {engine.name: engine.state for engine in changed}
        if len(changed) > ENGINES_SHOWN:
            _say(f"engines: {_listed(_models(progress), LINE_LENGTH - len('engines: '))}")
        else:
            for engine in changed:
                _say(f"engine {_short(engine.name)}: {engine_words(engine)}")
        if time.monotonic() - self._last >= LINE_EVERY_S or progress.committed == progress.planned:
            self._last = time.monotonic()
            _say(summary_line(progress))


def summary_line(progress: Progress) -> str:
    """Says what matters in LINE_LENGTH characters at most; `troop status` has the cells that are left out."""
    left = f", {duration(progress.left_s)} left" if progress.left_s is not None else ""
    side = bottleneck(progress)
    line = (
        f"{duration(progress.elapsed_s)}: {progress.sampled:,} sampled, {progress.verified:,} verified "
        f"({progress.shared:,} copies), {progress.committed:,} of {progress.planned:,} committed{left}; "
        f"{tokens_per_second(progress):,.0f} tokens/s; {progress.backlog:,} wait for a verdict; "
        + (f"bottleneck {side}; " if side else "")
        + f"engines idle {progress.idle:.1%}; "
        + (f"set aside {many(progress.set_aside, 'unit')}; " if progress.set_aside else "")
        + (f"{cut}; " if (cut := cut_words(progress)) else "")
    )
    room = LINE_LENGTH - len(line) - len("engines: ; coverage so far: ")
    engines = _listed(_models(progress), room // 2) or _states(progress.engines) or "none"
    cells = [_cell_words(cell) for cell in _unfinished_first(progress.cells)]
    coverage = _listed(cells, room - len(engines)) or "`troop status` has it"
    return f"{line}engines: {engines}; coverage so far: {coverage}"


def live_view(progress: Progress, height: int | None = None) -> Group:
    """Shows the snapshot as tables: one row for each (model, task), one for each engine or model, and the totals.

    Rows that do not fit into ``height`` lines of a terminal are counted instead.
    """
    side = bottleneck(progress)
    total = Text(
        f"{progress.committed:,} of {progress.planned:,} samples committed"
        f" · {tokens_per_second(progress):,.0f} tokens/s · {progress.backlog:,} wait for a verdict"
        + (f" · bottleneck: {side}" if side else "")
        + f" · {duration(progress.elapsed_s)} elapsed"
        + (f" · {duration(progress.left_s)} left" if progress.left_s is not None else "")
        + (f" · {many(progress.set_aside, 'unit')} set aside" if progress.set_aside else "")
        + (f" · {cut}" if (cut := cut_words(progress)) else "")
    )
    engines = _engines(progress)
    free = CELLS_SHOWN if height is None else height - engines.row_count - AROUND
    return Group(*_cells(progress, max(1, min(free, CELLS_SHOWN))), engines, total)


def bottleneck(progress: Progress) -> str:
    """Names the side that the others wait for, and how many verifiers would keep up; "" where nothing waits."""
    side = progress.bottleneck
    if progress.committed >= progress.planned:
        return ""
    if side == "engines" and progress.sampled >= progress.planned:  # all is drawn
        side = "verifiers" if progress.backlog else "store"
    return f"verifiers ({progress.balanced} would keep up)" if side == "verifiers" and progress.balanced else side


def cut_words(progress: Progress) -> str:
    """Says which share of samples was cut at max_tokens, and warns of the cell with most where that is too much."""
    ended = sum(cell.ended for cell in progress.cells)
    cut = sum(cell.cut * cell.ended for cell in progress.cells)
    if not cut:
        return ""
    worst = max(progress.cells, key=lambda cell: cell.cut)
    warning = f" (warning: {worst.cut:.0%} of {_short(worst.model)} on {_short(worst.task)})"
    return f"{cut / ended:.1%} cut at max_tokens{warning if worst.cut > MOST_CUT else ''}"


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


def _cells(progress: Progress, most: int) -> list[Table | Text]:
    """Returns a table of ``most`` cells at most, and a line about those left out."""
    table = Table("model", "task", "samples", "", "coverage so far", box=None, padding=(0, 2, 0, 0))
    cells = progress.cells if len(progress.cells) <= most else _unfinished_first(progress.cells)
    for cell in cells[:most]:
        bar = ProgressBar(total=max(cell.planned, 1), completed=cell.committed, width=24)
        count = f"{cell.committed:,}/{cell.planned:,}{_retired(cell)}"
        table.add_row(Text(_short(cell.model)), Text(_short(cell.task)), count, bar, _coverage(cell))
    left = len(cells) - most
    return [table, Text(f"and {left:,} more; `troop status RUN --json` has all")] if left > 0 else [table]


def _engines(progress: Progress) -> Table:
    """Returns a table of the engines; of the models, with what their engines do, where there are many engines."""
    few = len(progress.engines) <= ENGINES_SHOWN
    table = Table("engine" if few else "engines of", "state", box=None, padding=(0, 2, 0, 0))
    for engine in progress.engines if few else ():
        table.add_row(Text(_short(engine.name)), engine_words(engine))
    models = {} if few else _by_model(progress)
    for model in list(models)[:ENGINES_SHOWN]:
        table.add_row(Text(_short(model)), _states(models[model]))
    if len(models) > ENGINES_SHOWN:
        table.add_row(f"and {len(models) - ENGINES_SHOWN} more", "")
    return table


def _by_model(progress: Progress) -> dict[str, list[EngineProgress]]:
    models: dict[str, list[EngineProgress]] = {}
    for engine in progress.engines:
        models.setdefault(engine.model, []).append(engine)
    return models


def _models(progress: Progress) -> list[str]:
    """Says for each model what its engines do."""
    return [f"{_short(model)} {_states(engines)}" for model, engines in _by_model(progress).items()]


def _states(engines: Sequence[EngineProgress]) -> str:
    """Returns ``990 sampling, 10 starting, 12,345 tokens/s``."""
    counts = Counter(engine.state for engine in engines).most_common()
    states = ", ".join(f"{count:,} {state}" for state, count in counts)
    rate = sum(engine.tokens_per_s for engine in engines)
    return f"{states}, {rate:,.0f} tokens/s" if rate else states


def _listed(items: Sequence[str], room: int) -> str:
    """Joins as many items as fit in ``room`` characters, ENGINES_SHOWN at most, and counts the others.

    Returns "" where none fits.
    """
    for shown in range(min(len(items), ENGINES_SHOWN), 0, -1):
        left = len(items) - shown
        text = "; ".join(items[:shown]) + (f"; and {left:,} more" if left else "")
        if len(text) <= room:
            return text
    return ""


def _unfinished_first(cells: Sequence[CellProgress]) -> list[CellProgress]:
    return sorted(cells, key=lambda cell: cell.committed >= cell.planned)


def _short(name: str) -> str:
    """Returns a name without control characters, its middle left out where it is long: engines end in their number."""
    text, half = printable(name), NAME_LENGTH // 2
    return text if len(text) <= NAME_LENGTH else f"{text[:half]}…{text[1 - half :]}"


def _cell_words(cell: CellProgress) -> str:
    count = f"{cell.committed:,} of {many(cell.planned, 'sample')}"
    return f"{_short(cell.model)} on {_short(cell.task)}: {_coverage(cell)} ({count}{_retired(cell)})"


def _retired(cell: CellProgress) -> str:
    return f", {cell.retired:,} retired, {cell.saved:,} samples saved" if cell.retired else ""


def _coverage(cell: CellProgress) -> str:
    return "no verdicts yet" if cell.coverage is None else f"{'≥' if cell.at_least else ''}{cell.coverage:.3f}"


def _say(line: str) -> None:
    print(f"troop: {line}", file=sys.stderr, flush=True)
