"""Pairs of samples of two cells, joined by problem and index in DuckDB, and the texts of a few of them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from jobs.compare.pairs import PairCounts
from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import Ints
from jobs.store.catalogue import read_problems
from jobs.store.database import open_database
from jobs.store.open_cells import OpenCell, open_cells, retry_on_compaction
from jobs.store.stored_run import StoredRun

_ROWS_AT_ONCE = 20_000_000  # of one side in a join
LONGEST_TEXT = 2_000


@dataclass(frozen=True)
class Joined:
    """Pairs of the common problems, and the first index of a flip each way (-1: none)."""

    counts: PairCounts
    first_lost: Ints
    first_gained: Ints


def problem_indices(stored: StoredRun, task: str) -> dict[str, int]:
    """Returns the problem_idx of each problem of a task, by its id."""
    problems = read_problems(stored.store)
    rows = problems.filter(pa.array(problems["task"].to_numpy(zero_copy_only=False) == task))
    return dict(zip(rows["problem_id"].to_pylist(), rows["problem_idx"].to_pylist(), strict=True))


def join_pairs(a: StoredRun, b: StoredRun, cells: tuple[CellCounts, CellCounts], at: tuple[Ints, Ints]) -> Joined:
    """Joins the samples of two cells on their common problems."""
    ids = [cells[0].problem_ids[i] for i in at[0]]
    known = [problem_indices(side, cell.task) for side, cell in zip((a, b), cells, strict=True)]
    places = pa.table({
        "place": pa.array(range(len(ids)), pa.int64()),
        "a_idx": pa.array([known[0].get(name, _number(name)) for name in ids], pa.int64()),
        "b_idx": pa.array([known[1].get(name, _number(name)) for name in ids], pa.int64()),
    })  # fmt: skip
    weights = np.maximum(cells[0].n[at[0]], cells[1].n[at[1]])

    def read() -> Joined:
        with _open(a, cells[0]) as (db, first), _open(b, cells[1]) as (_, second):
            columns = {name: np.full(len(ids), start, dtype=np.int64) for name, start in _COLUMNS.items()}
            equal = hashed = 0
            for start, end in _chunks(weights):
                part = places.slice(start, end - start)
                db.register("places", part)
                found = db.execute(_QUERY.format(a=first.verdicts, b=second.verdicts, **_range(part))).fetchnumpy()
                for name, values in columns.items():
                    values[found["place"]] = np.ma.filled(found[name], -1)
                equal, hashed = equal + int(found["equal"].sum()), hashed + int(found["hashed"].sum())
        counts = PairCounts(columns["lost"], columns["gained"], columns["pairs"], equal, hashed)
        return Joined(counts, columns["first_lost"], columns["first_gained"])

    return retry_on_compaction(read)


_COLUMNS = {"pairs": 0, "lost": 0, "gained": 0, "first_lost": -1, "first_gained": -1}
_QUERY = """SELECT place, count(*) AS pairs, count(*) FILTER (a.passed AND NOT b.passed) AS lost,
    count(*) FILTER (b.passed AND NOT a.passed) AS gained,
    min(a.sample_idx) FILTER (a.passed AND NOT b.passed) AS first_lost,
    min(a.sample_idx) FILTER (b.passed AND NOT a.passed) AS first_gained,
    count(*) FILTER (a.text_hash = b.text_hash) AS equal,
    count(*) FILTER (a.text_hash IS NOT NULL AND b.text_hash IS NOT NULL) AS hashed
    FROM (SELECT problem_idx, sample_idx, passed, text_hash FROM {a} WHERE problem_idx BETWEEN {a_low} AND {a_high}) a
    JOIN places ON a.problem_idx = a_idx
    JOIN (SELECT problem_idx, sample_idx, passed, text_hash FROM {b} WHERE problem_idx BETWEEN {b_low} AND {b_high}) b
    ON b.problem_idx = b_idx AND a.sample_idx = b.sample_idx
    WHERE a.passed IS NOT NULL AND b.passed IS NOT NULL GROUP BY place"""


def read_texts(stored: StoredRun, cell: CellCounts, keys: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
    """Returns the texts of some samples, by problem id and index, cut to LONGEST_TEXT; those without one are absent."""
    if not keys:
        return {}
    known = problem_indices(stored, cell.task)
    names = {known.get(name, _number(name)): name for name, _ in keys}
    wanted = ", ".join(f"({known.get(name, _number(name))}, {sample})" for name, sample in keys)
    query = f"""SELECT problem_idx, sample_idx, text FROM samples WHERE model = ? AND task = ?
        AND (problem_idx, sample_idx) IN ({wanted})"""

    def read() -> list[tuple[int, int, str]]:
        with open_database(stored.store, cell.version) as db:
            return db.execute(query, [cell.model, cell.task]).fetchall()

    found = retry_on_compaction(read)
    return {(names[problem], sample): text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"
            for problem, sample, text in found}  # fmt: skip


def _number(name: str) -> int:
    """Returns the problem_idx of a problem whose id is not stored: then its id is that number."""
    return int(name) if name.isdecimal() else -1


@contextlib.contextmanager
def _open(stored: StoredRun, cell: CellCounts) -> Iterator[tuple[duckdb.DuckDBPyConnection, OpenCell]]:
    with open_cells(stored.store, cell.version, None) as (db, cells):
        yield db, next(c for c in cells if (c.cell.model, c.cell.task) == (cell.model, cell.task))


def _chunks(weights: Ints) -> Iterator[tuple[int, int]]:
    """Yields ranges of problems that have about _ROWS_AT_ONCE samples together, or are one."""
    start, total = 0, 0
    for place, weight in enumerate(weights.tolist()):
        if total and total + weight > _ROWS_AT_ONCE:
            yield start, place
            start, total = place, 0
        total += weight
    yield start, len(weights)


def _range(part: pa.Table) -> dict[str, int]:
    sides = {name: part[f"{name}_idx"].to_numpy() for name in ("a", "b")}
    return {f"{name}_{end}": int(getattr(values, how)()) for name, values in sides.items()
            for end, how in (("low", "min"), ("high", "max"))}  # fmt: skip
