"""Generated results for the benchmarks: drawn here, encoded and stored by Troop's own code."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.planning import make_block
from jobs.store.base import Store
from jobs.store.encode import encode_verdicts
from jobs.store.layers import Layer, PlannedModel, PlannedProblems, layer_key
from jobs.store.layout import final_verdicts_key
from jobs.store.schema import HASH_STRIDE, VERDICTS_SCHEMA
from jobs.store.sealed_parquet import Footer
from sampling.samples import UNITS_PER_SHARD, Provenance, Sample, Unit
from verify.verdict import Status, Verdict

UNIT_ROWS = 2048
SHARD_ROWS = UNIT_ROWS * UNITS_PER_SHARD
SAMPLES_PER_PROBLEM = 102_400
VERSION, MODEL, TASK = "v1", "model", "task"
PROVENANCE = Provenance(MODEL, "main", "vllm", "0.24", "0123456789abcdef", "bench", "node/1", "gpu")
REASONS = ["", "another number", "no number found"]


def words() -> list[str]:
    """Returns the ASCII words of the README with repeats; in random order they compress worse than real text."""
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    return [word for word in text.split() if word.isascii()]


def made_unit(number: int, vocabulary: list[str]) -> tuple[Unit, list[Sample], list[Verdict]]:
    """Makes a unit of one problem: texts of 200 to 1,000 characters, of which a fifth pass."""
    draw, first = random.Random(number), number * UNIT_ROWS % SAMPLES_PER_PROBLEM
    problem = number * UNIT_ROWS // SAMPLES_PER_PROBLEM
    unit = Unit(MODEL, TASK, number, problem, problem + 1, first, first + UNIT_ROWS)
    samples = [_sample(problem, first + i, draw, vocabulary) for i in range(UNIT_ROWS)]
    return unit, samples, [_verdict(draw) for _ in samples]


def write_shards(store: Store, count: int, unit_rows: int = UNIT_ROWS) -> int:
    """Writes compacted verdicts of ``count`` full shards, all with different rows; returns their bytes."""
    stored = 0
    for shard in range(count):
        footer = Footer(f"{shard:032x}", engine_s=1.0)  # without samples, as for imported outcomes
        data = encode_verdicts(shard_table(shard, unit_rows * UNITS_PER_SHARD), footer)
        store.put_new(final_verdicts_key(VERSION, MODEL, TASK, shard), data)
        stored += len(data)
    return stored


def write_plan(store: Store, shards: int, unit_rows: int = UNIT_ROWS) -> None:
    """Writes the plan of a run with that many shards; the last problem may have fewer samples than the others."""
    per_problem = SAMPLES_PER_PROBLEM // unit_rows
    whole, rest = divmod(shards * UNITS_PER_SHARD, per_problem)
    blocks = [make_block(MODEL, TASK, 0, (0, whole), (0, SAMPLES_PER_PROBLEM), unit_rows)]
    if rest:
        blocks.append(
            make_block(MODEL, TASK, blocks[0].unit_count, (whole, whole + 1), (0, rest * unit_rows), unit_rows)
        )
    ids = tuple(f"p{i}" for i in range(whole + bool(rest)))
    planned = PlannedProblems(task=TASK, ids=ids, prompt_digests=ids, reference_digests=ids)
    sweep = {"name": "bench", "models": [{"name": MODEL, "path": "gold", "engine": "replay"}],
             "tasks": [{"name": TASK, "kind": "jsonl", "path": "problems.jsonl"}]}  # fmt: skip
    model = PlannedModel(name=MODEL, distribution={}, sampling={}, revision="main", sampling_hash="0")
    layer = Layer(number=0, created="2026-01-01T00:00:00+00:00", code_version="bench", sweep=sweep, models=(model,),
                  problems=(planned,), blocks=tuple(blocks))  # fmt: skip
    store.put_new(layer_key(0), layer.encode())


def shard_table(shard: int, rows: int = SHARD_ROWS) -> pa.Table:
    """Returns verdicts as ``verdict_table`` would make them, drawn by numpy: a hundred million rows in minutes."""
    draw = np.random.default_rng(shard)
    places = np.arange(shard * rows, (shard + 1) * rows)
    passed, hashes = draw.random(rows) < 0.2, draw.integers(0, 1 << 32, rows, dtype=np.uint32)
    wrong = draw.integers(1, len(REASONS), rows)
    columns: dict[str, object] = {
        "problem_idx": (places // SAMPLES_PER_PROBLEM).astype(np.int32),
        "sample_idx": (places % SAMPLES_PER_PROBLEM).astype(np.int32),
        "status": pa.array(["fail", "pass"]).take(pa.array(passed.astype(np.int8))),
        "passed": passed,
        "tokens": _tokens(draw, rows),
        "prompt_tokens": np.full(rows, 180, dtype=np.int32),
        "text_hash": pa.array(hashes, mask=hashes % HASH_STRIDE != 0),
        "reason": pa.array(REASONS).take(pa.array(np.where(passed, 0, wrong))),
        "verify_ms": np.zeros(rows, dtype=np.int32),
        "cpu_ms": np.zeros(rows, dtype=np.int32),
        "max_rss_mb": np.zeros(rows, dtype=np.int32),
        "tier": pa.repeat("", rows),
        "shared": draw.random(rows) < 0.1,
    }
    names = [name for name in VERDICTS_SCHEMA.names if name in columns]
    fields = [VERDICTS_SCHEMA.field(name) for name in names]
    return pa.table(
        [pa.array(columns[name]).cast(field.type) for name, field in zip(names, fields, strict=True)], names
    )


def _tokens(draw: np.random.Generator, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.clip(draw.normal(140, 40, rows), 1, 512).astype(np.int32)


def _sample(problem: int, sample: int, draw: random.Random, vocabulary: list[str]) -> Sample:
    length = draw.randint(200, 1000)
    text = " ".join(draw.choices(vocabulary, k=length // 5))[:length]
    return Sample(problem, sample, text, "stop", 180, length // 4, 12345, draw.uniform(1, 9), draw.uniform(0.01, 0.1))


def _verdict(draw: random.Random) -> Verdict:
    if draw.random() < 0.2:
        return Verdict(Status.PASS)
    return Verdict(Status.FAIL, reason=draw.choice(REASONS[1:]))


def made_units(count: int) -> Iterator[tuple[Unit, list[Sample], list[Verdict]]]:
    """Yields ``count`` units, one after another."""
    vocabulary = words()
    return (made_unit(number, vocabulary) for number in range(count))
