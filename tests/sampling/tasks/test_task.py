"""A task as a user writes it: its keys, its preset, and which problems they choose."""

from pathlib import Path

import pytest

from sampling.errors import BadInput
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from tests.sampling.tasks.files import OWN, PUBLISHED, written
from tests.support.places import TASK_DATA


def test_a_task_of_a_sweep(tmp_path: Path) -> None:
    written(tmp_path, OWN)
    spec = parse(TaskSpec, {"kind": "jsonl", "path": "own.jsonl", "name": "mine-1"}, "sweep.yaml")
    assert spec.title == "mine-1"
    assert len(spec.under(tmp_path).load()) == 1
    assert parse(TaskSpec, {"kind": "gsm8k", "path": "a"}, "s").title == "gsm8k"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"kind": "gsm8k", "path": "a", "shot": 1},
            "sweep.yaml: shot: unknown key; allowed: columns, extraction, few_shot, k, kind, limit",
        ),
        ({"kind": "gsm9k", "path": "a"}, "sweep.yaml: kind: Input should be 'jsonl', 'table', 'gsm8k'"),
        ({"kind": "gsm8k", "path": "a", "name": "../up"}, "sweep.yaml: name: "),
        ({"kind": "gsm8k", "path": "a", "limit": 0}, "sweep.yaml: limit: "),
        ({"kind": "gsm8k"}, "sweep.yaml: path: Field required"),
    ],
)
def test_a_bad_task_of_a_sweep(data: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(TaskSpec, data, "sweep.yaml")
    assert str(refused.value).startswith(said)


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


def test_a_preset_that_has_no_such_kind() -> None:
    with pytest.raises(BadInput, match="preset 'monkeys' has no tasks of kind 'humaneval'; it has: gsm8k, math"):
        parse(TaskSpec, {"kind": "humaneval", "path": "a", "preset": "monkeys"}, "sweep.yaml")
