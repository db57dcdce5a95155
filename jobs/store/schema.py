"""The record schemas: narrow verdicts, which every report reads, and wide samples, which only people read.

What is kept where:

- **Verdicts** hold all that a verifier said, ``answer`` and ``reason`` too, because verifying again must replace them
  without touching a sample. Both are dictionary columns: rows without them cost nothing, and majority votes group by
  ``answer``. A reason is cut to 200 characters.
- Verdicts repeat from the samples only what reports add up: ``tokens``, ``prompt_tokens`` and ``text_hash`` by row,
  ``engine_s`` once per file, in its footer, for a row's share is as good as random and would cost 4 bytes.
- ``text_hash`` (CRC-32 of the completion) finds equal texts of one problem across units. In a unit of 1,024 rows or
  more it is kept only where it is divisible by 32: all copies of a text share that fate, so the share of duplicates
  among the kept rows estimates the share among all, for 0.2 bytes a row instead of 4.
- ``toolchain`` names what a machine's own software judged with (Lean and mathlib); files without one lack the column.
- **Scores** of a reward model lie beside the verdicts, by sample, in files of their own: another reward model replaces
  neither a verdict nor a text.
- Times and memory are rounded to two significant digits: more is noise, and noise does not compress.

Columns are only ever added, nullable. A file says its kind and schema version in its footer; a version newer than this
code knows is refused by name.
"""

import contextlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.store.seal import BLANK, seal
from jobs.store.whole import SCHEMA_VERSION, check_schema, check_whole, read_table
from sampling.engines.reward import Prompt, Score
from sampling.errors import StoreError
from sampling.problems import Message, Problem
from sampling.samples import Provenance, Sample
from verify.verdict import Verdict

REASON_CHARACTERS = 200
HASH_ALL_BELOW = 1024  # rows in a unit
HASH_STRIDE = 32
NO_VERIFIER = "none"
_SAMPLE_GROUP_ROWS = 8192
_VERDICT_GROUP_ROWS = 1 << 20

VERDICTS = pa.schema(
    [
        pa.field("problem_idx", pa.int32(), nullable=False),
        pa.field("sample_idx", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("passed", pa.bool_()),
        pa.field("score", pa.float32()),
        pa.field("tokens", pa.int32()),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("text_hash", pa.uint32()),
        pa.field("answer", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("verify_ms", pa.int32()),
        pa.field("cpu_ms", pa.int32()),
        pa.field("max_rss_mb", pa.int32()),
        pa.field("tier", pa.string()),
        pa.field("shared", pa.bool_()),
        pa.field("toolchain", pa.string()),
    ]
)
PROVENANCE = tuple(field.name for field in fields(Provenance))
_ADDED = {field.name for field in fields(Provenance) if field.default is None}
SAMPLES = pa.schema(
    [
        pa.field("problem_idx", pa.int32(), nullable=False),
        pa.field("sample_idx", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("gen_s", pa.float32(), nullable=False),
        pa.field("engine_s", pa.float32(), nullable=False),
        pa.field("logprob", pa.float32()),
        *(pa.field(name, pa.string(), nullable=name in _ADDED) for name in PROVENANCE),
    ]
)
SCORES = pa.schema(
    [
        pa.field("problem_idx", pa.int32(), nullable=False),
        pa.field("sample_idx", pa.int32(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("reason", pa.string()),  # why there is no score
        pa.field("tokens", pa.int32()),  # that the reward model read
    ]
)
PROBLEMS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("problem_idx", pa.int32(), nullable=False),
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("verifier", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("solution", pa.string()),
    ]
)
_DELTA, _SPLIT = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
_KEYS = {"problem_idx": _DELTA, "sample_idx": _DELTA}
_ENCODINGS = {
    "verdicts": _KEYS | dict.fromkeys(["tokens", "verify_ms", "cpu_ms", "max_rss_mb"], _SPLIT) | {"text_hash": _SPLIT},
    "samples": _KEYS | {"tokens": _SPLIT, "seed": _DELTA, "gen_s": _SPLIT, "engine_s": _SPLIT, "logprob": _SPLIT},
    "scores": _KEYS | {"score": _SPLIT, "tokens": _SPLIT},
    "problems": {"problem_idx": _DELTA},
}
_DICTIONARIES = {
    "verdicts": ["status", "prompt_tokens", "answer", "reason", "tier", "toolchain"],
    "samples": ["finish_reason", "prompt_tokens", *PROVENANCE],
    "scores": ["reason"],
    "problems": ["task"],
}


@dataclass(frozen=True, slots=True)
class Footer:
    """What a verdicts or scores file says of itself: which attempt wrote it, from which samples, and what it cost an
    engine: to make those samples, or to score them. ``judge_usd`` is what a judge that is paid asked for the verdicts.

    ``samples`` is the key of the samples file inside the run and ``samples_sha256`` its hash; both are "" where there
    is no text, as for outcomes imported from elsewhere. Of a compacted shard ``merged`` names the attempts whose
    samples files went into that one: it stands in for them, whoever else still names them.
    """

    attempt: str
    samples: str = ""
    samples_sha256: str = ""
    engine_s: float = 0.0
    merged: tuple[str, ...] = ()
    judge_usd: float = 0.0

    @property
    def metadata(self) -> dict[str, str]:
        """What a store that keeps metadata says of a verdicts file without reading it."""
        return {"attempt": self.attempt, "samples": self.samples, "samples-sha256": self.samples_sha256}


def encode_samples(samples: Sequence[Sample], provenance: Provenance) -> bytes:
    """A samples file: one row per sample, sorted by (problem, sample)."""
    rows = sorted(samples, key=_key)
    columns = {name: [getattr(row, name) for row in rows] for name in SAMPLES.names[:10]}
    columns["text"] = [_clean(text) for text in columns["text"]]
    constant = {name: pa.repeat(pa.scalar(value, pa.string()), len(rows)) for name, value in asdict(provenance).items()}
    return write_table(pa.table(columns | constant, schema=SAMPLES), "samples", {}, _SAMPLE_GROUP_ROWS)


def decode_samples(data: bytes, where: str = "samples") -> tuple[list[Sample], Provenance]:
    """The samples and the provenance of a file that ``encode_samples`` made; raises StoreError."""
    table = read_table(data, "samples", where)
    known = [name for name in PROVENANCE if name in table.column_names]
    first = table.select(known).slice(0, 1).to_pylist()
    unknown = {name: None if name in _ADDED else "" for name in PROVENANCE}
    return samples_of(table), Provenance(**unknown | (first[0] if first else {}))


def samples_of(table: pa.Table) -> list[Sample]:
    """The rows of a samples file; a column that an older file lacks has its default."""
    names = [field.name for field in fields(Sample) if field.name in table.column_names]
    columns = [table.column(name).to_pylist() for name in names]
    return [Sample(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def merge_samples(tables: Iterable[pa.Table]) -> bytes:
    """A samples file from rows in key order that come a part at a time."""
    return _write(tables, SAMPLES, "samples", {}, _SAMPLE_GROUP_ROWS)


def verdict_table(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> pa.Table:
    """One row per sample with its verdict (``verdicts[i]`` judges ``samples[i]``), sorted by (problem, sample)."""
    pairs = sorted(zip(samples, verdicts, strict=True), key=lambda pair: _key(pair[0]))
    s, v = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return pa.table(
        {
            "problem_idx": [x.problem_idx for x in s],
            "sample_idx": [x.sample_idx for x in s],
            "status": [x.status for x in v],
            "passed": [x.passed for x in v],
            "score": [x.score for x in v],
            "tokens": [x.tokens for x in s],
            "prompt_tokens": [x.prompt_tokens for x in s],
            "text_hash": _text_hashes(s),
            "answer": [None if x.answer is None else _clean(x.answer) for x in v],
            "reason": [_short(x.reason) for x in v],
            "verify_ms": _two_digits([x.wall_s * 1000 for x in v]),
            "cpu_ms": _two_digits([x.cpu_s * 1000 for x in v]),
            "max_rss_mb": _two_digits([x.max_rss_mb for x in v]),
            "tier": [x.tier for x in v],
            "shared": [x.shared for x in v],
            "toolchain": [x.toolchain or None for x in v],
        },
        schema=VERDICTS,
    )


def encode_verdicts(table: pa.Table, footer: Footer) -> bytes:
    """A verdicts file from a table with the columns of ``VERDICTS``; those it lacks are filled with nulls.

    A ``toolchain`` that no row has is left out: even of nulls a column costs a unit's file 0.1 bytes a row.
    """
    whole = conform(table, VERDICTS, "verdicts")
    if whole["toolchain"].null_count == len(whole):
        whole = whole.drop_columns("toolchain")
    return write_table(whole, "verdicts", _said(footer), _VERDICT_GROUP_ROWS)


def _said(footer: Footer) -> dict[str, Any]:
    return {name: value for name, value in asdict(footer).items() if value not in ((), 0.0)}


def encode_scores(samples: Sequence[Sample], scores: Sequence[Score], footer: Footer) -> bytes:
    """A scores file: ``scores[i]`` is that of ``samples[i]``, which are in key order."""
    table = pa.table(
        {
            "problem_idx": [x.problem_idx for x in samples],
            "sample_idx": [x.sample_idx for x in samples],
            "score": [x.value for x in scores],
            "reason": [_short(x.reason) if x.value is None else None for x in scores],
            "tokens": [x.tokens for x in scores],
        },
        schema=SCORES,
    )
    return write_table(table, "scores", _said(footer), _VERDICT_GROUP_ROWS)


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The table with exactly the columns of ``schema``, null where it lacks one.

    Raises StoreError where it has others: what a newer Troop has added must not be lost by an older one.
    """
    unknown = sorted(set(table.column_names) - set(schema.names))
    if unknown:
        raise StoreError(f"{where}: has columns that this Troop does not know ({', '.join(unknown)}); use a newer one")
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table.select(schema.names).cast(schema)


def read_footer(data: bytes, where: str = "verdicts", kind: str = "verdicts") -> Footer:
    """What a verdicts or scores file says of itself; raises StoreError, DamagedFile where a bit of it has changed."""
    return parse_footer(check_whole(data, kind, where), where, kind)


def parse_footer(metadata: dict[bytes, bytes], where: str, kind: str = "verdicts") -> Footer:
    """The same from a file's key-value pairs, which DuckDB can read of many files at once."""
    said = check_schema(metadata, kind, where)
    known = {field.name: said[field.name] for field in fields(Footer) if field.name in said}
    return Footer(**known | {"merged": tuple(said.get("merged", ()))})


def encode_problems(task: str, first_idx: int, problems: Sequence[Problem]) -> bytes:
    """A problems file: ``problems[i]`` has the index ``first_idx + i``."""
    rows = [
        {
            "task": task,
            "problem_idx": first_idx + i,
            "problem_id": _clean(problem.id),
            "prompt": _clean(prompt_text(problem)),
            "verifier": problem.verifier,
            "reference": _clean(problem.reference.model_dump_json()),
            "solution": None if problem.solution is None else _clean(problem.solution),
        }
        for i, problem in enumerate(problems)
    ]
    return write_table(pa.Table.from_pylist(rows, schema=PROBLEMS), "problems", {}, _SAMPLE_GROUP_ROWS)


def encode_problem_ids(task: str, first_idx: int, ids: Sequence[str]) -> bytes:
    """A problems file of an import, which knows neither prompts nor references: no verifier of ours is named."""
    said = {"task": task, "prompt": "", "verifier": NO_VERIFIER, "reference": "{}"}
    rows = [{**said, "problem_idx": first_idx + i, "problem_id": _clean(name)} for i, name in enumerate(ids)]
    return write_table(pa.Table.from_pylist(rows, schema=PROBLEMS), "problems", {}, _SAMPLE_GROUP_ROWS)


def prompt_text(problem: Problem) -> str:
    """The prompt as a person reads it: a chat becomes its JSON."""
    if problem.messages is None:
        return problem.prompt or ""
    return json.dumps([m.model_dump() for m in problem.messages], ensure_ascii=False)


def prompt_of(text: str) -> Prompt:
    """The reverse of ``prompt_text``."""
    if text.startswith('[{"role": '):
        with contextlib.suppress(ValueError):
            return tuple(Message.model_validate(turn) for turn in json.loads(text))
    return text


def write_table(table: pa.Table, kind: str, footer: Mapping[str, Any], group_rows: int) -> bytes:
    """Parquet bytes with a footer that names kind and version. No Arrow schema inside: it would cost 2 kB a file."""
    return _write([table], table.schema, kind, footer, group_rows)


def _write(
    tables: Iterable[pa.Table], schema: pa.Schema, kind: str, footer: Mapping[str, Any], group_rows: int
) -> bytes:
    said = {"kind": kind, "schema": SCHEMA_VERSION, **footer, "sha256": BLANK}
    order = [(name, "ascending") for name in _KEYS if name in schema.names]
    out = io.BytesIO()
    writer = pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=_DICTIONARIES[kind],
        column_encoding=_ENCODINGS[kind],
        write_statistics=["problem_idx", "sample_idx"] if kind == "samples" else ["problem_idx"],
        write_page_checksum=True,
        store_schema=False,
        sorting_columns=pq.SortingColumn.from_ordering(schema, order),
    )
    with writer:
        for group in _groups(tables, group_rows):
            writer.write_table(group, row_group_size=group_rows)
        writer.add_key_value_metadata({"troop": json.dumps(said)})
    return seal(out.getvalue())


def _groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of a whole number of row groups each, but for the last."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        whole = sum(map(len, held)) // rows * rows
        if whole:
            together = pa.concat_tables(held)
            yield together.slice(0, whole)
            held = [together.slice(whole)]
    if held:
        yield pa.concat_tables(held)


def _key(sample: Sample) -> tuple[int, int]:
    return sample.problem_idx, sample.sample_idx


def _text_hashes(samples: Sequence[Sample]) -> list[int | None]:
    hashes: Iterable[int] = (zlib.crc32(_clean(s.text).encode()) for s in samples)
    if len(samples) < HASH_ALL_BELOW:
        return list(hashes)
    return [h if h % HASH_STRIDE == 0 else None for h in hashes]


def _two_digits(values: Sequence[float]) -> NDArray[np.int32]:
    """Rounded to integers of two significant digits; what is too large for a column is cut to what it can hold."""
    capped = np.clip(np.asarray(values, dtype=np.float64), 0, 2e9)
    step = 10.0 ** np.maximum(0, np.floor(np.log10(np.maximum(capped, 1))) - 1)
    rounded: NDArray[np.int32] = (np.rint(capped / step) * step).astype(np.int32)
    return rounded


def _short(reason: str) -> str:
    clean = _clean(reason)
    return clean if len(clean) <= REASON_CHARACTERS else clean[: REASON_CHARACTERS - 1] + "…"


def _clean(text: str) -> str:
    """Text that can be stored: a lone surrogate, which JSON may carry but UTF-8 cannot, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
