"""Tests of reading: counts against plain Python's, views, versions, compaction, damage."""

import dataclasses
import json
import os
import random
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from jobs.numbers.cells import CellCounts
from jobs.store import encode
from jobs.store.base import Store
from jobs.store.catalogue import choose_cells, read_problems, read_versions, write_problems
from jobs.store.check import find_damage
from jobs.store.commit import RunSink
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.encode import encode_verdicts
from jobs.store.folder import DirectoryStore
from jobs.store.layout import final_verdicts_key, verdicts_key
from jobs.store.schema import VERDICTS_SCHEMA
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import BadInput, StoreError
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Unit
from verify.verdict import Status, Verdict

MODEL, TASK = "org/it's a model", "gsm8k=1"
PROBLEMS, PER_UNIT = 5, 8
SHARES = {
    Status.PASS: 4, Status.FAIL: 4, Status.TIMEOUT: 1, Status.CRASH: 1, Status.INVALID: 1, Status.FAULT: 1,
}  # fmt: skip


def provenance_of(model: str) -> Provenance:
    return Provenance(model, "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")


def unit_of(number: int, model: str = MODEL, task: str = TASK) -> Unit:
    return Unit(model, task, number, 0, PROBLEMS, number * PER_UNIT, (number + 1) * PER_UNIT)


def rows_of(unit: Unit) -> list[tuple[Sample, Verdict]]:
    rng = random.Random(f"{unit}")
    rows = []
    for p in range(unit.first_problem, unit.last_problem):
        for s in range(unit.first_sample, unit.last_sample):
            text = f"{p}: {rng.randrange(20)}"
            status = rng.choices(list(SHARES), list(SHARES.values()))[0]
            answer = None if status in (Status.INVALID, Status.CRASH) else "42" if status is Status.PASS else text
            sample = Sample(p, s, text, "stop", 10 + p, rng.randrange(1, 99), number_seed(unit), 1.0, rng.random())
            rows.append((sample, Verdict(status, reason="because", answer=answer, tier="namespaces")))
    return rows


def number_seed(unit: Unit) -> int:
    return 1000 + unit.number


def commit(store: Store, unit: Unit, version: str = "v1") -> list[tuple[Sample, Verdict]]:
    rows = rows_of(unit)
    samples, verdicts = [s for s, _ in rows], [v for _, v in rows]
    RunSink(store, version).commit(unit, samples, verdicts, provenance_of(unit.model))
    return rows


def check_counts(cell: CellCounts, rows: list[tuple[Sample, Verdict]]) -> None:
    """Counts everything in ``cell`` again, one row at a time, and compares."""
    for i, idx in enumerate(sorted({s.problem_idx for s, _ in rows})):
        mine = [v for s, v in rows if s.problem_idx == idx]
        decided = [v for v in mine if v.status is not Status.FAULT]
        assert cell.n[i] == len(decided)
        assert cell.c[i] == sum(v.status is Status.PASS for v in mine)
        assert cell.faults[i] == len(mine) - len(decided)
        assert cell.timeouts[i] == sum(v.status is Status.TIMEOUT for v in mine)
        answers = Counter((v.answer, v.status is Status.PASS) for v in decided if v.answer is not None)
        found = zip(cell.answers[i].count.tolist(), cell.answers[i].right.tolist(), strict=True)
        assert sorted(found) == sorted((n, right) for (_, right), n in answers.items())
    assert cell.status_counts == Counter(str(v.status) for _, v in rows)
    assert cell.tokens == sum(s.tokens for s, _ in rows)
    assert cell.prompt_tokens == sum({s.problem_idx: s.prompt_tokens for s, _ in rows}.values())
    assert cell.engine_s == pytest.approx(sum(s.engine_s for s, _ in rows))
    texts = [(s.problem_idx, s.text) for s, _ in rows]
    assert cell.duplicate_rate == pytest.approx(1 - len(set(texts)) / len(texts))
    assert cell.tiers == {"namespaces": len(rows)}


def problems_of(count: int, answer: str = "42") -> list[Problem]:
    return [
        Problem.model_validate(
            {"id": f"q{i}", "prompt": f"{i}?", "verifier": "math", "reference": {"answer": answer}, "solution": "so"}
        )
        for i in range(count)
    ]


def test_counts_are_those_of_plain_python(store: Store) -> None:
    rows = [row for number in range(3) for row in commit(store, unit_of(number))]
    other = commit(store, unit_of(0, "other"))
    write_problems(store, TASK, 0, problems_of(4))
    cells = {cell.model: cell for cell in read_cells(store)}
    assert list(cells) == [MODEL, "other"]
    check_counts(cells[MODEL], rows)
    check_counts(cells["other"], other)
    assert cells[MODEL].problem_ids == ("q0", "q1", "q2", "q3", "4")
    assert cells[MODEL].task == TASK


def test_all_but_the_copies_is_counted_without_looking_at_texts(store: Store) -> None:
    commit(store, unit_of(0))
    (whole,), (quick,) = read_cells(store), read_cells(store, texts=False)
    assert whole.duplicate_rate is not None and whole.copies is not None
    assert (quick.duplicate_rate, quick.copies) == (None, None)
    for field in dataclasses.fields(whole):
        if field.name not in ("duplicate_rate", "copies"):
            assert repr(getattr(quick, field.name)) == repr(getattr(whole, field.name)), field.name


def test_views(store: Store) -> None:
    rows = [row for number in range(2) for row in commit(store, unit_of(number))]
    commit(store, unit_of(1))  # loses: its samples must not be seen
    write_problems(store, TASK, 0, problems_of(PROBLEMS))
    with open_database(store) as db:
        tokens, passed = db.sql("SELECT sum(tokens), count(*) FILTER (passed) FROM verdicts").fetchall()[0]
        assert (tokens, passed) == (sum(s.tokens for s, _ in rows), sum(v.status is Status.PASS for _, v in rows))
        joined = db.sql("""
            SELECT s.model, s.task, s.seed, v.version, p.problem_id, v.reason, s.text
            FROM samples s JOIN verdicts v USING (model, task, problem_idx, sample_idx)
            JOIN problems p USING (task, problem_idx)
            ORDER BY problem_idx, sample_idx""").fetchall()
        assert len(joined) == len(rows)
        assert joined[0] == (MODEL, TASK, 1000, "v1", "q0", "because", rows[0][0].text)
        assert db.sql("SELECT count(*) FROM samples WHERE model = 'other' OR seed = 1001").fetchall() == [(40,)]
        ((reference,),) = db.sql("SELECT reference FROM problems LIMIT 1").fetchall()
        assert json.loads(reference)["answer"] == "42"


def test_an_empty_run_has_empty_views(tmp_path: Path) -> None:
    run = DirectoryStore(tmp_path / "none")
    assert read_cells(run) == []
    assert find_damage(run) == []
    with open_database(run) as db:
        for view in ("verdicts", "samples", "problems"):
            assert db.sql(f"SELECT count(*) FROM {view}").fetchall() == [(0,)]
        assert "reason" in db.sql("SELECT * FROM verdicts").columns


def test_the_glob_is_exact(tmp_path: Path) -> None:
    """Any Parquet reader sees the same rows, with no manifest: two winners, two losers, one dead attempt."""
    store = DirectoryStore(tmp_path)
    for number in (0, 1, 0, 1):
        commit(store, unit_of(number))
    (tmp_path / ".tmp/left.parquet").write_bytes(b"half")
    glob = f"{tmp_path}/verdicts/**/*.parquet"
    counts = "count(*), count(DISTINCT (problem_idx, sample_idx))"
    rows = duckdb.sql(f"SELECT model, task, v, {counts} FROM read_parquet('{glob}') GROUP BY ALL").fetchall()
    assert rows == [(MODEL, TASK, "v1", 80, 80)]


def test_problems_are_written_once_and_the_newest_counts(store: Store) -> None:
    first = write_problems(store, TASK, 0, problems_of(3))
    assert write_problems(store, TASK, 0, problems_of(3)) == first
    write_problems(store, TASK, 3, problems_of(1))
    assert len(list(store.list("problems/"))) == 2
    assert read_problems(store)["problem_idx"].to_pylist() == [0, 1, 2, 3]


def test_a_changed_reference_replaces_the_old_one(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    new = write_problems(store, TASK, 0, problems_of(2, answer="new"))
    old = write_problems(store, TASK, 0, problems_of(3, answer="old"))
    os.utime(tmp_path / old, (0, 0))
    assert new != old
    found = read_problems(store)["reference"].to_pylist()
    assert [json.loads(reference)["answer"] for reference in found] == ["new", "new", "old"]


def test_half_a_new_version_changes_nothing_and_a_whole_one_takes_over(tmp_path: Path) -> None:
    store, run = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
    for number in range(2):
        rows = commit(store, unit_of(number))
        os.utime(tmp_path / verdicts_key("v1", unit_of(number)), (0, 0))
    before = read_cells(run)[0].n.sum()
    for number, (chosen, faults) in enumerate([("v1", before), ("v0", 0)]):
        rows = rows_of(unit_of(number))
        judged = read_footer(store.get(verdicts_key("v1", unit_of(number))))
        samples = [s for s, _ in rows]
        RunSink(store, "v0").commit_verdicts(unit_of(number), samples, [Verdict(Status.FAULT)] * len(rows), judged)
        assert [cell.version for cell in choose_cells(read_versions(run))] == [chosen]
        assert read_cells(run)[0].n.sum() == faults
    assert read_cells(run, version="v1")[0].n.sum() == before
    assert [(cell.version, cell.units) for cell in read_versions(run)] == [("v1", 2), ("v0", 2)]
    with pytest.raises(BadInput, match="'v7': not in this run; it has: v0, v1"):
        read_cells(run, version="v7")


def test_a_compacted_shard_is_read_in_place_of_its_units(store: Store) -> None:
    rows = [row for number in (0, 1, 256) for row in commit(store, unit_of(number))]
    found = [store.get(verdicts_key("v1", unit_of(number))) for number in (0, 1)]
    table = pa.concat_tables([read_table(data, "verdicts", "here") for data in found])
    engine_s = sum(read_footer(data).engine_s for data in found)
    store.put_new(final_verdicts_key("v1", MODEL, TASK, 0), encode_verdicts(table, Footer("a", engine_s=engine_s)))
    check_counts(read_cells(store)[0], rows)
    store.delete(verdicts_key("v1", unit_of(0)))
    check_counts(read_cells(store)[0], rows)


def test_duplicates_are_estimated_from_a_share_of_the_hashes(tmp_path: Path) -> None:
    """Two large units of one problem have the same texts, as from engines with one seed."""
    store, per_unit = DirectoryStore(tmp_path), 20_000
    for number in range(2):
        unit = Unit(MODEL, TASK, number, 0, 1, number * per_unit, (number + 1) * per_unit)
        samples = [Sample(0, unit.first_sample + i, f"text {i}", "stop", 1, 1, 1, 1.0) for i in range(per_unit)]
        RunSink(store, "v1").commit(unit, samples, [Verdict(Status.FAIL)] * per_unit, provenance_of(MODEL))
    assert read_cells(store)[0].duplicate_rate == pytest.approx(0.5)


def test_outcomes_without_text(tmp_path: Path) -> None:
    store, unit = DirectoryStore(tmp_path), unit_of(0)
    table = pa.table(
        {
            "problem_idx": [0, 0, 2],
            "sample_idx": [0, 1, 0],
            "status": ["pass", "fail", "pass"],
            "passed": [True, False, True],
        }
    )
    RunSink(store, "imported").put_verdicts(unit, table, Footer("a1"))
    cell = read_cells(store)[0]
    assert (cell.n.tolist(), cell.c.tolist(), cell.problem_ids) == ([2, 1], [1, 1], ("0", "2"))
    assert (cell.tokens, cell.prompt_tokens, cell.duplicate_rate, cell.answers, cell.tiers) == (0, 0, None, (), {})
    assert cell.n.dtype == np.int64
    assert find_damage(store) == []
    with open_database(store) as db:
        assert db.sql("SELECT count(*) FROM samples").fetchall() == [(0,)]


def test_columns_of_other_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that lacks a column, and one that has an unknown one, are read together."""
    store = DirectoryStore(tmp_path)
    commit(store, unit_of(0))
    key = verdicts_key("v1", unit_of(1))
    table = read_table(store.get(verdicts_key("v1", unit_of(0))), "verdicts", "here")
    table = table.drop(["shared", "text_hash"]).append_column("mood", pa.array(["good"] * len(table)))
    store.put_new(key, encode.write_table(table, "verdicts", {"attempt": "a"}, 1000))
    assert read_cells(store)[0].n.sum() == 2 * sum(v.status is not Status.FAULT for _, v in rows_of(unit_of(0)))
    with open_database(store) as db:
        assert db.sql("SELECT count(*), count(mood), count(shared) FROM verdicts").fetchall() == [(80, 40, 40)]


def test_a_newer_schema_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    monkeypatch.setattr(encode, "SCHEMA_VERSION", 5)
    commit(store, unit_of(0))
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"u0000000.parquet: has verdicts schema version 5"):
        read_cells(store)


def test_a_whole_run_passes_the_check(store: Store) -> None:
    for number in (0, 1, 0):
        commit(store, unit_of(number))
    assert find_damage(store) == []


def test_all_damage_is_found(tmp_path: Path) -> None:
    store, run = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
    for number in range(5):
        commit(store, unit_of(number))
    footers = [read_footer(store.get(verdicts_key("v1", unit_of(number)))) for number in range(5)]
    store.delete(footers[1].samples)
    store.put(footers[2].samples, store.get(footers[0].samples))
    store.put(verdicts_key("v1", unit_of(3)), store.get(verdicts_key("v1", unit_of(3)))[:-100])
    other = encode_verdicts(VERDICTS_SCHEMA.empty_table(), dataclasses.replace(footers[0], attempt="b"))
    store.put(verdicts_key("v1", unit_of(4)), other)
    damage = {found.key: found.what for found in find_damage(run)}
    assert "no such object" in damage[footers[1].samples]
    assert "SHA-256" in damage[footers[2].samples]
    assert "Parquet" in damage[verdicts_key("v1", unit_of(3))]
    assert "another unit" in damage[verdicts_key("v1", unit_of(4))]
    assert len(damage) == 4


def test_scores_are_counted_by_answer_and_what_is_no_number_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, unit = DirectoryStore(tmp_path), Unit("m", "t", 0, 0, 2, 0, 4)
    said = [("x", 0.5), ("y", 0.5), ("x", 0.5), (None, 2.0), ("y", float("nan")), (None, None), ("y", 1.0), ("z", 1.0)]
    samples = [Sample(i // 4, i % 4, "", "stop", 1, 1, 0, 0.0) for i in range(8)]
    verdicts = [Verdict(Status.PASS if a == "x" else Status.FAIL, answer=a, score=s) for a, s in said]
    RunSink(store, "v1").commit(unit, samples, verdicts, provenance_of("m"))
    (cell,) = read_cells(store)
    (first, second), said_so = cell.scored, cell.unscorable
    assert said_so == "1 samples have a score that is no number; they are no candidates"
    assert [first.score.tolist(), first.answer.tolist()] == [[0.5, 0.5, 2.0], [0, 1, -1]]
    assert [first.count.tolist(), first.right.tolist()] == [[2, 1, 1], [2, 0, 0]]
    assert [second.score.tolist(), second.count.tolist()] == [[1.0, 1.0], [1, 1]]
    monkeypatch.setattr("jobs.store.scores.MOST_SCORES", 4)
    (cell,) = read_cells(store)
    assert cell.scored == ()
