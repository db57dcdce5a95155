"""Grids and series of a sweep's file: which models come out, under which names, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.sweep import Sweep, load_sweep
from sampling.errors import BadInput
from sampling.settings import settings_on
from sampling.settings.grid import MOST_CELLS

PROBLEM = '{"id": "a", "prompt": "1+1=", "verifier": "exact", "reference": {"answer": "2"}}\n'


def load(folder: Path, *models: dict[str, Any], **changes: Any) -> Sweep:
    (folder / "p.jsonl").write_text(PROBLEM)
    sweep = {"name": "s", "models": models, "tasks": [{"kind": "jsonl", "path": "p.jsonl"}], **changes}
    (folder / "s.yaml").write_text(yaml.safe_dump(sweep))
    return load_sweep(folder / "s.yaml")


def names(sweep: Sweep) -> list[str]:
    return [model.name for model in sweep.models]


def test_a_list_on_a_sampling_key_makes_a_model_of_each_value(tmp_path: Path) -> None:
    sweep = load(
        tmp_path, {"name": "a", "path": "o/a"}, {"name": "b", "path": "o/b", "sampling": {"max_tokens": [8, 16]}},
        sampling={"temperature": [0.6, 1.0], "top_p": 0.9},
    )  # fmt: skip
    assert names(sweep) == ["a@temperature=0.6", "a@temperature=1.0", "b@max_tokens=8", "b@max_tokens=16"]
    found = [sweep.settings_of(model) for model in sweep.models]
    assert [(s.temperature, s.top_p, s.max_tokens) for s in found] == [
        (0.6, 0.9, 512), (1.0, 0.9, 512), (1.0, 1.0, 8), (1.0, 1.0, 16),
    ]  # fmt: skip
    assert [model.series for model in sweep.models[:2]] == [{"temperature": 0.6}, {"temperature": 1.0}]


def test_a_point_of_a_grid_goes_before_a_tasks_own_value(tmp_path: Path) -> None:
    tasks = [{"kind": "jsonl", "path": "p.jsonl", "sampling": {"temperature": 0.1, "max_tokens": 7}}]
    sweep = load(tmp_path, {"name": "a", "path": "o/a"}, sampling={"temperature": [0.6, 1.0]}, tasks=tasks)
    model = sweep.models[1]
    found = settings_on(model, sweep.settings_of(model), sweep.sampling_on(sweep.tasks[0]))
    assert (found.temperature, found.max_tokens) == (1.0, 7)


def test_lists_multiply_and_lists_that_are_values_do_not(tmp_path: Path) -> None:
    settings = {"temperature": [0.5, 1], "top_k": [0, 20], "stop": ["a", "b"]}
    sweep = load(tmp_path, {"name": "a", "path": "o/a"}, sampling=settings)
    assert names(sweep) == [f"a@temperature={t},top_k={k}" for t in ("0.5", "1") for k in (0, 20)]
    assert {sweep.settings_of(model).stop for model in sweep.models} == {("a", "b")}


def test_checkpoints_are_folders_by_their_numbers_or_revisions(tmp_path: Path) -> None:
    for step in (200, 1000, 30):
        (tmp_path / "runs" / f"step_{step}").mkdir(parents=True)
    (tmp_path / "runs" / "step_notes.txt").touch()
    sweep = load(
        tmp_path,
        {"name": "rl", "checkpoints": "runs/step_*", "sampling": {"temperature": [0.5, 1.0]}},
        {"name": "hub", "path": "o/m", "checkpoints": ["step-1", "main"]},
    )
    steps = [f"rl@step_{step}@temperature={t}" for step in (30, 200, 1000) for t in (0.5, 1.0)]
    assert names(sweep) == [*steps, "hub@step-1", "hub@main"]
    assert sweep.models[0].path == str(tmp_path / "runs" / "step_30")
    assert sweep.models[5].series == {"checkpoint": 1000, "temperature": 1.0}
    assert [(model.path, model.revision) for model in sweep.models[6:]] == [("o/m", "step-1"), ("o/m", "main")]
    assert [model.series["checkpoint"] for model in sweep.models[6:]] == [1, "main"]


def test_a_folder_of_a_pattern_is_never_taken_for_a_model_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "step_1").mkdir(parents=True)
    (tmp_path / "runs" / "step_1" / "config.json").touch()
    monkeypatch.chdir(tmp_path)
    sweep = load(Path(), {"name": "rl", "checkpoints": "runs/step_*"})
    assert (sweep.notes, sweep.models[0].path) == ((), str(tmp_path / "runs" / "step_1"))


def test_adapters_make_a_model_of_each_checkpoint_and_adapter(tmp_path: Path) -> None:
    for step in (1, 2):
        (tmp_path / "runs" / f"step_{step}").mkdir(parents=True)
    (tmp_path / "lora" / "math").mkdir(parents=True)
    (tmp_path / "lora" / "math" / "adapter_config.json").touch()
    adapters = {"code": "owner/code", "math": "lora/math"}
    sweep = load(
        tmp_path,
        {"name": "rl", "checkpoints": "runs/step_*", "adapters": adapters, "sampling": {"temperature": [0.5, 1.0]}},
        {"name": "alone", "path": "o/m", "adapters": {"1e3": "hf://lora/math"}},
    )
    made = [f"rl@step_{n}+{name}@temperature={t}" for n in (1, 2) for name in adapters for t in (0.5, 1.0)]
    assert names(sweep) == [*made, "alone+1e3"]
    found = [(model.adapter.name, model.adapter.path) for model in sweep.models if model.adapter]
    assert found[:8:2] == [("code", "owner/code"), ("math", str(tmp_path / "lora/math"))] * 2
    assert found[-1] == ("1e3", "lora/math")
    assert sweep.models[2].series == {"checkpoint": 1, "adapter": "math", "temperature": 0.5}


def test_n_is_another_name_of_k(tmp_path: Path) -> None:
    sweep = load(tmp_path, {"name": "a", "path": "o/a", "n": 3}, {"name": "b", "path": "o/b"}, n=7)
    assert [sweep.k_of(model, sweep.tasks[0]) for model in sweep.models] == [3, 7]


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        ({"path": "o/a"}, {"sampling": {"seed": ["per_engine"]}}, "sampling.seed: Input should be"),
        ({"path": "o/a"}, {"sampling": {"temperature": []}}, "sampling.temperature: Input should be a valid number"),
        ({"path": "o/a"}, {"sampling": {"temperature": [0.5, -1]}}, "models.1.varied.temperature"),
        ({"path": "o/a"}, {"sampling": {"temperature": [0.5, 0.5]}}, "occurs more than once"),
        ({"path": "o/a", "sampling": {}}, {"sampling": {"temperature": [0.5, 1]}}, "every model has its own sampling"),
        ({"path": "o/a"}, {"sampling": {"max_tokens": [*range(1, MOST_CELLS + 2)]}}, "10,001 cells"),
        ({"checkpoints": "none_*"}, {}, "no folder matches 'none_*'"),
        ({"path": "o/a", "checkpoints": "none_*"}, {}, "leave path out"),
        ({"path": "o/a", "revision": "x", "checkpoints": ["y"]}, {}, "no key revision beside it"),
        ({"path": "o/a", "checkpoints": []}, {}, "at least one"),
        ({}, {}, "models.0.path: Field required"),
        ({"path": "o/a", "adapters": {}}, {}, "models.a.adapters: the name and place of each adapter"),
        ({"path": "o/a", "adapters": ["x"]}, {}, "models.a.adapters: the name and place of each adapter"),
        ({"path": "o/a", "adapters": {"x": []}}, {}, "models.0.adapter.path: Input should be a valid string"),
        ({"path": "gold", "engine": "replay", "adapters": {"x": "y"}}, {}, "engine replay cannot do it; engine vllm"),
        (
            {"path": "a", "engine": "openai", "base_url": "http://h", "adapters": {"x": "y"}},
            {},
            "models.a.adapters: engine openai cannot do it; engine vllm can",
        ),
        (
            {"path": "gold", "engine": "replay", "adapter": {"name": "x", "path": "y"}},
            {},
            "adapters: engine replay cannot do it",
        ),
        ({"path": "o/a", "n": 3, "k": 3}, {}, "n is another name of k"),
    ],
)
def test_what_makes_no_grid_is_refused_in_one_line(
    tmp_path: Path, model: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path, {"name": "a", **model}, **changes)
    assert said in str(caught.value) and "\n" not in str(caught.value)
