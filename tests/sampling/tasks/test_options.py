"""Options in prompts: where they stand, and a shuffled order that depends on seed and id and is kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from sampling.choices import ChoiceReference
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.tasks.load import load_task
from sampling.tasks.task import TaskSpec
from sampling.validate import parse

OPTIONS = ["red", "green", "blue", "white", "black"]
LINES = "A) red\nB) green\nC) blue\nD) white\nE) black"


def load(tmp_path: Path, *, seed: int | None = None, style: Any = "base", **line: Any) -> Problem:
    data = {"id": "p", "verifier": "choice", "reference": {"answer": "C", "options": OPTIONS}, **line}
    if "messages" not in line:
        data = {"prompt": "Which?", **data}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(data) + "\n")
    (problem,) = load_task("jsonl", path, style=style, shuffle_options=seed)
    return problem


def test_options_stand_where_the_prompt_says_else_at_its_end(tmp_path: Path) -> None:
    assert load(tmp_path, prompt="Which?\n{options}\nAnswer:").prompt == f"Which?\n{LINES}\nAnswer:"
    assert load(tmp_path).prompt == f"Which?\n\n{LINES}"
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "Which? {options} Go."}]
    assert load(tmp_path, messages=turns).messages[1].content == f"Which? {LINES} Go."  # type: ignore[index]
    assert load(tmp_path, style="chat").messages[0].content == f"Which?\n\n{LINES}"  # type: ignore[index]


def test_a_prompt_that_shows_all_options_is_left_alone(tmp_path: Path) -> None:
    own = "Which of red, green, blue, white and black?"
    assert load(tmp_path, prompt=own).prompt == own
    with pytest.raises(BadInput, match=r"own.jsonl:1: shuffle_options: the prompt of problem 'p' shows its options"):
        load(tmp_path, prompt=own, seed=1)


def test_a_seed_shuffles_and_the_order_is_kept(tmp_path: Path) -> None:
    found = [load(tmp_path, seed=seed, prompt="{options}", solution="C, as") for seed in range(20)]
    references = [problem.reference for problem in found]
    for problem, reference in zip(found, references, strict=True):
        assert isinstance(reference, ChoiceReference) and reference.options is not None
        assert reference.options[reference.answer] == "blue"
        assert [OPTIONS["ABCDE".index(label)] for label in reference.order] == list(reference.options.values())
        assert problem.prompt == "\n".join(f"{label}) {text}" for label, text in reference.options.items())
        assert problem.solution in ("C, as", f"The answer is {reference.answer}.")
    assert len({problem.reference_digest for problem in found}) > 10
    assert load(tmp_path, seed=3, prompt="{options}", solution="C, as") == found[3]
    assert load(tmp_path, seed=3, prompt="{options}", id="q").reference != found[3].reference


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["1", "2", "3", "All of the above"], 1),
        (["1", "2", "All of these", "None of the above"], 2),
        (["1", "2", "Both A and B", "Neither A nor B"], 4),
        (["1", "2", "A and B only", "3"], 4),
    ],
)
def test_options_that_speak_of_others_keep_their_place(tmp_path: Path, texts: list[str], kept: int) -> None:
    for seed in range(10):
        reference = load(tmp_path, seed=seed, reference={"answer": "A", "options": texts}).reference
        assert isinstance(reference, ChoiceReference) and reference.options is not None
        assert list(reference.options.values())[-kept:] == texts[-kept:]


def test_only_own_problems_have_options(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="shuffle_options: not for tasks of kind 'gsm8k'; allowed for jsonl"):
        load_task("gsm8k", tmp_path / "x", shuffle_options=1)
    with pytest.raises(BadInput, match="shuffle_options"):
        parse(TaskSpec, {"kind": "jsonl", "path": "x", "shuffle_options": "yes"}, "tasks.0")
