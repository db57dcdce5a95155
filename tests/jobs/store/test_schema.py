"""Tests of stored files: rows come back, in few bytes, and only files that this code understands are read."""

import dataclasses
import io
import json
import random
import string

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.store import encode
from jobs.store.encode import (
    REASON_CHARACTERS,
    encode_problems,
    encode_samples,
    encode_verdicts,
    verdict_table,
)
from jobs.store.layout import samples_key
from jobs.store.schema import (
    HASH_STRIDE,
    PROBLEM_COLUMNS,
    SAMPLE_COLUMNS,
    SAMPLES_SCHEMA,
    SCORE_COLUMNS,
    VERDICT_COLUMNS,
    VERDICTS_SCHEMA,
    VIEWS,
)
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import DamagedFile, StoreError
from sampling.problems import Message, Problem
from sampling.samples import Provenance, Sample, Unit
from tests.support.store_fixtures import read_samples
from verify.verdict import Status, Verdict

PROVENANCE = Provenance("org/m", "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")
counts, floats = st.integers(0, 2**31 - 1), st.floats(0, 1e6, width=32)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
samples = st.builds(
    Sample, counts, counts, texts, st.sampled_from(["stop", "length", "error"]), counts, counts,
    st.integers(-(2**63), 2**63 - 1), floats, floats, st.none() | st.floats(-1e6, 0, width=32),
)  # fmt: skip
verdicts = st.builds(
    Verdict, st.sampled_from(Status), texts, st.none() | texts, st.none() | st.floats(0, 1, width=32),
    floats, floats, floats, st.sampled_from(["", "userns"]), st.booleans(),
)  # fmt: skip
units = st.lists(samples, max_size=20, unique_by=lambda s: (s.problem_idx, s.sample_idx))


@given(units)
@settings(deadline=None, max_examples=60)
def test_samples_come_back(unit: list[Sample]) -> None:
    found, provenance = read_samples(encode_samples(unit, PROVENANCE), model=PROVENANCE.model)
    assert found == sorted(unit, key=lambda s: (s.problem_idx, s.sample_idx))
    assert provenance == (PROVENANCE if unit else Provenance(PROVENANCE.model, *[""] * 7))


@given(st.data(), units)
@settings(deadline=None, max_examples=60)
def test_verdicts_come_back(data: st.DataObject, unit: list[Sample]) -> None:
    judged = data.draw(st.lists(verdicts, min_size=len(unit), max_size=len(unit)))
    footer = Footer("a1", samples_key(Unit("m", "t", 0, 0, 1, 0, 1), "a1"), "ff", 1.5)
    encoded = encode_verdicts(verdict_table(unit, judged), footer)
    assert read_footer(encoded) == footer
    rows = read_table(encoded, "verdicts", "here").to_pylist()
    pairs = sorted(zip(unit, judged, strict=True), key=lambda pair: (pair[0].problem_idx, pair[0].sample_idx))
    for row, (sample, verdict) in zip(rows, pairs, strict=True):
        assert (row["problem_idx"], row["sample_idx"]) == (sample.problem_idx, sample.sample_idx)
        assert (row["tokens"], row["prompt_tokens"]) == (sample.tokens, sample.prompt_tokens)
        assert (row["status"], row["passed"], row["score"]) == (verdict.status, verdict.passed, verdict.score)
        assert (row["answer"], row["reason"], row["tier"]) == (verdict.answer, verdict.reason, verdict.tier)
        assert row["shared"] == verdict.shared
        assert row["verify_ms"] == pytest.approx(min(verdict.wall_s * 1000, 2e9), rel=0.06, abs=0.51)


def unit_of(problems: int, per_problem: int, seed: int = 0) -> tuple[list[Sample], list[Verdict]]:
    """Returns samples and verdicts with lengths and pass rates as of a small model on grade-school mathematics."""
    rng = random.Random(seed)
    rates = [rng.betavariate(0.4, 1.5) for _ in range(problems)]
    made = [
        Sample(p, s, rng.randbytes(8).hex(), "stop", 100 + p, min(512, int(rng.lognormvariate(5, 0.4))), seed, 1.0)
        for p in range(problems)
        for s in range(per_problem)
    ]
    judged = [
        Verdict(Status.PASS if rng.random() < rates[s.problem_idx] else Status.FAIL, wall_s=rng.expovariate(4000))
        for s in made
    ]
    return made, judged


def bytes_per_row(table: pa.Table) -> float:
    footer = Footer("0" * 32, "samples/model=org%2Fname/task=gsm8k/s=00000/u0000000-" + "0" * 32, "f" * 64, 12.5)
    return len(encode_verdicts(table, footer)) / len(table)


def test_bytes_per_row() -> None:
    """Plain outcomes need less than two bytes a row in any unit, and sampled rows do so once compacted.

    Sampled rows in a unit's own file also pay for its footer and for the length of each completion: 1.2 bytes that no
    encoding saves, and 0.3 more for encodings that every reader has.
    """
    unit = verdict_table(*unit_of(32, 64))
    outcomes = unit.select(["problem_idx", "sample_idx", "status", "passed"])
    shard = pa.concat_tables([verdict_table(*unit_of(32, 64, seed)) for seed in range(24)])
    assert bytes_per_row(outcomes) <= 1.6
    assert bytes_per_row(unit) <= 3.4
    assert bytes_per_row(shard) <= 2.0


def test_every_column_says_what_it_means() -> None:
    """docs/results.md is made from these descriptions."""
    tables = {
        "verdicts": VERDICT_COLUMNS,
        "samples": SAMPLE_COLUMNS,
        "scores": SCORE_COLUMNS,
        "problems": PROBLEM_COLUMNS,
    }
    for columns in (*tables.values(), *VIEWS.values()):
        assert len({column.name for column in columns}) == len(columns)
        assert all(column.about[0].isupper() and column.about.endswith(".") for column in columns)
    for name, columns in tables.items():
        assert VIEWS[name][-len(columns) :] == columns


def test_layout_of_the_files() -> None:
    made, judged = unit_of(160, 64)
    verdict_file = pq.ParquetFile(io.BytesIO(encode_verdicts(verdict_table(made, judged), Footer("a"))))
    sample_file = pq.ParquetFile(io.BytesIO(encode_samples(made, PROVENANCE)))
    assert sample_file.metadata.row_group(0).num_rows == 8192
    for file in (verdict_file, sample_file):
        group = file.metadata.row_group(0)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        assert "DELTA_BINARY_PACKED" in columns["problem_idx"].encodings
        assert "DELTA_BINARY_PACKED" in columns["sample_idx"].encodings
        assert {column.compression for column in columns.values()} == {"ZSTD"}
        assert [order.column_index for order in group.sorting_columns] == [0, 1]


def test_text_that_utf8_cannot_hold() -> None:
    broken = Sample(0, 0, "a\ud800b\0", "stop", 1, 1, 1, 1.0)
    found, _ = read_samples(encode_samples([broken], PROVENANCE))
    assert found[0].text == "a?b\0"
    table = verdict_table([broken], [Verdict(Status.FAIL, reason="\udfff", answer="\ud800")])
    assert table.select(["reason", "answer"]).to_pylist() == [{"reason": "?", "answer": "?"}]


def test_long_reasons_are_cut() -> None:
    table = verdict_table([Sample(0, 0, "", "stop", 1, 1, 1, 1.0)], [Verdict(Status.FAIL, reason="é" * 1000)])
    assert table["reason"][0].as_py() == "é" * (REASON_CHARACTERS - 1) + "…"


def test_copies_of_a_text_share_their_hash() -> None:
    made, judged = unit_of(32, 64)
    made = [dataclasses.replace(s, text=string.ascii_letters[s.sample_idx % 40]) for s in made]
    hashes = verdict_table(made, judged)["text_hash"].to_pylist()
    by_text = {s.text: h for s, h in zip(made, hashes, strict=True)}
    assert all(by_text[s.text] == h for s, h in zip(made, hashes, strict=True))
    assert all(h is None or h % HASH_STRIDE == 0 for h in hashes)
    few = verdict_table(made[:100], judged[:100])["text_hash"]
    assert few.null_count == 0


def test_a_column_of_tomorrow_is_tolerated() -> None:
    table = verdict_table(*unit_of(1, 4)).append_column("mood", pa.array(["good", None, "bad", None]))
    data = encode.write_table(table, "verdicts", {"attempt": "a", "weather": "fine"}, 100)
    assert read_table(data, "verdicts", "here").select(VERDICTS_SCHEMA.names) == table.select(VERDICTS_SCHEMA.names)
    assert read_footer(data) == Footer("a")


def test_a_newer_schema_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "SCHEMA_VERSION", 5)
    data = encode_samples([], PROVENANCE)
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"here: has samples schema version 5, .* up to 4"):
        read_samples(data, "here")


def test_files_of_the_first_version_have_no_seal_and_are_read() -> None:
    table = verdict_table(*unit_of(1, 4))
    said = {"kind": "verdicts", "schema": 1, "attempt": "old"}
    out = io.BytesIO()
    with pq.ParquetWriter(out, table.schema, write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"troop": json.dumps(said)})
    assert read_table(out.getvalue(), "verdicts", "here").equals(table)
    assert read_footer(out.getvalue()).attempt == "old"
    with pytest.raises(StoreError, match="here: "):
        read_table(out.getvalue().replace(b'"schema": 1', b'"schema": 2'), "verdicts", "here")


def test_other_files_are_refused() -> None:
    out = io.BytesIO()
    pq.write_table(SAMPLES_SCHEMA.empty_table(), out)
    for data in (
        out.getvalue(),
        encode_verdicts(VERDICTS_SCHEMA.empty_table(), Footer("a")),
        b"",
        b"PAR1 not at all PAR1",
    ):
        with pytest.raises(StoreError, match="here: "):
            read_samples(data, "here")


def test_every_flipped_bit_is_found() -> None:
    """Flips bits in the pages, in their headers, in the footer and in the seal itself."""
    data = encode_samples(unit_of(8, 8)[0], PROVENANCE)
    read_table(data, "samples", "here")
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        with pytest.raises(DamagedFile, match="here: "):
            read_table(bytes(broken), "samples", "here")


def test_every_cut_is_found() -> None:
    data = encode_verdicts(verdict_table(*unit_of(8, 8)), Footer("a"))
    for length in range(len(data)):
        with pytest.raises(DamagedFile, match="here: "):
            read_footer(data[:length], "here")


def test_problems() -> None:
    chat = Problem(
        id="p", messages=(Message(role="user", content="Why?"),), verifier="exact", reference={"answer": "é"}
    )  # type: ignore[arg-type]
    row = read_table(encode_problems(7, [chat]), "problems", "here").to_pylist()[0]
    assert row == {
        "problem_idx": 7,
        "problem_id": "p",
        "prompt": '[{"role": "user", "content": "Why?"}]',
        "verifier": "exact",
        "reference": '{"answer":"é","pattern":null,"which":"last","case":"strict","accept":[]}',
        "solution": None,
    }
