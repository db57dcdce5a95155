"""MiniF2F: both published forms of it, its prompts, and which of its theorems are asked."""

import json
from pathlib import Path

import pytest

from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import LeanReference
from sampling.tasks.load import load_task
from tests.support.places import TASK_DATA

ROW = {"name": "t", "split": "test", "header": "import Mathlib\n", "formal_statement": "theorem t : 1 = 1 := by\n"}


def published(name: str, **options: object) -> tuple[Problem, ...]:
    path = TASK_DATA / name
    if not path.exists():
        pytest.skip("the shared data is not there")
    return load_task("minif2f", path, **options)  # type: ignore[arg-type]


def written(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_test_split_is_asked_and_of_it_what_is_wanted() -> None:
    assert len(published("minif2f_deepseek.jsonl")) == 244
    problems = published("minif2f_deepseek.jsonl", only="mathd_*")
    assert (len(problems), {problem.verifier for problem in problems}) == (130, {"lean"})
    assert all(problem.prompt and problem.prompt.endswith(" := by\n") for problem in problems)
    assert [problem.id for problem in published("minif2f_paper_Test.lean", only="mathd_*")] != []


def test_a_base_prompt_shows_five_proofs_and_ends_where_one_begins() -> None:
    (problem,) = published("minif2f_deepseek.jsonl", only="mathd_algebra_478")
    assert problem.prompt is not None and problem.prompt.count(":= by\n  ") == 5
    assert isinstance(problem.reference, LeanReference)
    assert problem.reference.header.startswith("import Mathlib\n")
    assert problem.prompt.endswith(problem.reference.statement + " := by\n")


def test_the_papers_examples_are_theorems_with_a_proof() -> None:
    options = {"few_shot": TASK_DATA / "minif2f_paper_Validation.lean", "only": "mathd_algebra_478"}
    (problem,) = published("minif2f_paper_Test.lean", **options)
    assert problem.prompt is not None and problem.prompt.count("theorem ") == 6
    assert "sorry" not in problem.prompt


def test_proofs_in_a_file_are_gold() -> None:
    problems = published("minif2f_paper_Test.lean")
    assert (len(problems), sum(problem.solution is not None for problem in problems)) == (245, 40)


def test_a_chat_is_asked_for_the_whole_theorem(tmp_path: Path) -> None:
    (problem,) = load_task("minif2f", written(tmp_path, ROW), style="chat")
    assert problem.messages is not None
    assert problem.messages[0].content.endswith("```lean4\nimport Mathlib\ntheorem t : 1 = 1 := by\n  sorry\n```")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "formal_statement": "example : 1 = 1"}, "rows.jsonl:1: statement: "),
        ({**ROW, "formal_statement": "theorem t := by"}, "theorem t says nothing"),
        ({**ROW, "name": "u"}, "name 'u' is not the theorem that formal_statement declares"),
        ({**ROW, "split": "train"}, "rows.jsonl:1: split: "),
        ({**ROW, "split": "valid"}, "no problems"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=r"rows\.jsonl") as refused:
        load_task("minif2f", written(tmp_path, row))
    assert said in str(refused.value)


def test_a_pattern_that_no_problem_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"only 'imo_\*': no problems"):
        load_task("minif2f", written(tmp_path, ROW), only="imo_*")
