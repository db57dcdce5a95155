"""Any table becomes problems by the columns that a sweep names; what does not fit is named with row and column."""

import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.choices import ChoiceReference
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import ExactReference, MathReference, PythonReference, StdioReference
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from tests.sampling.tasks.files import parquet, written

ROW = {
    "Question text": "How much is 40 + 2?", "gold (final)": 42, "№": 7, "2nd/hint": "Add.", "row": "mine",
    "choices": ["41", "42"], "a": "red", "b": "blue", "tests": '[{"stdin": "1", "stdout": "2"}]', "none": None,
    "turns": [{"role": "user", "content": "Hi", "name": "x"}, {"role": "assistant", "content": "Ho"}],
    "reward": {"style": "rule", "ground_truth": "42"}, "level": 3, "flag": True,
}  # fmt: skip
MATH = {"prompt": "Question text", "answer": "gold (final)"}


def load(path: Path, columns: dict[str, Any], verifier: str = "math", **more: Any) -> tuple[Problem, ...]:
    spec = {"kind": "table", "path": str(path), "columns": columns, "verifier": verifier, **more}
    return parse(TaskSpec, spec, "sweep.yaml: tasks.0").load()


@pytest.mark.parametrize("make", [written, parquet])
def test_a_key_is_a_column_or_a_template(tmp_path: Path, make: Any) -> None:
    template = 'Level {{ level }}: {{ row["Question text"] }} ({{ row["2nd/hint"] | lower }})\n'
    columns = {
        "prompt": template,
        "answer": "gold (final)",
        "id": "q{{ row['№'] }}",
        "solution": "{{ reward.ground_truth }}",
    }
    (problem,) = load(make(tmp_path, ROW), columns, reference={"tolerance": 0.5})
    assert problem.prompt == "Level 3: How much is 40 + 2? (add.)\n"
    assert (problem.id, problem.solution) == ("q7", "42")
    assert problem.reference == MathReference(answer="42", tolerance=0.5)
    (chat,) = load(make(tmp_path, ROW), columns, style="chat")
    assert chat.messages and (chat.messages[0].role, chat.messages[0].content) == ("user", problem.prompt)


def test_rows_are_numbered_where_no_column_names_them(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, {**ROW, "level": 4})
    assert [problem.id for problem in load(path, MATH)] == ["table/0", "table/1"]
    assert [problem.id for problem in load(path, {**MATH, "id": "level"}, only="4")] == ["4"]
    assert len(load(path, MATH, limit=1, skip=1, shuffle=True)) == 1


def test_values_become_what_a_key_wants(tmp_path: Path) -> None:
    path = parquet(tmp_path, ROW)
    (options,) = load(path, {"prompt": "Question text", "answer": "{{ 'AB'[1] }}", "options": "choices"}, "choice")
    assert options.reference == ChoiceReference(answer="B", options={"A": "41", "B": "42"})
    assert (options.prompt or "").endswith("A) 41\nB) 42")
    listed = {"prompt": "Question text", "answer": "b", "options": ["a", "b", "{{ level }}th"]}
    (several,) = load(path, listed, "choice", shuffle_options=3)
    assert isinstance(several.reference, ChoiceReference) and several.reference.options
    assert several.reference.options[several.reference.answer] == "blue"
    (program,) = load(path, {"prompt": "Question text", "cases": "tests"}, "stdio", limits={"time_limit_s": 2})
    assert isinstance(program.reference, StdioReference)
    assert (program.reference.cases[0].stdout, program.reference.time_limit_s) == ("2", 2)
    (calls,) = load(path, {"prompt": "Question text", "asserts": ["assert f(1) == {{ level }}"]}, "python")
    assert isinstance(calls.reference, PythonReference) and calls.reference.asserts == ("assert f(1) == 3",)
    (turns,) = load(path, {"prompt": "turns", "answer": "a", "accept": ["a", "b"]}, "exact")
    assert turns.messages and [turn.content for turn in turns.messages] == ["Hi", "Ho"]
    assert turns.reference == ExactReference(answer="red", accept=("red", "blue"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"), (42.0, "42"), (0.5, "0.5"), (1e300, "1e+300"), (True, "True"), ("", ""),
        ("{{ level }}", "{{ level }}"),
        (decimal.Decimal("1.50"), "1.50"), (datetime.date(2026, 1, 2), "2026-01-02"), (2**62, str(2**62)),
    ],
)  # fmt: skip
def test_numbers_and_dates_are_texts(tmp_path: Path, value: Any, text: str) -> None:
    (problem,) = load(parquet(tmp_path, {"q": "?", "gold": value}), {"prompt": "q", "answer": "gold"}, "exact")
    assert problem.reference == ExactReference(answer=text)


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    """A column of pictures would cost gigabytes; a template that names the whole row needs them all."""
    table = pa.table({"q": ["?"] * 3, "gold": ["1"] * 3, "large": [b"\xff" * 10] * 3})
    pq.write_table(table, tmp_path / "t.parquet")
    spec = parse(
        TaskSpec,
        {"kind": "table", "path": str(tmp_path / "t.parquet"), "verifier": "exact",
         "columns": {"prompt": "{% for i in range(2) %}{{ q }}{% endfor %}", "answer": "gold"}},
        "s",
    )  # fmt: skip
    assert spec.table and spec.table.used == {"q", "gold"}
    assert spec.load()[0].prompt == "??"
    assert load(tmp_path / "t.parquet", {"prompt": "{{ row.q }}", "answer": "gold"})[2].prompt == "?"


def test_csv_and_gzip(tmp_path: Path) -> None:
    text = '\ufeffquestion,gold,note\r\n"How much, all in all,\nis 1+1?",2,\r\n\r\nAnd 2+2?,4,"a ""b"""\r\n'
    (tmp_path / "t.csv").write_bytes(text.encode())
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    columns = {"prompt": "{{ question }} {{ note or '' }}", "answer": "gold"}
    problems = load(tmp_path / "t.csv", columns)
    assert [problem.prompt for problem in problems] == ["How much, all in all,\nis 1+1? ", 'And 2+2? a "b"']
    assert problems == load(tmp_path / "t.csv.gz", columns)


def test_a_column_that_is_there_twice_matters_only_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("q,note,note,gold\n?,a,b,1\n")
    assert load(tmp_path / "t.csv", {"prompt": "q", "answer": "gold"})[0].prompt == "?"
    with pytest.raises(BadInput, match="column 'note' occurs more than once in the first line"):
        load(tmp_path / "t.csv", {"prompt": "note", "answer": "gold"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gold,gold\n1,2\n", "column 'gold' occurs more than once in the first line"),
        ("q,gold\n1\n", "row 1: 1 cells, but the first line names 2"),
        ("q,gold\n?,1\n1,2,3\n", "row 2: 3 cells, but the first line names 2"),
        ('q,gold\n"open,1\n', "line 2: cannot be read as CSV"),
        ("", "no problems"),
        ("q,gold\n?,\n", "row 1: columns.answer: column 'gold' is null in this row; a value is needed"),
    ],
)
def test_a_bad_csv_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInput) as refused:
        load(tmp_path / "t.csv", {"prompt": "q", "answer": "gold"})
    assert said in str(refused.value) and "\n" not in str(refused.value)


THERE = "; there are: 'Question text', 'gold (final)', '№', '2nd/hint', 'row', 'choices', 'a', "


@pytest.mark.parametrize("make", [written, parquet])
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({**MATH, "answer": "gold"}, f"columns.answer: no column 'gold'{THERE}"),
        ({**MATH, "prompt": "Q: {{ quesion }}"}, f"columns.prompt: 'quesion' is undefined{THERE}"),
        ({**MATH, "prompt": "Q: {question}"}, "no column 'Q: {question}'; a template has double braces"),
        ({**MATH, "prompt": "{{ row.x }}"}, f"columns.prompt: 'dict object' has no attribute 'x'{THERE}"),
        ({**MATH, "prompt": "{{ reward.missing }}"}, "columns.prompt: 'dict object' has no attribute 'missing'"),
        ({**MATH, "answer": "none"}, "columns.answer: column 'none' is null in this row; a value is needed"),
        ({**MATH, "answer": "choices"}, "columns.answer: column 'choices' is a list in this row; a text is needed"),
        ({**MATH, "accept": ["a", "reward"]}, "column 'reward' is a dict in this row; a text is needed"),
        ({**MATH, "accept": ["a", "none"]}, "columns.accept: column 'none' is null in this row; a text is needed"),
        ({**MATH, "accept": "level"}, "reference: accept: Input should be a valid tuple, got"),
        ({**MATH, "prompt": "choices"}, "columns.prompt.0: the whole: Input should be a valid dictionary"),
        ({**MATH, "id": "choices"}, "columns.id: column 'choices' is a list in this row; a text is needed"),
        ({**MATH, "prompt": "{{ level / 0 }}"}, "columns.prompt: the template fails (ZeroDivisionError"),
        ({**MATH, "prompt": "{{ a + level }}"}, "columns.prompt: the template fails (TypeError"),
        ({**MATH, "prompt": "{{ choices.append(1) }}"}, "columns.prompt: the template fails (SecurityError"),
        ({**MATH, "prompt": "{{ ''.__class__.__mro__ }}"}, "columns.prompt: "),
        ({**MATH, "prompt": "{{ range(10 ** 9) }}"}, "columns.prompt: the template fails (OverflowError"),
        ({**MATH, "prompt": "{% for i in range(999) %}{{ 'x' * 999999 }}{% endfor %}"}, "writes more than"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_row_and_column(tmp_path: Path, make: Any, columns: Any, said: str) -> None:
    path = make(tmp_path, ROW)
    with pytest.raises(BadInput) as refused:
        load(path, columns)
    text = str(refused.value)
    assert said in text, text
    assert text.startswith(f"{path}: row 1: " if make is parquet else f"{path}:1: ")
    assert "\n" not in text and len(text) < 700


@pytest.mark.parametrize("row", ["text", 5, None, ["a"], True])
def test_a_row_without_columns_is_named(tmp_path: Path, row: Any) -> None:
    with pytest.raises(BadInput, match=r"own.jsonl:2: an object with columns is needed, got "):
        load(written(tmp_path, ROW, json.dumps(row)), MATH)


def test_a_text_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    bad = pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"q": bad, "gold": ["1", "2"]}), tmp_path / "t.parquet")
    with pytest.raises(BadInput, match=r"t.parquet: "):
        load(tmp_path / "t.parquet", {"prompt": "q", "answer": "gold"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": None}, "kind 'table' needs columns and verifier"),
        ({"verifier": None}, "kind 'table' needs columns and verifier"),
        ({"verifier": "maths"}, "verifier: Input should be 'stdio'"),
        ({"columns": {"answer": "a"}}, "columns.prompt is needed: a column, or a template"),
        ({"columns": {**MATH, "anwser": "a"}}, "columns.anwser: no key of a problem with verifier 'math'; "),
        ({"columns": {**MATH, "tests": "a"}}, "columns.tests: no key of a problem with verifier 'math'"),
        ({"reference": {"prompt": "a"}}, "reference.prompt: no key of a problem with verifier 'math'"),
        ({"reference": {"answer": "a"}}, "answer: given in columns and in reference; keep one of them"),
        ({"columns": {**MATH, "prompt": "{{ a "}}, "not a Jinja template (line 1: "),
        ({"columns": {**MATH, "prompt": "{{ a | nosuch }}"}}, "not a Jinja template (line 1: No filter"),
        ({"columns": {**MATH, "prompt": 5}}, "columns.prompt"),
        ({"kind": "gsm8k"}, "columns is for kind 'table' alone, and this task is of kind 'gsm8k'"),
        ({"prompt": "x.txt"}, "prompt: not for tasks of kind 'table'"),
        ({"shots": 2}, "shots: not for tasks of kind 'table'"),
        ({"extraction": "published"}, "extraction: not for tasks of kind 'table'"),
    ],
)  # fmt: skip
def test_a_bad_table_task_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    spec = {"kind": "table", "path": str(written(tmp_path, ROW)), "columns": MATH, "verifier": "math", **changes}
    with pytest.raises(BadInput) as refused:
        parse(TaskSpec, spec, "sweep.yaml: tasks.0").load()
    assert said in str(refused.value) and "\n" not in str(refused.value), str(refused.value)
