"""Data sets of programming become problems that their gold solutions pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sampling.errors import BadInput
from sampling.references import PythonReference, StdioReference
from sampling.tasks.load import load_task
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from tests.sampling.tasks.files import CONTEST, parquet, published, written
from verify.verdict import Status
from verify.verifiers import Verifiers


@pytest.fixture(scope="module")
def judge() -> Iterator[Verifiers]:
    with Verifiers() as judge:
        yield judge


def test_contests_as_they_are_published(tmp_path: Path, judge: Verifiers) -> None:
    """Cases are the public, private and generated tests; the gold solution is the first one in Python 3."""
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
    assert (problem.reference.limit_s, problem.reference.memory_mb) == (5, 512)


def test_contest_examples_are_programs_and_show_no_picture(tmp_path: Path) -> None:
    rows = [{**CONTEST, "name": str(i), "description": f"Task {i}."} for i in range(3)]
    unsolved = {**CONTEST, "name": "3", "solutions": {"language": [2], "solution": ["int main() {}"]}}
    pool = parquet(tmp_path, *rows, unsolved, {**CONTEST, "name": "4", "description": "<image>"}, name="pool.parquet")
    spec = {"kind": "codecontests", "path": str(written(tmp_path, CONTEST)), "few_shot": str(pool), "preset": "monkeys"}
    (problem,) = parse(TaskSpec, spec, "s").load()
    assert (problem.prompt or "").count("print(2 * int(input()))") == 2
    with pytest.raises(BadInput, match="4 few-shot examples asked for, but the pool holds 3"):
        parse(TaskSpec, {**spec, "shots": 4}, "s").load()


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
