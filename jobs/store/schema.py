"""The columns of stored files and of the views of ``troop sql``: one declaration each, with its description.

Verdicts are narrow, and every report reads them. Samples are wide, and only people read them. What is kept where:

- **Verdicts** hold all that a verifier said, ``answer`` and ``reason`` too, because verifying again must replace them
  without touching a sample. Both are dictionary columns: rows without them cost nothing, and majority votes group by
  ``answer``. A reason is cut to 200 characters.
- Verdicts repeat from the samples only what reports add up: ``tokens``, ``prompt_tokens`` and ``text_hash`` by row.
  ``engine_s`` is kept once per file, in its footer: the values of single rows look random and would cost 4 bytes each.
- ``text_hash`` (CRC-32 of the completion) finds equal texts of one problem across units. A unit of 1,024 rows or more
  keeps it only where it is divisible by 32. All copies of a text are then kept or dropped together, so the share of
  duplicates among the kept rows estimates the share among all, for 0.2 bytes a row instead of 4.
- ``toolchain`` names a machine's own software that took part in a verdict (Lean and mathlib).
- No column repeats a folder's name: readers refuse, or choose one of the two, where ``model`` is in path and file.
- Encodings are those that every reader has: DuckDB from 0.10, Spark from 3.5, Polars, pandas, DataFusion.
- **Scores** of a reward model lie beside the verdicts, by sample, in files of their own: another reward model replaces
  neither a verdict nor a text.
- Times and memory are rounded to two significant digits: more is noise, and noise does not compress.

Columns are only ever added, nullable. Each file names its kind and schema version in its footer; a version newer than
this code knows is refused by name (jobs/store/sealed_parquet.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import pyarrow as pa

from sampling.errors import StoreError
from sampling.samples import Provenance, TokenLists

SCHEMA_VERSION = 4  # files are sealed since 2; since 3 folders alone name model and task; since 4 thoughts are apart,
# and there are lists by token
IN_FOLDERS = {"model", "task"}  # columns of files before version 3
HASH_STRIDE = 32
REQUIRED, NULLABLE = False, True


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a stored file or of a view. docs/results.md is made from these."""

    name: str
    type: pa.DataType
    nullable: bool
    about: str
    """Meaning, with its unit, and what null stands for."""


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Returns the Arrow schema of these columns; descriptions stay out of it, since they would change the files."""
    return pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in columns])


_PROBLEM_IDX = Column("problem_idx", pa.int32(), REQUIRED, "Position of the problem in its task's plan, from 0.")
_SAMPLE_IDX = Column("sample_idx", pa.int32(), REQUIRED, "Index of the sample among those of its problem, from 0.")
_PROMPT_TOKENS = "Tokens of the prompt. Where a service draws several samples by one request, only the first counts it."
VERDICT_COLUMNS = (
    _PROBLEM_IDX,
    _SAMPLE_IDX,
    Column(
        "status", pa.string(), REQUIRED,
        "Verdict of the verifier: pass, fail, timeout, memory, output, crash, invalid or fault. Only pass is right; "
        "fault is a failure on Troop's side and is neither right nor wrong.",
    ),
    Column("passed", pa.bool_(), NULLABLE, "True for pass, false for every other verdict, null for fault."),
    Column(
        "score", pa.float32(), NULLABLE,
        "Score that came with an imported verdict. Null elsewhere: scores of reward models are in the view scores.",
    ),
    Column("tokens", pa.int32(), NULLABLE, "Tokens of the completion. Null for imported verdicts without samples."),
    Column("prompt_tokens", pa.int32(), NULLABLE, f"{_PROMPT_TOKENS} Null for imported verdicts without samples."),
    Column(
        "text_hash", pa.uint32(), NULLABLE,
        f"CRC-32 of the completion. Units of 1,024 samples or more keep only values divisible by {HASH_STRIDE}, and "
        "null for the others.",
    ),
    Column(
        "answer", pa.string(), NULLABLE,
        "Answer that the verifier extracted, normalised; majority votes count it. Null where there is none.",
    ),
    Column("reason", pa.string(), NULLABLE, "Reason of the verdict in a few words, cut to 200 characters."),
    Column("verify_ms", pa.int32(), NULLABLE, "Wall time of the verification in milliseconds, to two digits."),
    Column("cpu_ms", pa.int32(), NULLABLE, "CPU time of the candidate in milliseconds, to two digits."),
    Column("max_rss_mb", pa.int32(), NULLABLE, "Peak memory of the candidate in megabytes, to two digits."),
    Column(
        "tier", pa.string(), NULLABLE,
        "Sandbox tier that ran the candidate: isolated, confined or none. Empty where nothing was run.",
    ),
    Column(
        "shared", pa.bool_(), NULLABLE,
        "True where the verdict was copied from an equal candidate of the same problem instead of run again.",
    ),
    Column(
        "toolchain", pa.string(), NULLABLE,
        "Versions of a machine's own software that took part in the verdict, as Lean and mathlib. Null elsewhere.",
    ),
)  # fmt: skip
_IDS, _NUMBERS = (pa.list_(pa.field("element", kind)) for kind in (pa.int32(), pa.float32()))
LIST_COLUMNS = (
    Column(
        "token_ids",
        _IDS,
        NULLABLE,
        "Ids of the completion's tokens, its thought and its end token included. Null without ``token_ids: true``.",
    ),
    Column(
        "token_logprobs",
        _NUMBERS,
        NULLABLE,
        "Log-probability of each of these tokens, whose sum is ``logprob``. Null without ``logprobs: N``.",
    ),
    Column(
        "top_token_ids",
        _IDS,
        NULLABLE,
        "Ids of the N most probable tokens in the place of each token, the most probable first: N for the first "
        "token, N for the second, and so on. Null without ``logprobs: N``.",
    ),
    Column(
        "top_logprobs",
        _NUMBERS,
        NULLABLE,
        "Log-probabilities of these, in the same order. Null without ``logprobs: N``.",
    ),
)
PROVENANCE_COLUMNS = (
    Column(
        "revision",
        pa.string(),
        REQUIRED,
        "Revision of the model's weights; that of a LoRA adapter follows it behind a plus sign.",
    ),
    Column("engine", pa.string(), REQUIRED, "Kind of engine that drew the sample: vllm, openai or replay."),
    Column("engine_version", pa.string(), REQUIRED, "Version of that engine."),
    Column("sampling_hash", pa.string(), REQUIRED, "Hash of all settings that change the distribution of samples."),
    Column("code_version", pa.string(), REQUIRED, "Version of Troop, with its git commit where there is one."),
    Column("node", pa.string(), REQUIRED, "Host name and process of the engine, as host/process."),
    Column("device", pa.string(), REQUIRED, "Name of the GPU or CPU that the engine ran on."),
    Column("node_id", pa.string(), NULLABLE, "Ray's id of the node. Null outside Ray, and in files of older versions."),
    Column("gpus", pa.string(), NULLABLE, "Number of GPUs of the engine, or its share of one, as 0.5. Null without."),
    Column("gpu_ids", pa.string(), NULLABLE, "Ids of those GPUs on their node, separated by commas. Null without."),
    Column("gpu_uuids", pa.string(), NULLABLE, "UUIDs of those GPUs, separated by commas. Null without."),
    Column("gpu_memory", pa.string(), NULLABLE, "Memory of the smallest of those GPUs, as 139.8 GiB. Null without."),
    Column("adapter", pa.string(), NULLABLE, "Name of the LoRA adapter that drew the sample. Null without one."),
    Column("dtype", pa.string(), NULLABLE, "Number format that vLLM computed in. Null elsewhere, and in older files."),
)
SAMPLE_COLUMNS = (
    _PROBLEM_IDX,
    _SAMPLE_IDX,
    Column(
        "text", pa.string(), REQUIRED,
        "The completion, without its prompt and its thought. Empty where it ended inside a thought.",
    ),
    Column(
        "finish_reason", pa.string(), REQUIRED,
        "Why it ended: stop, length (the token limit), prompt_too_long, prompt_refused (nothing was drawn) or error.",
    ),
    Column("prompt_tokens", pa.int32(), REQUIRED, _PROMPT_TOKENS),
    Column("tokens", pa.int32(), REQUIRED, "Tokens of the completion."),
    Column("seed", pa.int64(), REQUIRED, "Seed of the engine, or of this sample with ``seed: per_sample``."),
    Column("gen_s", pa.float32(), REQUIRED, "Seconds from the sample's submission to its last token."),
    Column(
        "engine_s", pa.float32(), REQUIRED,
        "Seconds of one engine that the sample cost: its share, by tokens, of the engine's busy time.",
    ),
    Column(
        "logprob", pa.float32(), NULLABLE,
        "Sum of the log-probabilities of the completion's tokens. Null where the engine was not asked for it.",
    ),
    Column(
        "reasoning", pa.string(), NULLABLE,
        "The thought before the answer, without its marks. Null where there was none, and in files before version 4, "
        "whose text holds it.",
    ),
    Column(
        "reasoning_tokens", pa.int32(), NULLABLE,
        "Those of the completion's tokens that belong to its thought; an estimate for services that do not count them.",
    ),
    *LIST_COLUMNS,
    *PROVENANCE_COLUMNS,
)  # fmt: skip
SCORE_COLUMNS = (
    _PROBLEM_IDX,
    _SAMPLE_IDX,
    Column("score", pa.float32(), NULLABLE, "Score that the reward model gave the sample. Null where there is none."),
    Column("reason", pa.string(), NULLABLE, "Why there is no score. Null where there is one."),
    Column("tokens", pa.int32(), NULLABLE, "Tokens that the reward model read. Null for scores of imported verdicts."),
)
PROBLEM_COLUMNS = (
    _PROBLEM_IDX,
    Column("problem_id", pa.string(), REQUIRED, "Id of the problem in its task's data."),
    Column("prompt", pa.string(), REQUIRED, "Prompt as text; a chat is the JSON of its messages. Empty for imports."),
    Column("verifier", pa.string(), REQUIRED, "Kind of verifier, as math or python; none for imported problems."),
    Column("reference", pa.string(), REQUIRED, "What the verifier compares with, as JSON; {} for imported problems."),
    Column("solution", pa.string(), NULLABLE, "Gold solution. Null where the data has none."),
)
_MODEL, _TASK = (Column(n, pa.string(), NULLABLE, f"Name of the {n} in the sweep.") for n in ("model", "task"))
VIEWS = {
    "samples": (_MODEL, _TASK, *SAMPLE_COLUMNS),
    "verdicts": (
        _MODEL, _TASK,
        Column("version", pa.string(), NULLABLE, "Version of the verifiers; imported for imported verdicts."),
        *VERDICT_COLUMNS,
    ),
    "scores": (
        _MODEL, _TASK,
        Column("version", pa.string(), NULLABLE, "Version of the scores; verdicts for scores that an import brought."),
        *SCORE_COLUMNS,
    ),
    "problems": (_TASK, *PROBLEM_COLUMNS),
}  # fmt: skip
# A view over the others under the names that harnesses and trainers use (HumanEval, TRL, verl).
ROLLOUTS = (
    (_MODEL, "s.model"),
    (_TASK, "s.task"),
    (Column("task_id", pa.string(), REQUIRED, "Id of the problem: `problem_id` of problems."), "p.problem_id"),
    (Column("rollout_index", pa.int32(), REQUIRED, "Index of the sample: `sample_idx`."), "s.sample_idx"),
    (Column("prompt", pa.string(), REQUIRED, "Prompt as text; a chat is the JSON of its messages."), "p.prompt"),
    (Column("completion", pa.string(), REQUIRED, "The answer: `text` of samples, without its thought."), "s.text"),
    (Column("reasoning", pa.string(), NULLABLE, "The thought before it. Null where there was none."), "s.reasoning"),
    (
        Column(
            "reward", pa.float64(), NULLABLE,
            "`score` of the verdict where it has one, else 1 where it passed and 0 where not. Null for a fault.",
        ),
        "coalesce(v.score, v.passed::INT)::DOUBLE",
    ),
    (Column("passed", pa.bool_(), NULLABLE, "True for a pass, null for a fault."), "v.passed"),
    (Column("answer", pa.string(), NULLABLE, "Answer that was extracted. Null where there is none."), "v.answer"),
    (Column("finish_reason", pa.string(), REQUIRED, "Why it ended, as in samples."), "s.finish_reason"),
    (Column("prompt_tokens", pa.int32(), REQUIRED, _PROMPT_TOKENS), "s.prompt_tokens"),
    (Column("completion_tokens", pa.int32(), REQUIRED, "Tokens of thought and answer: `tokens`."), "s.tokens"),
)  # fmt: skip

VERDICTS_SCHEMA = arrow_schema(VERDICT_COLUMNS)
SAMPLES_SCHEMA = arrow_schema(SAMPLE_COLUMNS)
SCORES_SCHEMA = arrow_schema(SCORE_COLUMNS)
PROBLEMS_SCHEMA = arrow_schema(PROBLEM_COLUMNS)
PROVENANCE = tuple(column.name for column in PROVENANCE_COLUMNS)
LISTS = tuple(column.name for column in LIST_COLUMNS)
assert tuple(field.name for field in fields(Provenance)) == ("model", *PROVENANCE)
assert tuple(field.name for field in fields(TokenLists)) == LISTS

_DELTA = "DELTA_BINARY_PACKED"
KEYS = {"problem_idx": _DELTA, "sample_idx": _DELTA}
ENCODINGS = {
    "verdicts": KEYS | {"prompt_tokens": _DELTA},
    "samples": KEYS | {"prompt_tokens": _DELTA, "seed": _DELTA},
    "scores": KEYS,
    "problems": {"problem_idx": _DELTA},
    "export": KEYS | {"prompt_tokens": _DELTA, "seed": _DELTA},
}
DICTIONARIES = {
    "verdicts": ["status", "tokens", "answer", "reason", "verify_ms", "cpu_ms", "max_rss_mb", "tier", "toolchain"],
    "samples": ["finish_reason", "tokens", *PROVENANCE],
    "scores": ["reason", "tokens"],
    "problems": ["verifier"],
}
DICTIONARIES["export"] = [
    *("model", "task", "version", "problem_id", "prompt", "finish_reason"),
    *(name for name in (*DICTIONARIES["verdicts"], *PROVENANCE)),
]


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Returns the table with exactly the columns of ``schema``, null where it lacks one.

    Raises StoreError where it has others: an older Troop must not drop what a newer one has added.
    """
    unknown = sorted(set(table.column_names) - set(schema.names) - IN_FOLDERS)
    if unknown:
        raise StoreError(f"{where}: has columns that this Troop does not know ({', '.join(unknown)}); use a newer one")
    for name in schema.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table.select(schema.names).cast(schema)
