"""Catalogue of a run, known from listing it: its result files, the versions of its verdicts, its problems.

Verifying again puts a second version of the verdicts beside the first. A reader takes one version per model and task:
the version asked for, or else the one that covers most units, the newest on a tie. So a re-verification that is half
done changes no number, and takes over when it is complete.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from jobs.store.base import ObjectInfo, Store
from jobs.store.encode import encode_problem_ids, encode_problems
from jobs.store.layout import (
    FINAL,
    PROBLEMS,
    VERDICTS,
    ResultKey,
    parse_key,
    parse_problems_key,
    problems_key,
)
from jobs.store.schema import PROBLEMS_SCHEMA, VIEWS, arrow_schema
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import BadInput
from sampling.problems import Problem


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of samples, verdicts or scores: of a unit, or of a compacted shard."""

    info: ObjectInfo
    key: ResultKey

    @property
    def version(self) -> str:
        """Version of the verifiers, or of the scores."""
        assert self.key.version is not None
        return self.key.version

    @property
    def compacted(self) -> bool:
        return self.key.number is None


@dataclass(frozen=True, slots=True)
class CellFiles:
    """All files with verdicts, or with scores, of one version on one model and task."""

    model: str
    task: str
    version: str
    files: tuple[ResultFile, ...]

    @property
    def units(self) -> int:
        """Number of units that the files hold."""
        return sum(len(file.key.units) for file in self.files)

    @property
    def modified(self) -> float:
        """Time of the newest file, in seconds since the epoch."""
        return max(file.info.modified for file in self.files)


def result_files(store: Store, start: str) -> Iterator[ResultFile]:
    """Yields the results below the prefix ``start``; raises BadInput for any other Parquet file there.

    Tools that read a run with a glob would count the rows of such a file too.
    """
    for info in store.list(start):
        key = parse_key(info.key)
        if key is not None:
            yield ResultFile(info, key)
        elif info.key.endswith(".parquet"):
            raise BadInput(f"{store.uri}: {info.key} is no file of Troop's; move it away, a run holds nothing else")


def read_versions(store: Store) -> list[CellFiles]:
    """Lists every version of every model's verdicts on every task, sorted by model, task and age."""
    return group_by_cell(_current_files(store))


def group_by_cell(files: Iterable[ResultFile]) -> list[CellFiles]:
    """Returns the files by model, task and version, sorted by model, task and age."""
    cells: defaultdict[tuple[str, str, str], list[ResultFile]] = defaultdict(list)
    for file in files:
        cells[file.key.model, file.key.task, file.version].append(file)
    grouped = [CellFiles(*names, files=tuple(members)) for names, members in cells.items()]
    return sorted(grouped, key=lambda cell: (cell.model, cell.task, cell.modified, cell.version))


def choose_cells(cells: Iterable[CellFiles], version: str | None = None) -> list[CellFiles]:
    """Returns one version per model and task: ``version``, or else the most complete one, the newest on a tie."""
    versions: defaultdict[tuple[str, str], list[CellFiles]] = defaultdict(list)
    known = list(cells)
    for cell in known:
        if version in (None, cell.version):
            versions[cell.model, cell.task].append(cell)
    if version is not None and not versions:
        names = ", ".join(sorted({cell.version for cell in known})) or "none"
        raise BadInput(f"verifier version {version!r}: not in this run; it has: {names}")
    return [max(group, key=lambda cell: (cell.units, cell.modified, cell.version)) for group in versions.values()]


def _current_files(store: Store) -> list[ResultFile]:
    """Lists all verdicts once: a compacted shard replaces its units, whose files may lie there for a while yet."""
    units = list(result_files(store, VERDICTS))
    final = list(result_files(store, FINAL + VERDICTS))
    compacted = {(file.version, file.key.in_shard) for file in final}
    return final + [file for file in units if (file.version, file.key.in_shard) not in compacted]


def _read_problems(store: Store, key: str, task: str) -> pa.Table:
    rows = read_table(store.get(key), "problems", key).select(PROBLEMS_SCHEMA.names).cast(PROBLEMS_SCHEMA)
    named = rows.add_column(0, "task", pa.repeat(pa.scalar(task), len(rows)))
    return named.cast(arrow_schema(VIEWS["problems"]))


def read_merged_footers(store: Store, files: Iterable[ResultFile]) -> dict[str, Footer]:
    """Returns the footers of the compacted verdicts among ``files``, by each attempt whose samples they took in.

    Verdicts of another version may still name the attempt's own samples file, which compaction deletes.
    """
    footers = [read_footer(store.get(f.info.key), f.info.key) for f in files if f.compacted]
    return {attempt: footer for footer in footers for attempt in footer.merged}


def follow_merge(footer: Footer, merged: Mapping[str, Footer]) -> Footer:
    """Returns the footer, naming the shard's samples in place of its own where ``merged`` says that they went there."""
    key = parse_key(footer.samples)
    shard = merged.get(key.attempt) if key and key.attempt else None
    if shard is None:
        return footer
    return replace(footer, samples=shard.samples, samples_sha256=shard.samples_sha256, parts=shard.parts)


def write_problems(store: Store, task: str, first_idx: int, problems: Sequence[Problem]) -> str:
    """Stores problems of a task, ``problems[i]`` with index ``first_idx + i``, and returns their key.

    The key names the content, so that every driver of a run may write them again. Where a reference was changed, the
    newest file that holds a problem counts.
    """
    content = "\n".join(problem.model_dump_json() for problem in problems)
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]
    key = problems_key(task, first_idx, digest)
    store.put_new(key, encode_problems(first_idx, problems))
    return key


def write_problem_ids(store: Store, task: str, first_idx: int, ids: Sequence[str]) -> str:
    """Stores problems of which nothing but the ids is known, as ``write_problems`` does, and returns their key."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8", "replace")).hexdigest()[:16]
    key = problems_key(task, first_idx, digest)
    store.put_new(key, encode_problem_ids(first_idx, ids))
    return key


def read_problems(store: Store) -> pa.Table:
    """Returns the problems of a run, each once, sorted by task and index, with the columns of the view ``problems``."""
    tasks = {info: task for info in store.list(PROBLEMS) if (task := parse_problems_key(info.key)) is not None}
    tables = [
        _read_problems(store, info.key, tasks[info])
        for info in sorted(tasks, key=lambda info: (info.modified, info.key))
    ]
    everything = pa.concat_tables(tables) if tables else arrow_schema(VIEWS["problems"]).empty_table()
    newest: dict[tuple[str, int], int] = {}
    for row, names in enumerate(zip(*(everything[name].to_pylist() for name in ("task", "problem_idx")), strict=True)):
        newest[names] = row
    return everything.take(pa.array([newest[names] for names in sorted(newest)], pa.int64()))
