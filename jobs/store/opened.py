"""The cells of a run, opened: verdict and score files that were found whole, as SQL that DuckDB can read.

All rows stay in DuckDB. A run in a folder is read in place. Of a run on S3 the verdicts and scores, which are narrow,
are copied to a temporary folder first.
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
from jobs.store.catalogue import Cell, VerdictFile, choose_cells, merged_samples, read_versions, with_merged
from jobs.store.folder import DirectoryStore
from jobs.store.layout import parse_key
from jobs.store.schema import Footer, parse_footer
from jobs.store.scores import (
    CellScores,
    ScoreRows,
    choose_scores,
    missing_scores,
    of_these_samples,
    read_score_versions,
)
from jobs.store.whole import check_whole
from sampling.errors import NoSuchObject, StoreError

_PARALLEL_REQUESTS = 16
_TRIES = 3
UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)  # a file is gone: of a folder; of another store
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenCell:
    """A cell whose verdicts DuckDB can read. ``footers`` has what each file says of itself."""

    cell: Cell
    paths: tuple[str, ...]
    footers: tuple[Footer, ...]
    scores: CellScores
    score_paths: tuple[str, ...] = ()

    @property
    def names_others(self) -> bool:
        """Whether unit files name a shard's samples, as a version does that has judged only some of them yet."""
        named = (parse_key(footer.samples) for footer in self.footers)
        pairs = zip(self.cell.files, named, strict=True)
        return any(not file.compacted and key is not None and key.number is None for file, key in pairs)

    @property
    def verdicts(self) -> str:
        """SQL for the rows of this cell."""
        return f"read_parquet({sql_list(self.paths)}, union_by_name=true, hive_partitioning=false)"

    @property
    def score_rows(self) -> ScoreRows | None:
        """None where there are no scores, or none of the version that was asked for."""
        if self.scores.version == OWN_SCORES:
            return ScoreRows(self.verdicts, None)
        read = f"read_parquet({sql_list(self.score_paths)}, union_by_name=true, hive_partitioning=false)"
        return ScoreRows(self.verdicts, read) if self.score_paths else None


@contextlib.contextmanager
def open_cells(
    store: Store, version: str | None, asked: str | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[OpenCell]]]:
    chosen = choose_scores(read_score_versions(store), asked)  # listed first: what is scored is committed by then
    versions = read_versions(store)
    cells = choose_cells(versions, version)
    scores = [chosen.get((cell.model, cell.task), missing_scores(asked)) for cell in cells]
    merged = merged_samples(store, _beside(versions, cells))
    with tempfile.TemporaryDirectory(prefix="troop-") as folder, _connected() as db:
        pairs = zip(cells, scores, strict=True)
        yield db, [_open_cell(db, store, cell, of_it, Path(folder), merged) for cell, of_it in pairs]


def _beside(versions: Sequence[Cell], chosen: Sequence[Cell]) -> list[VerdictFile]:
    """The compacted files of other versions in shards that the chosen ones have in unit files."""
    open_shards = {file.key.in_shard for cell in chosen for file in cell.files if not file.compacted}
    return [file for cell in versions for file in cell.files if file.compacted and file.key.in_shard in open_shards]


def undisturbed(read: Callable[[], T]) -> T:
    """What ``read`` returns; it is called again where a file that it had listed was compacted and deleted meanwhile.

    Raises StoreError where it fails again and again.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StoreError, *UNREADABLE):
            return read()
    try:
        return read()
    except UNREADABLE as error:
        raise StoreError(str(error).splitlines()[0]) from error


def _connected() -> duckdb.DuckDBPyConnection:
    """A database in memory that takes nothing from the network and no variables from Python."""
    return duckdb.connect(config={"autoinstall_known_extensions": False, "python_enable_replacements": False})


def _open_cell(
    db: duckdb.DuckDBPyConnection,
    store: Store,
    cell: Cell,
    scores: CellScores,
    folder: Path,
    merged: Mapping[str, Footer],
) -> OpenCell:
    said = _whole_files(db, store, cell.files, folder, "verdicts")
    footers = tuple(with_merged(footer, merged) for footer in said.values())
    scored = _whole_files(db, store, scores.files, folder, "scores") if scores.files else {}
    return OpenCell(cell, tuple(said), footers, scores, tuple(of_these_samples(scored, footers, merged)))


def _whole_files(
    db: duckdb.DuckDBPyConnection, store: Store, files: Sequence[VerdictFile], folder: Path, kind: str
) -> dict[str, Footer]:
    """Local paths of files that were found whole, and what each says of itself."""
    paths = local_paths(store, [file.info for file in files], folder)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(partial(_check_whole, kind), paths, [file.info.key for file in files]):
            pass
    return {path: parse_footer(said, path, kind) for path, said in read_footers(db, paths).items()}


def read_footers(db: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> dict[str, dict[bytes, bytes]]:
    """The key-value pairs in the footer of each file."""
    by_path: dict[str, dict[bytes, bytes]] = {path: {} for path in paths}
    pairs = db.execute(f"SELECT file_name, key, value FROM parquet_kv_metadata({sql_list(paths)})").fetchall()
    for path, key, value in pairs:
        by_path[path][key] = value
    return by_path


def _check_whole(kind: str, path: str, key: str) -> None:
    """DuckDB verifies no checksum: a flipped bit would be another number in a report."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise NoSuchObject(f"{key}: no such object") from error
    check_whole(data, kind, key)


def local_paths(store: Store, infos: Sequence[ObjectInfo], folder: Path) -> list[str]:
    """Paths of the objects: where they are, if the store is a folder, or copies of them in ``folder``."""
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
