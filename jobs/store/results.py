"""Reading a run: per-problem counts for the estimators, and a DuckDB database for every other question.

All rows stay in DuckDB; Python sees one row per problem. A run in a folder is read in place. Of a run on S3 the
verdicts, which are narrow, are copied to a temporary folder first, and the samples are fetched one file at a time when
a query asks for them.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.numbers.cells import OWN_SCORES, AnswerCounts, CellCounts, Copies, Counts, ScoredSamples
from jobs.numbers.doubts import NEAR
from jobs.store.base import ObjectInfo, Store
from jobs.store.catalogue import (
    Cell,
    VerdictFile,
    choose_cells,
    merged_samples,
    read_problems,
    read_versions,
    with_merged,
)
from jobs.store.folder import DirectoryStore
from jobs.store.layout import parse_key
from jobs.store.remote import dataset_of
from jobs.store.schema import HASH_STRIDE, SAMPLES, VERDICTS, Footer, parse_footer
from jobs.store.scores import (
    VIEW,
    CellScores,
    ScoreRows,
    choose_scores,
    missing_scores,
    of_these_samples,
    read_score_versions,
    scored_samples,
    why_unscored,
)
from jobs.store.whole import check_schema, check_whole
from sampling.errors import DamagedFile, NoSuchObject, StoreError

_PARALLEL_REQUESTS = 16
_TRIES = 3
UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)  # a file is gone: of a folder; of another store
_QUERY_IS_WRONG = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.NotImplementedException,
)  # fmt: skip
T = TypeVar("T")
_NAMES = [pa.field("model", pa.string()), pa.field("task", pa.string())]
_VERDICT_COLUMNS = pa.schema([*_NAMES, pa.field("version", pa.string()), *VERDICTS])
_SAMPLE_COLUMNS = pa.schema([_NAMES[1], *SAMPLES])


@dataclass(frozen=True, slots=True)
class _OpenCell:
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
        return f"read_parquet({_list(self.paths)}, union_by_name=true, hive_partitioning=false)"

    @property
    def score_rows(self) -> ScoreRows | None:
        """None where there are no scores, or none of the version that was asked for."""
        if self.scores.version == OWN_SCORES:
            return ScoreRows(self.verdicts, None)
        read = f"read_parquet({_list(self.score_paths)}, union_by_name=true, hive_partitioning=false)"
        return ScoreRows(self.verdicts, read) if self.score_paths else None


def read_cells(store: Store, version: str | None = None, scores: str | None = None) -> list[CellCounts]:
    """The counts of every model on every task, of the problems that have at least one verdict.

    ``version`` is of the verifiers, ``scores`` of the scores; without them the rules of jobs.store.catalogue and
    jobs.store.scores choose.
    """

    def read() -> list[CellCounts]:
        with _opened(store, version, scores) as (db, cells):
            ids = _problem_ids(read_problems(store))
            return [_read_cell(db, cell, ids) for cell in cells]

    return undisturbed(read)


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


@contextlib.contextmanager
def open_database(
    store: Store, version: str | None = None, scores: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views ``verdicts``, ``samples``, ``scores`` and ``problems``, good inside the ``with``.

    Files are read when a query asks for them; whoever queries a run that is still compacted does so ``undisturbed``.
    ``samples`` has the samples of committed units alone: what a lost attempt left behind is not seen.
    """
    with _opened(store, version, scores) as (db, cells), _explained(store, cells):
        db.register("problems", read_problems(store))
        _union(db, "verdicts", _VERDICT_COLUMNS, [_verdict_rows(cell) for cell in cells])
        found = [select for i, cell in enumerate(cells) for select in _samples(db, store, cell, i)]
        _union(db, "samples", _SAMPLE_COLUMNS, found)
        read = ((cell, rows) for cell in cells if (rows := cell.score_rows))
        _union(db, "scores", VIEW, [rows.view(_constants(cell, cell.scores.version)) for cell, rows in read])
        yield db


@contextlib.contextmanager
def _opened(
    store: Store, version: str | None, asked: str | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[_OpenCell]]]:
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


@contextlib.contextmanager
def _explained(store: Store, cells: Sequence[_OpenCell]) -> Iterator[None]:
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
) -> _OpenCell:
    said = _whole_files(db, store, cell.files, folder, "verdicts")
    footers = tuple(with_merged(footer, merged) for footer in said.values())
    scored = _whole_files(db, store, scores.files, folder, "scores") if scores.files else {}
    return _OpenCell(cell, tuple(said), footers, scores, tuple(of_these_samples(scored, footers, merged)))


def _whole_files(
    db: duckdb.DuckDBPyConnection, store: Store, files: Sequence[VerdictFile], folder: Path, kind: str
) -> dict[str, Footer]:
    """Local paths of files that were found whole, and what each says of itself."""
    paths = local_paths(store, [file.info for file in files], folder)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(partial(_check_whole, kind), paths, [file.info.key for file in files]):
            pass
    return {path: parse_footer(said, path, kind) for path, said in _said(db, paths).items()}


def _said(db: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> dict[str, dict[bytes, bytes]]:
    """The key-value pairs in the footer of each file."""
    by_path: dict[str, dict[bytes, bytes]] = {path: {} for path in paths}
    pairs = db.execute(f"SELECT file_name, key, value FROM parquet_kv_metadata({_list(paths)})").fetchall()
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


def _union(db: duckdb.DuckDBPyConnection, view: str, schema: pa.Schema, selects: Sequence[str]) -> None:
    """A view that always has the columns of ``schema``, also where there are no rows or older files lack some."""
    db.register(f"no_{view}", schema.empty_table())
    db.execute(f"CREATE VIEW {view} AS " + " UNION ALL BY NAME ".join([f"SELECT * FROM no_{view}", *selects]))


def _verdict_rows(cell: _OpenCell) -> str:
    return f"SELECT {_constants(cell, cell.cell.version)}, * FROM {cell.verdicts}"


def _constants(cell: _OpenCell, version: str) -> str:
    names = {"model": cell.cell.model, "task": cell.cell.task, "version": version}
    return ", ".join(f"{_text(value)} AS {name}" for name, value in names.items())


def _samples(db: duckdb.DuckDBPyConnection, store: Store, cell: _OpenCell, number: int) -> list[str]:
    """SQL for the samples that the cell's verdicts name, if there are any."""
    keys = sorted({footer.samples for footer in cell.footers if footer.samples})
    if not keys:
        return []
    if isinstance(store, DirectoryStore):
        paths = [str(store.root / key) for key in keys]
        for path, said in _said(db, paths).items():
            check_schema(said, "samples", path)
        source = f"read_parquet({_list(paths)}, union_by_name=true, hive_partitioning=false)"
    else:
        source = f"samples_of_cell_{number}"
        db.register(source, dataset_of(store, keys, "samples", SAMPLES))
    judged = f" AS held SEMI JOIN {cell.verdicts} USING (problem_idx, sample_idx)" if cell.names_others else ""
    return [f"SELECT {_text(cell.cell.task)} AS task, * FROM {source}{judged}"]


def _read_cell(db: duckdb.DuckDBPyConnection, cell: _OpenCell, ids: Mapping[tuple[str, int], str]) -> CellCounts:
    counts, statuses, tiers = _counted(db, cell)
    idx = counts["problem_idx"]
    task = cell.cell.task
    scored, unscorable = _scored(db, cell, counts)
    exact, hashed = not counts["unhashed"].any(), counts["unhashed"].sum() < (counts["n"] + counts["faults"]).sum()
    return CellCounts(
        model=cell.cell.model,
        task=task,
        problem_ids=tuple(ids.get((task, int(i)), str(i)) for i in idx),
        n=_ints(counts["n"]),
        c=_ints(counts["c"]),
        faults=_ints(counts["faults"]),
        timeouts=_ints(counts["timeouts"]),
        status_counts=statuses,
        tokens=int(counts["tokens"].sum()),
        prompt_tokens=int(counts["prompt_tokens"].sum()),
        engine_s=sum(footer.engine_s for footer in cell.footers),
        judge_usd=sum(footer.judge_usd for footer in cell.footers),
        duplicate_rate=_duplicate_rate(db, cell, exact),
        billed_prompt_tokens=int(counts["billed"].sum()),
        answers=_answers(db, cell, idx) if counts["answers"].any() else (),
        tiers=tiers,
        version=cell.cell.version,
        scored=scored,
        scores=cell.scores.version if scored else "",
        unscorable=unscorable,
        copies=_copies(db, cell, exact) if hashed else None,
    )


def _scored(
    db: duckdb.DuckDBPyConnection, cell: _OpenCell, counts: Mapping[str, Counts]
) -> tuple[tuple[ScoredSamples, ...], str]:
    """The scored samples of each problem, where there are scores, and what they lack."""
    rows = cell.score_rows
    if rows is None or (rows.scores is None and not counts["scores"].any()):
        return (), ""
    scored, too_many = scored_samples(db, rows, counts["problem_idx"])
    return scored, too_many or why_unscored(db, rows, int(counts["all"].sum()))


def _counted(
    db: duckdb.DuckDBPyConnection, cell: _OpenCell
) -> tuple[dict[str, Counts], dict[str, int], dict[str, int]]:
    """What is counted by problem, in the order of problem_idx, and how often each status and each tier occurs.

    One pass over the rows for all of it, by problem, status and tier; the few rows that gives are added up here.
    """
    parts = db.sql(f"""
        SELECT problem_idx, status, tier, count(*) AS "all", count(*) FILTER (passed) AS c,
            coalesce(sum(tokens), 0)::BIGINT AS tokens, coalesce(max(prompt_tokens), 0) AS prompt_tokens,
            coalesce(sum(prompt_tokens), 0)::BIGINT AS billed,
            count(*) - count(text_hash) AS unhashed, count(answer) AS answers, count(score) AS scores
        FROM {cell.verdicts} GROUP BY problem_idx, status, tier ORDER BY problem_idx""").to_arrow_table()
    for name, wanted in (("faults", pc.equal), ("n", pc.not_equal)):
        parts = parts.append_column(name, pc.if_else(wanted(parts["status"], "fault"), parts["all"], 0))
    late = pc.if_else(pc.equal(parts["status"], "timeout"), parts["all"], 0)
    parts = parts.append_column("timeouts", late)
    sums = [name for name in parts.column_names if name not in ("problem_idx", "status", "tier", "prompt_tokens")]
    whole = parts.group_by("problem_idx", use_threads=False).aggregate(
        [("prompt_tokens", "max"), *((name, "sum") for name in sums)]
    )
    counts = {name.removesuffix("_sum").removesuffix("_max"): _ints(whole[name]) for name in whole.column_names}
    return counts, _shares(parts, "status"), _shares(parts, "tier")


def _shares(parts: pa.Table, name: str) -> dict[str, int]:
    """How many rows have each value of a column; those without one are not counted."""
    whole = parts.group_by(name, use_threads=False).aggregate([("all", "sum")]).sort_by(name)
    pairs = zip(whole[name].to_pylist(), whole["all_sum"].to_pylist(), strict=True)
    return {value: count for value, count in pairs if value is not None}


def _duplicate_rate(db: duckdb.DuckDBPyConnection, cell: _OpenCell, exact: bool) -> float | None:
    """The share of texts that occurred before in their problem; where not all hashes are kept, among those that are."""
    kept = "text_hash IS NOT NULL" if exact else f"text_hash % {HASH_STRIDE} = 0"
    rows = f"SELECT count(*) AS n FROM {cell.verdicts} WHERE {kept} GROUP BY problem_idx, text_hash"
    texts, distinct = db.execute(f"SELECT coalesce(sum(n), 0), count(*) FROM ({rows})").fetchall()[0]
    return 1 - int(distinct) / int(texts) if texts else None


def _copies(db: duckdb.DuckDBPyConnection, cell: _OpenCell, exact: bool) -> Copies | None:
    """How many pairs of a problem's samples have the same text; near ones share a block of ``NEAR`` indices."""
    kept = "text_hash IS NOT NULL" if exact else f"text_hash % {HASH_STRIDE} = 0"
    found = db.execute(f"""
        WITH parts AS (SELECT problem_idx, text_hash, count(*) AS n FROM {cell.verdicts} WHERE {kept}
            GROUP BY problem_idx, text_hash, sample_idx // {NEAR}),
        texts AS (SELECT sum(n) AS n, sum(n * (n - 1)) AS near FROM parts GROUP BY problem_idx, text_hash),
        blocks AS (SELECT problem_idx, count(*) AS n FROM {cell.verdicts} GROUP BY problem_idx, sample_idx // {NEAR}),
        problems AS (SELECT sum(n) AS n, sum(n * (n - 1)) AS near FROM blocks GROUP BY problem_idx)
        SELECT sum(near), sum(n * (n - 1)) FROM texts UNION ALL SELECT sum(near), sum(n * (n - 1)) FROM problems
        """).fetchall()
    (near_equal, equal), (near, pairs) = ((int(a or 0), int(b or 0)) for a, b in found)
    return Copies(near_equal, near, equal - near_equal, pairs - near, 1.0 if exact else 1 / HASH_STRIDE)


def _answers(db: duckdb.DuckDBPyConnection, cell: _OpenCell, idx: Counts) -> tuple[AnswerCounts, ...]:
    """The distinct answers of each problem in ``idx``, most frequent first; right if most of its verdicts say so."""
    found = db.execute(f"""
        SELECT problem_idx, count(*) AS n, 2 * count(*) FILTER (passed) > count(*) AS is_right
        FROM {cell.verdicts} WHERE answer IS NOT NULL AND status <> 'fault'
        GROUP BY problem_idx, answer ORDER BY problem_idx, n DESC, answer""").fetchnumpy()
    starts, ends = (np.searchsorted(found["problem_idx"], idx, side) for side in ("left", "right"))
    n, right = _ints(found["n"]), np.asarray(found["is_right"], dtype=np.bool_)
    return tuple(AnswerCounts(n[a:b], right[a:b]) for a, b in zip(starts, ends, strict=True))


def _problem_ids(problems: pa.Table) -> dict[tuple[str, int], str]:
    columns = [problems[name].to_pylist() for name in ("task", "problem_idx", "problem_id")]
    return {(task, idx): name for task, idx, name in zip(*columns, strict=True)}


def _ints(column: Any) -> Counts:
    return np.asarray(column, dtype=np.int64)


def _list(paths: Sequence[str]) -> str:
    return "[" + ", ".join(_text(path) for path in paths) + "]"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
