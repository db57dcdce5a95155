"""A DuckDB database over a run: the views ``verdicts``, ``samples``, ``scores``, ``problems``, and ``rollouts``.

Samples are wide, so they stay where they are, and a query fetches only the files that it needs. DuckDB reads a folder
itself. It would read S3 with an extension that it downloads first, which a cluster may not allow; instead it reads any
other store through Arrow and our own store, with the endpoint and credentials that the run was written with.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.fs as fs

from jobs.store.base import Store
from jobs.store.catalogue import read_problems
from jobs.store.folder import DirectoryStore
from jobs.store.open_cells import (
    UNREADABLE,
    OpenCell,
    open_cells,
    read_footers,
    retry_on_compaction,
    sql_list,
    sql_text,
)
from jobs.store.schema import ROLLOUTS, SAMPLES_SCHEMA, VIEWS, arrow_schema
from jobs.store.sealed_parquet import check_kind, check_seal
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, DamagedFile, NoSuchObject, StoreError
from sampling.words import printable

_QUERY_IS_WRONG = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.NotImplementedException,
)  # fmt: skip

Row = tuple[Any, ...]
ROWS_AT_ONCE = 1000  # rows that are in memory at a time


def run_query(stored: StoredRun, query: str) -> tuple[list[str], list[Row]]:
    """Returns column names and all rows; raises BadInput for SQL that DuckDB refuses."""

    def read() -> tuple[list[str], list[Row]]:
        with stream_query(stored, query) as (columns, batches):
            return columns, [row for batch in batches for row in batch]

    return retry_on_compaction(read)


@contextlib.contextmanager
def stream_query(stored: StoredRun, query: str) -> Iterator[tuple[list[str], Iterator[list[Row]]]]:
    """Yields column names and batches of rows, read as they are asked for; raises BadInput for SQL that DuckDB refuses.

    A file that is compacted meanwhile is no matter until the first batch is there; StoreError after that.
    """
    with _errors_in_one_line(), contextlib.ExitStack() as held:
        db, columns, first = retry_on_compaction(lambda: _start(stored, query, held))
        yield columns, _batches(db, first)


def read_table(stored: StoredRun, query: str) -> pa.Table:
    """Returns a query's whole result as an Arrow table; raises BadInput for SQL that DuckDB refuses."""

    def read() -> pa.Table:
        with query_database(stored, query) as db:
            found = db.sql(query)
            return pa.table({}) if found is None else found.to_arrow_table()  # a comment alone has no result

    with _errors_in_one_line():
        return retry_on_compaction(read)


@contextlib.contextmanager
def query_database(stored: StoredRun, query: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the database of a run with the views that a query may ask for, good inside the ``with``."""
    with open_database(stored.store, stored.version, stored.scores) as db:
        if "rollouts" in query.casefold():  # a view reads the footers of its files, so it is made where it is asked for
            _create_rollouts(db)
        yield db


def _start(
    stored: StoredRun, query: str, held: contextlib.ExitStack
) -> tuple[duckdb.DuckDBPyConnection, list[str], list[Row]]:
    """Opens the database and reads the first batch; ``held`` closes the database, if it came so far."""
    with contextlib.ExitStack() as opened:
        db = opened.enter_context(query_database(stored, query))
        columns, first = [], []
        if db.extract_statements(query):  # a comment alone has no result
            db.execute(query)
            columns, first = [column[0] for column in db.description or ()], db.fetchmany(ROWS_AT_ONCE)
        held.push(opened.pop_all())
    return db, columns, first


def _batches(db: duckdb.DuckDBPyConnection, first: list[Row]) -> Iterator[list[Row]]:
    batch = first
    while batch:
        yield batch
        batch = db.fetchmany(ROWS_AT_ONCE)


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Translates DuckDB's errors. Their text may quote a completion, so it is made printable."""
    try:
        yield
    except UNREADABLE as error:
        raise StoreError(f"sql: {printable(str(error).splitlines()[0])}; run the query again") from error
    except (duckdb.Error, ModuleNotFoundError) as error:  # a time zone needs a package of its own
        first = printable(str(error).splitlines()[0])
        raise BadInput(f"sql: {first}; views: {', '.join([*VIEWS, 'rollouts'])}") from error


@contextlib.contextmanager
def open_database(
    store: Store, version: str | None = None, scores: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a connection with the four views of files, good inside the ``with``.

    Files are read when a query asks for them; wrap queries in ``retry_on_compaction`` while the run may be compacted.
    ``samples`` has the samples of committed units alone: those that a lost attempt left behind are not seen.
    """
    with open_cells(store, version, scores) as (db, cells), _damage_named(store, cells):
        db.register("problems", read_problems(store))
        _create_view(db, "verdicts", [f"SELECT {_constants(c, c.cell.version)}, * FROM {c.verdicts}" for c in cells])
        _create_view(db, "samples", [rows for i, cell in enumerate(cells) for rows in _samples(db, store, cell, i)])
        read = ((cell, rows) for cell in cells if (rows := cell.score_rows))
        _create_view(db, "scores", [rows.view(_constants(cell, cell.scores.version)) for cell, rows in read])
        yield db


@contextlib.contextmanager
def _damage_named(store: Store, cells: Sequence[OpenCell]) -> Iterator[None]:
    """Raises DamagedFile with the file's name where DuckDB or Arrow failed on samples that are damaged or gone."""
    try:
        yield
    except _QUERY_IS_WRONG:
        raise
    except (duckdb.Error, pa.ArrowException, NoSuchObject):
        names = {key for cell in cells for footer in cell.footers for key in footer.samples_files}
        for key in sorted(names):
            if store.head(key) is None:
                raise DamagedFile(f"{store.uri}: {key}: no such object, but verdicts were made from it") from None
            check_kind(check_seal(store.get(key), "samples", key), "samples", key)
        raise


def _create_view(db: duckdb.DuckDBPyConnection, view: str, selects: Sequence[str]) -> None:
    """Creates a view that has all its columns even where there are no rows or older files lack some."""
    db.register(f"no_{view}", arrow_schema(VIEWS[view]).empty_table())
    db.execute(f"CREATE VIEW {view} AS " + " UNION ALL BY NAME ".join([f"SELECT * FROM no_{view}", *selects]))


def _create_rollouts(db: duckdb.DuckDBPyConnection) -> None:
    """Creates the view of samples with their problems and verdicts under the names that other tools use."""
    columns = ", ".join(f"{source} AS {column.name}" for column, source in ROLLOUTS)
    keys = "(model, task, problem_idx, sample_idx)"
    joined = f"samples s JOIN problems p USING (task, problem_idx) JOIN verdicts v USING {keys}"
    db.execute(f"CREATE VIEW rollouts AS SELECT {columns} FROM {joined}")


def _constants(cell: OpenCell, version: str) -> str:
    names = {"model": cell.cell.model, "task": cell.cell.task, "version": version}
    return ", ".join(f"{sql_text(value)} AS {name}" for name, value in names.items())


def _samples(db: duckdb.DuckDBPyConnection, store: Store, cell: OpenCell, number: int) -> list[str]:
    """Returns SQL for the samples that the cell's verdicts name, if there are any."""
    keys = sorted({key for footer in cell.footers for key in footer.samples_files})
    if not keys:
        return []
    without = ""
    if isinstance(store, DirectoryStore):
        paths = [str(store.root / key) for key in keys]
        footers = [check_kind(metadata, "samples", path) for path, metadata in read_footers(db, paths).items()]
        without = "EXCLUDE (model)" if min(footer["schema"] for footer in footers) < 3 else ""  # the folder names it
        source = f"read_parquet({sql_list(paths)}, union_by_name=true, hive_partitioning=false)"
    else:
        source = f"samples_of_cell_{number}"
        db.register(source, _dataset(store, keys))
    with_verdict = f" AS held SEMI JOIN {cell.verdicts} USING (problem_idx, sample_idx)" if cell.names_others else ""
    names = f"{sql_text(cell.cell.model)} AS model, {sql_text(cell.cell.task)} AS task"
    return [f"SELECT {names}, * {without} FROM {source}{with_verdict}"]


def _dataset(store: Store, keys: Sequence[str]) -> Any:
    """Returns the samples at ``keys`` as an Arrow dataset, with null for columns that an older file lacks."""
    import pyarrow.dataset as ds  # it imports pandas, where that is installed: a second

    files = fs.PyFileSystem(_SamplesFiles(store))
    return ds.dataset(list(keys), schema=SAMPLES_SCHEMA, format="parquet", filesystem=files)


class _SamplesFiles(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """A store as an Arrow file system of samples, with the few methods that reading a list of files needs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get_type_name(self) -> str:
        return "troop"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[Any]:
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> Any:
        """Returns an empty file for one that is damaged or gone: an exception here would hang DuckDB's scan."""
        with contextlib.suppress(StoreError):
            data = self.store.get(path)
            check_kind(check_seal(data, "samples", path), "samples", path)
            return pa.PythonFile(pa.BufferReader(data), mode="r")
        return pa.PythonFile(pa.BufferReader(b""), mode="r")

    open_input_stream = open_input_file

    def get_file_info_selector(self, _: Any) -> list[Any]:
        raise NotImplementedError("files are listed by the store")

    def _refuse_write(self, *_: Any) -> None:
        raise NotImplementedError("results are written through the store alone")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse_write
    move = copy_file = open_output_stream = open_append_stream = _refuse_write
