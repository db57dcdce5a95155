"""A DuckDB database over a run, with the views ``verdicts``, ``samples``, ``scores`` and ``problems``."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from jobs.store.base import Store
from jobs.store.catalogue import read_problems
from jobs.store.folder import DirectoryStore
from jobs.store.opened import UNREADABLE, OpenCell, open_cells, read_footers, sql_list, sql_text, undisturbed
from jobs.store.remote import dataset_of
from jobs.store.schema import SAMPLES, VERDICTS
from jobs.store.scores import VIEW
from jobs.store.stored_run import StoredRun
from jobs.store.whole import check_schema, check_whole
from sampling.errors import BadInput, DamagedFile, NoSuchObject

_QUERY_IS_WRONG = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.NotImplementedException,
)  # fmt: skip
_NAMES = [pa.field("model", pa.string()), pa.field("task", pa.string())]
_VERDICT_COLUMNS = pa.schema([*_NAMES, pa.field("version", pa.string()), *VERDICTS])
_SAMPLE_COLUMNS = pa.schema([_NAMES[1], *SAMPLES])


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


@contextlib.contextmanager
def open_database(
    store: Store, version: str | None = None, scores: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views ``verdicts``, ``samples``, ``scores`` and ``problems``, good inside the ``with``.

    Files are read when a query asks for them; whoever queries a run that is still compacted does so ``undisturbed``.
    ``samples`` has the samples of committed units alone: what a lost attempt left behind is not seen.
    """
    with open_cells(store, version, scores) as (db, cells), _explained(store, cells):
        db.register("problems", read_problems(store))
        _union(db, "verdicts", _VERDICT_COLUMNS, [_verdict_rows(cell) for cell in cells])
        found = [select for i, cell in enumerate(cells) for select in _samples(db, store, cell, i)]
        _union(db, "samples", _SAMPLE_COLUMNS, found)
        read = ((cell, rows) for cell in cells if (rows := cell.score_rows))
        _union(db, "scores", VIEW, [rows.view(_constants(cell, cell.scores.version)) for cell, rows in read])
        yield db


@contextlib.contextmanager
def _explained(store: Store, cells: Sequence[OpenCell]) -> Iterator[None]:
    """Where DuckDB or Arrow stumbled over samples: raises DamagedFile that names the file, if one is to blame."""
    try:
        yield
    except _QUERY_IS_WRONG:
        raise
    except (duckdb.Error, pa.ArrowException, NoSuchObject):
        names = {footer.samples for cell in cells for footer in cell.footers if footer.samples}
        for key in (name for name in sorted(names)):
            if store.head(key) is None:
                raise DamagedFile(f"{store.uri}: {key}: no such object, but verdicts were made from it") from None
            check_schema(check_whole(store.get(key), "samples", key), "samples", key)
        raise


def _union(db: duckdb.DuckDBPyConnection, view: str, schema: pa.Schema, selects: Sequence[str]) -> None:
    """A view that always has the columns of ``schema``, also where there are no rows or older files lack some."""
    db.register(f"no_{view}", schema.empty_table())
    db.execute(f"CREATE VIEW {view} AS " + " UNION ALL BY NAME ".join([f"SELECT * FROM no_{view}", *selects]))


def _verdict_rows(cell: OpenCell) -> str:
    return f"SELECT {_constants(cell, cell.cell.version)}, * FROM {cell.verdicts}"


def _constants(cell: OpenCell, version: str) -> str:
    names = {"model": cell.cell.model, "task": cell.cell.task, "version": version}
    return ", ".join(f"{sql_text(value)} AS {name}" for name, value in names.items())


def _samples(db: duckdb.DuckDBPyConnection, store: Store, cell: OpenCell, number: int) -> list[str]:
    """SQL for the samples that the cell's verdicts name, if there are any."""
    keys = sorted({footer.samples for footer in cell.footers if footer.samples})
    if not keys:
        return []
    if isinstance(store, DirectoryStore):
        paths = [str(store.root / key) for key in keys]
        for path, said in read_footers(db, paths).items():
            check_schema(said, "samples", path)
        source = f"read_parquet({sql_list(paths)}, union_by_name=true, hive_partitioning=false)"
    else:
        source = f"samples_of_cell_{number}"
        db.register(source, dataset_of(store, keys, "samples", SAMPLES))
    judged = f" AS held SEMI JOIN {cell.verdicts} USING (problem_idx, sample_idx)" if cell.names_others else ""
    return [f"SELECT {sql_text(cell.cell.task)} AS task, * FROM {source}{judged}"]
