"""Tasks: the published files load as they are, gold solutions pass, and bad input is refused in one line."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.errors import BadInput
from sampling.problems import AnswerReference, Limits, Problem, PythonReference, StdioReference
from sampling.tasks.load import load_task
from sampling.tasks.recipes import KINDS, RECIPES
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from tests.support.places import TASK_DATA
from verify.verdict import Status
from verify.verifiers import Verifiers

PUBLISHED = {
    "gsm8k": ("gsm8k_test.jsonl", 1319),
    "math": ("math500_test.json", 500),
    "humaneval": ("HumanEval.jsonl.gz", 164),
    "mbpp": ("mbpp.jsonl", 964),
    "codecontests": ("codecontests_sample20.jsonl", 20),
}


def published(kind: str, **options: Any) -> tuple[Problem, ...]:
    path = TASK_DATA / PUBLISHED[kind][0]
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    return load_task(kind, path, **options)


@pytest.fixture(scope="module")
def judge() -> Iterator[Verifiers]:
    with Verifiers() as judge:
        yield judge


@pytest.mark.parametrize("style", ["base", "chat"])
@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_published_file_loads(kind: str, style: str) -> None:
    problems = published(kind, style=style)
    assert len(problems) == PUBLISHED[kind][1]
    for problem in problems:
        asked = problem.prompt if style == "base" else "".join(m.content for m in problem.messages or ())
        assert asked and "{question}" not in asked and "{answer}" not in asked and "{tests}" not in asked
        assert (problem.stop == ()) == (style == "chat")
        assert (problem.solution is None) == (kind == "codecontests")
    assert problems == published(kind, style=style)
    assert problems[3:5] == published(kind, style=style, skip=3, limit=2)


@pytest.mark.parametrize(
    ("kind", "first", "step"), [("gsm8k", 0, 1), ("math", 3, 5), ("humaneval", 0, 16), ("mbpp", 1, 120)]
)
def test_gold_solutions_pass(judge: Verifiers, kind: str, first: int, step: int) -> None:
    """All of GSM8K, samples of the rest: ``tests/verify/test_python.py`` has all code, ``troop audit --all``
    everything."""
    for problem in published(kind)[first::step]:
        assert problem.solution is not None
        assert judge.verify(problem, problem.solution).status is Status.PASS, problem.id


def test_a_wrong_published_answer_is_kept() -> None:
    """Row 1042 of GSM8K says 3, its question 5: whose numbers are to be compared must not mend them."""
    problem = published("gsm8k", skip=1042, limit=1)[0]
    assert isinstance(problem.reference, AnswerReference)
    assert problem.reference.answer == "3"


def test_a_codecontests_program_passes(judge: Verifiers) -> None:
    (problem,) = published("codecontests", skip=3, limit=1)  # Codehorses T-shirts
    program = """import collections
n = int(input())
old = collections.Counter(input() for _ in range(n))
new = collections.Counter(input() for _ in range(n))
print(sum((old - new).values()))
"""
    assert isinstance(problem.reference, StdioReference)
    assert len(problem.reference.cases) == 102
    assert judge.verify(problem, f"```python\n{program}```").status is Status.PASS
    assert judge.verify(problem, "```python\nprint(0)\n```").status is Status.FAIL


def test_humaneval_prompts_are_continued_and_chats_answered_whole(judge: Verifiers) -> None:
    base, chat = published("humaneval", limit=1)[0], published("humaneval", limit=1, style="chat")[0]
    assert isinstance(base.reference, PythonReference)
    assert base.prompt == base.reference.prefix
    whole = f"Here:\n```python\n{base.prompt}{base.solution}```"
    assert judge.verify(chat, whole).status is Status.PASS


def test_mbpp_leaves_out_the_problems_that_its_prompts_show() -> None:
    problems = published("mbpp")
    assert [problem.id for problem in problems[:2]] == ["mbpp/11", "mbpp/12"]
    assert (problems[0].prompt or "").count("[BEGIN]") == 4
    assert [problem.id for problem in published("mbpp", limit=500)][-1] == "mbpp/510"


def test_mbpp_problems_name_their_function_and_four_need_one_process(judge: Verifiers) -> None:
    problems = published("mbpp")
    shared = [
        problem for problem in problems if isinstance(problem.reference, PythonReference) and problem.reference.shared
    ]
    assert [problem.id for problem in shared] == ["mbpp/367", "mbpp/596", "mbpp/601", "mbpp/927"]
    for problem in shared:
        assert judge.verify(problem, problem.solution or "").status is Status.PASS, problem.id
        assert judge.verify(problem, "def f():\n    pass").passed is False
    named = [problem for problem in problems if getattr(problem.reference, "entry_point", None)]
    assert len(named) == len(problems) - 4
    text = f"```python\n{problems[0].solution}\n```\nFor example:\n```python\nprint(1)\n```"
    assert judge.verify(problems[0], text).status is Status.PASS


def test_few_shot_examples_are_drawn_by_the_problems_id() -> None:
    pool = TASK_DATA / "gsm8k_train_first512.jsonl"
    problems = published("gsm8k", few_shot=pool, shots=4, limit=20)
    again = published("gsm8k", few_shot=pool, shots=4, skip=10, limit=10)
    assert problems[10:] == again
    assert all((problem.prompt or "").count("####") == 4 for problem in problems)
    assert len({(problem.prompt or "").split("\n")[0] for problem in problems}) > 10
    chat = published("gsm8k", few_shot=pool, shots=2, limit=1, style="chat")[0]
    assert [message.role for message in chat.messages or ()] == ["user", "assistant"] * 2 + ["user"]


def test_no_example_shows_the_question_itself() -> None:
    path = TASK_DATA / PUBLISHED["gsm8k"][0]
    for problem in published("gsm8k", few_shot=path, shots=5, limit=300):
        questions = (problem.prompt or "").split("Question: ")[1:]
        assert len({part.partition("\n")[0] for part in questions}) == 6


def test_zero_shots_leave_the_question_alone() -> None:
    assert (published("gsm8k", shots=0, limit=1)[0].prompt or "").startswith("Question: Janet")
    assert (published("gsm8k", limit=1)[0].prompt or "").count("####") == 5
    assert (published("math", limit=1)[0].prompt or "").count("I hope it is correct") == 4


OWN = {"id": "a", "prompt": "1+1?", "verifier": "math", "reference": {"answer": "2"}}


def written(folder: Path, *rows: object, name: str = "own.jsonl") -> Path:
    path = folder / name
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode("utf-8", "surrogatepass"))
    return path


def test_own_problems(tmp_path: Path) -> None:
    rows = [OWN, "", {**OWN, "id": "b", "prompt": "line\u2028separator"}]
    path = written(tmp_path, *(row if row == "" else json.dumps(row, ensure_ascii=False) for row in rows))
    assert [problem.id for problem in load_task("jsonl", path)] == ["a", "b"]
    assert load_task("jsonl", path) == load_task("jsonl", written(tmp_path, *rows, name="own.jsonl.gz"))
    (chat,) = load_task("jsonl", path, limit=1, style="chat")
    assert chat.prompt is None and chat.messages and chat.messages[0].content == "1+1?"


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("jsonl", [OWN, OWN], "own.jsonl:2: id 'a' occurs more than once (first at"),
        ("jsonl", [OWN, {**OWN, "id": "b", "tests": 1}], "own.jsonl:2: tests: unknown key; allowed:"),
        ("jsonl", [{**OWN, "verifier": "vibes"}], "own.jsonl:1: verifier: "),
        ("jsonl", ["{"], "own.jsonl:1: not valid JSON"),
        ("jsonl", ["[" * 100_000], "own.jsonl:1: not valid JSON"),
        ("jsonl", [{**OWN, "prompt": "\ud800"}], "own.jsonl:1: half of a surrogate pair"),
        ("jsonl", [], "no problems"),
        ("gsm8k", [{"question": "?"}], "own.jsonl:1: answer: Field required"),
        ("gsm8k", [{"question": "?", "answer": "5"}], "own.jsonl:1: answer: "),
        ("gsm8k", ["5"], "own.jsonl:1: the whole: "),
        ("math", [{"problem": "?", "solution": "", "answer": None}], "own.jsonl:1: answer: "),
        ("humaneval", [{"task_id": "a"}], "own.jsonl:1: prompt: Field required"),
        ("mbpp", [{"task_id": 11, "text": "", "code": "", "test_list": []}], "own.jsonl:1: test_list: "),
        ("codecontests", [{"id": 1, "content": "", "test": "["}], "own.jsonl:1: test: not valid JSON"),
        ("codecontests", [{"id": 1, "content": "", "test": '[{"input": {}}]'}], "own.jsonl:1: test.0.input.stdin: "),
        ("codecontests", [{"id": 1, "content": "", "test": "[]"}], "own.jsonl:1: test: "),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, kind: str, rows: list[object], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_task(kind, written(tmp_path, *rows))
    assert said in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bad_files_and_options_are_named(tmp_path: Path) -> None:
    own = written(tmp_path, OWN)
    gsm8k = written(tmp_path, {"question": "?", "answer": "#### 1"}, name="gsm8k.jsonl")
    (tmp_path / "broken.jsonl.gz").write_bytes(b"\x1f\x8b\x08 no gzip")
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xe9"}')
    (tmp_path / "object.json").write_text("{}")
    (tmp_path / "own.txt").write_text("Solve: {question}")
    refusals: list[tuple[str, Path, dict[str, Any], str]] = [
        ("gsm9k", own, {}, f"'gsm9k' is no kind of task; allowed: {', '.join(KINDS)}"),
        ("jsonl", tmp_path / "none.jsonl", {}, "no such file"),
        ("jsonl", tmp_path / "none.jsonl.gz", {}, "no such file"),
        ("jsonl", tmp_path, {}, "cannot be read"),
        ("jsonl", tmp_path / "broken.jsonl.gz", {}, "cannot be read as gzipped"),
        ("jsonl", tmp_path / "latin.jsonl", {}, "cannot be read as UTF-8"),
        ("math", tmp_path / "object.json", {}, "a JSON array of rows is needed, got dict"),
        ("jsonl", own, {"skip": 1}, "no problems"),
        (
            "jsonl",
            own,
            {"shots": 2},
            "shots: not for tasks of kind 'jsonl'; allowed for gsm8k, math, mbpp, codecontests",
        ),
        ("humaneval", own, {"few_shot": own}, "few_shot: not for tasks of kind 'humaneval'"),
        ("gsm8k", gsm8k, {"shots": 2}, "no few_shot file is given"),
        ("gsm8k", gsm8k, {"few_shot": gsm8k}, "5 few-shot examples asked for, but the pool holds 0"),
        ("gsm8k", gsm8k, {"prompt": tmp_path / "own.txt"}, "{answer} is missing; needed: {question}, {answer}"),
    ]
    for kind, path, options, said in refusals:
        with pytest.raises(BadInput) as refused:
            load_task(kind, path, **options)
        assert said in str(refused.value), said


def test_an_own_template_and_limits(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("Solve {this} now: {question}\n")
    row = {"task_id": "h", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": " pass", "test": ""}
    path = written(tmp_path, row)
    (problem,) = load_task("humaneval", path, style="chat", prompt=tmp_path / "own.txt", limits=Limits(time_limit_s=9))
    assert problem.messages and problem.messages[0].content == "Solve {this} now: def f():\n"
    assert isinstance(problem.reference, PythonReference)
    assert (problem.reference.time_limit_s, problem.reference.memory_mb) == (9, 512)


def test_a_task_of_a_sweep(tmp_path: Path) -> None:
    written(tmp_path, OWN)
    spec = parse(TaskSpec, {"kind": "jsonl", "path": "own.jsonl", "name": "mine-1"}, "sweep.yaml")
    assert spec.title == "mine-1"
    assert len(spec.under(tmp_path).load()) == 1
    assert parse(TaskSpec, {"kind": "gsm8k", "path": "a"}, "s").title == "gsm8k"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "gsm8k", "path": "a", "shot": 1}, "sweep.yaml: shot: unknown key; allowed: few_shot, k, kind, limit"),
        ({"kind": "gsm9k", "path": "a"}, "sweep.yaml: kind: Input should be 'jsonl', 'gsm8k'"),
        ({"kind": "gsm8k", "path": "a", "name": "../up"}, "sweep.yaml: name: "),
        ({"kind": "gsm8k", "path": "a", "limit": 0}, "sweep.yaml: limit: "),
        ({"kind": "gsm8k"}, "sweep.yaml: path: Field required"),
    ],
)
def test_a_bad_task_of_a_sweep(data: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(TaskSpec, data, "sweep.yaml")
    assert str(refused.value).startswith(said)


CONTEST = {
    "name": "1_A. Twice",
    "description": "Print twice the number.",
    "public_tests": {"input": ["1\n"], "output": ["2\n"]},
    "private_tests": {"input": ["2\n", "3\n"], "output": ["4\n", "6\n"]},
    "generated_tests": {"input": ["5\n"], "output": ["10\n"]},
    "solutions": {"language": [2, 3, 3], "solution": ["int main() {}", "# dö\nprint(0)", "print(2 * int(input()))\n"]},
    "incorrect_solutions": {"language": [3], "solution": ["print(1)"]},
    "time_limit": {"seconds": 1, "nanos": 500_000_000},
    "memory_limit_bytes": 1 << 30,
}


def parquet(folder: Path, *rows: dict[str, Any], name: str = "own.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / name)
    return folder / name


def test_contests_as_they_are_published(tmp_path: Path, judge: Verifiers) -> None:
    """Public, private and generated tests, from Parquet and from JSONL; the gold solution is the first in Python 3."""
    pictured = {**CONTEST, "name": "2_B. Seen", "description": "As <image> shows."}
    problems = load_task("codecontests", parquet(tmp_path, CONTEST, pictured))
    assert problems == load_task("codecontests", written(tmp_path, CONTEST, pictured))
    reference = problems[0].reference
    assert isinstance(reference, StdioReference)
    assert [case.stdin for case in reference.cases] == ["1\n", "2\n", "3\n", "5\n"]
    assert (reference.time_limit_s, reference.memory_mb) == (1.5, 1024)
    assert problems[0].solution == "print(2 * int(input()))"
    assert judge.verify(problems[0], problems[0].solution).status is Status.PASS
    assert judge.verify(problems[0], "```python\nprint(2)\n```").status is Status.FAIL


def test_a_contest_without_limits_has_ours(tmp_path: Path) -> None:
    (problem,) = load_task("codecontests", parquet(tmp_path, {**CONTEST, "time_limit": None, "memory_limit_bytes": 1}))
    assert isinstance(problem.reference, StdioReference)
    assert (problem.reference.time_limit_s, problem.reference.memory_mb) == (5, 512)


def test_contest_examples_are_programs_and_show_no_picture(tmp_path: Path) -> None:
    rows = [{**CONTEST, "name": str(i), "description": f"Task {i}."} for i in range(3)]
    unsolved = {**CONTEST, "name": "3", "solutions": {"language": [2], "solution": ["int main() {}"]}}
    pool = parquet(tmp_path, *rows, unsolved, {**CONTEST, "name": "4", "description": "<image>"}, name="pool.parquet")
    spec = {"kind": "codecontests", "path": str(written(tmp_path, CONTEST)), "few_shot": str(pool), "preset": "monkeys"}
    (problem,) = parse(TaskSpec, spec, "s").load()
    assert (problem.prompt or "").count("print(2 * int(input()))") == 2
    with pytest.raises(BadInput, match="4 few-shot examples asked for, but the pool holds 3"):
        parse(TaskSpec, {**spec, "shots": 4}, "s").load()


def test_math_keeps_its_answer_in_the_solution(tmp_path: Path) -> None:
    row = {"problem": "1/2?", "solution": "It is $\\boxed{\\frac{1}{2}}$.", "level": "Level 1", "type": "Algebra"}
    (problem,) = load_task("math", parquet(tmp_path, row))
    assert problem.id == "math/0" and problem.reference == AnswerReference(answer="\\frac{1}{2}")


def test_monkeys_is_the_papers_way_and_own_keys_go_first() -> None:
    path, pool = TASK_DATA / PUBLISHED["gsm8k"][0], TASK_DATA / "gsm8k_train_first512.jsonl"
    if not path.exists():
        pytest.skip("the published files are not here")
    spec = {"kind": "gsm8k", "path": str(path), "few_shot": str(pool), "preset": "monkeys"}
    problems = parse(TaskSpec, spec, "s").load()
    assert len(problems) == 128 and all((problem.prompt or "").count("####") == 5 for problem in problems)
    numbers = [int(problem.id.partition("/")[2]) for problem in problems]
    assert numbers != sorted(numbers) and max(numbers) > 1000
    fewer = parse(TaskSpec, {**spec, "limit": 20, "shots": 1}, "s").load()
    assert [problem.id for problem in fewer] == [problem.id for problem in problems[:20]]
    assert (fewer[0].prompt or "").count("####") == 1
    assert parse(TaskSpec, {**spec, "shuffle": False, "limit": 2}, "s").load()[1].id == "gsm8k/1"
    with pytest.raises(BadInput, match="no few_shot file is given"):
        parse(TaskSpec, {**spec, "few_shot": None}, "s").load()


def test_problems_are_chosen_by_their_ids_and_words(tmp_path: Path) -> None:
    path = str(written(tmp_path, *({**OWN, "id": name, "prompt": f"{name}?"} for name in ("a1", "a2", "b1"))))
    spec = {"kind": "jsonl", "path": path}
    assert [p.id for p in parse(TaskSpec, {**spec, "only": "a*"}, "s").load()] == ["a1", "a2"]
    assert [p.id for p in parse(TaskSpec, {**spec, "only": "?1", "without": ["b1"]}, "s").load()] == ["a1"]
    with pytest.raises(BadInput, match=r"only 'c\*': no problems"):
        parse(TaskSpec, {**spec, "only": "c*"}, "s").load()


def test_own_examples_stand_beside_an_own_template(tmp_path: Path) -> None:
    path = written(tmp_path, {"question": "?", "answer": "#### 1"})
    (tmp_path / "own.txt").write_text("Q {question} A {answer}")
    ours = load_task("gsm8k", path, prompt=tmp_path / "own.txt")[0].prompt or ""
    (tmp_path / "own_shots.txt").write_text("Q 1+1 A 2\n")
    assert "bakery" in ours
    assert load_task("gsm8k", path, prompt=tmp_path / "own.txt")[0].prompt == "Q 1+1 A 2\n\nQ ? A"


def test_bad_tables_and_presets_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 none PAR1")
    uneven = {**CONTEST, "public_tests": {"input": ["1"], "output": []}}
    unboxed = {"problem": "?", "solution": "It is 5."}
    refusals: list[tuple[str, Path, str]] = [
        ("codecontests", tmp_path / "broken.parquet", "cannot be read as Parquet"),
        ("codecontests", tmp_path / "none.parquet", "none.parquet: no such file"),
        ("codecontests", parquet(tmp_path, uneven), "row 1: public_tests: 1 inputs, but 0 outputs"),
        ("math", written(tmp_path, unboxed), "own.jsonl:1: answer: Field required, or a solution with a"),
    ]
    for kind, path, said in refusals:
        with pytest.raises(BadInput, match=said):
            load_task(kind, path)
    with pytest.raises(BadInput, match="preset 'monkeys' has no tasks of kind 'humaneval'; it has: gsm8k, math"):
        parse(TaskSpec, {"kind": "humaneval", "path": "a", "preset": "monkeys"}, "sweep.yaml")


def test_every_kind_has_its_templates() -> None:
    assert {"jsonl", *RECIPES} == set(KINDS)
