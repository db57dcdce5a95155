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

from dataclasses import dataclass, fields

import pyarrow as pa

from jobs.store.whole import check_schema, check_whole
from sampling.errors import StoreError
from sampling.samples import Provenance

HASH_STRIDE = 32

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
ADDED = {field.name for field in fields(Provenance) if field.default is None}
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
        *(pa.field(name, pa.string(), nullable=name in ADDED) for name in PROVENANCE),
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
KEYS = {"problem_idx": _DELTA, "sample_idx": _DELTA}
ENCODINGS = {
    "verdicts": KEYS | dict.fromkeys(["tokens", "verify_ms", "cpu_ms", "max_rss_mb"], _SPLIT) | {"text_hash": _SPLIT},
    "samples": KEYS | {"tokens": _SPLIT, "seed": _DELTA, "gen_s": _SPLIT, "engine_s": _SPLIT, "logprob": _SPLIT},
    "scores": KEYS | {"score": _SPLIT, "tokens": _SPLIT},
    "problems": {"problem_idx": _DELTA},
}
DICTIONARIES = {
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
