"""What a run holds, known from listing it: its verdict files, the versions of its verifiers, its problems.

Verifying again puts a second version of the verdicts beside the first. A reader takes one version per model and task:
the one given, or else the one that covers most units, the newer of equals. So a re-verification that is half done
changes no number, and takes over when it is complete.
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
from jobs.store.schema import PROBLEMS as PROBLEMS_SCHEMA
from jobs.store.schema import Footer, read_footer
from jobs.store.whole import read_table
from sampling.errors import BadInput
from sampling.problems import Problem


@dataclass(frozen=True, slots=True)
class VerdictFile:
    """One committed verdicts file: of a unit, or of a compacted shard. Scores of a unit come as one, too."""

    info: ObjectInfo
    key: ResultKey

    @property
    def version(self) -> str:
        assert self.key.version is not None
        return self.key.version

    @property
    def compacted(self) -> bool:
        return self.key.number is None


@dataclass(frozen=True, slots=True)
class Cell:
    """All verdicts of one model on one task under one version of the verifier. ``modified``: when the last came."""

    model: str
    task: str
    version: str
    files: tuple[VerdictFile, ...]

    @property
    def units(self) -> int:
        return sum(len(file.key.units) for file in self.files)

    @property
    def modified(self) -> float:
        return max(file.info.modified for file in self.files)


def result_files(store: Store, start: str) -> Iterator[tuple[ObjectInfo, ResultKey]]:
    """The results below ``start`` with what their keys say; raises BadInput for any other Parquet file there.

    Whoever reads a run with a glob would count its rows too.
    """
    for info in store.list(start):
        key = parse_key(info.key)
        if key is not None:
            yield info, key
        elif info.key.endswith(".parquet"):
            raise BadInput(f"{store.uri}: {info.key} is no file of Troop's; move it away, a run holds nothing else")


def read_versions(store: Store) -> list[Cell]:
    """Every version of every model's verdicts on every task, sorted by model, task and age."""
    return cells_of(_current_files(store))


def cells_of(found: Iterable[VerdictFile]) -> list[Cell]:
    """The same files by cell."""
    cells: defaultdict[tuple[str, str, str], list[VerdictFile]] = defaultdict(list)
    for file in found:
        cells[file.key.model, file.key.task, file.version].append(file)
    made = [Cell(*names, files=tuple(files)) for names, files in cells.items()]
    return sorted(made, key=lambda cell: (cell.model, cell.task, cell.modified, cell.version))


def choose_cells(cells: Iterable[Cell], version: str | None = None) -> list[Cell]:
    """One cell per model and task: of the version asked for, or the most complete one, the newest of equals."""
    versions: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    known = list(cells)
    for cell in known:
        if version in (None, cell.version):
            versions[cell.model, cell.task].append(cell)
    if version is not None and not versions:
        names = ", ".join(sorted({cell.version for cell in known})) or "none"
        raise BadInput(f"verifier version {version!r}: not in this run; it has: {names}")
    return [max(group, key=lambda cell: (cell.units, cell.modified, cell.version)) for group in versions.values()]


def _current_files(store: Store) -> list[VerdictFile]:
    """All verdicts once: a compacted shard is read in place of its units, which may lie there for a while yet."""
    units = [VerdictFile(*found) for found in result_files(store, VERDICTS)]
    final = [VerdictFile(*found) for found in result_files(store, FINAL + VERDICTS)]
    compacted = {(file.version, file.key.in_shard) for file in final}
    return final + [file for file in units if (file.version, file.key.in_shard) not in compacted]


def merged_samples(store: Store, files: Iterable[VerdictFile]) -> dict[str, Footer]:
    """By attempt: what the compacted verdicts among ``files`` say of the samples file that took the attempt's in.

    Verdicts of another version may still name the attempt's own samples file, which compaction deletes.
    """
    footers = [read_footer(store.get(f.info.key), f.info.key) for f in files if f.compacted]
    return {attempt: footer for footer in footers for attempt in footer.merged}


def with_merged(footer: Footer, merged: Mapping[str, Footer]) -> Footer:
    """The footer of a verdicts file, naming the samples that stand in for its own where those were merged."""
    key = parse_key(footer.samples)
    taken = merged.get(key.attempt) if key and key.attempt else None
    return replace(footer, samples=taken.samples, samples_sha256=taken.samples_sha256) if taken else footer


def write_problems(store: Store, task: str, first_idx: int, problems: Sequence[Problem]) -> str:
    """Keeps the problems of a task beside its results: ``problems[i]`` has index ``first_idx + i``. Returns the key.

    The key names the content, so that every driver of a run may write them again. Where a reference was changed, the
    newest file that holds a problem counts.
    """
    content = "\n".join(problem.model_dump_json() for problem in problems)
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]
    key = problems_key(task, first_idx, digest)
    store.put_new(key, encode_problems(task, first_idx, problems))
    return key


def write_problem_ids(store: Store, task: str, first_idx: int, ids: Sequence[str]) -> str:
    """The same for problems of which nothing but the ids is known. Returns the key."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8", "replace")).hexdigest()[:16]
    key = problems_key(task, first_idx, digest)
    store.put_new(key, encode_problem_ids(task, first_idx, ids))
    return key


def read_problems(store: Store) -> pa.Table:
    """The problems of a run, each once, sorted by task and index; columns as in ``schema.PROBLEMS``."""
    listed = store.list(PROBLEMS)
    infos = [info for info in listed if parse_problems_key(info.key) is not None]
    infos.sort(key=lambda info: (info.modified, info.key))
    tables = [read_table(store.get(info.key), "problems", info.key).select(PROBLEMS_SCHEMA.names) for info in infos]
    if not tables:
        return PROBLEMS_SCHEMA.empty_table()
    everything = pa.concat_tables([table.cast(PROBLEMS_SCHEMA) for table in tables])
    newest: dict[tuple[str, int], int] = {}
    for row, names in enumerate(zip(*(everything[name].to_pylist() for name in ("task", "problem_idx")), strict=True)):
        newest[names] = row
    return everything.take([newest[names] for names in sorted(newest)])
