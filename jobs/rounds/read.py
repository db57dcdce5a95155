"""Reads what is committed of an adaptive run, for its next decisions: one pass over the verdicts of one version."""

import duckdb

from jobs.rounds.cells import Counts, Tried
from jobs.store.base import Store
from jobs.store.catalogue import read_versions
from jobs.store.open_cells import OpenCell, open_cells, retry_on_compaction
from jobs.store.scores import ints
from jobs.store.stored_run import Committed


def read_tried(store: Store, version: str, done: Committed) -> Tried:
    """Returns the committed verdicts of a version by problem; ``done`` are the units that have some."""
    if not any(done.values()) or not any(cell.version == version for cell in read_versions(store)):
        return Tried(version)  # nothing yet, or imports alone

    def read() -> Tried:
        with open_cells(store, version, None) as (db, cells):
            found = {(cell.cell.model, cell.cell.task): _counts(db, cell) for cell in cells}
        return Tried(version, found)

    return retry_on_compaction(read)


def _counts(db: duckdb.DuckDBPyConnection, cell: OpenCell) -> Counts:
    columns = db.execute(f"""
        SELECT problem_idx, count(*) AS n, count(*) FILTER (status <> 'fault') AS decided,
            count(*) FILTER (passed) AS passed
        FROM {cell.verdicts} GROUP BY problem_idx ORDER BY problem_idx""").fetchnumpy()
    units = frozenset(number for file in cell.cell.files for number in file.key.units)
    problem, rows, decided, passed = (ints(columns[name]) for name in ("problem_idx", "n", "decided", "passed"))
    return Counts(problem, rows, decided, passed, units)
