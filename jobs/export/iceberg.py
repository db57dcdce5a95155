"""Registers the compacted files of a run as Iceberg tables, where they lie: no row is copied, no file is changed.

Compacted verdicts and the samples that they name never change, so a table only grows. What our files leave to their
folders' names (model, task, version) is each file's partition: readers take it from there, as the format's rule for
migrated Hive tables says. A file is in a table once, whoever registers at the same time: a commit that another one has
overtaken is not repeated blindly, as pyiceberg would, but planned anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.store.base import Store
from jobs.store.catalogue import ResultFile, result_files
from jobs.store.folder import DirectoryStore
from jobs.store.layout import FINAL, VERDICTS
from jobs.store.schema import SAMPLE_COLUMNS, VERDICT_COLUMNS, VIEWS, Column
from jobs.store.sealed_parquet import read_footer
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, StoreError
from sampling.validate import Plain
from sampling.words import many

_TRIES = 10
NAME = "default"  # by which a SQL catalog tells its tables from those of other catalogs in one database
_NAMES = {"verdicts": ("model", "task", "version"), "samples": ("model", "task")}
_COLUMNS = {"verdicts": VERDICT_COLUMNS, "samples": SAMPLE_COLUMNS}
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*)://.*")
_NAMESPACE = re.compile(r"\w+(\.\w+)*")
_PROPERTIES = {"commit.retry.num-retries": "0", "write.parquet.compression-codec": "zstd"}


class RegisteredTable(Plain):
    """One table after a registration."""

    name: str
    """Name of the table in its catalog."""

    files: int
    """Files of the run that the table has."""

    added: int
    """Files that this call has added."""

    rows: int
    """Rows of the files that this call has added."""


class Registered(Plain):
    """Result of ``troop register``; ``--json`` prints it."""

    run: str
    """Path or URI of the run."""

    tables: tuple[RegisteredTable, ...]
    """The tables."""

    waiting: int
    """Files of verdicts that are not compacted yet: a later call adds what becomes of them."""

    def as_text(self) -> str:
        lines = [
            f"{t.name}: {many(t.added, 'file')} added with {many(t.rows, 'row')}, {t.files:,} in all"
            for t in self.tables
        ]
        if self.waiting:
            lines.append(f"not compacted yet, and so not in the tables: {many(self.waiting, 'file')} of verdicts")
        return "\n".join(lines)


@dataclass(frozen=True)
class CatalogPlace:
    """A catalog: its name in pyiceberg's configuration, or its URL; ``warehouse`` is where new tables keep metadata."""

    where: str
    warehouse: str | None = None


@dataclass(frozen=True)
class _File:
    """One file to register: its URL, its size, and the values that its folders' names give."""

    url: str
    size: int
    names: Mapping[str, str]


def register_run(stored: StoredRun, place: CatalogPlace, namespace: str | None = None) -> Registered:
    """Adds the compacted files of a run to the tables ``verdicts`` and ``samples`` of a namespace.

    Raises BadInput for a catalog that cannot be opened, StoreError from it.
    """
    space = namespace or re.sub(r"\W+", "_", stored.store.uri.rstrip("/").rpartition("/")[2]) or "troop"
    if not _NAMESPACE.fullmatch(space):
        raise BadInput(f"--namespace {space}: allowed: letters, digits, _ and, between levels, a dot")
    found, waiting = _compacted(stored.store)
    if not found["verdicts"]:
        raise BadInput(f"{stored.store.uri}: nothing to register, no shard (256 units) is compacted yet; `troop "
                       "compact` merges full shards")  # fmt: skip
    with _Errors(place.where):
        catalog = _open(place, stored.store)
        catalog.create_namespace_if_not_exists(space)
        tables = tuple(_register(catalog, f"{space}.{kind}", kind, files) for kind, files in found.items())
    return Registered(run=stored.store.uri, tables=tables, waiting=waiting)


def _compacted(store: Store) -> tuple[dict[str, list[_File]], int]:
    """Returns the compacted files by kind, and the number of units' files beside them."""
    verdicts = list(result_files(store, FINAL + VERDICTS))
    shards = {(file.version, file.key.in_shard) for file in verdicts}
    waiting = sum((file.version, file.key.in_shard) not in shards for file in result_files(store, VERDICTS))
    samples: dict[str, _File] = {}
    for file in verdicts:
        for key in read_footer(store.get(file.info.key), file.info.key).samples_files:
            info = store.head(key)
            if info is None:
                raise StoreError(f"{store.uri}: {key}: no such object, but verdicts were made from it")
            samples[key] = _File(_url(store, key), info.size, {"model": file.key.model, "task": file.key.task})
    return {"verdicts": [_verdicts(store, file) for file in verdicts], "samples": list(samples.values())}, waiting


def _verdicts(store: Store, file: ResultFile) -> _File:
    names = {"model": file.key.model, "task": file.key.task, "version": file.version}
    return _File(_url(store, file.info.key), file.info.size, names)


def _url(store: Store, key: str) -> str:
    root = f"file://{store.uri}" if isinstance(store, DirectoryStore) else store.uri
    if strange := next((letter for letter in "?#" if letter in root), None):
        raise BadInput(f"{store.uri}: has {strange!r} in its name, which is no letter of a URL; move the run")
    return f"{root}/{key}"


def _open(place: CatalogPlace, store: Store) -> Any:
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError as error:
        raise BadInput("register: needs the package pyiceberg; `pip install 'pyiceberg[sql-sqlite]'`") from error
    found = _URL.fullmatch(place.where)
    given: dict[str, str | None] = {"warehouse": place.warehouse}
    if found and found["scheme"] in ("http", "https"):
        given |= {"type": "rest", "uri": place.where}
    elif found:
        given |= {"type": "sql", "uri": place.where}
        if place.warehouse is None:
            raise BadInput(f"--catalog {place.where}: a SQL catalog needs --warehouse, where new tables keep "
                           "their metadata; example: file:///data/warehouse")  # fmt: skip
    options = {name: value for name, value in (given | _s3(store)).items() if value is not None}
    return load_catalog(NAME if found else place.where, **options)


def _s3(store: Store) -> dict[str, str | None]:
    """Returns what pyiceberg has to know to read the run's bucket; credentials come from the AWS chain."""
    options = getattr(store, "options", None)
    if options is None:
        return {}
    style = {"path": "false", "virtual": "true"}.get(options.style)
    return {"s3.endpoint": options.endpoint, "s3.region": options.region, "s3.force-virtual-addressing": style}


def _register(catalog: Any, name: str, kind: str, files: Iterable[_File]) -> RegisteredTable:
    from pyiceberg.exceptions import CommitFailedException

    wanted = {file.url: file for file in files}
    for _ in range(_TRIES):
        try:
            table = _table(catalog, name, kind)
            there = {task.file.file_path for task in table.scan().plan_files()}
            missing = [wanted[url] for url in sorted(wanted.keys() - there)]
            rows = _append(table, missing, kind) if missing else 0
        except CommitFailedException:
            continue  # another call has changed the table meanwhile: look again which are missing
        return RegisteredTable(name=name, files=len(wanted), added=len(missing), rows=rows)
    raise StoreError(f"{name}: others commit to this table all the time; try again")


def _append(table: Any, files: Iterable[_File], kind: str) -> int:
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    rows = 0
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as snapshot:
        for file in files:
            with table.io.new_input(file.url).open() as stream:
                metadata = pq.read_metadata(stream)
            rows += metadata.num_rows
            snapshot.append_data_file(DataFile.from_args(
                content=DataFileContent.DATA, file_path=file.url, file_format=FileFormat.PARQUET,
                partition=Record(*(file.names[name] for name in _NAMES[kind])), record_count=metadata.num_rows,
                file_size_in_bytes=file.size, spec_id=table.spec().spec_id, sort_order_id=None, equality_ids=None,
                key_metadata=None,
            ))  # fmt: skip
    return rows


def _table(catalog: Any, name: str, kind: str) -> Any:
    """Returns the table, made or widened by the columns that it lacks."""
    from pyiceberg.exceptions import TableAlreadyExistsError
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    schema = _schema(kind)
    fields = (schema.find_field(one) for one in _NAMES[kind])
    spec = PartitionSpec(
        *(PartitionField(f.field_id, 1000 + i, IdentityTransform(), f.name) for i, f in enumerate(fields))
    )
    try:
        table = catalog.create_table(name, schema, partition_spec=spec, properties=_PROPERTIES)
    except TableAlreadyExistsError:
        table = catalog.load_table(name)
    names = [field.name for field in table.spec().fields]
    if names != list(_NAMES[kind]) or set(names) - set(table.schema().column_names):
        raise BadInput(f"--catalog: the table {name} is not one of Troop's; give another --namespace")
    if set(schema.column_names) - set(table.schema().column_names):
        with table.update_schema() as update:
            update.union_by_name(schema)
    if table.name_mapping() is None:  # our files have names and no ids; a catalog gives ids of its own
        mapping = table.schema().name_mapping.model_dump_json()
        with table.transaction() as transaction:
            transaction.set_properties({"schema.name-mapping.default": mapping})
    return table


def _schema(kind: str) -> Any:
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    ids = count(1)
    columns = [column for column in VIEWS["verdicts"][:3] if column.name in _NAMES[kind]]
    return Schema(*(
        NestedField(next(ids), column.name, _type(column, ids), required=not column.nullable, doc=column.about)
        for column in (*columns, *_COLUMNS[kind])
    ))  # fmt: skip


def _type(column: Column, ids: Iterator[int]) -> Any:
    from pyiceberg import types

    plain = {pa.int32(): types.IntegerType(), pa.int64(): types.LongType(), pa.uint32(): types.LongType(),
             pa.float32(): types.FloatType(), pa.bool_(): types.BooleanType(),
             pa.string(): types.StringType()}  # fmt: skip
    if pa.types.is_list(column.type):
        return types.ListType(next(ids), plain[column.type.value_type], element_required=False)
    return plain[column.type]


class _Errors:
    """Translates errors of pyiceberg and of its database into one line."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and type(error).__module__.partition(".")[0] in (
            "pyiceberg",
            "sqlalchemy",
            "requests",
        ):
            raise StoreError(f"--catalog {self.where}: {str(error).splitlines()[0]}") from error
        if isinstance(error, ValueError | OSError | KeyError):
            raise BadInput(f"--catalog {self.where}: cannot be used ({str(error).splitlines()[0]})") from error
