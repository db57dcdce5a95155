"""Parquet files of ours, read back: every bit as it was written, of the kind asked for, of a version known here.

Whatever else lies at a key, a stranger's file or half of one, is named and not read.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.store.seal import is_whole
from sampling.errors import DamagedFile, StoreError

SCHEMA_VERSION = 2  # since 2 files are sealed
_MAGIC = b"PAR1"


def opened(data: bytes) -> pq.ParquetFile:
    """Parquet bytes, every page to be verified as it is read."""
    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)


def rows_of(
    file: pq.ParquetFile, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of some groups, or of all, read by this thread alone.

    One of Arrow's own threads may let go of the bytes a moment after the table is there; if the interpreter is ending
    by then, that aborts the process, whatever it had to say with its exit code.
    """
    return file.read_row_groups(range(file.num_row_groups) if groups is None else groups, columns, use_threads=False)


def read_table(data: bytes, kind: str, where: str) -> pa.Table:
    """The rows of a file of ours, its seal and every page's checksum verified; raises StoreError."""
    check_schema(check_whole(data, kind, where), kind, where)
    try:
        return rows_of(opened(data))
    except (OSError, pa.ArrowException) as error:
        raise DamagedFile(f"{where}: damaged ({str(error).splitlines()[0]})") from error


def check_whole(data: bytes, kind: str, where: str) -> dict[bytes, bytes]:
    """The key-value pairs of a file of ours; raises DamagedFile, before any parser sees it, if a bit has changed.

    A file of schema version 1 has no seal: there the checksums of its pages have to do.
    """
    if not is_whole(data):
        if (unsealed := _first_version(data)) is None:
            raise DamagedFile(f"{where}: {_wrong(data, kind)}")
        return unsealed
    metadata: dict[bytes, bytes] = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    return metadata


def _first_version(data: bytes) -> dict[bytes, bytes] | None:
    """The key-value pairs of a file of schema version 1, or None: no single flipped bit makes that of a later one."""
    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(pa.BufferReader(data)).metadata or {}
        said = json.loads(metadata.get(b"troop", b"null"))
    except (OSError, pa.ArrowException, ValueError):
        return None
    return metadata if isinstance(said, dict) and said.get("schema") == 1 and "sha256" not in said else None


def _wrong(data: bytes, kind: str) -> str:
    if not (data.startswith(_MAGIC) and data.endswith(_MAGIC)):
        return "not a Parquet file, or a truncated one"
    ours = b'"kind": ' in data
    return "damaged (its SHA-256 is not that of what was written)" if ours else f"is not a {kind} file of Troop's"


def check_schema(metadata: dict[bytes, bytes], kind: str, where: str) -> dict[str, Any]:
    """What the footer of a file of ours says; raises StoreError for another kind, or for a version from the future."""
    try:
        said: dict[str, Any] = json.loads(metadata.get(b"troop", b"{}"))
        version = int(said.get("schema", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{where}: damaged (its footer cannot be read)") from error
    if said.get("kind") != kind:
        raise DamagedFile(f"{where}: is not a {kind} file of Troop's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{where}: has {kind} schema version {version}, but this Troop reads versions up to "
            f"{SCHEMA_VERSION}; use a newer one"
        )
    return said
