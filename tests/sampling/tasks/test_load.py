"""Published files load as they are, gold solutions pass, and bad input is refused in one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from sampling.checkers import CustomReference
from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.patches import PatchReference
from sampling.policy import MathPolicy
from sampling.references import MathReference, PythonReference
from sampling.tasks.load import load_task
from sampling.tasks.recipes import KINDS, RECIPES
from sampling.tasks.templates import Style, read_template
from tests.sampling.tasks.files import CONTEST, OWN, PUBLISHED, parquet, published, written
from tests.support.places import TASK_DATA
from verify.verdict import Status
from verify.verifiers import Verifiers


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
    """GSM8K is tried whole, the rest in part. ``tests/verify/test_python.py`` tries all code, ``troop audit --all``
    everything."""
    for problem in published(kind)[first::step]:
        assert problem.solution is not None
        assert judge.verify(problem, problem.solution).status is Status.PASS, problem.id


def test_a_wrong_published_answer_is_kept() -> None:
    """Row 1042 of GSM8K says 3 where its question means 5. Mended answers would make numbers incomparable."""
    problem = published("gsm8k", skip=1042, limit=1)[0]
    assert isinstance(problem.reference, MathReference)
    assert problem.reference.answer == "3"


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


def test_keys_that_mean_nothing_are_left_out_and_known(tmp_path: Path) -> None:
    row = {**OWN, "level": 5, "source": "amc", "metadata": {"year": 2024}, "_answer": "2", "Subject": None}
    (problem,) = load_task("jsonl", written(tmp_path, row), style="chat")
    assert problem.left_out == ("level", "source", "metadata", "_answer", "Subject")
    assert problem.prompt_digest == load_task("jsonl", written(tmp_path, OWN), style="chat")[0].prompt_digest


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("refrence", "did you mean 'reference'?"), ("Stop", "did you mean 'stop'?"), ("ID", "did you mean 'id'?"),
        ("solutions", "did you mean 'solution'?"), ("answer", "'answer' goes into reference"),
        ("time_limit", "'time_limit_s' goes into reference"),
    ],
)  # fmt: skip
def test_a_key_that_nearly_is_a_known_one_is_refused(tmp_path: Path, key: str, meant: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_task("jsonl", written(tmp_path, {**OWN, key: "x"}))
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/own.jsonl:1: {key}: unknown key; allowed: id, messages, ")
    assert said.endswith(f"and keys that begin with _; {meant}")


def test_files_beside_the_problems_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    checker = "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return 1.0\n"
    (tmp_path / "home" / "reward.py").write_text("\ufeff" + checker, encoding="utf-8")
    custom = {"id": 1, "prompt": "?", "verifier": "custom", "reference": {"path": "~/reward.py", "packages": ["~/p"]}}
    patch = {
        "snapshot": "~/s.git",
        "environment": "~/e",
        "base_commit": "0" * 40,
        "fail_to_pass": ["a"],
        "test_patch": "x",
        "test_command": "x",
    }
    rows = [json.dumps(custom), json.dumps({"id": 2, "prompt": "?", "verifier": "patch", "reference": patch})]
    first, second = (
        problem.reference for problem in load_task("jsonl", written(tmp_path, "\ufeff" + rows[0], rows[1]))
    )
    assert isinstance(first, CustomReference) and isinstance(second, PatchReference)
    assert (first.source, first.packages) == (checker, (f"{tmp_path}/home/p",))
    assert (second.snapshot, second.environment) == (f"{tmp_path}/home/s.git", f"{tmp_path}/home/e")


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


@pytest.mark.parametrize(
    ("kind", "way"), [("humaneval", "published"), ("mbpp", "published"), ("gsm8k", "gsm8k"), ("math", "math")]
)
def test_the_benchmarks_own_extraction(kind: str, way: str) -> None:
    ours, same, theirs = (published(kind, limit=1, extraction=given)[0] for given in (None, "kind", "published"))
    assert [getattr(each.reference, "extraction", "") for each in (ours, same, theirs)] == ["kind", "kind", way]
    assert ours.prompt_digest == theirs.prompt_digest
    assert ours.reference_digest == same.reference_digest != theirs.reference_digest


def test_extraction_is_refused_where_there_is_one_way(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"extraction: not for .* 'codecontests'; allowed for gsm8k, math, humaneval, mbpp, "
    ):
        published("codecontests", limit=1, extraction="published")
    with pytest.raises(BadInput, match="extraction: not for tasks of kind 'jsonl'"):
        load_task("jsonl", written(tmp_path, OWN), extraction="published")


def test_extraction_stands_alone() -> None:
    with pytest.raises(BadInput, match="extraction 'math' is a whole policy: which cannot stand beside it"):
        published("math", limit=1, extraction="published", policy=MathPolicy(which="boxed"))
    published("math", limit=1, extraction="kind", policy=MathPolicy(which="boxed"))


def test_sanitized_mbpp(tmp_path: Path) -> None:
    row = {
        "source_file": "x",
        "task_id": 602,
        "prompt": "Write a function to add.",
        "code": "def add(a, b):\n    return a + b",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(add(1, 2), 3)"],
    }
    (problem,) = load_task("mbpp", written(tmp_path, row), shots=0)
    assert isinstance(problem.reference, PythonReference)
    assert problem.reference.setup == "import math\n"
    assert "Write a function to add." in (problem.prompt or "")


def test_an_own_template_and_limits(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("Solve {this} now: {question}\n")
    row = {"task_id": "h", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": " pass", "test": ""}
    path = written(tmp_path, row)
    (problem,) = load_task("humaneval", path, style="chat", prompt=tmp_path / "own.txt", limits=Limits(time_limit_s=9))
    assert problem.messages and problem.messages[0].content == "Solve {this} now: def f():\n"
    assert isinstance(problem.reference, PythonReference)
    assert (problem.reference.time_limit_s, problem.reference.memory_mb) == (9, 512)


def test_math_keeps_its_answer_in_the_solution(tmp_path: Path) -> None:
    row = {"problem": "1/2?", "solution": "It is $\\boxed{\\frac{1}{2}}$.", "level": "Level 1", "type": "Algebra"}
    (problem,) = load_task("math", parquet(tmp_path, row))
    assert problem.id == "math/0" and problem.reference == MathReference(answer="\\frac{1}{2}")


def test_own_examples_stand_beside_an_own_template(tmp_path: Path) -> None:
    path = written(tmp_path, {"question": "?", "answer": "#### 1"})
    (tmp_path / "own.txt").write_text("Q {question} A {answer}")
    ours = load_task("gsm8k", path, prompt=tmp_path / "own.txt")[0].prompt or ""
    (tmp_path / "own_shots.txt").write_text("Q 1+1 A 2\n")
    assert "bakery" in ours
    assert load_task("gsm8k", path, prompt=tmp_path / "own.txt")[0].prompt == "Q 1+1 A 2\n\nQ ? A"


def test_bad_tables_are_named(tmp_path: Path) -> None:
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


def test_every_kind_has_its_templates() -> None:
    assert {"jsonl", "table", *RECIPES} == set(KINDS)
    for kind, recipe in RECIPES.items():
        for style in get_args(Style):
            assert read_template(recipe.prompts or kind, style, None, recipe.needs)
