"""``troop import``: a run holds the table's rows, however often and in how many pieces it is imported."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.import_read import COUNTS, OUTCOMES, Table
from jobs.import_write import import_table
from jobs.report.build import build_report
from jobs.store.counts import read_cells
from jobs.store.folder import DirectoryStore
from jobs.sweep import open_run, sweep_of
from sampling.errors import StoreError
from tests.conftest import PROBLEMS, Finished, Troop, WriteSweep
from tests.jobs.numbers.test_fits import OUTCOMES as PAPER
from tests.support.s3_server import S3Server

ROWS = [
    {"who": model, "nr": str(problem), "try": sample + 1, "right": (problem * sample + len(model)) % 3 == 0}
    for model in ("a", "bb")
    for problem in (10, 9, 100)
    for sample in range(4 if problem == 100 else 6)
]
COLUMNS = {"model": "who", "problem": "nr", "sample": "try", "passed": "right"}
MAPPING = ",".join(f"{name}={column}" for name, column in COLUMNS.items())


def ignore(done: int, total: int) -> None:
    """Shows no progress."""


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def counted(run: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """(n, c) by model and problem."""
    return {
        cell.model: dict(zip(cell.problem_ids, zip(cell.n.tolist(), cell.c.tolist(), strict=True), strict=True))
        for cell in read_cells(open_run(str(run)).store)
    }


def expected(rows: list[dict[str, object]]) -> dict[str, dict[str, tuple[int, int]]]:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for row in rows:
        n, c = found.setdefault(str(row["who"]), {}).get(str(row["nr"]), (0, 0))
        found[str(row["who"])][str(row["nr"])] = (n + 1, c + bool(row["right"]))
    return found


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_a_table_of_outcomes_becomes_a_run(troop: Troop, tmp_path: Path, kind: str) -> None:
    table, run = write(tmp_path / f"table{kind}", ROWS[::-1]), tmp_path / "run"
    words = ("import", run, "--outcomes", table, "--columns", MAPPING, "--task", "sums")
    first, again = troop(*words), troop(*words, "--json")
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert "32 samples imported" in first.out and json.loads(again.out)["written"] == 0
    assert counted(run) == expected(ROWS)
    assert list(counted(run)["a"]) == ["9", "10", "100"]
    status = json.loads(troop("status", run, "--json").out)
    assert status["complete"] and [cell["committed"] for cell in status["cells"]] == [16, 16]
    for command in ("check", "compact", "clean", "verify", "report")[: 5 if kind == ".csv" else 1]:
        done = troop(command, run)
        assert done.code == 0, done.err
    rows = "SELECT problem_id, sample_idx, passed FROM verdicts JOIN problems USING (task, problem_idx)"
    said = [json.loads(line) for line in troop("sql", run, f"{rows} WHERE model = 'a'", "--json").out.splitlines()]
    assert {(r["problem_id"], r["sample_idx"], r["passed"]) for r in said} == {
        (r["nr"], int(str(r["try"])) - 1, r["right"]) for r in ROWS if r["who"] == "a"
    }


def test_a_table_may_grow_but_not_change(troop: Troop, tmp_path: Path) -> None:
    run, words = tmp_path / "run", ("--columns", MAPPING, "--task", "sums")
    half = write(tmp_path / "half.parquet", ROWS[:16])
    assert troop("import", run, "--outcomes", half, *words).code == 0
    whole = write(tmp_path / "whole.parquet", ROWS)
    grown = troop("import", run, "--outcomes", whole, *words, "--baseline", "bb")
    assert "16 samples imported, 16 were there" in grown.out and counted(run) == expected(ROWS)
    before = sorted(path for path in run.rglob("*"))
    changed = [{**ROWS[0], "right": not ROWS[0]["right"]}, *ROWS[1:]]
    refused = troop("import", run, "--outcomes", write(tmp_path / "other.parquet", changed), *words)
    assert refused.code == 2 and "holds other rows of a on sums" in refused.err
    assert sorted(path for path in run.rglob("*")) == before
    report = troop("report", run, "--out", tmp_path / "out")
    assert report.code == 0 and "matches one try of bb" in report.err, report.err


def test_a_model_may_become_a_baseline_later(troop: Troop, tmp_path: Path) -> None:
    run, table = tmp_path / "run", write(tmp_path / "table.csv", ROWS)
    words = ("import", run, "--outcomes", table, "--columns", MAPPING, "--task", "sums")
    assert troop(*words).code == troop(*words, "--baseline", "a").code == troop(*words).code == 0
    assert [model.name for model in sweep_of(open_run(str(run)).layers).models if model.baseline] == ["a"]
    assert len(open_run(str(run)).layers) == 2
    unknown = troop(*words, "--baseline", "c")
    assert unknown.code == 2 and "'c'" in unknown.err and "a, bb" in unknown.err


def test_counts_are_enough_for_a_report(troop: Troop, tmp_path: Path) -> None:
    rows = [{"model": "m", "task": "t", "problem": f"p{i}", "n": 50 + i % 2, "c": i} for i in range(12)]
    run = tmp_path / "run"
    done = troop("import", run, "--counts", write(tmp_path / "counts.csv", rows))
    assert done.code == 0, done.err
    assert counted(run) == {"m": {row["problem"]: (row["n"], row["c"]) for row in rows}}
    assert troop("report", run, "--out", tmp_path / "out").code == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["cells"][0]["fit"]["a"] < 0 and report["cells"][0]["coverage"][-1]["k"] == 50


def test_what_was_imported_is_compacted(troop: Troop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.import_plan.UNIT_ROWS", 2)
    rows = [{"model": "m", "task": "t", "problem": i, "n": 2, "c": i % 3} for i in range(260)]
    run, table = tmp_path / "run", write(tmp_path / "t.csv", rows)
    assert troop("import", run, "--counts", table).code == 0
    assert "1 full shard compacted" in troop("compact", run).out
    assert len(list((run / "final").rglob("*.parquet"))) == 1 and len(list((run / "verdicts").rglob("*.parquet"))) == 4
    assert counted(run) == {"m": {str(row["problem"]): (2, row["c"]) for row in rows}}
    assert "0 samples imported" in troop("import", run, "--counts", table).out and troop("check", run).code == 0


def test_scores_and_answers_select(tmp_path: Path) -> None:
    told = [("7", 0.9, True), ("8", 0.1, False), ("8", 0.2, False), (None, 0.95, False)]
    rows = [
        {"problem": p, "sample": i, "status": "pass" if right else "fail", "answer": answer, "score": score}
        for p in range(3)
        for i, (answer, score, right) in enumerate(told)
    ]
    table = Table(OUTCOMES, write(tmp_path / "t.jsonl", rows), {}, {"task": "t", "model": "m"})
    import_table(str(tmp_path / "run"), table, task=None, baselines=(), show=ignore)
    (cell,) = build_report(read_cells(open_run(str(tmp_path / "run")).store), {}).cells
    assert (cell.weighted_by, cell.majority[-1].value) == ("score", 0.0)
    assert cell.best_of[-1].value == cell.weighted[-1].value == 1.0


def test_samples_are_kept_and_verified_afterwards(troop: Troop, tmp_path: Path, write_sweep: WriteSweep) -> None:
    write_sweep()
    texts = {"one": "2", "two": "5", "bad": "6"}
    rows = [{"problem": name, "sample": i, "text": texts[name]} for name in texts for i in (3, 7)]
    samples, run = write(tmp_path / "samples.jsonl", rows), tmp_path / "run"
    words = ("import", run, "--samples", samples, "--model", "gpt")
    assert "no reference here" in troop(*words, "--task", "sums").err
    done = troop(*words, "--task", "jsonl=problems.jsonl")
    assert done.code == 0 and "troop verify" in done.out, done.err
    assert counted(run) == {"gpt": {"one": (0, 0), "two": (0, 0), "bad": (0, 0)}}
    assert troop("verify", run, "--workers", 1).code == 0
    assert counted(run) == {"gpt": {"one": (2, 2), "two": (2, 0), "bad": (2, 2)}}
    assert troop(*words, "--task", "jsonl=problems.jsonl").code == troop("check", run).code == 0


def test_outcomes_beside_a_sampled_model_make_a_baseline_of_it(
    troop: Troop, tmp_path: Path, write_sweep: WriteSweep
) -> None:
    sweep = write_sweep()
    assert troop("run", sweep, "--local", "--no-report").code == 0
    rows = [{"problem": p["id"], "sample": 0, "passed": i < 1} for i, p in enumerate(PROBLEMS)]
    table = write(tmp_path / "frontier.csv", rows)
    run = tmp_path / "runs" / "sums"
    words = ("import", run, "--outcomes", table, "--task", "sums")
    assert "was sampled in this run" in troop(*words, "--model", "gold").err
    assert troop(*words, "--model", "frontier", "--baseline", "frontier").code == 0
    again = troop("run", sweep, "--local")
    assert again.code == 0 and "all 2 units are committed" in again.err, again.err
    assert "matches one try of frontier" in again.err
    assert troop("verify", run).code == 0


def test_a_run_in_object_storage_takes_a_table_too(
    troop: Troop, tmp_path: Path, swift: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = swift.new_store(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", swift.endpoint)
    table = write(tmp_path / "t.jsonl", ROWS)
    words = ("import", f"{store.uri}/run", "--outcomes", table, "--columns", MAPPING, "--task", "sums")
    assert "32 samples imported" in troop(*words).out and "0 samples imported" in troop(*words).out
    status = json.loads(troop("status", f"{store.uri}/run", "--json").out)
    assert status["complete"] and sum(cell["passed"] for cell in status["cells"]) == sum(bool(r["right"]) for r in ROWS)


def test_an_import_that_dies_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.import_plan.UNIT_ROWS", 6)
    table = Table(OUTCOMES, write(tmp_path / "t.parquet", ROWS), COLUMNS, {"task": "sums"})
    run, puts = tmp_path / "run", 0
    whole = DirectoryStore.put_new

    def failing(store: DirectoryStore, key: str, *words: object) -> bool:
        nonlocal puts
        puts += key.startswith("verdicts/")
        if puts == 3:
            raise StoreError("the disk is gone")
        return whole(store, key, *words)

    monkeypatch.setattr(DirectoryStore, "put_new", failing)
    with pytest.raises(StoreError):
        import_table(str(run), table, task=None, baselines=(), show=ignore)
    done = import_table(str(run), table, task=None, baselines=(), show=ignore)
    assert 0 < done.written < 32 and counted(run) == expected(ROWS)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["m", "n"]), st.integers(0, 12)),
        st.integers(0, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
        min_size=1,
    )
)
def test_any_counts_come_back(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[tuple[str, int], tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    rows = [{"model": m, "problem": p, "n": n, "c": c} for (m, p), (n, c) in counts.items()]
    rows += [{"model": m, "problem": 99, "n": 1, "c": 0} for m in dict.fromkeys(m for m, _ in counts)]
    table = Table(COUNTS, write(folder / "t.parquet", rows), {}, {"task": "t"})
    import_table(str(folder / "run"), table, task=None, baselines=(), show=ignore)
    found = counted(folder / "run")
    assert {(r["model"], str(r["problem"])): (r["n"], r["c"]) for r in rows if r["n"]} == {
        (model, problem): pair for model, problems in found.items() for problem, pair in problems.items()
    }


ROW = {"problem": 1, "sample": 0, "passed": 1}
BAD: list[tuple[str, list[dict[str, object]], str, list[str]]] = [
    ("outcomes", [], "", ["no rows"]),
    ("outcomes", [{"nr": 1, "sample": 0, "passed": 1}], "", ["no column for problem", "--columns problem=", "nr"]),
    ("outcomes", [{"problem": 1, "sample": 0}], "", ["no column for passed", "status"]),
    ("outcomes", [ROW], "passed=ok", ["no column 'ok'", "problem, sample, passed"]),
    ("outcomes", [ROW], "pass=passed", ["'pass' is no column", "prompt_tokens"]),
    ("outcomes", [ROW], "passed", ["name=column"]),
    ("outcomes", [ROW] * 2, "", ["sample 0", "more than once", "map a column for model"]),
    ("outcomes", [{"problem": 1, "sample": 0, "passed": 0.5}], "", ["passed is 0.5", "score"]),
    ("outcomes", [ROW, {"problem": 1, "sample": 1, "passed": None}], "", ["passed is", "sample 1"]),
    ("outcomes", [{"problem": 1, "sample": -1, "passed": 1}], "", ["sample is -1", "whole number"]),
    ("outcomes", [{"problem": 1, "sample": 1.5, "passed": 1}], "", ["sample is 1.5"]),
    ("outcomes", [{"problem": 1, "sample": 0, "passed": 1, "score": float("nan")}], "", ["score is", "finite"]),
    ("outcomes", [{"problem": 1, "sample": 0, "status": "maybe"}], "", ["status is maybe", "timeout"]),
    ("outcomes", [{"problem": None, "sample": 0, "passed": 1}], "", ["problem is missing", "1 row"]),
    ("counts", [{"problem": 1, "n": 4, "c": 5}], "", ["c=5 of n=4", "problem 1"]),
    ("counts", [{"problem": 1, "n": 4, "c": -1}], "", ["c is -1"]),
    ("counts", [{"problem": 1, "n": 10**10, "c": 1}], "", ["n is 10000000000"]),
    ("counts", [{"problem": 1, "n": 4, "c": 1}] * 2, "", ["problem '1'", "more than once", "map a column for model"]),
    ("counts", [{"problem": 1, "n": 0, "c": 0}], "", ["n=0 everywhere"]),
    ("counts", [ROW], "", ["no column for n"]),
    ("samples", [{"problem": 1, "sample": 0}], "", ["no column for text"]),
]  # fmt: skip


@pytest.mark.parametrize("kind", [".parquet", ".jsonl"])
@pytest.mark.parametrize(("option", "rows", "columns", "says"), BAD)
def test_a_table_that_cannot_be_right_is_refused_in_one_line(
    troop: Troop, tmp_path: Path, option: str, rows: list[dict[str, object]], columns: str, says: list[str], kind: str
) -> None:
    if not rows and kind == ".parquet":
        pq.write_table(pa.table({"problem": [], "sample": [], "passed": []}), tmp_path / "t.parquet")
    else:
        write(tmp_path / f"t{kind}", rows)
    words = ("--columns", columns) if columns else ()
    path = tmp_path / f"t{kind}"
    found = troop("import", tmp_path / "run", f"--{option}", path, "--model", "m", "--task", "t", *words)
    check_refused(found, tmp_path, says if rows or kind == ".parquet" else ["t.jsonl"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--outcomes", "none.parquet"], ["none.parquet", "no such file"]),
        (["--outcomes", "t.txt"], ["t.txt", ".parquet, .csv, .jsonl"]),
        (["--outcomes", "t.parquet"], ["t.parquet", "cannot be read"]),
        (["--outcomes", "t.csv"], ["no column for model", "--model"]),
        (["--outcomes", "t.csv", "--model", "m"], ["no column for task", "--task"]),
        (["--outcomes", "t.csv", "--model", "m", "--task", "bad name!"], ["bad name!", "pattern"]),
        (["--outcomes", "t.csv", "--model", "m", "--columns", "model=problem", "--task", "t"], ["not both"]),
        (["--outcomes", "t.csv", "--counts", "t.csv"], ["one of --outcomes"]),
        ([], ["one of --outcomes"]),
        (["--outcomes", "t.csv", "--model", "m", "--task", "vibes=x"], ["vibes=x", "gsm8k"]),
    ],
)
def test_words_that_cannot_be_right_are_refused(
    troop: Troop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("t.txt", "t.parquet"):
        Path(name).write_text("no table")
    Path("t.csv").write_text("problem,sample,passed\n1,0,true\n")
    check_refused(troop("import", tmp_path / "run", *words), tmp_path, says)


def check_refused(found: Finished, folder: Path, says: list[str]) -> None:
    assert found.code == 2, found
    last = found.err.strip().splitlines()[-1]
    assert all(word in last for word in says), last
    assert "Traceback" not in found.err and not (folder / "run").exists()


def test_the_papers_verdicts_give_the_papers_figures(troop: Troop, tmp_path: Path) -> None:
    """Imports 2.56 M verdicts of three models through the command line and compares report.json with the paper."""
    if not PAPER.exists():
        pytest.skip("the paper's verdicts are not on this machine")
    kept = [("Model", "in", ["Pythia 70M", "Pythia 160M", "Pythia 12B"])]
    pq.write_table(pq.read_table(PAPER, filters=kept), tmp_path / "paper.parquet")
    columns = "model=Model,task=Benchmark,problem=Problem Idx,sample=Attempt Idx,passed=Score"
    run, out = tmp_path / "run", tmp_path / "out"
    assert troop("import", run, "--outcomes", tmp_path / "paper.parquet", "--columns", columns).code == 0
    assert troop("report", run, "--out", out).code == 0
    cells = {cell["model"]: cell for cell in json.loads((out / "report.json").read_text())["cells"]}
    at = {point["k"]: f"{point['value']:.4f}" for point in cells["Pythia 160M"]["coverage"]}
    assert (at[1], at[10_000]) == ("0.0027", "0.5703")
    assert printed(cells["Pythia 70M"]) == "-7.59 -0.18 0.0052 0.0071"
    assert printed(cells["Pythia 12B"]) == "-3.92 -0.35 0.0189 0.0118"


def printed(cell: dict[str, dict[str, float]]) -> str:
    fit = cell["fit"]
    return f"{fit['a']:.2f} {fit['b']:.2f} {fit['error_mean']:.4f} {fit['error_sd']:.4f}"


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.csv"])
def test_a_byte_order_mark_is_no_part_of_a_table(troop: Troop, tmp_path: Path, name: str) -> None:
    rows = [{**row, "nr": int(str(row["nr"]))} for row in ROWS]
    plain = write(tmp_path / name.removesuffix(".gz"), rows)
    data = b"\xef\xbb\xbf" + plain.read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = troop("import", tmp_path / "run", "--outcomes", tmp_path / name, "--columns", MAPPING, "--task", "t")
    assert found.code == 0, found.err
    assert counted(tmp_path / "run") == expected(ROWS)


@pytest.mark.parametrize("kind", [".parquet", ".jsonl"])
@pytest.mark.parametrize(
    ("column", "value"), [("problem", True), ("problem", 7.5), ("model", 2.0), ("task", False), ("problem", [1])]
)
def test_an_id_is_text_or_a_whole_number(troop: Troop, tmp_path: Path, kind: str, column: str, value: object) -> None:
    row = {"model": "m", "task": "t", "problem": 17, "sample": 0, "passed": True}
    good = write(tmp_path / f"good{kind}", [row])
    assert troop("import", tmp_path / "run", "--outcomes", good).code == 0
    assert list(counted(tmp_path / "run")["m"]) == ["17"]
    found = troop("import", tmp_path / "other", "--outcomes", write(tmp_path / f"bad{kind}", [{**row, column: value}]))
    assert (found.code, found.err.count("allowed")) == (2, 1), found.err
    assert column in found.err and "allowed: text, or whole numbers" in found.err
    assert not (tmp_path / "other").exists()


def test_two_columns_of_one_name_are_refused(troop: Troop, tmp_path: Path) -> None:
    line = '{"model": "m", "task": "t", "problem": "p", "sample": 0, "passed": true, "passed": false}\n'
    (tmp_path / "t.jsonl").write_text(line)
    (tmp_path / "t.csv").write_text("model,task,problem,sample,passed,passed\nm,t,p,0,true,false\n")
    (tmp_path / "own.csv").write_text("model,task,problem,sample,passed,passed_2\nm,t,p,0,true,x\n")
    for name, said in (("t.jsonl", 'duplicate key "passed"'), ("t.csv", "two columns are called 'passed'")):
        found = troop("import", tmp_path / "run", "--outcomes", tmp_path / name)
        assert (found.code, said in found.err) == (2, True), found.err
    assert troop("import", tmp_path / "run", "--outcomes", tmp_path / "own.csv").code == 0


TWICE = {
    "task_id": "HumanEval/0", "prompt": "def twice(x):\n", "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n", "test": "def check(candidate):\n    assert candidate(3) == 6\n",
}  # fmt: skip
THRICE = {**TWICE, "task_id": "HumanEval/1", "test": "def check(candidate):\n    assert candidate(3) == 9\n"}


@pytest.mark.parametrize(("key", "head"), [("completion", ""), ("solution", "def twice(x):\n")])
@pytest.mark.parametrize("numbered", [False, True])
def test_samples_of_other_harnesses_are_imported_as_they_are(
    troop: Troop, tmp_path: Path, key: str, head: str, numbered: bool
) -> None:
    problems = tmp_path / "humaneval.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in (TWICE, THRICE)))
    texts = ["    return 2 * x\n", "    return 3 * x\n", "    return 2 * x + 0\n"]
    ids = [0, 1] if numbered else ["HumanEval/0", "HumanEval/1"]
    rows = [{"task_id": name, key: head + text, "_identifier": "x"} for text in texts for name in ids]
    samples, run = write(tmp_path / "samples.jsonl", rows), tmp_path / "run"
    words = ("import", run, "--samples", samples, "--model", "m", "--task", f"humaneval={problems}")
    done = troop(*words)
    assert done.code == 0 and "6 samples imported" in done.out, done.err
    assert "0 samples imported, 6 were there" in troop(*words).out
    assert troop("verify", run, "--workers", 1).code == 0
    assert counted(run) == {"m": {"HumanEval/0": (3, 2), "HumanEval/1": (3, 1)}}
    said = troop("sql", run, "SELECT text FROM samples WHERE problem_idx = 0 ORDER BY sample_idx", "--json").out
    assert [json.loads(line)["text"] for line in said.splitlines()] == [head + text for text in texts]


def test_results_of_other_harnesses_are_imported_as_they_are(troop: Troop, tmp_path: Path) -> None:
    """HumanEval's `samples.jsonl_results.jsonl` has its verdicts in `passed`."""
    rows = [{"task_id": f"HumanEval/{i % 2}", "completion": "", "result": "", "passed": i > 2} for i in range(6)]
    table = write(tmp_path / "samples.jsonl_results.jsonl", rows)
    done = troop("import", tmp_path / "run", "--outcomes", table, "--model", "m", "--task", "humaneval")
    assert done.code == 0, done.err
    assert counted(tmp_path / "run") == {"m": {"HumanEval/0": (3, 1), "HumanEval/1": (3, 2)}}


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_rows_without_numbers_are_numbered_in_their_order(troop: Troop, tmp_path: Path, kind: str) -> None:
    rows = [{"task_id": i % 3, "model": "m", "passed": i % 7 == 0, "answer": str(i)} for i in range(30_000)]
    done = troop("import", tmp_path / "run", "--outcomes", write(tmp_path / f"t{kind}", rows), "--task", "t")
    assert done.code == 0, done.err
    query = "SELECT count(*) FILTER (answer::INT = 3 * sample_idx + problem_id::INT) AS right FROM verdicts"
    found = troop("sql", tmp_path / "run", f"{query} JOIN problems USING (task, problem_idx)", "--json")
    assert json.loads(found.out) == {"right": 30_000}
