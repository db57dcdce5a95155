"""Reads the tables of ``troop import`` with DuckDB: Parquet, CSV or JSONL, with other names for Troop's columns.

Tables come from strangers. A missing, repeated or impossible value would become a wrong number in a report. Every row
is therefore checked before the first is used, and the error names the first bad row.
"""

import contextlib
import gzip
import re
import shutil
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from sampling.errors import BadInput
from sampling.samples import OTHER_NAMES, ProblemIds
from sampling.words import many
from verify.verdict import Status

LARGEST = 2**31 - 1  # the largest number in a 32-bit column: sample numbers, counts, tokens
READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".jsonl": "read_json", ".ndjson": "read_json"}
_MEMORY = "1500MB"  # for DuckDB; larger data goes to a temporary file
_TRUE, _FALSE = "'true', '1', '1.0'", "'false', '0', '0.0'"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of table: its required and optional columns; those in ``numbers`` hold whole numbers."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*NAMES, *self.required, *self.optional)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(name for name in (*NAMES, "problem", "sample") if name in self.columns)


NAMES = ("model", "task")
IDS = (*NAMES, "problem")
NUMBERED = "sample"  # a table without this column is numbered in the order of its rows
AN_ID = "text, or whole numbers"
JSON_IDS = ("VARCHAR", "UBIGINT", "BIGINT", "HUGEINT", "NULL")  # DuckDB's types of JSON values that an id may be
PARQUET_IDS = ("VARCHAR", "BLOB", "ENUM", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "NULL", '"NULL"')
_SAID = ("passed", "status", "score", "answer", "tokens", "prompt_tokens")
OUTCOMES = Kind("outcomes", ("problem", "sample"), _SAID, ("sample", "tokens", "prompt_tokens"))
SAMPLES = Kind("samples", ("problem", "sample", "text"), _SAID, ("sample", "tokens", "prompt_tokens"))
COUNTS = Kind("counts", ("problem", "n", "c"), (), ("n", "c"))


@dataclass(frozen=True, slots=True)
class Table:
    """A file and how to read it.

    ``columns`` maps Troop's column names to the file's; other columns are taken by their own name or one of
    ``OTHER_NAMES``, if the file has them. ``constants`` gives the model or the task of all rows. ``ids`` are those of
    the task's problems, where they are known.
    """

    kind: Kind
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    ids: ProblemIds | None = None


def parse_columns(text: str, names: Collection[str], option: str) -> dict[str, str]:
    """Parses ``model=Model,problem=Problem Idx`` into a mapping; raises BadInput with the allowed ``names``."""
    allowed = f"allowed for --{option}: {', '.join(names)}"
    found: dict[str, str] = {}
    for part in re.split(r",\s*(?=\w+=)", text) if text else []:
        name, equals, column = part.partition("=")
        if not equals or not column:
            raise BadInput(f"--columns {part!r}: not a mapping; write it as name=column,name=column; {allowed}")
        if name not in names or name in found:
            raise BadInput(f"--columns: {name!r} {'is given twice' if name in found else 'is no column'}; {allowed}")
        found[name] = column
    return found


@contextlib.contextmanager
def open_table(table: Table, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a database that has the checked rows of the table in ``rows``; raises BadInput.

    ``rows`` has Troop's columns, as text except for numbers, and ``status`` instead of ``passed``. ``folder`` holds
    what does not fit into memory.
    """
    if not table.path.is_file():
        raise BadInput(f"{table.path}: no such file")
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
        "memory_limit": _MEMORY,
    }
    with duckdb.connect(folder / "import.db", config=config) as db, _translated(table):
        file = _without_mark(table.path, folder)
        _read(db, table, file, _mapped(db, table, file))
        _name_problems(db, table)
        _check_numbers(db, table)
        _check_rows(db, table)
        yield db


def _without_mark(path: Path, folder: Path) -> Path:
    """Returns the path; of JSONL with a byte order mark, which DuckDB refuses, the path of a copy in ``folder``."""
    if _reader(path) != "read_json":
        return path
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            return path
        with (folder / "rows.jsonl").open("wb") as copy:
            shutil.copyfileobj(file, copy)
    return folder / "rows.jsonl"


@contextlib.contextmanager
def _translated(table: Table) -> Iterator[None]:
    """Translates DuckDB's errors into BadInput of one line that names the file."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException, OSError, EOFError) as error:
        first = str(error).splitlines()[0]
        raise BadInput(f"{table.path}: cannot be read as {table.path.suffix.lstrip('.')} ({first})") from error


def _source(path: Path, options: str = "") -> str:
    reader = _reader(path)
    formats = {"read_parquet": "", "read_csv": ", all_varchar=true", "read_json": ", format='newline_delimited'"}
    return f"{reader}({text(str(path))}{formats[reader]}{options})"


def _reader(path: Path) -> str:
    reader = READERS.get(Path(path.name.removesuffix(".gz")).suffix)
    if reader is None:
        raise BadInput(f"{path}: unknown kind of file; allowed: {', '.join(READERS)}, and .csv.gz, .jsonl.gz")
    return reader


def _mapped(db: duckdb.DuckDBPyConnection, table: Table, file: Path) -> dict[str, str]:
    """Returns the file's column for each of Troop's columns that it has; raises BadInput where one is missing."""
    described = db.execute(f"DESCRIBE SELECT * FROM {_source(file)}").fetchall()
    held = {str(name): str(kind) for name, kind, *_ in described}
    if _reader(file) == "read_csv":
        _check_header(file, held)
    for name, column in table.columns.items():
        if column not in held:
            raise BadInput(f"{table.path}: no column {column!r} (for {name}); it has: {', '.join(held)}")
    known = [(name, other) for name in table.kind.columns for other in (name, *OTHER_NAMES.get(name, ()))]
    mapped = {name: other for name, other in reversed(known) if other in held} | dict(table.columns)
    for name in table.constants:
        if mapped.pop(name, None) and name in table.columns:
            raise BadInput(f"--{name}: --columns names a column for it too; give one of them, not both")
    for name in (*NAMES, *table.kind.required):
        if name not in mapped and name not in table.constants and name != NUMBERED:
            instead = f", or give one {name} for all rows with --{name}" if name in NAMES else ""
            raise BadInput(f"{table.path}: no column for {name}; map one with --columns {name}=…{instead}; "
                           f"it has: {', '.join(held)}")  # fmt: skip
    if table.kind is OUTCOMES and not {"passed", "status"} & mapped.keys():
        raise BadInput(f"{table.path}: no column for passed; map one with --columns passed=… (or status=…); "
                       f"it has: {', '.join(held)}")  # fmt: skip
    if "passed" in mapped and "status" in mapped:
        if {"passed", "status"} <= table.columns.keys():
            raise BadInput("--columns: passed and status mean the same; map only one of them")
        del mapped["status" if "passed" in table.columns else "passed"]
    if _reader(file) == "read_parquet":
        _check_ids(held, table, mapped)
    return mapped


def _read(db: duckdb.DuckDBPyConnection, table: Table, file: Path, mapped: Mapping[str, str]) -> None:
    """Creates the table ``given``: the file's rows under Troop's column names, all as text."""
    is_json = _reader(file) == "read_json"
    ids = {column for name, column in mapped.items() if name in IDS}
    types = ", ".join(f"{text(name)}: '{'JSON' if name in ids else 'VARCHAR'}'" for name in set(mapped.values()))
    source = _source(file, f", columns={{{types}}}" if is_json else "")
    columns = []
    for name, column in mapped.items():
        is_id = is_json and column in ids
        columns.append(
            f"{_quoted(column)} ->> '$' AS {name}" if is_id else f"CAST({_quoted(column)} AS VARCHAR) AS {name}"
        )
        columns += [f"json_type({_quoted(column)}) AS {_kind_of(name)}"] if is_id else []
    columns += [f"{text(value)} AS {name}" for name, value in table.constants.items()]
    rows = f"SELECT {', '.join(columns)} FROM {source}"
    if NUMBERED in table.kind.required and NUMBERED not in mapped:
        number = f"row_number() OVER (PARTITION BY {', '.join(IDS)} ORDER BY place) - 1"
        rows = f"SELECT * EXCLUDE (place), CAST({number} AS VARCHAR) AS {NUMBERED} FROM ({_placed(rows)})"
    db.execute(f"CREATE TABLE given AS {rows}")
    for name in IDS if is_json else ():
        if name in mapped:
            wrong = f"{_kind_of(name)} NOT IN ({', '.join(map(text, JSON_IDS))})"
            _refuse(db, table, wrong, f"{name} is {{}}; allowed: {AN_ID}", shown=name)
            db.execute(f"ALTER TABLE given DROP COLUMN {_kind_of(name)}")
    if not db.execute("SELECT count(*) FROM given").fetchall()[0][0]:
        raise BadInput(f"{table.path}: no rows; at least one is needed")


def _placed(rows: str) -> str:
    """Returns a query with each row's place in the file, which DuckDB keeps where it is asked for no other order."""
    return f"SELECT *, row_number() OVER () AS place FROM ({rows})"


def _name_problems(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Gives each problem the id that the task has for it; an id that the task does not have stays as it is."""
    if table.ids is None:
        return
    given = [name for (name,) in db.execute("SELECT DISTINCT problem FROM given WHERE problem IS NOT NULL").fetchall()]
    others = [(name, found) for name in given if (found := table.ids.find(name)) not in (None, name)]
    if others:
        db.execute("CREATE TEMP TABLE names (other VARCHAR, own VARCHAR)")
        db.executemany("INSERT INTO names VALUES (?, ?)", others)
        db.execute("UPDATE given SET problem = own FROM names WHERE problem = other")


def _kind_of(name: str) -> str:
    return f"kind_of_{name}"


def _check_ids(held: Mapping[str, str], table: Table, mapped: Mapping[str, str]) -> None:
    """Raises BadInput for a column of ids that Parquet holds as numbers with a fraction, truths or times."""
    for name in IDS:
        kind = held[mapped[name]] if name in mapped else "VARCHAR"
        if not kind.startswith(PARQUET_IDS) or kind.endswith("]"):
            raise BadInput(f"{table.path}: column {mapped[name]!r} (for {name}) is {kind}; allowed: {AN_ID}")


def _check_header(path: Path, held: Iterable[str]) -> None:
    """Raises BadInput for a CSV file with two columns of one name, of which DuckDB renames the second."""
    with gzip.open(path, "rt", errors="replace") if path.suffix == ".gz" else path.open(errors="replace") as file:
        header = file.readline()
    for name in held:
        base = re.sub(r"_\d+$", "", name)
        if base != name and base in held and name not in header:
            raise BadInput(f"{path}: two columns are called {base!r}; give each column a name of its own")


def _check_numbers(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Creates ``rows`` from ``given`` after every value has been checked against its column's type."""
    held = [str(row[0]) for row in db.execute("DESCRIBE given").fetchall()]
    for name in (*NAMES, *table.kind.required):
        _refuse(db, table, f"coalesce({name}, '') = ''", f"{name} is missing")
    allowed = {"passed": "0, 1, true or false (a graded value is a score)", "score": "a finite number",
               "status": f"one of {', '.join(status.value for status in Status)}"}  # fmt: skip
    for name in held:
        wrong = _wrong(name, table.kind)
        if wrong:
            what = allowed.get(name, f"a whole number from 0 to {LARGEST:,}")
            _refuse(db, table, wrong, f"{name} is {{}}; allowed: {what}", shown=name)
    db.execute(f"CREATE TABLE rows AS SELECT {', '.join(_typed(name, table.kind) for name in held)} FROM given")
    db.execute("DROP TABLE given")


def _wrong(name: str, kind: Kind) -> str | None:
    """Returns SQL that selects the rows of ``given`` with a wrong value in a column, or None if all are right.

    A missing value is right in an optional column.
    """
    if name == "passed":
        return f"passed IS NULL OR lower(passed) NOT IN ({_TRUE}, {_FALSE})"
    if name == "status":
        return f"status IS NULL OR status NOT IN ({', '.join(text(status.value) for status in Status)})"
    if name == "score":
        return "score IS NOT NULL AND NOT coalesce(isfinite(TRY_CAST(score AS FLOAT)), false)"
    if name in kind.numbers:
        return f"NOT regexp_full_match({name}, '[0-9]+([.]0)?') OR TRY_CAST({name} AS DOUBLE) > {LARGEST}"
    return None


def _typed(name: str, kind: Kind) -> str:
    if name == "passed":
        return f"CASE WHEN lower(passed) IN ({_TRUE}) THEN 'pass' ELSE 'fail' END AS status"
    kinds = {"score": "FLOAT"} | dict.fromkeys(kind.numbers, "INTEGER")
    return f"CAST({name} AS {kinds[name]}) AS {name}" if name in kinds else name


def _check_rows(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Raises BadInput where two columns contradict each other, or two rows have the same key."""
    if table.kind is COUNTS:
        _refuse(db, table, "c > n", "c={} of n={}; 0 <= c <= n is needed", shown="c, n", source="rows")
    key = table.kind.key
    found = db.execute(f"SELECT {', '.join(key)} FROM rows GROUP BY ALL HAVING count(*) > 1 LIMIT 1").fetchall()
    if found:
        where = ", ".join(f"{name} {value!r}" for name, value in zip(key, found[0], strict=True))
        mixed = [name for name in NAMES if name in table.constants]
        hint = f"; if the table mixes several, map a column for {' and '.join(mixed)}" if mixed else ""
        raise BadInput(f"{table.path}: {where} occurs more than once; ({', '.join(key)}) must be unique{hint}")


def _refuse(
    db: duckdb.DuckDBPyConnection, table: Table, condition: str, says: str, shown: str = "", source: str = "given"
) -> None:
    """Raises BadInput if the condition holds for any row; names the first such row and their number."""
    count = db.execute(f"SELECT count(*) FROM {source} WHERE {condition}").fetchall()[0][0]
    if count:
        columns = f"{shown}, {_row(table.kind)}" if shown else _row(table.kind)
        query = f"SELECT {columns} FROM {source} WHERE {condition} LIMIT 1"
        *values, place = db.execute(query).fetchall()[0]
        raise BadInput(f"{table.path}: {says.format(*values)}; in {many(count, 'row')}, the first is {place}")


def _row(kind: Kind) -> str:
    """Returns SQL that names a row by its keys."""
    return "concat_ws(', ', " + ", ".join(f"'{name} ' || coalesce({name}::VARCHAR, '?')" for name in kind.key) + ")"


def text(value: str) -> str:
    """Returns a string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
