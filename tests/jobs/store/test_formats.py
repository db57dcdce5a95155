"""Formats that must never change, as literals: a run that an earlier Troop began is read and continued by this one.

Nothing here is written by our own encoders. A new column is added at the end of its literal, nullable; nothing else may
change.
"""

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.store import schema
from jobs.store.check import find_damage
from jobs.store.compact import compact_run
from jobs.store.counts import read_cells
from jobs.store.database import run_query
from jobs.store.encode import encode_samples, encode_verdicts, verdict_table
from jobs.store.folder import DirectoryStore
from jobs.store.layers import Block, Layer, PlannedModel, PlannedProblems, decode_layer, layer_key
from jobs.store.layout import (
    final_samples_key,
    final_verdicts_key,
    problems_key,
    quarantine_key,
    samples_key,
    scorer_key,
    scores_key,
    verdicts_key,
)
from jobs.store.scores import Scorer
from jobs.store.sealed_parquet import Footer, read_footer
from jobs.store.sessions import Session
from jobs.store.stored_run import read_run
from sampling.samples import Provenance, Sample, Unit
from verify.verdict import Status, Verdict

KEY = [("problem_idx", pa.int32(), False), ("sample_idx", pa.int32(), False)]
VERDICTS = [
    *KEY,
    ("status", pa.string(), False),
    ("passed", pa.bool_(), True),
    ("score", pa.float32(), True),
    ("tokens", pa.int32(), True),
    ("prompt_tokens", pa.int32(), True),
    ("text_hash", pa.uint32(), True),
    ("answer", pa.string(), True),
    ("reason", pa.string(), True),
    ("verify_ms", pa.int32(), True),
    ("cpu_ms", pa.int32(), True),
    ("max_rss_mb", pa.int32(), True),
    ("tier", pa.string(), True),
    ("shared", pa.bool_(), True),
    ("toolchain", pa.string(), True),
]
SAMPLES = [
    *KEY,
    ("text", pa.string(), False),
    ("finish_reason", pa.string(), False),
    ("prompt_tokens", pa.int32(), False),
    ("tokens", pa.int32(), False),
    ("seed", pa.int64(), False),
    ("gen_s", pa.float32(), False),
    ("engine_s", pa.float32(), False),
    ("logprob", pa.float32(), True),
    ("reasoning", pa.string(), True),
    ("reasoning_tokens", pa.int32(), True),
    ("token_ids", pa.list_(pa.field("element", pa.int32())), True),
    ("token_logprobs", pa.list_(pa.field("element", pa.float32())), True),
    ("top_token_ids", pa.list_(pa.field("element", pa.int32())), True),
    ("top_logprobs", pa.list_(pa.field("element", pa.float32())), True),
    ("revision", pa.string(), False),
    ("engine", pa.string(), False),
    ("engine_version", pa.string(), False),
    ("sampling_hash", pa.string(), False),
    ("code_version", pa.string(), False),
    ("node", pa.string(), False),
    ("device", pa.string(), False),
    ("node_id", pa.string(), True),
    ("gpus", pa.string(), True),
    ("gpu_ids", pa.string(), True),
    ("gpu_uuids", pa.string(), True),
    ("gpu_memory", pa.string(), True),
    ("adapter", pa.string(), True),
    ("dtype", pa.string(), True),
]
SCORES = [*KEY, ("score", pa.float32(), True), ("reason", pa.string(), True), ("tokens", pa.int32(), True)]
PROBLEMS = [
    ("problem_idx", pa.int32(), False),
    ("problem_id", pa.string(), False),
    ("prompt", pa.string(), False),
    ("verifier", pa.string(), False),
    ("reference", pa.string(), False),
    ("solution", pa.string(), True),
]
SEALED_LAYER = """{
 "format": 1,
 "number": 0,
 "created": "2026-01-01T00:00:00+00:00",
 "code_version": "abc",
 "sweep": {
  "name": "sums"
 },
 "models": [
  {
   "name": "m",
   "distribution": {
    "engine": "replay"
   },
   "sampling": {
    "k": 4
   },
   "revision": "main",
   "sampling_hash": "ab",
   "parameters": null,
   "layers": null,
   "hidden": null
  }
 ],
 "problems": [
  {
   "task": "t",
   "ids": [
    "one"
   ],
   "prompt_digests": [
    "p"
   ],
   "reference_digests": [
    "r"
   ]
  }
 ],
 "blocks": [
  {
   "model": "m",
   "task": "t",
   "first_unit": 0,
   "first_problem": 0,
   "last_problem": 1,
   "first_sample": 0,
   "last_sample": 4,
   "problems_per_unit": 1,
   "samples_per_unit": 2
  }
 ],
 "sha256": "50e0b1961ab8c408cabffd92a75c3f4437fcd2a8711784d6825d928b132be800"
}"""
LAYER = Layer(
    number=0,
    created="2026-01-01T00:00:00+00:00",
    code_version="abc",
    sweep={"name": "sums"},
    models=(
        PlannedModel(
            name="m", distribution={"engine": "replay"}, sampling={"k": 4}, revision="main", sampling_hash="ab"
        ),
    ),
    problems=(PlannedProblems(task="t", ids=("one",), prompt_digests=("p",), reference_digests=("r",)),),
    blocks=(
        Block(
            model="m", task="t", first_unit=0, first_problem=0, last_problem=1, first_sample=0, last_sample=4,
            problems_per_unit=1, samples_per_unit=2,
        ),
    ),
)  # fmt: skip


def arrow(columns: list[tuple[str, pa.DataType, bool]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=nullable) for name, kind, nullable in columns])


def test_schemas() -> None:
    pairs = [
        (schema.VERDICTS_SCHEMA, VERDICTS),
        (schema.SAMPLES_SCHEMA, SAMPLES),
        (schema.SCORES_SCHEMA, SCORES),
        (schema.PROBLEMS_SCHEMA, PROBLEMS),
    ]
    for ours, literal in pairs:
        assert ours.equals(arrow(literal), check_metadata=True)


def test_files_have_these_columns_and_no_arrow_schema() -> None:
    samples = [Sample(0, 0, "", "stop", 1, 1, 1, 1.0)]
    verdicts = encode_verdicts(verdict_table(samples, [Verdict(Status.PASS, toolchain="Lean 4.9.0")]), Footer("a"))
    provenance = Provenance("m", "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")
    for data, literal in ((verdicts, VERDICTS), (encode_samples(samples, provenance), SAMPLES)):
        file = pq.ParquetFile(io.BytesIO(data))
        assert file.schema_arrow.remove_metadata().equals(arrow(literal), check_metadata=True)
        assert set(file.metadata.metadata) == {b"troop"}


def test_keys() -> None:
    unit = Unit("org/m", "gsm8k", 3078, 0, 2, 0, 4)
    assert [
        layer_key(0),
        layer_key(1),
        samples_key(unit, "0f"),
        verdicts_key("v1", unit),
        scores_key("r1", unit),
        scorer_key("r1"),
        final_samples_key("org/m", "gsm8k", 12, "0f"),
        final_verdicts_key("v1", "org/m", "gsm8k", 12),
        problems_key("gsm8k", 7, "ab12"),
        quarantine_key("samples/x.parquet", "0123456789abcdef0123"),
    ] == [
        "plan.json",
        "plan.0001.json",
        "samples/model=org%2Fm/task=gsm8k/s=00012/u0003078-0f.parquet",
        "verdicts/v=v1/model=org%2Fm/task=gsm8k/s=00012/u0003078.parquet",
        "scores/m=r1/model=org%2Fm/task=gsm8k/s=00012/u0003078.parquet",
        "scores/m=r1/model.json",
        "final/samples/model=org%2Fm/task=gsm8k/s=00012/all-0f.parquet",
        "final/verdicts/v=v1/model=org%2Fm/task=gsm8k/s=00012/all.parquet",
        "problems/task=gsm8k/p0000007-ab12.parquet",
        "quarantine/samples/x-0123456789abcdef.damaged",
    ]


def test_a_layer_of_the_plan() -> None:
    """Fields are only added to what the first version wrote, and are null where a run says nothing of them."""
    written, first = json.loads(LAYER.encode()), json.loads(SEALED_LAYER)
    assert [part.pop("time_limits_s") for part in written["problems"]] == [None]
    assert [model.pop("dtype") for model in written["models"]] == [None]
    assert list(written) == list(first) and {**written, "sha256": ""} == {**first, "sha256": ""}
    read = decode_layer(SEALED_LAYER.encode(), "plan.json")
    assert read.model_copy(update={"sha256": LAYER.sha256}) == LAYER


def test_json_objects_of_a_run() -> None:
    session = {
        "started": "20260101T000000.000000Z", "ended": True, "elapsed_s": 2.0, "ready_s": 1.0, "samples": 4,
        "tokens": 9, "stored_bytes": 5, "verify_s": 0.5, "verifiers": 2, "engines": {"m": 1}, "usd": {"m": 0.5},
    }  # fmt: skip
    assert Session.model_validate(session).model_dump() == session
    scorer = {"model": "m", "revision": "main", "words": "w", "engine": {"name": "e"}, "settings": {"batch": 4}}
    assert json.loads(Scorer.model_validate(scorer).encode()) == scorer


def sealed(table: pa.Table, footer: dict[str, object]) -> bytes:
    """Returns a file as any Troop has written it since schema version 2, made with pyarrow and hashlib alone."""
    blank, out = "0" * 64, io.BytesIO()
    with pq.ParquetWriter(out, table.schema, write_page_checksum=True, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"troop": json.dumps({**footer, "sha256": blank})})
    data = out.getvalue()
    at = data.rindex(blank.encode())
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + 64 :]


@pytest.mark.parametrize(
    ("samples_at", "verdicts_at"),
    [
        ("samples/model=m/task=t/s=00000/u0000000-0f.parquet", "verdicts/v=v1/model=m/task=t/s=00000/u0000000.parquet"),
        ("final/samples/model=m/task=t/s00000-0f.parquet", "final/verdicts/v=v1/model=m/task=t/s00000.parquet"),
    ],
)
def test_a_run_of_an_earlier_version_is_read(tmp_path: Path, samples_at: str, verdicts_at: str) -> None:
    provenance = dict.fromkeys(["revision", "engine", "engine_version", "sampling_hash", "code_version"], "x")
    rows = [
        {
            "problem_idx": 0, "sample_idx": i, "text": f"text {i}", "finish_reason": "stop", "prompt_tokens": 3,
            "tokens": 5, "seed": 1, "gen_s": 1.0, "engine_s": 0.5, "model": "m", "node": "n", "device": "cpu",
            **provenance,
        }
        for i in range(2)
    ]  # fmt: skip
    judged = [
        {"problem_idx": 0, "sample_idx": i, "status": status, "passed": status == "pass", "tokens": 5}
        for i, status in enumerate(["pass", "fail"])
    ]
    earlier = [*SAMPLES, ("model", pa.string(), False)]  # folders alone name the model since version 3
    samples = sealed(pa.Table.from_pylist(rows, arrow(earlier)), {"kind": "samples", "schema": 2})
    said = {"kind": "verdicts", "schema": 2, "attempt": "0f", "samples": samples_at, "engine_s": 1.0}
    said["samples_sha256"] = hashlib.sha256(samples).hexdigest()
    verdicts = sealed(pa.Table.from_pylist(judged, arrow(VERDICTS[:-1])), said)  # no file had ``toolchain`` at first
    store = DirectoryStore(tmp_path)
    problem = {
        "task": "t",
        "problem_idx": 0,
        "problem_id": "one",
        "prompt": "?",
        "verifier": "exact",
        "reference": "{}",
    }
    named = arrow([("task", pa.string(), False), *PROBLEMS])
    problems = sealed(pa.Table.from_pylist([problem], named), {"kind": "problems", "schema": 2})
    written = {
        "plan.json": SEALED_LAYER.encode(), samples_at: samples, verdicts_at: verdicts,
        "problems/task=t/p0000000-ab12.parquet": problems,
    }  # fmt: skip
    for key, data in written.items():
        store.put(key, data)
    assert read_footer(verdicts) == Footer("0f", samples_at, hashlib.sha256(samples).hexdigest(), 1.0)
    assert find_damage(store) == []
    (cell,) = read_cells(store)
    assert (cell.n.tolist(), cell.c.tolist(), cell.tokens, cell.engine_s) == ([2], [1], 10, 1.0)
    query = """SELECT model, problem_id, text, status FROM samples JOIN verdicts
        USING (model, task, problem_idx, sample_idx) JOIN problems USING (task, problem_idx) ORDER BY ALL"""
    assert run_query(read_run(store), query)[1] == [("m", "one", "text 0", "pass"), ("m", "one", "text 1", "fail")]
    assert compact_run(store).shards == 0
