"""Tests of ``troop export --format``: the samples asked for, as SQL finds them; equal bytes; nothing leaks."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.export.card import text
from jobs.export.data_set import DataSet, TrainingReport, with_defaults
from jobs.export.duplicates import normalised, shingles
from jobs.export.files import INDEX
from jobs.export.formats import FORMATS, Format
from jobs.export.parts import parse_splits
from jobs.export.selection import Selection
from jobs.export.training import export_training
from jobs.store.base import Store
from jobs.store.compact import compact_run
from jobs.store.database import open_database
from jobs.store.encode import decode_samples, encode_scores
from jobs.store.folder import DirectoryStore
from jobs.store.layout import VERDICTS, parse_key, scores_key
from jobs.store.sealed_parquet import read_footer, read_table
from jobs.store.stored_run import StoredRun
from sampling.engines.reward import Score
from sampling.errors import BadInput, StoreError
from sampling.samples import Sample, Unit
from tests.conftest import Troop, WriteSweep
from tests.jobs.export.test_export import Failing
from tests.jobs.store.test_compact import SMALL, few
from tests.support.made_run import chat_problem, judges, make_run, says, text_problem
from tests.support.s3_server import S3Server
from verify.verdict import Status

__all__ = ["few"]
TEXTS = [text_problem(number) for number in range(11)]
CHATS = [chat_problem(number) for number in range(11)]
Rows = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    return make_run(DirectoryStore(tmp_path / "run"), TEXTS)


def written(target: DirectoryStore, report: TrainingReport, split: str = "train") -> Rows:
    """Returns the rows of a split, after a look at the index and at what lies there."""
    assert [info.key for info in target.list("")] == sorted([INDEX, "README.md", *(f.name for f in report.files)])
    assert json.loads(target.get(INDEX))["files"] == [file.model_dump() for file in report.files]
    tables = [pq.read_table(target.root / file.name) for file in report.files if file.split == split]
    assert sum(len(table) for table in tables) == report.rows[split]
    return [row for table in tables for row in table.to_pylist()]


def exported(run: StoredRun, form: Format, place: Path | None = None, **wanted: Any) -> Rows:
    chosen = {name: wanted.pop(name) for name in list(wanted) if name in Selection.model_fields}
    assert isinstance(run.store, DirectoryStore)
    target = DirectoryStore(place or run.store.root.parent / f"out-{form}")
    data_set = with_defaults(DataSet(form, Selection(**chosen), **wanted))
    return written(target, export_training(run, target, data_set, SMALL))


def sql(run: StoredRun, where: str, columns: str = "problem_id, sample_idx") -> list[tuple[Any, ...]]:
    """Returns what DuckDB finds in the run's own views."""
    with open_database(run.store) as db:
        return db.sql(f"""SELECT {columns} FROM samples JOIN verdicts USING (model, task, problem_idx, sample_idx)
            JOIN problems USING (task, problem_idx) WHERE {where} ORDER BY ALL""").fetchall()


def keys(rows: Rows) -> list[tuple[Any, ...]]:
    return sorted((row["problem_id"], row["sample_idx"]) for row in rows)


def test_sft_has_every_right_sample_and_no_other(run: StoredRun) -> None:
    rows = exported(run, "sft")
    assert keys(rows) == sql(run, "passed")
    assert sorted((r["prompt"], r["completion"]) for r in rows) == sql(run, "passed", "prompt, text")
    assert list(rows[0]) == ["prompt", "completion", "model", "task", "problem_id", "sample_idx"]


def test_chats_are_messages_whose_last_turn_is_the_assistants(tmp_path: Path) -> None:
    run = make_run(DirectoryStore(tmp_path / "run"), CHATS)
    for row in exported(run, "sft"):
        system, user, reply = row["messages"]
        assert (system["role"], user["role"], reply["role"]) == ("system", "user", "assistant")
        assert (system["content"], user["content"]) == ("Be brief.", f"What is {row['problem_id'][1:]}?")
        assert reply["content"] == says("", int(row["problem_id"][1:]), row["sample_idx"])
    pair = exported(run, "dpo")[0]
    assert [turn["role"] for turn in pair["prompt"]] == ["system", "user"]
    assert [turn["role"] for name in ("chosen", "rejected") for turn in pair[name]] == ["assistant"] * 2


def test_kto_labels_right_and_wrong_samples_and_knows_no_fault(run: StoredRun) -> None:
    rows = exported(run, "kto")
    assert sorted((r["problem_id"], r["sample_idx"], r["label"]) for r in rows) == sql(
        run, "status <> 'fault'", "problem_id, sample_idx, passed"
    )
    few = exported(run, "kto", run.store.root.parent / "few", per_problem=2)  # type: ignore[attr-defined]
    counts = duckdb.sql(f"""SELECT problem_id, label, count(*) FROM '{run.store.root.parent}/few/data/*.parquet'
        GROUP BY ALL""").fetchall()  # type: ignore[attr-defined]
    assert {count for _, _, count in counts} == {1, 2} or {count for _, _, count in counts} == {2}
    assert len(few) == sum(count for _, _, count in counts)


def test_dpo_pairs_a_right_with_a_wrong_completion_of_the_same_prompt(run: StoredRun) -> None:
    rows = exported(run, "dpo", per_problem=3)
    found = {(p, s): (passed, done) for p, s, passed, done in sql(run, "true", "problem_id, sample_idx, passed, text")}
    for row in rows:
        name = row["problem_id"]
        assert found[name, row["chosen_idx"]] == (True, row["chosen"])
        assert found[name, row["rejected_idx"]] == (False, row["rejected"])
    used = [(r["problem_id"], r[name]) for r in rows for name in ("chosen_idx", "rejected_idx")]
    assert len(set(used)) == len(used)
    both = {name: min(c, n - c) for name, n, c in rates(run)}
    assert {name: sum(r["problem_id"] == name for r in rows) for name in both} == {
        name: min(3, pairs) for name, pairs in both.items()
    }
    assert len(exported(run, "dpo", run.store.root.parent / "default")) == 9  # type: ignore[attr-defined]


def rates(run: StoredRun) -> list[tuple[str, int, int]]:
    with open_database(run.store) as db:
        return db.sql("""SELECT problem_id, count(passed), count(*) FILTER (passed) FROM verdicts
            JOIN problems USING (task, problem_idx) GROUP BY ALL ORDER BY ALL""").fetchall()


@pytest.mark.parametrize("bounds", [(None, None), (0.2, 0.8), (0.0, 0.0), (1.0, None), (None, 0.5)])
def test_problems_outside_the_pass_rates_are_left_out(run: StoredRun, bounds: tuple[Any, Any]) -> None:
    low, high = bounds
    rows = exported(run, "pass-rate", min_rate=low, max_rate=high)
    expected = [(n, s, c) for n, s, c in rates(run) if (low or 0) <= c / s <= (1 if high is None else high)]
    assert sorted((r["problem_id"], r["n"], r["passes"]) for r in rows) == expected
    assert all(row["pass_rate"] == row["passes"] / row["n"] for row in rows)
    if any(c for _, _, c in expected):
        samples = exported(run, "sft", min_rate=low, max_rate=high)
        assert {row["problem_id"] for row in samples} == {name for name, _, c in expected if c}


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_cap_takes_the_shortest_or_any(run: StoredRun, most: int) -> None:
    taken = exported(run, "sft", per_problem=most, order="shortest")
    shortest = f"""SELECT problem_id, sample_idx FROM (SELECT *, row_number() OVER
        (PARTITION BY problem_id ORDER BY length(text), sample_idx) AS place FROM found) WHERE place <= {most}"""
    with open_database(run.store) as db:
        db.sql("""CREATE VIEW found AS SELECT * FROM samples JOIN verdicts USING (model, task, problem_idx, sample_idx)
            JOIN problems USING (task, problem_idx) WHERE passed""")
        assert keys(taken) == sorted(db.sql(shortest).fetchall())
    places = [run.store.root.parent / name for name in "abc"]  # type: ignore[attr-defined]
    first, again, other = (
        exported(run, "sft", place, per_problem=most, seed=seed) for place, seed in zip(places, (0, 0, 1), strict=True)
    )
    assert first == again
    assert len(first) == sum(min(most, c) for _, _, c in rates(run)) == len(other)
    assert (keys(first) != keys(other)) == (most < 100)


def give_scores(run: StoredRun, score: Callable[[Sample], float | None]) -> None:
    """Stores scores of a reward model for every unit of a run."""
    for info in list(run.store.list(VERDICTS)):
        key = parse_key(info.key)
        assert key and key.number is not None
        footer = read_footer(run.store.get(info.key))
        samples = decode_samples(read_table(run.store.get(footer.samples), "samples", ""))
        unit = Unit(key.model, key.task, key.number, 0, 0, 0, 0)
        scores = [Score(score(one), "" if score(one) is not None else "no text", 1) for one in samples]
        run.store.put_new(scores_key("rm", unit), encode_scores(samples, scores, replace(footer, attempt="s")))


def test_the_best_come_first_by_their_scores(run: StoredRun) -> None:
    give_scores(run, lambda s: None if s.sample_idx == 0 else float(s.sample_idx * 7 % 10))
    rows = exported(run, "sft", per_problem=3, order="best")
    with open_database(run.store) as db:
        best = db.sql("""SELECT problem_id, sample_idx FROM (SELECT problem_id, sample_idx, row_number() OVER
            (PARTITION BY problem_id ORDER BY s.score DESC NULLS LAST, sample_idx) AS place
            FROM verdicts JOIN problems USING (task, problem_idx) JOIN scores s USING (problem_idx, sample_idx)
            WHERE passed) WHERE place <= 3 ORDER BY ALL""").fetchall()
    assert keys(rows) == best
    (first, *_) = [row["sample_idx"] for row in rows if row["problem_id"] == "p10"]
    assert first == 7


def test_imported_outcomes_have_rates_alone(tmp_path: Path, troop: Troop) -> None:
    table = tmp_path / "t.jsonl"
    lines = [{"model": "m", "task": "t", "problem": f"p{p}", "sample": s, "passed": s % 2, "score": (s * 7) % 10}
             for p in range(3) for s in range(20)]  # fmt: skip
    table.write_text("\n".join(map(json.dumps, lines)))
    assert troop("import", str(tmp_path / "imported"), "--outcomes", str(table)).code == 0
    rate = troop("export", str(tmp_path / "imported"), "--format", "pass-rate", "--out", str(tmp_path / "rates"))
    assert rate.code == 0, rate.err
    assert {row["pass_rate"] for row in pq.read_table(tmp_path / "rates" / "data").to_pylist()} == {0.5}
    refused = troop("export", str(tmp_path / "imported"), "--format", "sft", "--out", str(tmp_path / "x"))
    assert refused.code == 2
    assert "no prompt stored" in refused.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("way", ["exact", "normalised", "minhash"])
def test_of_equal_completions_the_first_stays(tmp_path: Path, way: Any) -> None:
    if way == "minhash":
        pytest.importorskip("datasketch")

    def say(model: str, problem: int, sample: int) -> str:
        plain = " ".join(f"word{(problem * 31 + sample % 4 * 7 + at) % 50}" for at in range(40))
        return (plain, plain.upper() + "\n", plain + " end")[sample % 3]

    run = make_run(DirectoryStore(tmp_path / "run"), TEXTS, 40, text=say)
    rows = exported(run, "sft", dedupe=way)
    form = {"exact": "text", "normalised": "trim(lower(text), E' \\n')",
            "minhash": "replace(trim(lower(text), E' \\n'), ' end', '')"}[way]  # fmt: skip
    firsts = sql(run, f"passed QUALIFY row_number() OVER (PARTITION BY problem_id, {form} ORDER BY sample_idx) = 1")
    assert keys(rows) == firsts
    capped = exported(run, "sft", tmp_path / "capped", dedupe=way, per_problem=2)
    assert set(keys(capped)) <= set(firsts)
    assert len(capped) == sum(min(2, sum(name == p for name, _ in firsts)) for p in {name for name, _ in firsts})


def test_words_of_a_text() -> None:
    assert normalised("  Ａ\tB \n c") == "a b c"
    assert shingles("a b c d") == {"a b c", "b c d"}
    assert shingles("") == {""}
    assert shingles("One two") == {"one two"}


def test_truncated_and_empty_completions_are_counted(tmp_path: Path) -> None:
    changes = {0: {"finish_reason": "length"}, 1: {"text": "", "reasoning": "hm"}, 2: {"reasoning": "thought <b>"}}
    run = make_run(DirectoryStore(tmp_path / "run"), TEXTS, changes=changes)
    target = DirectoryStore(tmp_path / "out")
    wanted = DataSet("sft", Selection(drop_truncated=True, thoughts=True))
    report = export_training(run, target, wanted)
    assert (report.left_out["truncated"], report.left_out["empty"]) == (10, 9)
    rows = written(target, report)
    assert keys(rows) == sql(run, "passed AND finish_reason <> 'length' AND text <> ''")
    starts = {
        row["sample_idx"]: row["completion"].startswith("<think>\nthought <b>\n</think>\n\nanswer") for row in rows
    }
    assert [sample for sample, begins in starts.items() if begins] == [2]


@pytest.mark.parametrize("form", FORMATS)
def test_equal_rows_make_equal_bytes_compacted_or_not(tmp_path: Path, form: Format, few: None) -> None:
    run = make_run(DirectoryStore(tmp_path / "run"), CHATS)
    wanted = DataSet(form, Selection(per_problem=None if form in ("rl", "pass-rate") else 3),
                     (("train", 0.7), ("test", 0.3)))  # fmt: skip
    contents = []
    for name in "abc":
        target = DirectoryStore(tmp_path / name)
        report = export_training(run, target, wanted, SMALL, 2_000)
        contents.append({info.key: target.get(info.key) for info in target.list("")})
        if name == "b":
            compact_run(run.store, limits=SMALL)
    assert contents[0] == contents[1] == contents[2]
    assert set(report.rows) == {"train", "test"}
    assert min(report.rows.values()) > 0


def test_a_file_is_closed_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.export.parts._GROUP_ROWS", 10)
    run, target = make_run(DirectoryStore(tmp_path / "run"), TEXTS), DirectoryStore(tmp_path / "out")
    report = export_training(run, target, DataSet("sft", Selection()), part=1)
    assert [file.rows for file in report.files] == [10] * 10 + [9]
    assert keys(written(target, report)) == sql(run, "passed")


def test_equal_prompts_lie_in_one_split(tmp_path: Path) -> None:
    problems = [text_problem(number, prompt=f"prompt {number // 3}") for number in range(300)]
    run = make_run(DirectoryStore(tmp_path / "run"), problems, 2, ("a", "b"), status=lambda *_: Status.PASS)
    target = DirectoryStore(tmp_path / "out")
    report = export_training(run, target, DataSet("sft", Selection(), parse_splits("train=0.8, held_out=0.2")))
    train, held_out = (written(target, report, split) for split in ("train", "held_out"))
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in held_out}
    assert 0.7 < len(train) / (len(train) + len(held_out)) < 0.9
    front = yaml.safe_load(target.get("README.md").decode().split("---\n")[1])
    assert front["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"}, {"split": "held_out", "path": "data/held_out-*.parquet"},
    ]  # fmt: skip


def test_rl_has_the_columns_of_verl_and_alone_holds_right_answers(tmp_path: Path) -> None:
    ask = [{"role": "user", "content": "f"}]
    tests = {"entry_point": "f", "tests": "gold-11"}
    program = text_problem(11, verifier="python", prompt=None, messages=ask, reference=tests)
    run = make_run(DirectoryStore(tmp_path / "run"), [*CHATS, program])
    rows = exported(run, "rl")
    assert list(rows[0]) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    assert rows[3]["reward_model"] == {"style": "rule", "ground_truth": "gold-3"}
    assert rows[3]["prompt"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 3?"}]
    assert json.loads(rows[11]["reward_model"]["ground_truth"])["tests"] == "gold-11"
    assert [row["ability"] for row in rows[10:]] == ["general", "code"]
    assert [row["extra_info"]["index"] for row in rows] == list(range(12))
    assert rows[5]["extra_info"]["pass_rate"] == rows[5]["extra_info"]["passes"] / rows[5]["extra_info"]["n"]
    for form in FORMATS:
        if form != "rl":
            exported(run, form)
        data = duckdb.sql(f"SELECT * FROM '{tmp_path}/out-{form}/data/*.parquet'").fetchall()
        assert ("gold-" in str(data)) == (form == "rl"), form


def test_chat_makes_a_turn_of_each_text(run: StoredRun) -> None:
    for form in ("rl", "sft"):
        row = exported(run, form, chat=True)[0]  # type: ignore[arg-type]
        turns = row["prompt" if form == "rl" else "messages"]
        assert turns[0] == {"role": "user", "content": f"What is {0 if form == 'rl' else 1} é?"}


def test_names_are_text_in_the_card(tmp_path: Path) -> None:
    model, task = "<img src=x onerror=alert(1)>\n# [a](javascript:b)", "`t` | **x**\x1b[0m"
    run = make_run(DirectoryStore(tmp_path / "run"), TEXTS, models=(model,), task=task)
    exported(run, "sft", license="apache-2.0")
    card = (tmp_path / "out-sft" / "README.md").read_text()
    front, body = card.split("---\n")[1:]
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    assert "<" not in body
    assert not re.search(r"(?<!\\)[\[*|]", body)
    assert [line for line in body.splitlines() if line.startswith("#")] == [
        "# run, sft", "## Source", "## Rows", "## Filters", "## Decontamination",
    ]  # fmt: skip
    assert "\x1b" not in card
    assert "secret" not in card
    assert str(tmp_path) not in card + (tmp_path / "out-sft" / INDEX).read_text()
    assert text("a_b<c>&d") == "a\\_b&lt;c&gt;&amp;d"


def test_filters_that_were_left_open_are_said_in_words(run: StoredRun, tmp_path: Path) -> None:
    exported(run, "sft", dedupe="exact", drop_truncated=True)
    card = (tmp_path / "out-sft" / "README.md").read_text()
    said = card.partition("## Filters\n\n")[2].partition("\n\n")[0].splitlines()
    assert said == [
        "- per_problem: no limit", "- order: random", "- dedupe: exact", "- min_rate: 0", "- max_rate: 1",
        "- drop_truncated: yes", "- thoughts: no", "- seed: 0",
    ]  # fmt: skip


def test_several_models_stay_apart(tmp_path: Path) -> None:
    run = make_run(DirectoryStore(tmp_path / "run"), TEXTS, models=("a", "b"))
    assert {row["model"] for row in exported(run, "sft", models=("b",))} == {"b"}
    rows = exported(run, "sft", tmp_path / "both", per_problem=1)
    assert len(rows) == 20
    with pytest.raises(BadInput, match=r"2 models.*--model NAME takes one: a, b"):
        exported(run, "rl", chat=True)
    with pytest.raises(BadInput, match=r"--model c: .* allowed: a, b"):
        exported(run, "sft", tmp_path / "none", models=("c",))


@pytest.mark.parametrize("error", [StoreError("No space left on device"), KeyboardInterrupt()])
def test_a_failed_export_leaves_nothing(run: StoredRun, tmp_path: Path, error: BaseException) -> None:
    target = Failing(tmp_path / "out", 1, error)
    with pytest.raises(type(error)):
        export_training(run, target, DataSet("sft", Selection()))
    assert list(target.list("")) == []


def test_a_run_on_s3_goes_to_s3(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store, target = moto.new_store(monkeypatch), moto.new_store(monkeypatch)
    run = make_run(store, TEXTS)
    report = export_training(run, target, DataSet("sft", Selection()))
    here = DirectoryStore(tmp_path / "out")
    again = export_training(replace(run, store=_copy(store, tmp_path / "run")), here, DataSet("sft", Selection()))
    assert report.files == again.files
    assert target.get(report.files[0].name) == here.get(report.files[0].name)


def _copy(store: Store, folder: Path) -> DirectoryStore:
    copied = DirectoryStore(folder)
    for info in store.list(""):
        copied.put_new(info.key, store.get(info.key))
    return copied


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "rl"], "needs messages, and the prompts of sums are texts of a base model; --chat makes"),
        (["--format", "sft", "--max-rate", "0"], "nothing to export as sft"),
        (["--format", "dpo", "--max-rate", "0"], "nothing to export as dpo"),
        (["--format", "sft", "--min-rate", "0.9", "--max-rate", "0.1"], "above --max-rate"),
        (["--format", "sft", "--min-rate", "2"], "2"),
        (["--format", "sft", "--per-problem", "0"], "at least 1"),
        (["--format", "sft", "--shortest"], "--per-problem N says how many"),
        (["--format", "sft", "--best", "--per-problem", "1"], "have no scores; `troop score"),
        (["--format", "pass-rate", "--dedupe", "exact"], "its rows are prompts, not samples"),
        (["--format", "sft", "--split", "train=0.5,test=0.4"], "add up to 1"),
        (["--format", "sft", "--split", "../x"], "--split ../x: allowed"),
        (["--format", "sft", "--license", "a b"], "--license a b: allowed"),
        (["--format", "sft", "--task", "x"], "--task x"),
        (["--per-problem", "3"], "--per-problem: only with --format"),
        (["--format", "csv"], "csv"),
        (["--format", "sft", "--out", "hf://datasets/x"], "no data set of the hub; allowed: hf://datasets/owner/name"),
        (["--format", "sft", "--out", "hf://datasets/a/b"], "no token for the hub; set HF_TOKEN"),
        (["--format", "sft", "--out", "gs://a/b"], "cannot be opened"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    troop: Troop, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    done = troop("export", made, *words, *out)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def made(troop: Troop, write_sweep: WriteSweep) -> str:
    models = [{"name": "small", "path": "gold", "engine": "replay", "k": 4}]
    sweep = write_sweep(name="demo", models=models)
    assert troop("run", sweep, "--local", "--no-report").code == 0
    return "runs/demo"


def test_the_command(troop: Troop, made: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = troop("export", made, "--format", "sft", "--per-problem", "2", "--dedupe", "exact", "--out", out, "--json")
    assert done.code == 0, done.err
    report = TrainingReport.model_validate_json(done.out)
    assert pq.read_table(f"{out}/data").num_rows == sum(report.rows.values()) == 2
    assert report.left_out["duplicates"] == 6
    assert judges("", 5, 4) == Status.PASS
