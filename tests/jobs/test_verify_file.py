"""Verifies samples from anywhere: right verdicts in order, resumption, and bad input that leaves nothing behind."""

import gzip
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import verify_file as module
from jobs.verify_file import Progress, parse_task, verify_file, verify_samples
from jobs.verify_rows import COLUMNS, SampleRow, VerdictRow
from sampling.errors import BadInput, TroopError
from sampling.problems import Problem
from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT
from verify.verdict import Status, Verdict
from verify.verifiers import verdict_digest

MATH = Problem.model_validate({"id": "m", "prompt": "?", "verifier": "math", "reference": {"answer": "4"}})
EXACT = Problem.model_validate({"id": "e", "prompt": "?", "verifier": "exact", "reference": {"answer": "yes"}})
CASE = {"stdin": "2\n", "stdout": "4\n"}
STDIO = Problem.model_validate({"id": "s", "prompt": "?", "verifier": "stdio", "reference": {"cases": [CASE]}})
PROBLEMS = (MATH, EXACT, STDIO)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def samples(count: int = 5) -> list[dict[str, Any]]:
    """Returns samples of which every second one passes, from the first."""
    return [{"problem": "e", "sample": number, "text": "no" if number % 2 else "yes"} for number in range(count)]


def test_verdicts_come_in_the_order_of_the_samples(tmp_path: Path) -> None:
    rows = [
        {"problem": "s", "sample": 0, "text": "```python\nprint(int(input()) ** 2)\n```"},
        {"problem": "m", "sample": 0, "text": "\\boxed{4}"},
        {"problem": "e", "sample": 1, "text": "no\ud800\0"},
        {"problem": "m", "sample": 3, "text": "I do not know what to say."},
        {"problem": "s", "sample": 1, "text": "print(5)", "model": "tiny"},
        {"problem": "m", "sample": 2, "text": "\\boxed{\\sqrt{16}}"},
    ]
    seen: list[Progress] = []
    out = tmp_path / "v.jsonl"
    summary = verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), out, workers=2, progress=seen.append)
    verdicts = read(out)
    assert [(row["problem"], row["sample"]) for row in verdicts] == [(row["problem"], row["sample"]) for row in rows]
    assert [row["status"] for row in verdicts] == ["pass", "pass", "fail", "invalid", "fail", "pass"]
    assert [row["passed"] for row in verdicts] == [True, True, False, False, False, True]
    assert all(tuple(row) == COLUMNS for row in verdicts if "model" not in row)
    assert verdicts[4]["model"] == "tiny"
    assert [verdicts[1]["answer"], verdicts[2]["answer"]] == ["4", "no?"]
    assert verdicts[0]["tier"] and verdicts[0]["wall_s"] > 0 and not verdicts[1]["tier"]
    assert summary.status_counts == {"pass": 3, "fail": 2, "invalid": 1}
    assert [progress.done for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1] == Progress(done=6, total=6, kept=0, passed=3, faults=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.jsonl", "v.jsonl"]


def test_parquet(tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", samples()), out, workers=1)
    table = pq.read_table(out)
    assert table.column_names == ["model", *COLUMNS]
    assert table["passed"].to_pylist() == [True, False, True, False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.jsonl", "v.parquet"]


def test_samples_may_be_parquet(tmp_path: Path) -> None:
    path, out = tmp_path / "s.parquet", tmp_path / "v.jsonl"
    pq.write_table(pa.Table.from_pylist([{**row, "seed": 7} for row in samples()]), path)
    assert verify_samples(PROBLEMS, path, out).status_counts == {"pass": 3, "fail": 2}
    assert [row["sample"] for row in read(out)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"problem": "e", "sample": 0, "text": None}], "row 1: text"),
        (
            [{"problem": "e", "sample": 0, "text": "x"}, {"problem": "z", "sample": 0, "text": "x"}],
            "row 2: problem 'z'",
        ),
        ([{"problem": "e", "sample": 0}], "row 1: text"),
        ([{"problem": "e", "sample": 0.5, "text": "x"}], "row 1: sample"),
        ([{"problem": "e", "sample": None, "text": "x"}], "row 1: sample"),
    ],
)
def test_bad_rows_of_parquet_are_named(tmp_path: Path, rows: list[Any], said: str) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(BadInput, match=re.escape(said)):
        verify_samples(PROBLEMS, path, tmp_path / "v.jsonl")
    assert [left.name for left in tmp_path.iterdir()] == ["s.parquet"]


def test_a_cut_off_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(pa.Table.from_pylist(samples()), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="is no Parquet file that can be read"):
        verify_samples(PROBLEMS, path, tmp_path / "v.jsonl")
    with pytest.raises(BadInput, match="no such file"):
        verify_samples(PROBLEMS, tmp_path / "none.parquet", tmp_path / "v.jsonl")


def partial_lines(rows: list[dict[str, Any]], status: Status = Status.PASS) -> str:
    return "".join(VerdictRow.of(sample_row(row), Verdict(status)).line() for row in rows)


def sample_row(values: dict[str, Any]) -> SampleRow:
    """A row as the command reads it: its digest holds what its verdict depends on."""
    row = SampleRow.model_validate(values)
    row._judged_by = {problem.id: verdict_digest(problem) for problem in PROBLEMS}[row.problem]
    return row


def test_a_partial_of_other_problems_is_refused(tmp_path: Path) -> None:
    """The hole: verdicts by another answer were kept when the file of problems had changed meanwhile."""
    rows = samples(2)
    (tmp_path / "v.jsonl.partial").write_text(partial_lines(rows))
    first = next(problem for problem in PROBLEMS if problem.id == rows[0]["problem"])
    other = {"reference": first.reference.model_copy(update={"answer": "another"})}
    changed = [problem.model_copy(update=other) if problem is first else problem for problem in PROBLEMS]
    with pytest.raises(BadInput, match="belongs to other samples or problems than these"):
        verify_samples(changed, write(tmp_path / "s.jsonl", rows), tmp_path / "v.jsonl")


def test_an_unfinished_job_is_continued(tmp_path: Path) -> None:
    """Rows of the partial file are kept even if they are wrong: no row is verified again."""
    out, rows = tmp_path / "v.jsonl", samples(7)
    torn = partial_lines(rows[3:4])[:-20]
    (tmp_path / "v.jsonl.partial").write_text(partial_lines(rows[:3], Status.CRASH) + torn)
    summary = verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), out, workers=1)
    assert [row["status"] for row in read(out)] == ["crash"] * 3 + ["fail", "pass", "fail", "pass"]
    assert (summary.kept, summary.samples) == (3, 7)
    assert not (tmp_path / "v.jsonl.partial").exists()


def test_a_finished_partial_only_has_to_be_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_verify_batch", None)
    rows = samples(2)
    (tmp_path / "v.jsonl.partial").write_text(partial_lines(rows))
    assert verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), tmp_path / "v.jsonl").kept == 2


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            partial_lines([{"problem": "e", "sample": 0, "text": "another"}]),
            "belongs to other samples or problems than",
        ),
        (partial_lines(samples(9)), "v.jsonl.partial:6: belongs to other samples or problems than these; delete"),
        ("digest {not json}\n", "v.jsonl.partial:1: not valid JSON"),
    ],
)
def test_a_partial_of_other_samples_is_refused_and_left(tmp_path: Path, found: str, said: str) -> None:
    partial = tmp_path / "v.jsonl.partial"
    partial.write_text(found)
    with pytest.raises(BadInput) as refused:
        verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", samples()), tmp_path / "v.jsonl")
    assert said in str(refused.value)
    assert partial.read_text() == found


GOOD = samples(1)[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "s.jsonl: no samples; at least one is needed"),
        ([GOOD, {**GOOD, "problem": "zzz"}], "s.jsonl:2: problem 'zzz' is not in the task"),
        ([{"problem": "e", "sample": 0}], "s.jsonl:1: text: Field required"),
        ([{**GOOD, "text": None}], "s.jsonl:1: text: Input should be a valid string"),
        ([{**GOOD, "sample": "0"}], "s.jsonl:1: sample: Input should be a valid integer"),
        ([{**GOOD, "sample": -1}], "s.jsonl:1: sample: "),
        ([{**GOOD, "txt": ""}], "s.jsonl:1: txt: unknown key; allowed: model, problem, sample, text"),
        ([{**GOOD, "model": "a\ud800"}], "s.jsonl:1: model: only printable characters are allowed"),
        ([GOOD, "{"], "s.jsonl:2: not valid JSON"),
        ([GOOD, GOOD], "sample 0 of problem 'e' occurs more than once"),
    ],
)
def test_bad_samples_are_named_and_nothing_is_written(tmp_path: Path, rows: list[Any], said: str) -> None:
    path = write(tmp_path / "s.jsonl", rows)
    with pytest.raises(BadInput) as refused:
        verify_samples(PROBLEMS, path, tmp_path / "v.jsonl")
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_sample_of_two_models_is_two_samples(tmp_path: Path) -> None:
    rows = [{**GOOD, "model": "a"}, {**GOOD, "model": "b"}, GOOD]
    assert verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), tmp_path / "v.jsonl", workers=1).samples == 3


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_bytes(json.dumps(GOOD).encode() + b'\n{"text": "\xff"}\n')
    with pytest.raises(BadInput, match=r"s\.jsonl:2: not UTF-8"):
        verify_samples(PROBLEMS, tmp_path / "s.jsonl", tmp_path / "v.jsonl")


def test_outputs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", [GOOD])
    (tmp_path / "folder.jsonl").mkdir()
    for out, said in (
        (tmp_path / "v.csv", "must end in .jsonl or .parquet"),
        (tmp_path / "none" / "v.jsonl", "cannot be written"),
        (tmp_path / "folder.jsonl", "cannot be written"),
        (path, "is the samples file itself"),
    ):
        with pytest.raises(BadInput, match=said):
            verify_samples(PROBLEMS, path, out)
    with pytest.raises(BadInput, match="no such file"):
        verify_samples(PROBLEMS, tmp_path / "none.jsonl", tmp_path / "v.jsonl")


def test_a_full_disk_keeps_the_old_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path, out = write(tmp_path / "s.jsonl", [GOOD]), tmp_path / "v.jsonl"
    out.write_text("old\n")
    monkeypatch.setattr("jobs.verify_rows._write_jsonl", full)
    with pytest.raises(BadInput, match="No space left"):
        verify_samples(PROBLEMS, path, out, workers=1)
    assert out.read_text() == "old\n"
    monkeypatch.undo()
    assert verify_samples(PROBLEMS, path, out, workers=1).kept == 1
    assert len(read(out)) == 1


def test_a_tier_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    rows = [{"problem": "s", "sample": 0, "text": "print(4)"}]
    with pytest.raises(BadInput):
        verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), tmp_path / "v.jsonl", tier="steel", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl"]


SLOW = """
import sys
from pathlib import Path
from jobs.verify_file import verify_samples
from sampling.problems import Problem
cases = [{"stdin": "", "stdout": "1"}]
problem = {"id": "s", "prompt": "?", "verifier": "stdio", "reference": {"cases": cases, "time_limit_s": 30}}
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    verify_samples([Problem.model_validate(problem)], folder / "s.jsonl", folder / "v.jsonl", workers=2)
"""


def children(pid: int) -> set[int]:
    """Returns all processes below ``pid``, read from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found - {pid}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_job_leaves_its_rows_and_no_process(tmp_path: Path, number: int) -> None:
    quick = [{"problem": "s", "sample": sample, "text": "print(1)"} for sample in range(module.BATCH_ROWS)]
    slow = [{"problem": "s", "sample": 1000 + n, "text": f"import time\ntime.sleep({20 + n})"} for n in range(4)]
    write(tmp_path / "s.jsonl", quick + slow)
    (tmp_path / "job.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(
        [sys.executable, str(tmp_path / "job.py"), str(tmp_path)],
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background ignores it
    )
    partial, deadline = tmp_path / "v.jsonl.partial", time.monotonic() + 60
    while time.monotonic() < deadline and not (partial.exists() and len(partial.read_text().split("\n")) > len(quick)):
        time.sleep(0.1)
    time.sleep(0.5)
    started = children(job.pid)
    job.send_signal(number)
    job.wait(timeout=15)
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in started):
        time.sleep(0.1)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not (tmp_path / "v.jsonl").exists()
    assert len(partial.read_text().splitlines()) == len(quick)


def test_a_worker_that_dies_ends_the_job_and_keeps_what_was_done(tmp_path: Path) -> None:
    path, out = write(tmp_path / "s.jsonl", samples(3000)), tmp_path / "v.jsonl"

    def kill(progress: Progress) -> None:
        if progress.done == 1:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(TroopError, match="a verifier process died"):
        verify_samples(PROBLEMS, path, out, workers=1, progress=kill)
    assert verify_samples(PROBLEMS, path, out, workers=1).kept > 0
    assert len(read(out)) == 3000


def test_the_parse_task() -> None:
    spec = parse_task("gsm8k=data/test=1.jsonl")
    assert (spec.kind, spec.path) == ("gsm8k", "data/test=1.jsonl")
    for text in ("gsm8k", "gsm8k=", "gsm9k=a", ""):
        with pytest.raises(BadInput, match="write it as KIND=PATH; allowed kinds: jsonl, gsm8k"):
            parse_task(text)


def test_a_file_of_problems_and_one_of_samples_are_enough(tmp_path: Path) -> None:
    problems = write(tmp_path / "p.jsonl", [EXACT.model_dump(mode="json")])
    path = write(tmp_path / "s.jsonl", samples(3))
    said = verify_file(f"jsonl={problems}", path, tmp_path / "v.jsonl", workers=1)
    assert said.as_text().startswith("3 samples in ") and said.as_text().endswith(" s: 2 pass, 1 fail")


def with_test(name: str, tests: str) -> Problem:
    reference = {"entry_point": "f", "tests": tests, "time_limit_s": 1}
    return Problem.model_validate({"id": name, "prompt": "?", "verifier": "python", "reference": reference})


def test_tests_that_fail_or_hang_themselves_are_faults_named_by_problem(tmp_path: Path) -> None:
    """A broken test gives a fault for every sample; the other problems get their verdicts."""
    problems = [
        with_test("fails", "def check(candidate):\n    assert helper(1)\n    candidate(1)\n"),
        with_test("hangs", "while True:\n    pass\n"),
        with_test("is none", "def check(candidate:\n"),
        EXACT,
    ]
    rows = [{"problem": p.id, "sample": 0, "text": "def f(x):\n    return 1"} for p in problems[:3]]
    out = tmp_path / "v.jsonl"
    summary = verify_samples(problems, write(tmp_path / "s.jsonl", [*rows, GOOD]), out, workers=2)
    assert [(row["status"], row["passed"]) for row in read(out)] == [("fault", None)] * 3 + [("pass", True)]
    lines = summary.fault_lines()
    assert [line.partition(": the task's own")[0] for line in lines] == [
        f"fault: problem {name!r}" for name in ("fails", "hangs", "is none")
    ]
    assert json.loads(summary.as_json())["status_counts"] == {"fault": 3, "pass": 1}


def test_texts_that_no_model_should_write_have_their_verdicts(tmp_path: Path) -> None:
    """A NUL, half of a surrogate pair and 50 MB are verified like any other text."""
    texts = [("s", "```python\nprint(4)\0\n```"), ("e", "yes\0"), ("m", "\\boxed{4}\ud800"), ("s", "x" * 50_000_000)]
    rows = [{"problem": name, "sample": number, "text": text} for number, (name, text) in enumerate(texts)]
    out = tmp_path / "v.jsonl"
    verify_samples(PROBLEMS, write(tmp_path / "s.jsonl", rows), out, workers=2)
    assert [row["status"] for row in read(out)] == ["invalid", "fail", "pass", "invalid"]


def test_many_cases_are_judged_like_few(tmp_path: Path) -> None:
    cases = [{"args": [2], "expected": 4}] * 100_000
    reference = {"entry_point": "f", "cases": cases, "time_limit_s": 20}
    problem = Problem.model_validate({"id": "f", "prompt": "?", "verifier": "python", "reference": reference})
    texts = [
        "def f(x):\n    return 2 * x",
        "calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return calls // 9",
    ]
    rows = [{"problem": "f", "sample": number, "text": text} for number, text in enumerate(texts)]
    verify_samples([problem], write(tmp_path / "s.jsonl", rows), tmp_path / "v.jsonl", workers=1)
    right, wrong = read(tmp_path / "v.jsonl")
    assert (right["status"], wrong["status"]) == ("pass", "fail")
    assert wrong["reason"].startswith("case 1 of 100000: got 0")


def test_the_command_shows_progress_and_ends_with_a_summary(troop: Troop, tmp_path: Path) -> None:
    problems = write(tmp_path / "p.jsonl", [EXACT.model_dump(mode="json")])
    words = ["verify", "--task", f"jsonl={problems}", "--samples", write(tmp_path / "s.jsonl", samples(3))]
    found = troop(*words, "--out", tmp_path / "v.jsonl", "--workers", 1, "--json")
    assert found.code == 0, found.err
    summary = json.loads(found.out)
    assert (summary["samples"], summary["status_counts"]) == (3, {"pass": 2, "fail": 1})
    assert found.err.startswith("troop: 3 of 3 samples in 0:")


def test_numbers_as_ids_byte_order_marks_and_the_home_folder(
    troop: Troop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    problem = {"id": 7, "prompt": "?", "verifier": "exact", "reference": {"answer": "yes"}}
    (tmp_path / "p.jsonl").write_text("\ufeff" + json.dumps(problem) + "\n", encoding="utf-8")
    rows = [{"problem": 7, "sample": 0, "text": "yes"}, {"problem": "7", "sample": 1, "text": "no"}]
    (tmp_path / "s.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = troop("verify", "--task", "jsonl=~/p.jsonl", "--samples", "~/s.jsonl", "--out", "~/v.jsonl")
    assert found.code == 0, found.err
    assert [(row["problem"], row["passed"]) for row in read(tmp_path / "v.jsonl")] == [("7", True), ("7", False)]


@pytest.mark.parametrize("name", [True, 7.5, None])
def test_an_id_that_is_neither_text_nor_a_whole_number_is_refused(tmp_path: Path, name: object) -> None:
    path = write(tmp_path / "s.jsonl", [*samples(1), {"problem": name, "sample": 1, "text": "x"}])
    with pytest.raises(BadInput, match=rf"s\.jsonl:2: problem: Input should be a valid string, got {name}; put it in"):
        verify_samples(PROBLEMS, path, tmp_path / "v.jsonl")


HUMANEVAL = {
    "task_id": "HumanEval/0", "prompt": "def twice(x):\n    \"\"\"Returns 2 x.\"\"\"\n", "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n", "test": "def check(candidate):\n    assert candidate(3) == 6\n",
}  # fmt: skip
MBPP = {
    "task_id": 2,
    "text": "Write twice.",
    "code": "def twice(x):\n    return 2 * x",
    "test_list": ["assert twice(3)==6"],
}


@pytest.mark.parametrize(
    ("kind", "row", "task_id", "other"),
    [
        ("humaneval", HUMANEVAL, "HumanEval/0", {"completion": "    return 2 * x\n"}),
        ("humaneval", HUMANEVAL, "HumanEval/0", {"solution": "def twice(x):\n    return 2 * x\n", "_identifier": "x"}),
        ("humaneval", HUMANEVAL, 0, {"completion": "    return x + x\n", "result": "passed", "passed": True}),
        ("mbpp", MBPP, "Mbpp/2", {"solution": "def twice(x):\n    return 2 * x\n", "completion": None}),
        ("mbpp", MBPP, 2, {"completion": "def twice(x):\n    return 2 * x\n", "solution": None}),
    ],
)
def test_files_of_other_harnesses_are_read_as_they_are(
    tmp_path: Path, kind: str, row: dict[str, Any], task_id: object, other: dict[str, Any]
) -> None:
    """MBPP's problem 2 is one that Troop shows as an example and never asks; others do."""
    path = write(tmp_path / "t.jsonl", [row])
    (problem,) = parse_task(f"{kind}={path}").load(all_rows=True)
    name = "completion" if other.get("completion") else "solution"
    rows = [{"task_id": task_id, **other}, {"task_id": task_id, **other, name: "    pass\n"}]
    samples = write(tmp_path / "s.jsonl", rows)
    found = verify_file(f"{kind}={path}", samples, tmp_path / "v.jsonl", workers=1)
    assert found.status_counts["pass"] == 1
    assert [(v["problem"], v["sample"]) for v in read(tmp_path / "v.jsonl")] == [(problem.id, 0), (problem.id, 1)]


def test_columns_of_any_name_are_read(tmp_path: Path) -> None:
    rows = [{"q": "e", "out": text, "who": who, "text": 7} for who in "ab" for text in ("yes", "no")]
    names = {"problem": "q", "text": "out", "model": "who"}
    path = tmp_path / "s.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    for file in (path, write(tmp_path / "s.jsonl", rows)):
        verify_samples(PROBLEMS, file, tmp_path / "v.jsonl", columns=names, workers=1)
        found = [(v["model"], v["sample"], v["passed"]) for v in read(tmp_path / "v.jsonl")]
        assert found == [("a", 0, True), ("a", 1, False), ("b", 0, True), ("b", 1, False)]


def test_packed_samples_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"task_id": "e", "completion": "yes"}\n'))
    assert verify_samples(PROBLEMS, path, tmp_path / "v.jsonl", workers=1).status_counts == {"pass": 1}
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="cannot be read"):
        verify_samples(PROBLEMS, path, tmp_path / "w.jsonl")


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([{"task_id": "e"}], {}, "s.jsonl:1: text: Field required"),
        ([{"completion": "x"}], {}, "s.jsonl:1: problem: Field required"),
        ([{"task_id": "x/e", "completion": "x"}], {}, "s.jsonl:1: problem 'x/e' is not in the task"),
        ([{"task_id": "e", "completion": "x"}, {"problem": "e", "sample": 0, "text": "y"}], {}, "more than once"),
        ([{"q": "e", "text": "x"}], {"problem": "p"}, "s.jsonl:1: no 'p' (for problem); it has: 'q', 'text'"),
        ([{"task_id": "e", "completion": "x", "model": []}], {}, "s.jsonl:1: model: "),
    ],
)
def test_rows_under_other_names_are_checked_too(
    tmp_path: Path, rows: list[Any], columns: dict[str, str], said: str
) -> None:
    path = write(tmp_path / "s.jsonl", rows)
    with pytest.raises(BadInput) as refused:
        verify_samples(PROBLEMS, path, tmp_path / "v.jsonl", columns=columns)
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_takes_columns(troop: Troop, tmp_path: Path) -> None:
    problems = write(tmp_path / "p.jsonl", [problem.model_dump(exclude_none=True, mode="json") for problem in [EXACT]])
    path = write(tmp_path / "s.jsonl", [{"task_id": "e", "output": "yes"}])
    words = ("verify", "--task", f"jsonl={problems}", "--samples", path, "--out", tmp_path / "v.jsonl")
    assert troop(*words, "--columns", "text=output").code == 0
    found = troop(*words, "--columns", "txt=output")
    assert found.code == 2
    assert "--columns: 'txt' is no column; allowed for --samples: problem, sample, text, model" in found.err
    assert "give either RUN" in troop("verify", tmp_path, "--columns", "text=output").err


def test_what_troop_sql_writes_of_a_run_is_read_again(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0
    query = "SELECT task_id, rollout_index, completion, reward FROM rollouts ORDER BY ALL"
    Path("samples.jsonl").write_text(troop("sql", "runs/sums", query, "--json").out)
    words = ("--task", "jsonl=problems.jsonl", "--samples", "samples.jsonl", "--out", "v.jsonl")
    assert troop("verify", *words).code == 0
    rewards = [row["reward"] for row in read(Path("samples.jsonl"))]
    assert [float(row["passed"]) for row in read(Path("v.jsonl"))] == rewards and set(rewards) == {0.0, 1.0}
