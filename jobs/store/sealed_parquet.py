"""Sealed Parquet files, read back: every bit as it was written, of the kind asked for, of a schema version known here.

A file of somebody else's at a key of ours, or half a file, is named and not read.

A seal is the SHA-256 of an object, kept inside the object, so that one flipped bit anywhere in it is found. Page
checksums guard the pages of a Parquet file but not its footer, which says what the columns mean. The digest is taken
over the whole object with zeros in the digest's place. It has the length of those zeros, so nothing moves.
"""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.store.layout import parse_key
from jobs.store.schema import SCHEMA_VERSION
from sampling.errors import DamagedFile, StoreError
from sampling.words import printable

_MAGIC = b"PAR1"
BLANK = "0" * 64  # stands in the digest's place: the value of the last key "sha256" in the object
_SEAL = re.compile(rb'"sha256": "([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Footer:
    """Facts about a verdicts or scores file as a whole: JSON under the key ``troop`` of its Parquet metadata."""

    attempt: str
    """Id of the attempt that wrote the file."""

    samples: str = ""
    """Key of the samples file that the verdicts or scores are about; "" where there is no text, as after an import."""

    samples_sha256: str = ""
    """SHA-256 of that samples file; "" where there is no text."""

    engine_s: float = 0.0
    """Seconds of one engine: in a verdicts file to draw the samples, in a scores file to score them."""

    merged: tuple[str, ...] = ()
    """Attempts whose samples files went into ``samples``, for a compacted shard. It stands in for their files, even
    where other verdicts still name those."""

    judge_usd: float = 0.0
    """Dollars that a paid language-model judge asked for these verdicts."""

    parts: tuple[tuple[str, str], ...] = ()
    """Key and SHA-256 of each further samples file, for a compacted shard whose text does not go into one."""

    finish: tuple[tuple[str, int], ...] = ()
    """Samples of a verdicts file by their finish reason. Empty in files of older versions, and without text."""

    @property
    def samples_files(self) -> dict[str, str]:
        """SHA-256 of every samples file by its key, in the order of their rows; empty where there is no text."""
        return dict([(self.samples, self.samples_sha256), *self.parts]) if self.samples else {}

    @property
    def metadata(self) -> dict[str, str]:
        """Object metadata of a verdicts file, for stores that keep it: readable without reading the file."""
        return {"attempt": self.attempt, "samples": self.samples, "samples-sha256": self.samples_sha256}


def read_footer(data: bytes, where: str = "verdicts", kind: str = "verdicts") -> Footer:
    """Returns the footer of a verdicts or scores file; raises StoreError, DamagedFile where a bit has changed."""
    return parse_footer(check_seal(data, kind, where), where, kind)


def parse_footer(metadata: dict[bytes, bytes], where: str, kind: str = "verdicts") -> Footer:
    """Returns the footer from a file's key-value pairs, which DuckDB reads for many files at once."""
    pairs = check_kind(metadata, kind, where)
    known = {field.name: pairs[field.name] for field in fields(Footer) if field.name in pairs}
    for name, value in known.items():
        _check_pair(name, value, where)
    if "attempt" not in known:
        raise DamagedFile(f"{where}: damaged (its footer names no attempt)")
    lists = {name: tuple((key, value) for key, value in pairs.get(name, ())) for name in ("parts", "finish")}
    return Footer(**known | {"merged": tuple(pairs.get("merged", ()))} | lists)


def _check_pair(name: str, value: object, where: str) -> None:
    """Raises DamagedFile for a value of a footer that Troop never writes.

    A key that leads out of the run would show the rows of another run; a negative cost would make room below a cap.
    """
    if name == "samples" and value != "":
        right = _is_samples_key(value)
    elif name == "parts":
        right = isinstance(value, list) and all(_is_part(pair) for pair in value)
    elif name == "finish":
        right = isinstance(value, list) and all(_is_count(pair) for pair in value)
    elif name in ("engine_s", "judge_usd"):
        right = isinstance(value, int | float) and isfinite(value) and value >= 0
    elif name == "merged":
        right = isinstance(value, list) and all(isinstance(attempt, str) for attempt in value)
    else:
        right = isinstance(value, str)
    if not right:
        raise DamagedFile(f"{where}: its footer has {name} {printable(value)[:200]!r}, which Troop does not write")


def _is_part(value: object) -> bool:
    match value:
        case [key, str()]:
            return _is_samples_key(key)
    return False


def _is_count(value: object) -> bool:
    match value:
        case [str(), int(count)]:
            return count > 0 and not isinstance(count, bool)
    return False


def _is_samples_key(value: object) -> bool:
    key = parse_key(value) if isinstance(value, str) else None
    return key is not None and key.kind == "samples"


def read_table(data: bytes, kind: str, where: str) -> pa.Table:
    """Returns the rows of a sealed file; verifies its seal and the checksum of every page. Raises StoreError."""
    check_kind(check_seal(data, kind, where), kind, where)
    try:
        return read_rows(open_parquet(data))
    except (OSError, pa.ArrowException) as error:
        raise damage(where, error) from error


def damage(where: str, error: Exception) -> Exception:
    """Returns the error to raise where a parser failed; no memory is no damage of the file."""
    if isinstance(error, MemoryError):
        return StoreError(f"{where}: no memory left to read it")
    return DamagedFile(f"{where}: damaged ({str(error).splitlines()[0]})")


def open_parquet(data: bytes | Path) -> pq.ParquetFile:
    """Opens Parquet bytes or a file; every page is verified as it is read, and a column is not read ahead."""
    source = pa.OSFile(str(data)) if isinstance(data, Path) else pa.BufferReader(data)
    return pq.ParquetFile(source, page_checksum_verification=True, buffer_size=1 << 16, pre_buffer=False)


def read_rows(
    file: pq.ParquetFile, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Returns the rows of some groups (default: all), read by this thread alone.

    Arrow's own threads may release the bytes a moment after the table is there. If the interpreter ends just then, the
    process is aborted and its exit code is lost.
    """
    return file.read_row_groups(range(file.num_row_groups) if groups is None else groups, columns, use_threads=False)


def check_seal(data: bytes, kind: str, where: str) -> dict[bytes, bytes]:
    """Returns the key-value pairs of a sealed file; raises DamagedFile, before any parser runs, if a bit has changed.

    Files of schema version 1 have no seal: their pages' checksums have to do.
    """
    if not is_whole(data):
        if (unsealed := _read_first_version(data)) is None:
            raise DamagedFile(f"{where}: {_damage_of(data, kind)}")
        return unsealed
    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    except (OSError, pa.ArrowException) as error:  # sealed by somebody who may write to the store
        raise damage(where, error) from error
    return metadata


def _read_first_version(data: bytes) -> dict[bytes, bytes] | None:
    """Returns the key-value pairs of a file of schema version 1, else None.

    A single flipped bit cannot turn a later file into one of version 1.
    """
    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(pa.BufferReader(data)).metadata or {}
        pairs = json.loads(metadata.get(b"troop", b"null"))
    except (OSError, pa.ArrowException, ValueError, RecursionError):
        return None
    return metadata if isinstance(pairs, dict) and pairs.get("schema") == 1 and "sha256" not in pairs else None


def _damage_of(data: bytes, kind: str) -> str:
    if not (data.startswith(_MAGIC) and data.endswith(_MAGIC)):
        return "not a Parquet file, or a truncated one"
    ours = b'"kind": ' in data
    return "damaged (its SHA-256 is not that of what was written)" if ours else f"is not a {kind} file of Troop's"


def check_kind(metadata: dict[bytes, bytes], kind: str, where: str) -> dict[str, Any]:
    """Returns the footer's JSON; raises StoreError for another kind, or a schema version newer than this code."""
    try:
        pairs: dict[str, Any] = json.loads(metadata.get(b"troop", b"{}"))
        version = int(pairs.get("schema", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedFile(f"{where}: damaged (its footer cannot be read)") from error
    if pairs.get("kind") != kind:
        raise DamagedFile(f"{where}: is not a {kind} file of Troop's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{where}: has {kind} schema version {version}, but this Troop reads versions up to "
            f"{SCHEMA_VERSION}; use a newer one"
        )
    return pairs


def seal(data: bytes) -> bytes:
    """Returns ``data`` with its digest in place of the last BLANK in it."""
    held = io.BytesIO(data)
    seal_in_place(held)
    return held.getvalue()


def seal_in_place(data: io.BytesIO) -> None:
    """Writes the digest of an object into it, without another copy: an object may be large."""
    at = data.getvalue().rfind(BLANK.encode())
    assert at >= 0, "nothing to seal: the object has no BLANK"
    with data.getbuffer() as view:
        view[at : at + len(BLANK)] = hashlib.sha256(view).hexdigest().encode()


def is_whole(data: bytes) -> bool:
    """Returns whether every bit of a sealed object is as it was written; False if there is no seal."""
    at = data.rfind(b'"sha256": "')
    found = _SEAL.match(data, at) if at >= 0 else None
    if found is None or found[1] == BLANK.encode():
        return False
    view, (start, end) = memoryview(data), found.span(1)
    digest = hashlib.sha256(view[:start])
    digest.update(BLANK.encode())
    digest.update(view[end:])
    return digest.hexdigest().encode() == found[1]
