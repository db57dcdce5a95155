"""Texts that commands on a run print: units planned, committed, set aside. Pure functions; no verifier, no DuckDB."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.queue import SetAside
from cluster.tally import Tally
from jobs.progress import duration
from jobs.store.layers import Units
from sampling.words import many, printable


def opening(uri: str, planned: int, missing: Units, to_do: Units) -> str:
    """Returns the first line of `troop run`: units planned, units and samples to do."""
    if not missing:
        return f"{uri}: all {planned:,} units are committed; nothing to sample"
    left = len(missing) - len(to_do)
    tail = f"; {many(left, 'more unit')} of models or problems that the sweep no longer names" if left else ""
    return f"{uri}: {many(planned, 'unit')} planned, {len(to_do):,} to do ({many(to_do.rows, 'sample')}){tail}"


def closing(uri: str, tally: Tally, before: int) -> str:
    """Returns the last line of `troop run`; ``before`` samples were committed by earlier calls."""
    starts = max((engine.start_s for engine in tally.engines), default=0.0)
    took = f"{duration(tally.elapsed_s)}, engine start {starts:.0f} s of it"
    return f"{tally.committed - before:,} samples committed in {took}; results in {uri}"


def set_aside_lines(items: Sequence[tuple[str, str, int, str]]) -> list[str]:
    """Returns one line per model, task and error; an item is (model, task, unit, error)."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for model, task, number, error in items:
        groups.setdefault((model, task, error), []).append(number)
    lines = []
    for (model, task, error), numbers in groups.items():
        others = f" and {many(len(numbers) - 1, 'more unit')}" if len(numbers) > 1 else ""
        lines.append(f"set aside: {model}/{task}/{numbers[0]}{others}: {error}")
    return lines


def lines_of(set_aside: Sequence[SetAside]) -> list[str]:
    """Returns the lines about the units that a pipeline has set aside."""
    return set_aside_lines([(item.unit.model, item.unit.task, item.unit.number, item.error) for item in set_aside])


def as_table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """Returns a plain-text table. Values are shown literally: models write them, so markup and escapes are inert."""
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console = Console(highlight=False, soft_wrap=True, width=max(80, sum(_widths(columns, rows)) + 2 * len(columns)))
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())


def _widths(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[int]:
    return [max([len(name), *(len(printable(row[i])) for row in rows)]) for i, name in enumerate(columns)]
