"""Writes an export: ``part-00000.parquet`` and so on, then ``_export.json``, which says that it is complete.

Every file is created, never replaced, and the target must be empty. What a call has written before it failed, it takes
away again. Equal rows make equal bytes: no file has a time, a place or a random number.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Protocol

from jobs.export.hub import HubDataSet
from jobs.export.rows import EXPORT_SCHEMA, cell_rows
from jobs.store.base import NO_METADATA, ObjectInfo, Store
from jobs.store.catalogue import read_problems
from jobs.store.encode import write_files
from jobs.store.folder import DirectoryStore
from jobs.store.merge import MERGE_LIMITS, MergeLimits
from jobs.store.open_cells import open_cells
from jobs.store.sealed_parquet import open_parquet
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, NoSuchObject, StoreError
from sampling.validate import Plain
from sampling.words import many

INDEX = "_export.json"  # readers of a folder of Parquet skip names that begin so
TRIES = 3


class Target(Protocol):
    """A place that takes the files of an export: any store, or a data set of the hub."""

    @property
    def uri(self) -> str:
        """Path or URI of the place."""

    def check(self) -> None:
        """Raises StoreError, or BadInput, where the place cannot be used."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yields what is there."""

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        """Creates a file; returns False where there is one."""

    def delete(self, key: str) -> None:
        """Removes a file."""


class ExportedFile(Plain):
    """One Parquet file of an export; its rows are of one model and task, by problem and sample."""

    name: str
    """Name of the file in the export."""

    model: str
    """Name of the model."""

    task: str
    """Name of the task."""

    version: str
    """Version of the verifiers whose verdicts the file has."""

    rows: int
    """Number of rows."""

    sha256: str
    """SHA-256 of the file."""


class ExportReport(Plain):
    """Result of ``troop export``; ``--json`` prints it."""

    run: str
    """Path or URI of the run."""

    out: str
    """Path or URI of the export."""

    rows: int
    """Number of samples that were exported."""

    files: tuple[ExportedFile, ...]
    """Files of the export, as ``_export.json`` lists them too."""

    def as_text(self) -> str:
        return f"{self.run}: {many(self.rows, 'sample')} exported to {self.out} in {many(len(self.files), 'file')}"


def export_run(stored: StoredRun, target: Target, limits: MergeLimits = MERGE_LIMITS) -> ExportReport:
    """Writes the committed rows of a run to an empty ``target``; raises BadInput and StoreError.

    Starts again where files were compacted while it read them.
    """
    check_target(stored.store, target)
    for left in reversed(range(TRIES)):
        try:
            files = _write(stored, target, limits)
        except NoSuchObject as error:
            if not left:
                raise StoreError(f"{error}; the run changes while it is read, export it when it is at rest") from error
        else:
            break
    return ExportReport(run=stored.store.uri, out=target.uri, rows=sum(file.rows for file in files), files=files)


def check_target(run: Store, target: Target) -> None:
    """Raises BadInput for a target that is in the run, or not empty."""
    if f"{target.uri}/".startswith(f"{run.uri}/"):
        raise BadInput(f"--out {target.uri}: is in the run itself, whose readers would find it; give another place")
    target.check()
    if (first := next(target.list(""), None)) is not None:
        raise BadInput(f"--out {target.uri}: not empty (it has {first.key}); give a new or empty folder or prefix")


def _write(stored: StoredRun, target: Target, limits: MergeLimits) -> tuple[ExportedFile, ...]:
    with contextlib.ExitStack() as on_failure:
        files = []
        for file, data in _files(stored, limits):
            create(target, file.name, data)
            on_failure.callback(take_away, target, file.name)
            files.append(file)
        if not files:
            raise BadInput(f"{stored.store.uri}: nothing to export, no sample is committed")
        index = {"format": 1, "files": [file.model_dump() for file in files]}
        create(target, INDEX, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())
        finish(target, "troop export")
        on_failure.pop_all()
    return tuple(files)


def _files(stored: StoredRun, limits: MergeLimits) -> Iterator[tuple[ExportedFile, bytes]]:
    problems, number = read_problems(stored.store), 0
    with open_cells(stored.store, stored.version, stored.scores) as (db, cells):
        for cell in sorted(cells, key=lambda cell: (cell.cell.model, cell.cell.task)):
            rows = cell_rows(stored.store, db, cell, problems, limits)
            for data in write_files(rows, EXPORT_SCHEMA, "export", {}, limits.part):
                names = {"model": cell.cell.model, "task": cell.cell.task, "version": cell.cell.version}
                count = open_parquet(data).metadata.num_rows
                digest = hashlib.sha256(data).hexdigest()
                yield ExportedFile(name=f"part-{number:05d}.parquet", rows=count, sha256=digest, **names), data
                number += 1


def create(target: Target, key: str, data: bytes) -> None:
    """Creates a file of an export; raises BadInput where another writer has done so."""
    if not target.put_new(key, data):
        raise BadInput(f"--out {target.uri}: another writer has just written {key} there; give a place of your own")


def take_away(target: Target, key: str) -> None:
    """Removes a file of an export that failed, as far as that is possible."""
    with contextlib.suppress(StoreError):
        target.delete(key)


def finish(target: Target, what: str) -> None:
    """Ends an export whose files are all created: a hub shows them from now on; ``what`` is said of them there."""
    if isinstance(target, DirectoryStore):
        target.remove_temporary()
    elif isinstance(target, HubDataSet):
        target.publish(what)
