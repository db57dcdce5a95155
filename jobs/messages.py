"""Texts that commands on a run print: units planned, committed, set aside. Pure functions; no verifier, no DuckDB."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from cluster.queue import SetAside
from cluster.tally import Tally
from jobs.progress import duration
from jobs.store.layers import Units
from sampling.words import many, printable

WIDEST = 120  # most columns of a terminal that a short value is padded to


def opening(uri: str, planned: int, missing: Units, to_do: Units) -> str:
    """Returns the first line of `troop run`: units planned, units and samples to do."""
    if not missing:
        return f"{uri}: all {planned:,} units are committed; nothing to sample"
    left = len(missing) - len(to_do)
    tail = f"; {many(left, 'more unit')} of models or problems that the sweep no longer names" if left else ""
    return f"{uri}: {many(planned, 'unit')} planned, {len(to_do):,} to do ({many(to_do.rows, 'sample')}){tail}"


def closing(uri: str, tally: Tally) -> str:
    """Returns the last line of `troop run`."""
    starts = max((engine.start_s for engine in tally.engines), default=0.0)
    took = f"{duration(tally.elapsed_s)}, engine start {starts:.0f} s of it"
    others = f" and {tally.elsewhere:,} by other drivers" if tally.elsewhere else ""
    return f"{tally.committed_here:,} samples committed{others} in {took}; results in {uri}"


def set_aside_lines(items: Sequence[tuple[str, str, int, str]]) -> list[str]:
    """Returns one line per model, task and error; an item is (model, task, unit, error)."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for model, task, number, error in items:
        groups.setdefault((model, task, error), []).append(number)
    lines = []
    for (model, task, error), numbers in groups.items():
        others = f" and {many(len(numbers) - 1, 'more unit')}" if len(numbers) > 1 else ""
        lines.append(printable(f"set aside: {model}/{task}/{numbers[0]}{others}: {error}"))
    return lines


def lines_of(set_aside: Sequence[SetAside]) -> list[str]:
    """Returns the lines about the units that a pipeline has set aside."""
    return set_aside_lines([(item.unit.model, item.unit.task, item.unit.number, item.error) for item in set_aside])


def as_table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """Returns a plain-text table; see ``table_parts``."""
    return "\n".join(table_parts(columns, [rows]))


def table_parts(columns: Sequence[str], batches: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[str]:
    """Yields a plain-text table in parts: the head with the first batch of rows, then one part for each other batch.

    Values are shown literally and in one line: models write them, so markup and escapes are inert. Columns are as wide
    as the first batch asks, so that a table of any length needs the memory of one batch.
    """
    waiting = iter(batches)
    head = [list(columns), *next(waiting, ())]
    widths = [min(max(map(_width, values)), WIDEST) for values in zip(*_shown(head), strict=True)]
    for batch in itertools.chain([head], waiting):
        yield "\n".join(_line(row, widths) for row in _shown(batch))


def _shown(rows: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    return ([printable(value) for value in row] for row in rows)


def _line(values: Sequence[str], widths: Sequence[int]) -> str:
    """Returns values two spaces apart, each padded to its column's width in a terminal."""
    padded = (value + " " * (width - _width(value)) for value, width in zip(values, widths, strict=True))
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
