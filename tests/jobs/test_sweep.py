from pathlib import Path

import pytest
import yaml

from jobs.sweep import load_sweep
from sampling.errors import BadInput
from sampling.settings import settings_on

PROBLEM = '{"id": "a", "prompt": "1+1=", "verifier": "exact", "reference": {"answer": "2"}}\n'
SWEEP = {
    "name": "demo",
    "models": [{"name": "gold", "path": "gold", "engine": "replay", "k": 3}, {"name": "other", "path": "org/model"}],
    "tasks": [{"kind": "jsonl", "path": "problems.jsonl"}],
}


@pytest.fixture
def write(tmp_path: Path):
    (tmp_path / "problems.jsonl").write_text(PROBLEM)

    def written(**changes: object) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, **changes}))
        return path

    return written


def test_paths_are_relative_to_the_file_and_the_store_to_the_folder(write, tmp_path: Path) -> None:
    sweep = load_sweep(write())
    assert sweep.tasks[0].path == str(tmp_path / "problems.jsonl")
    assert [model.path for model in sweep.models] == ["gold", "org/model"]
    assert sweep.run_uri == "runs/demo"


def test_a_model_has_its_own_k_or_the_sweeps(write) -> None:
    sweep = load_sweep(write(k=7))
    assert [sweep.k_of(model, sweep.tasks[0]) for model in sweep.models] == [3, 7]


PRESET = {"name": "papers", "kind": "gsm8k", "path": "hf://openai/gsm8k/main", "preset": "monkeys"}
OWN = {"name": "own", "kind": "jsonl", "path": "problems.jsonl", "k": 5, "sampling": {"top_p": 0.5}}


def test_k_is_said_by_the_model_the_task_the_sweep_or_the_preset(write) -> None:
    for changes, expected in [({}, [3, 3, 10_000, 5]), ({"k": 7}, [3, 3, 7, 5])]:
        sweep = load_sweep(write(tasks=[PRESET, OWN], **changes))
        assert [sweep.k_of(model, task) for model in sweep.models for task in sweep.tasks] == expected
    assert sweep.tasks[0].path == "hf://openai/gsm8k/main"


def test_sampling_is_said_by_the_model_the_task_the_sweep_or_the_preset(write) -> None:
    models = [*SWEEP["models"], {"name": "greedy", "path": "org/model", "sampling": {"temperature": 0}}]

    def drawn(sampling: dict[str, object]) -> list[tuple[float, float, int]]:
        sweep = load_sweep(write(models=models, tasks=[PRESET, OWN], sampling=sampling))
        pairs = [(model, sweep.sampling_on(task)) for model in sweep.models[1:] for task in sweep.tasks]
        found = [settings_on(model, sweep.settings_of(model), task) for model, task in pairs]
        return [(settings.temperature, settings.top_p, settings.max_tokens) for settings in found]

    assert drawn({}) == [(0.6, 1, 512), (1, 0.5, 512), (0, 1, 512), (0, 1, 512)]
    assert drawn({"temperature": 1, "max_tokens": 9}) == [(1, 1, 9), (1, 0.5, 9), (0, 1, 512), (0, 1, 512)]


def test_a_model_is_asked_the_tasks_that_it_names(write) -> None:
    models = [{"name": "gold", "path": "gold", "engine": "replay", "tasks": ["own"]}]
    sweep = load_sweep(write(models=models, tasks=[PRESET, OWN]))
    assert [task.title for task in sweep.tasks_of(sweep.models[0])] == ["own"]
    with pytest.raises(BadInput, match=r"models\.gold\.tasks: no task 'own'; there are: papers"):
        load_sweep(write(models=models, tasks=[PRESET]))


def test_assignments_reach_into_lists_by_name_or_number(write) -> None:
    words = ["models.gold.k=9", "models.1.k=8", "sampling.temperature=0.5", "verify.tier=confined"]
    sweep = load_sweep(write(), words)
    assert [sweep.k_of(model, sweep.tasks[0]) for model in sweep.models] == [9, 8]
    assert (sweep.sampling.temperature, sweep.verify.tier) == (0.5, "confined")


@pytest.mark.parametrize(
    ("changes", "words", "named"),
    [
        ({"modles": []}, [], ["modles", "unknown key", "models"]),
        ({"sampling": {"temprature": 1}}, [], ["sampling.temprature", "temperature"]),
        ({"models": [{"name": "m", "path": "p", "kk": 1}]}, [], ["models.0.kk", "unknown key", "path"]),
        ({"k": 0}, [], ["k", "greater than or equal to 1", "0"]),
        ({"models": []}, [], ["models", "at least 1"]),
        ({"tasks": []}, [], ["tasks", "at least 1"]),
        ({"tasks": [{"kind": "gsm9k", "path": "x"}]}, [], ["tasks.0.kind", "gsm8k"]),
        ({"name": "a/b"}, [], ["name", "a/b"]),
        ({"verify": {"tier": "none"}}, [], ["verify.tier", "isolated"]),
        ({"models": [{"name": "m", "path": "p"}] * 2}, [], ["'m'", "more than once"]),
        ({}, ["k"], ["--set 'k'", "key.subkey=value"]),
        ({}, ["models.nobody.k=1"], ["nobody"]),
        ({}, ["k=many"], ["k", "'many'"]),
    ],
)
def test_bad_input_names_the_place_and_what_is_allowed(write, changes, words, named) -> None:
    with pytest.raises(BadInput) as error:
        load_sweep(write(**changes), words)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in named), str(error.value)


def test_a_file_that_is_not_there_or_not_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load_sweep(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(BadInput, match=r"bad\.yaml: not valid YAML"):
        load_sweep(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(BadInput, match="mapping"):
        load_sweep(tmp_path / "list.yaml")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_paths_start_at_the_home_folder_where_they_begin_with_a_tilde(write, home: Path) -> None:
    (home / "tiny").mkdir()
    task = {"kind": "gsm8k", "path": "~/p.jsonl", "few_shot": "~/f.jsonl", "prompt": "~/t.txt", "packages": ["~/pack/"]}
    verify = {"packages": ["~/pack", "numpy"]}
    sweep = load_sweep(write(store="~/runs", models=[{"name": "m", "path": "~/tiny"}], tasks=[task], verify=verify))
    assert (sweep.run_uri, sweep.models[0].path) == (f"{home}/runs/demo", f"{home}/tiny")
    asked = sweep.tasks[0]
    assert (asked.path, asked.few_shot, asked.prompt) == (f"{home}/p.jsonl", f"{home}/f.jsonl", home / "t.txt")
    assert (asked.packages, sweep.verify.packages) == ((f"{home}/pack",), (f"{home}/pack", "numpy"))
    assert load_sweep(write(), ["store=~/x"]).run_uri == f"{home}/x/demo"
    write().rename(home / "s.yaml")
    assert load_sweep(Path("~/s.yaml")).tasks[0].path == str(home / "problems.jsonl")


def test_a_file_url_is_its_path(write, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    task = {"kind": "gsm8k", "path": "file:///data/p%20q.jsonl", "prompt": "file:///data/t.txt"}
    models = [{"name": "m", "path": f"file://{tmp_path}/a%20b"}]
    sweep = load_sweep(write(store="file:///data/runs", models=models, tasks=[task]))
    assert (sweep.run_uri, sweep.models[0].path) == ("/data/runs/demo", f"{tmp_path}/a b")
    assert (sweep.tasks[0].path, sweep.tasks[0].prompt) == ("/data/p q.jsonl", Path("/data/t.txt"))


@pytest.mark.parametrize("place", ["s3://bucket/pre#fix", "s3://bucket/x?y", "data/a#b?c"])
def test_signs_of_urls_are_kept_in_keys_and_names_of_files(write, tmp_path: Path, place: str) -> None:
    sweep = load_sweep(
        write(store=place, models=[{"name": "m", "path": place}], tasks=[{"kind": "jsonl", "path": place}])
    )
    assert (sweep.run_uri, sweep.models[0].path) == (f"{place}/demo", place)
    assert sweep.tasks[0].path == (place if place.startswith("s3") else str(tmp_path / place))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"store": "file:///x#y"}, "file:///x#y: no file of this machine"),
        ({"store": "file://host/x"}, "file://host/x: no file of this machine"),
        (
            {"tasks": [{"kind": "gsm8k", "path": "https://h/x.jsonl"}]},
            "https://h/x.jsonl: cannot be opened; allowed: a",
        ),
        ({"models": [{"name": "m", "path": "x", "engine": "openai", "base_url": "http://h/v1#x"}]}, "query, fragment"),
        ({"models": [{"name": "m", "path": "x", "engine": "openai", "base_url": "http://h/v1?"}]}, "query, fragment"),
        ({"models": [{"name": "m", "path": "x", "engine": "openai", "base_url": "file:///v1"}]}, "http(s)://host/v1"),
        ({"models": [{"name": "m", "path": "x", "engine": "openai", "base_url": "http://h\n/v1"}]}, "and spaces"),
    ],
)
def test_urls_that_would_be_cut_are_refused(write, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as error:
        load_sweep(write(**changes))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_hub_id_beside_a_folder_of_that_name(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Qwen" / "whole").mkdir(parents=True)
    (tmp_path / "Qwen" / "whole" / "config.json").write_text("{}")
    (tmp_path / "Qwen" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    paths = ["Qwen/whole", "Qwen/empty", "Qwen/other", "./Qwen/whole", "./Qwen/empty", "hf://Qwen/whole"]
    sweep = load_sweep(write(models=[{"name": f"m{number}", "path": path} for number, path in enumerate(paths)]))
    whole, empty = f"{tmp_path}/Qwen/whole", f"{tmp_path}/Qwen/empty"
    assert [model.path for model in sweep.models] == [whole, "Qwen/empty", "Qwen/other", whole, empty, "Qwen/whole"]
    assert sweep.notes == (
        f"models.m0.path: 'Qwen/whole' is the folder {whole}; write hf://Qwen/whole for the hub's model",
        "models.m1.path: 'Qwen/empty' is the hub's model; write ./Qwen/empty for the folder, which has no config.json",
    )
    names = [model.distribution["path"] for model in sweep.models]
    assert names == ["whole", "Qwen/empty", "Qwen/other", "whole", "empty", "Qwen/whole"]
    assert load_sweep(write()).notes == ()
