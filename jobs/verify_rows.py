"""The rows of ``troop verify --samples``: reads samples, writes verdicts, both as JSONL or Parquet.

Samples come from strangers: each row is checked, and an error names it. Rows are read and written as streams, because
such files outgrow memory.
"""

import gzip
import hashlib
import json
import os
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from sampling.errors import BadInput
from sampling.problems import load_json
from sampling.samples import OTHER_NAMES, ProblemIds
from sampling.tasks.parquet import read_batches
from sampling.validate import Id, Plain, parse
from verify.answers import clean
from verify.verdict import Verdict

PARQUET_BATCH = 1024  # rows read at a time
PARQUET_ROWS = 100_000  # rows written at a time


class SampleRow(Plain):
    """One line of a samples file: a completion of a problem."""

    problem: Id
    """Id of the problem, `task_id` in files of HumanEval and EvalPlus; the task of `--task` must have it."""
    sample: int = Field(strict=True, ge=0)
    """Number of the sample: 0, 1, 2, …, unique for its model and problem. Default: by the order of the lines."""
    text: str = Field(strict=True)
    """Completion to verify, `solution` or `completion` in files of EvalPlus and HumanEval."""
    model: str | None = None
    """Name of the model that wrote the completion. None where the file has one model."""

    _judged_by: str = ""

    @property
    def key(self) -> tuple[str | None, str, int]:
        return self.model, self.problem, self.sample

    @property
    def digest(self) -> str:
        """Hash of the key, the text and the problem: differs between samples, texts of one key, and other tests."""
        said = json.dumps([*self.key, self.text, self._judged_by]).encode()
        return hashlib.blake2b(said, digest_size=8).hexdigest()


@dataclass(frozen=True)
class SampleFile:
    """A file of samples and how to read it.

    ``columns`` maps Troop's names to the file's, as ``--columns`` gives them; others are known from ``OTHER_NAMES``.
    ``judged_by`` says by problem what a verdict depends on; it becomes part of each sample's own digest.
    """

    path: Path
    problems: ProblemIds
    columns: Mapping[str, str] = field(default_factory=dict)
    judged_by: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> Iterator[SampleRow]:
        """Yields the samples in the file's order; raises BadInput that names the row that cannot be used."""
        seen: Counter[tuple[str, str | None]] = Counter()
        for where, data in _parquet_rows(self) if self.path.suffix == ".parquet" else _json_rows(self.path):
            named = self._named(data, where)
            if isinstance(named, dict) and "sample" not in named and "problem" in named:
                key = str(named.get("model")), self.problems.find(str(named["problem"]))
                named["sample"] = seen[key]
                seen[key] += 1
            yield self._checked(parse(SampleRow, named, where), where)

    def _named(self, data: Any, where: str) -> Any:
        """Returns a row under Troop's names; of a file that has others, further keys are left out."""
        if not isinstance(data, dict):
            return data
        for name, given in self.columns.items():
            if given not in data:
                raise BadInput(f"{where}: no {given!r} (for {name}); it has: {', '.join(map(_short, data))}")
        found = {name: column for name in SampleRow.model_fields if (column := self._column(name, data))}
        if not self.columns and all(name == column for name, column in found.items()):
            return dict(data)
        return {name: data[column] for name, column in found.items()}

    def _column(self, name: str, data: Mapping[str, Any]) -> str | None:
        """Returns the row's key that holds Troop's ``name``."""
        if name in self.columns:
            return self.columns[name]
        names = [key for key in (name, *OTHER_NAMES.get(name, ())) if key in data]
        return next((key for key in names if data[key] is not None), names[0] if names else None)

    def _checked(self, row: SampleRow, where: str) -> SampleRow:
        problem = self.problems.find(row.problem)
        if problem is None:
            raise BadInput(f"{where}: problem {_short(row.problem)} is not in the task that --task names")
        if row.model is not None and not row.model.isprintable():
            raise BadInput(f"{where}: model: only printable characters are allowed, got {_short(row.model)}")
        row = row if problem == row.problem else row.model_copy(update={"problem": problem})
        row._judged_by = self.judged_by.get(problem, "")
        return row


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, load_json(_decoded(line.removeprefix(BOM_UTF8) if number == 1 else line, where), where)


def _parquet_rows(file: SampleFile) -> Iterator[tuple[str, Any]]:
    """Yields each row's place and the columns of a sample; other columns of the file are not read."""
    import pyarrow as pa

    path, number = file.path, 0
    read = {*SampleRow.model_fields, *file.columns.values(), *(name for more in OTHER_NAMES.values() for name in more)}
    try:
        for batch in read_batches(str(path), str(path), read, PARQUET_BATCH):
            for values in batch:
                number += 1
                yield f"{path}: row {number}", values
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: is no Parquet file that can be read ({str(error).splitlines()[0]})") from error


def check_samples(file: SampleFile) -> int:
    """Returns the number of samples in the file; raises BadInput where a row cannot be used or a key occurs twice."""
    seen: set[tuple[str | None, str, int]] = set()
    for row in file.rows():
        if row.key in seen:
            raise BadInput(
                f"{file.path}: sample {row.sample} of problem {_short(row.problem)} occurs more than once; "
                "(model, problem, sample) must be unique"
            )
        seen.add(row.key)
    if not seen:
        raise BadInput(f"{file.path}: no samples; at least one is needed")
    return len(seen)


class VerdictFields(Plain):
    """One line of a verdicts file: what the verifier says of one sample."""

    model: str | None = None
    """Name of the model, as the samples file gives it. JSONL leaves the key out where the samples file does."""
    problem: str
    """Id of the problem."""
    sample: int
    """Number of the sample."""
    status: str
    """Status: `pass`, `fail`, `timeout`, `memory`, `output`, `crash`, `invalid` or `fault`.

    `invalid`: no candidate was found in the text. `fault`: our side failed.
    """
    passed: bool | None
    """True for `pass`, None for `fault`, which says nothing of the sample, false for every other status."""
    reason: str
    """Reason for the status, in one line; may be empty for `pass`."""
    answer: str | None
    """Answer that was extracted from the completion. None for verifiers that compare none, such as tests."""
    wall_s: float
    """Wall time of the candidate in seconds. 0 where nothing was executed."""
    cpu_s: float
    """CPU time of the candidate in seconds."""
    max_rss_mb: float
    """Peak memory of the candidate in MB."""
    tier: str
    """Sandbox tier that the candidate ran in: `isolated` or `confined`. Empty where nothing was executed."""


COLUMNS = tuple(name for name in VerdictFields.model_fields if name != "model")


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """The values of one ``VerdictFields``, with the digest of the sample that they belong to."""

    values: dict[str, Any]
    digest: str

    @classmethod
    def of(cls, row: SampleRow, verdict: Verdict) -> "VerdictRow":
        """Returns the row of a verdict; ``model`` is left out where the sample names none."""
        fields = VerdictFields(
            model=row.model,
            problem=row.problem,
            sample=row.sample,
            status=verdict.status.value,
            passed=verdict.passed,
            reason=clean(verdict.reason),
            answer=None if verdict.answer is None else clean(verdict.answer),
            wall_s=round(verdict.wall_s, 6),
            cpu_s=round(verdict.cpu_s, 6),
            max_rss_mb=round(verdict.max_rss_mb, 3),
            tier=verdict.tier,
        )
        return cls(fields.model_dump(exclude={"model"} if row.model is None else None), row.digest)

    def line(self) -> str:
        """Returns the line of ``OUT.partial``: the digest, then the verdict as it will be published."""
        return f"{self.digest} {json.dumps(self.values)}\n"

    @classmethod
    def from_line(cls, line: str, where: str) -> "VerdictRow":
        digest, _, values = line.partition(" ")
        return cls(load_json(values, where), digest)


def write_verdicts(rows: Iterator[VerdictRow], path: Path, *, parquet: bool) -> None:
    """Writes rows and syncs the file to disk, so that it is whole before it gets its name."""
    _write_parquet(rows, path) if parquet else _write_jsonl(rows, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write_jsonl(rows: Iterable[VerdictRow], path: Path) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(json.dumps(row.values) + "\n" for row in rows)


def _write_parquet(rows: Iterator[VerdictRow], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, numbers = ("model", "problem", "status", "reason", "answer", "tier"), ("wall_s", "cpu_s", "max_rss_mb")
    types = {name: pa.string() for name in texts} | {name: pa.float64() for name in numbers}
    types |= {"sample": pa.int64(), "passed": pa.bool_()}
    schema = pa.schema([(name, types[name]) for name in ("model", *COLUMNS)])
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        while chunk := [row.values for row in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from file
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error})") from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: not UTF-8 ({error.reason} at byte {error.start} of the line)") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
