"""Rows a second and memory of ``troop export --format``. ``python -m bench.export 20`` measures 20 shards of samples.

A shard is 524,288 samples of 400 characters on average, compacted, each text with its own index; 102,400 samples a
problem. Results are made in another process, whose memory does not count.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.compaction import watch_memory
from bench.made_results import MODEL, PROVENANCE, SHARD_ROWS, TASK, VERSION, shard_table, words, write_plan
from jobs.export.data_set import DataSet, TrainingReport, with_defaults
from jobs.export.formats import Format
from jobs.export.selection import Selection
from jobs.export.training import export_training
from jobs.store.catalogue import write_problems
from jobs.store.encode import encode_verdicts, merge_samples
from jobs.store.folder import DirectoryStore
from jobs.store.layout import final_samples_key, final_verdicts_key
from jobs.store.merge import MERGE_LIMITS
from jobs.store.schema import PROVENANCE as PROVENANCE_NAMES
from jobs.store.schema import SAMPLES_SCHEMA
from jobs.store.sealed_parquet import Footer
from jobs.store.stored_run import read_run
from sampling.problems import Problem

_POOL = 4096  # texts that are repeated, each time with another index in front
WAYS: dict[str, tuple[Format, Selection]] = {
    "sft": ("sft", Selection()),
    "sft --per-problem 8 --shortest": ("sft", Selection(per_problem=8, order="shortest")),
    "sft --dedupe exact": ("sft", Selection(dedupe="exact")),
    "sft --dedupe normalised --per-problem 8": ("sft", Selection(dedupe="normalised", per_problem=8)),
    "kto": ("kto", Selection()),
    "dpo --per-problem 64": ("dpo", Selection(per_problem=64)),
    "pass-rate": ("pass-rate", Selection()),
}


def write_run(store: DirectoryStore, shards: int) -> None:
    """Writes compacted shards with texts, their problems and a plan."""
    draw, vocabulary = np.random.default_rng(0), words()
    pool = pa.array([" ".join(draw.choice(vocabulary, size)) for size in draw.integers(30, 100, _POOL)])
    for shard in range(shards):
        verdicts = shard_table(shard)
        samples = _samples(verdicts, pool.take(pa.array(draw.integers(0, _POOL, SHARD_ROWS))))
        digests = list[tuple[str, str]]()
        for part, data in enumerate(
            merge_samples([samples.slice(at, 8192) for at in range(0, SHARD_ROWS, 8192)], MERGE_LIMITS.part)
        ):
            key = final_samples_key(MODEL, TASK, shard, f"{shard:030x}{part:02x}")
            store.put_new(key, data)
            digests.append((key, hashlib.sha256(data).hexdigest()))
        (name, digest), *more = digests
        footer = Footer(f"{shard:032x}", name, digest, parts=tuple(more), merged=(f"{shard:030x}",))
        store.put_new(final_verdicts_key(VERSION, MODEL, TASK, shard), encode_verdicts(verdicts, footer))
    write_plan(store, shards)
    ids = read_run(store).layers[0].problems[0].ids
    prompt = {"prompt": "A question of about forty words. " * 6, "verifier": "math", "reference": {"answer": "1"}}
    write_problems(store, TASK, 0, [Problem.model_validate({"id": name, **prompt}) for name in ids])


def _samples(verdicts: pa.Table, texts: pa.Array) -> pa.Table:
    rows = len(verdicts)
    columns = {name: verdicts[name] for name in ("problem_idx", "sample_idx", "tokens", "prompt_tokens")}
    index = pc.cast(verdicts["sample_idx"], pa.string())
    columns["text"] = pc.binary_join_element_wise(index, texts, " ")
    columns |= {name: pa.repeat(pa.scalar(getattr(PROVENANCE, name), pa.string()), rows) for name in PROVENANCE_NAMES}
    columns |= {"finish_reason": pa.repeat("stop", rows), "seed": pa.repeat(pa.scalar(1, pa.int64()), rows)}
    columns |= {name: pa.repeat(pa.scalar(1, pa.float32()), rows) for name in ("gen_s", "engine_s")}
    missing = {name: pa.nulls(rows, kind.type) for name, kind in zip(SAMPLES_SCHEMA.names, SAMPLES_SCHEMA, strict=True)}
    return pa.table(missing | columns).select(SAMPLES_SCHEMA.names).cast(SAMPLES_SCHEMA)


def _call(export: Callable[[], TrainingReport], found: list[TrainingReport]) -> None:
    found.append(export())


def main(shards: int, place: Path, ways: list[str]) -> None:
    if not any(place.iterdir()):
        subprocess.run([sys.executable, "-m", "bench.export", str(shards), str(place), "write"], check=True)
    run = read_run(DirectoryStore(place))
    print("| of | rows read/s | rows written | peak MB |\n| --- | ---: | ---: | ---: |")
    for way in ways or WAYS:
        form, selection = WAYS[way]
        with tempfile.TemporaryDirectory(prefix="troop-bench-") as out:
            wanted, found = with_defaults(DataSet(form, selection)), list[TrainingReport]()
            export = partial(export_training, run, DirectoryStore(Path(out)), wanted)
            seconds, megabytes = watch_memory(partial(_call, export, found))
            rows = sum(found[0].rows.values())
            print(f"| {way} | {shards * SHARD_ROWS / seconds:,.0f} | {rows:,} | {megabytes:,.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[3:] == ["write"]:
        write_run(DirectoryStore(Path(sys.argv[2])), int(sys.argv[1]))
    elif len(sys.argv) > 2:  # a folder of results that an earlier call has written, or an empty one, and some ways
        main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    else:
        with tempfile.TemporaryDirectory(prefix="troop-bench-") as made:
            main(int(sys.argv[1]), Path(made), [])
