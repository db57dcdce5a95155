"""SQL over a run: DuckDB's views samples, verdicts, scores and problems."""

from collections.abc import Sequence
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.store.database import open_database
from jobs.store.opened import UNREADABLE, undisturbed
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput

Row = tuple[Any, ...]


def run_query(stored: StoredRun, query: str) -> tuple[list[str], list[Row]]:
    """Returns column names and rows; raises BadInput for SQL that DuckDB refuses."""
    return undisturbed(lambda: _answer(stored, query))


def _answer(stored: StoredRun, query: str) -> tuple[list[str], list[Row]]:
    try:
        with open_database(stored.store, stored.version, stored.scores) as db:
            result = db.sql(query)
            return ([], []) if result is None else (list(result.columns), result.fetchall())
    except UNREADABLE:
        raise
    except (duckdb.Error, ModuleNotFoundError) as error:  # a time zone needs a package of its own
        first = str(error).splitlines()[0]
        raise BadInput(f"sql: {first}; views: samples, verdicts, scores, problems") from error


def as_table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A plain-text table. Cells are model text: nothing in them is markup or a control sequence."""
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console = Console(highlight=False, soft_wrap=True, width=max(80, sum(_widths(columns, rows)) + 2 * len(columns)))
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())


def printable(value: object) -> str:
    """A value in one line, with control characters shown as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))


def _widths(columns: Sequence[str], rows: Sequence[Row]) -> list[int]:
    return [max([len(name), *(len(printable(row[i])) for row in rows)]) for i, name in enumerate(columns)]
