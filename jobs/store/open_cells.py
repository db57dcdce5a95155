"""Opens the cells of a run for DuckDB: files of verdicts and scores, verified whole, as SQL.

All rows stay in DuckDB. A run in a folder is read in place. For a run on S3, verdicts and scores, which are narrow, are
copied to a temporary folder first.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb

from jobs.numbers.cells import OWN_SCORES
from jobs.store.base import ObjectInfo, Store
from jobs.store.catalogue import (
    CellFiles,
    ResultFile,
    choose_cells,
    follow_merge,
    read_merged_footers,
    read_versions,
)
from jobs.store.folder import DirectoryStore
from jobs.store.layout import parse_key
from jobs.store.scores import (
    CellScores,
    ScoreRows,
    choose_scores,
    missing_scores,
    read_score_versions,
    scores_of_samples,
)
from jobs.store.sealed_parquet import Footer, check_seal, parse_footer
from sampling.errors import NoSuchObject, StoreError

_PARALLEL_REQUESTS = 16
_TRIES = 3
UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)  # a file is gone: from a folder, from another store
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenCell:
    """A cell whose verdicts DuckDB can read: ``paths`` are its local files, ``footers`` their footers."""

    cell: CellFiles
    paths: tuple[str, ...]
    footers: tuple[Footer, ...]
    scores: CellScores
    score_paths: tuple[str, ...] = ()

    @property
    def names_others(self) -> bool:
        """True where unit files name a compacted shard's samples, so that some of those may have no verdict here."""
        named = (parse_key(footer.samples) for footer in self.footers)
        pairs = zip(self.cell.files, named, strict=True)
        return any(not file.compacted and key is not None and key.number is None for file, key in pairs)

    @property
    def verdicts(self) -> str:
        """SQL for the rows of this cell's verdicts."""
        return f"read_parquet({sql_list(self.paths)}, union_by_name=true, hive_partitioning=false)"

    @property
    def score_rows(self) -> ScoreRows | None:
        """SQL for the rows with scores; None where there are none, or none of the version that was asked for."""
        if self.scores.version == OWN_SCORES:
            return ScoreRows(self.verdicts, None)
        read = f"read_parquet({sql_list(self.score_paths)}, union_by_name=true, hive_partitioning=false)"
        return ScoreRows(self.verdicts, read) if self.score_paths else None


@contextlib.contextmanager
def open_cells(
    store: Store, version: str | None, asked: str | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[OpenCell]]]:
    """Opens a database with the verdicts of the chosen version and the scores of the version ``asked``.

    Paths in the cells are good inside the ``with`` alone. Raises StoreError, and BadInput for an unknown version.
    """
    chosen = choose_scores(read_score_versions(store), asked)  # listed before verdicts: what has scores is committed
    versions = read_versions(store)
    cells = choose_cells(versions, version)
    scores = [chosen.get((cell.model, cell.task), missing_scores(asked)) for cell in cells]
    merged = read_merged_footers(store, _other_compacted(versions, cells))
    with tempfile.TemporaryDirectory(prefix="troop-") as folder, _connect() as db:
        pairs = zip(cells, scores, strict=True)
        yield db, [_open_cell(db, store, cell, of_it, Path(folder), merged) for cell, of_it in pairs]


def _other_compacted(versions: Sequence[CellFiles], chosen: Sequence[CellFiles]) -> list[ResultFile]:
    """Returns compacted files, of any version, in the shards of which the chosen versions have unit files."""
    open_shards = {file.key.in_shard for cell in chosen for file in cell.files if not file.compacted}
    return [file for cell in versions for file in cell.files if file.compacted and file.key.in_shard in open_shards]


def retry_on_compaction(read: Callable[[], T]) -> T:
    """Returns what ``read`` returns; calls it again where a file that it listed was compacted and deleted meanwhile.

    Raises StoreError if it fails three times.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StoreError, *UNREADABLE):
            return read()
    try:
        return read()
    except UNREADABLE as error:
        raise StoreError(str(error).splitlines()[0]) from error


def _connect() -> duckdb.DuckDBPyConnection:
    """Opens a database in memory that takes nothing from the network and no variables from Python."""
    return duckdb.connect(config={"autoinstall_known_extensions": False, "python_enable_replacements": False})


def _open_cell(
    db: duckdb.DuckDBPyConnection,
    store: Store,
    cell: CellFiles,
    scores: CellScores,
    folder: Path,
    merged: Mapping[str, Footer],
) -> OpenCell:
    verdicts = _read_whole(db, store, cell.files, folder, "verdicts")
    footers = tuple(follow_merge(footer, merged) for footer in verdicts.values())
    scored = _read_whole(db, store, scores.files, folder, "scores") if scores.files else {}
    return OpenCell(cell, tuple(verdicts), footers, scores, tuple(scores_of_samples(scored, footers, merged)))


def _read_whole(
    db: duckdb.DuckDBPyConnection, store: Store, files: Sequence[ResultFile], folder: Path, kind: str
) -> dict[str, Footer]:
    """Returns local paths of the files with the footer of each; raises DamagedFile where one is not whole."""
    paths = local_paths(store, [file.info for file in files], folder)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(partial(_check_whole, kind), paths, [file.info.key for file in files]):
            pass
    return {path: parse_footer(metadata, path, kind) for path, metadata in read_footers(db, paths).items()}


def read_footers(db: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> dict[str, dict[bytes, bytes]]:
    """Returns the key-value pairs in the footer of each file."""
    by_path: dict[str, dict[bytes, bytes]] = {path: {} for path in paths}
    pairs = db.execute(f"SELECT file_name, key, value FROM parquet_kv_metadata({sql_list(paths)})").fetchall()
    for path, key, value in pairs:
        by_path[path][key] = value
    return by_path


def _check_whole(kind: str, path: str, key: str) -> None:
    """Verifies the seal, since DuckDB verifies no checksum and a flipped bit would change a number in a report."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise NoSuchObject(f"{key}: no such object") from error
    check_seal(data, kind, key)


def local_paths(store: Store, infos: Sequence[ObjectInfo], folder: Path) -> list[str]:
    """Returns paths of the objects: in place, if the store is a folder, else of copies made in ``folder``."""
    if isinstance(store, DirectoryStore):
        return [str(store.root / info.key) for info in infos]

    def copy(info: ObjectInfo) -> str:
        path = folder / info.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(info.key))
        return str(path)

    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        return list(pool.map(copy, infos))


def sql_list(paths: Sequence[str]) -> str:
    return "[" + ", ".join(sql_text(path) for path in paths) + "]"


def sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
