"""The formats of ``troop verify --samples``: samples from anywhere in, as JSONL or Parquet, verdicts out.

Samples are strangers' data: each row is checked, and an error names it. Everything is read as a stream, as such files
outgrow memory.
"""

import hashlib
import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from sampling.errors import BadInput
from sampling.problems import load_json
from sampling.validate import Plain, parse
from verify.answers import clean
from verify.verdict import Verdict

PARQUET_BATCH = 1024  # rows
COLUMNS = ("problem", "sample", "status", "passed", "reason", "answer", "wall_s", "cpu_s", "max_rss_mb", "tier")


class SampleRow(Plain):
    """One line of a samples file."""

    problem: str = Field(strict=True)
    sample: int = Field(strict=True, ge=0)
    text: str = Field(strict=True)
    model: str | None = None

    @property
    def key(self) -> tuple[str | None, str, int]:
        return self.model, self.problem, self.sample

    @property
    def digest(self) -> str:
        """Tells this sample from every other, also from one of the same key with another text."""
        said = json.dumps([*self.key, self.text]).encode()
        return hashlib.blake2b(said, digest_size=8).hexdigest()


def read_samples(path: Path, problems: Container[str]) -> Iterator[SampleRow]:
    """The samples of a file, in its order; raises BadInput naming the row that cannot be used."""
    for where, data in _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path):
        row = parse(SampleRow, data, where)
        if row.problem not in problems:
            raise BadInput(f"{where}: problem {_short(row.problem)} is not in the task")
        if row.model is not None and not row.model.isprintable():
            raise BadInput(f"{where}: model: a printable name is needed, got {_short(row.model)}")
        yield row


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, load_json(_decoded(line, where), where)


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """The columns that a sample has, whatever others a file has beside them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = [name for name in SampleRow.model_fields if name in file.schema_arrow.names]
            for batch in file.iter_batches(PARQUET_BATCH, columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", values
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: is no Parquet file that can be read ({str(error).splitlines()[0]})") from error


def check_samples(path: Path, problems: Container[str]) -> int:
    """How many samples the file holds, when all of it can be used and no key occurs twice; raises BadInput."""
    seen: set[tuple[str | None, str, int]] = set()
    for row in read_samples(path, problems):
        if row.key in seen:
            raise BadInput(
                f"{path}: sample {row.sample} of problem {_short(row.problem)} occurs more than once; "
                "(model, problem, sample) must be unique"
            )
        seen.add(row.key)
    if not seen:
        raise BadInput(f"{path}: no samples; at least one is needed")
    return len(seen)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One line of a verdicts file, with the digest of the sample it belongs to."""

    values: dict[str, Any]
    digest: str

    @classmethod
    def of(cls, row: SampleRow, verdict: Verdict) -> "VerdictRow":
        values = {
            "problem": row.problem,
            "sample": row.sample,
            "status": verdict.status.value,
            "passed": verdict.passed,
            "reason": clean(verdict.reason),
            "answer": None if verdict.answer is None else clean(verdict.answer),
            "wall_s": round(verdict.wall_s, 6),
            "cpu_s": round(verdict.cpu_s, 6),
            "max_rss_mb": round(verdict.max_rss_mb, 3),
            "tier": verdict.tier,
        }
        return cls(values if row.model is None else {"model": row.model, **values}, row.digest)

    def line(self) -> str:
        """The row in the file of an unfinished job: the digest first, then the verdict as it will be published."""
        return f"{self.digest} {json.dumps(self.values)}\n"

    @classmethod
    def from_line(cls, line: str, where: str) -> "VerdictRow":
        digest, _, values = line.partition(" ")
        return cls(load_json(values, where), digest)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error})") from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: not UTF-8 ({error.reason} at byte {error.start} of the line)") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
