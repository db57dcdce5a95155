"""Encoding records to files of ours, and decoding them: Parquet with a footer that names kind and version, sealed."""

import contextlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.store.schema import (
    ADDED,
    DICTIONARIES,
    ENCODINGS,
    HASH_STRIDE,
    KEYS,
    PROBLEMS,
    PROVENANCE,
    SAMPLES,
    SCORES,
    VERDICTS,
    Footer,
    conform,
)
from jobs.store.seal import BLANK, seal
from jobs.store.whole import SCHEMA_VERSION, read_table
from sampling.engines.reward import Prompt, Score
from sampling.problems import Message, Problem
from sampling.samples import Provenance, Sample
from verify.verdict import Verdict

REASON_CHARACTERS = 200
HASH_ALL_BELOW = 1024  # rows in a unit
NO_VERIFIER = "none"
_SAMPLE_GROUP_ROWS = 8192
_VERDICT_GROUP_ROWS = 1 << 20


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
    unknown = {name: None if name in ADDED else "" for name in PROVENANCE}
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
    order = [(name, "ascending") for name in KEYS if name in schema.names]
    out = io.BytesIO()
    writer = pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=DICTIONARIES[kind],
        column_encoding=ENCODINGS[kind],
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
