"""Encodes records as sealed Parquet files, whose footer names their kind and schema version; decodes samples."""

import contextlib
import io
import json
import math
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.store.schema import (
    DICTIONARIES,
    ENCODINGS,
    HASH_STRIDE,
    KEYS,
    LISTS,
    PROBLEMS_SCHEMA,
    PROVENANCE,
    SAMPLES_SCHEMA,
    SCHEMA_VERSION,
    SCORES_SCHEMA,
    VERDICTS_SCHEMA,
    conform,
)
from jobs.store.sealed_parquet import BLANK, Footer, seal_in_place
from sampling.engines.reward import Prompt, Score
from sampling.problems import Message, Problem
from sampling.samples import Provenance, Sample
from verify.verdict import Verdict

REASON_CHARACTERS = 200
HASH_ALL_BELOW = 1024  # rows in a unit
NO_VERIFIER = "none"  # as the verifier of a problem that only outcomes were imported of
_SAMPLE_GROUP_ROWS = 8192
_VERDICT_GROUP_ROWS = 1 << 20
_PAGE_ROWS, _PAGE_BYTES = 1024, 1 << 20  # after so many rows Arrow looks if a page is full: too late for long texts
_GROUP_BYTES = 64 << 20  # of text: a group of rows is what a reader holds at least


def encode_samples(samples: Sequence[Sample], provenance: Provenance) -> bytes:
    """Returns a samples file: one row per sample, sorted by (problem, sample)."""
    rows = sorted(samples, key=_key)
    own = [name for name in SAMPLES_SCHEMA.names if name not in (*PROVENANCE, *LISTS)]
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in own}
    columns |= {name: [_numbers(getattr(row.lists, name)) for row in rows] for name in LISTS}
    columns["text"] = [_clean(text) for text in columns["text"]]
    columns["reasoning"] = [text if text is None else _clean(text) for text in columns["reasoning"]]
    said = asdict(provenance)
    constant = {name: pa.repeat(pa.scalar(said[name], pa.string()), len(rows)) for name in PROVENANCE}
    return write_table(pa.table(columns | constant, schema=SAMPLES_SCHEMA), "samples", {}, _SAMPLE_GROUP_ROWS)


def _numbers(values: "array[Any] | None") -> NDArray[Any] | None:
    return None if values is None else np.asarray(values)


def decode_samples(table: pa.Table) -> list[Sample]:
    """Returns the rows of a samples file without their lists; a column that an older file lacks has its default."""
    names = [field.name for field in fields(Sample) if field.name in table.column_names]
    columns = [table.column(name).to_pylist() for name in names]
    return [Sample(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def merge_samples(tables: Iterable[pa.Table], most: int) -> Iterator[bytes]:
    """Yields samples files, each closed at ``most`` bytes; ``tables`` has their rows in key order, a part at a time."""
    return write_files(tables, SAMPLES_SCHEMA, "samples", {}, most)


def merge_verdicts(tables: Iterable[pa.Table], footer: Footer) -> bytes:
    """Returns a verdicts file; ``tables`` yields its rows in key order, a part at a time."""
    groups = _groups(tables, _VERDICT_GROUP_ROWS)
    return _write(groups, VERDICTS_SCHEMA, "verdicts", _footer_fields(footer))


def verdict_table(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> pa.Table:
    """Returns one row per sample with its verdict (``verdicts[i]``), sorted by (problem, sample)."""
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
        schema=VERDICTS_SCHEMA,
    )


def encode_verdicts(table: pa.Table, footer: Footer) -> bytes:
    """Returns a verdicts file from a table with columns of ``VERDICTS_SCHEMA``; missing ones are filled with nulls."""
    whole = conform(table, VERDICTS_SCHEMA, "verdicts")
    return write_table(whole, "verdicts", _footer_fields(footer), _VERDICT_GROUP_ROWS)


def write_files(
    tables: Iterable[pa.Table], schema: pa.Schema, kind: str, footer: Mapping[str, Any], most: int
) -> Iterator[bytes]:
    """Yields sealed Parquet files with these rows, each closed at ``most`` bytes; holds one file at a time."""
    groups = _groups(tables, _SAMPLE_GROUP_ROWS, min(_GROUP_BYTES, most))
    for first in groups:
        yield _write(chain([first], groups), schema, kind, footer, most)


def _footer_fields(footer: Footer) -> dict[str, Any]:
    return {name: value for name, value in asdict(footer).items() if value not in ((), 0.0)}


def encode_scores(samples: Sequence[Sample], scores: Sequence[Score], footer: Footer) -> bytes:
    """Returns a scores file; ``scores[i]`` is the score of ``samples[i]``, and the samples are in key order."""
    table = pa.table(
        {
            "problem_idx": [x.problem_idx for x in samples],
            "sample_idx": [x.sample_idx for x in samples],
            "score": [x.value for x in scores],
            "reason": [_short(x.reason) if x.value is None else None for x in scores],
            "tokens": [x.tokens for x in scores],
        },
        schema=SCORES_SCHEMA,
    )
    return write_table(table, "scores", _footer_fields(footer), _VERDICT_GROUP_ROWS)


def encode_problems(first_idx: int, problems: Sequence[Problem]) -> bytes:
    """Returns a problems file; ``problems[i]`` has the index ``first_idx + i``."""
    rows = [
        {
            "problem_idx": first_idx + i,
            "problem_id": _clean(problem.id),
            "prompt": _clean(prompt_text(problem)),
            "verifier": problem.verifier,
            "reference": _clean(problem.reference.model_dump_json()),
            "solution": None if problem.solution is None else _clean(problem.solution),
        }
        for i, problem in enumerate(problems)
    ]
    return write_table(pa.Table.from_pylist(rows, schema=PROBLEMS_SCHEMA), "problems", {}, _SAMPLE_GROUP_ROWS)


def encode_problem_ids(first_idx: int, ids: Sequence[str]) -> bytes:
    """Returns the problems file of an import, which knows neither prompts nor references nor a verifier of ours."""
    constant = {"prompt": "", "verifier": NO_VERIFIER, "reference": "{}"}
    rows = [{**constant, "problem_idx": first_idx + i, "problem_id": _clean(name)} for i, name in enumerate(ids)]
    return write_table(pa.Table.from_pylist(rows, schema=PROBLEMS_SCHEMA), "problems", {}, _SAMPLE_GROUP_ROWS)


def prompt_text(problem: Problem) -> str:
    """Returns the prompt as text; a chat becomes the JSON of its messages."""
    if problem.messages is None:
        return problem.prompt or ""
    return json.dumps([m.model_dump() for m in problem.messages], ensure_ascii=False)


def parse_prompt(text: str) -> Prompt:
    """Returns the prompt that ``prompt_text`` made this text from."""
    if text.startswith('[{"role": '):
        with contextlib.suppress(ValueError, RecursionError):
            return tuple(Message.model_validate(turn) for turn in json.loads(text))
    return text


def write_table(table: pa.Table, kind: str, footer: Mapping[str, Any], group_rows: int) -> bytes:
    """Returns Parquet bytes, sealed. They hold no Arrow schema, which would cost 2 kB a file."""
    return _write(_groups([table], group_rows), table.schema, kind, footer)


def _write(
    groups: Iterable[pa.Table], schema: pa.Schema, kind: str, footer: Mapping[str, Any], most: float = math.inf
) -> bytes:
    """Writes groups until the file has ``most`` bytes; leaves the others in ``groups``."""
    whole_footer = {"kind": kind, "schema": SCHEMA_VERSION, **footer, "sha256": BLANK}
    order = [(name, "ascending") for name in KEYS if name in schema.names]
    first = next(iter(groups), schema.empty_table())
    out = io.BytesIO()
    writer = pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=DICTIONARIES[kind],
        column_encoding=ENCODINGS[kind],
        write_statistics=["problem_idx"] if kind in ("verdicts", "scores") else [name for name, _ in order],
        write_page_checksum=True,
        write_batch_size=max(1, min(_PAGE_ROWS, _PAGE_BYTES * len(first) // max(1, first.nbytes))),
        store_schema=False,
        sorting_columns=pq.SortingColumn.from_ordering(schema, order),
    )
    with writer:
        for group in chain([first], groups):
            writer.write_table(group.combine_chunks().cast(schema), row_group_size=max(1, len(group)))
            if out.tell() >= most:
                break
        writer.add_key_value_metadata({"troop": json.dumps(whole_footer)})
    seal_in_place(out)
    return out.getvalue()


def _groups(tables: Iterable[pa.Table], rows: int, size: int = _GROUP_BYTES) -> Iterator[pa.Table]:
    """Yields the same rows in groups of at most ``rows`` rows and ``size`` bytes, however they came in tables."""
    held, room, space = list[pa.Table](), rows, size
    for table in tables:
        ends, start = np.cumsum(_row_bytes(table)), 0
        while start < len(table):
            begun = int(ends[start - 1]) if start else 0
            fitting = int(np.searchsorted(ends, begun + space, side="right"))
            end = min(start + room, max(fitting, start + (not held)))  # one row at least
            held.append(table.slice(start, end - start))
            room, space = room - (end - start), space - int(ends[end - 1] - begun if end > start else 0)
            start = end
            if room == 0 or start < len(table):
                yield pa.concat_tables(held)
                held, room, space = [], rows, size
    if held:
        yield pa.concat_tables(held)


def _row_bytes(table: pa.Table) -> NDArray[np.int64]:
    """Returns about how many bytes each row takes: its strings and lists, and eight for any other value."""
    total: NDArray[np.int64] = np.full(len(table), 8 * table.num_columns, np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy()
        elif pa.types.is_list(column.type):
            each = column.type.value_type.bit_width // 8
            total += each * pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    return total


def _key(sample: Sample) -> tuple[int, int]:
    return sample.problem_idx, sample.sample_idx


def _text_hashes(samples: Sequence[Sample]) -> list[int | None]:
    hashes: Iterable[int] = (zlib.crc32(_clean(s.text).encode()) for s in samples)
    if len(samples) < HASH_ALL_BELOW:
        return list(hashes)
    return [h if h % HASH_STRIDE == 0 else None for h in hashes]


def _two_digits(values: Sequence[float]) -> NDArray[np.int32]:
    """Rounds to integers of two significant digits, at most 2 billion, the most that a column can hold."""
    capped = np.clip(np.asarray(values, dtype=np.float64), 0, 2e9)
    step = 10.0 ** np.maximum(0, np.floor(np.log10(np.maximum(capped, 1))) - 1)
    rounded: NDArray[np.int32] = (np.rint(capped / step) * step).astype(np.int32)
    return rounded


def _short(reason: str) -> str:
    clean = _clean(reason)
    return clean if len(clean) <= REASON_CHARACTERS else clean[: REASON_CHARACTERS - 1] + "…"


def _clean(text: str) -> str:
    """Returns text that UTF-8 can hold: a lone surrogate, which JSON may carry, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
