"""A plan tells what an engine would refuse, and what is surely not meant, before anything is written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROBLEMS, Troop, WriteSweep
from tests.support.places import SMALL_MODEL

VLLM = {"name": "small", "path": str(SMALL_MODEL), "k": 2}
ASKED = [{**problem, "prompt": "0=1 >"} for problem in PROBLEMS]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ('sampling.stop=["x",""]', "sampling.stop.1"),
        ('models.small.sampling={"stop":[""]}', "models.0.sampling.stop.0"),
        ('tasks.sums.sampling={"stop":[""]}', "tasks.0.sampling.stop.0"),
        ("models.small.dtype=int4", "models.small.dtype"),
        ("models.small.max_model_len=4096", "models.small.max_model_len"),
        ("sampling.temperature=2.5", "temperature"),
        ('tasks.sums.sampling={"temperature":3}', "task sums, models.small"),
        ('sampling.structured_outputs={"regex":"(a|b"}', "models.small: sampling.structured_outputs.regex: no regular"),
        ('tasks.sums.sampling={"structured_outputs":{"json":{"type":"objekt"}}}', "structured_outputs.json: no JSON"),
        ('sampling={"structured_outputs":{"grammar":"x ::= y"}}', "structured_outputs.grammar: no grammar (no rule is"),
    ],
)
@pytest.mark.parametrize("command", [("plan",), ("run", "--local")])
def test_what_vllm_would_refuse_is_told_in_one_line(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, command: tuple[str, ...], words: str, named: str
) -> None:
    found = troop(*command, write_sweep(ASKED, models=[VLLM]), "--set", words)
    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1), found.err
    assert named in found.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes", [{"prompt": ""}, {"prompt": None, "messages": [{"role": "user", "content": ""}]}, {"stop": ["x", ""]}]
)
def test_a_problem_that_vllm_would_refuse_is_named(
    troop: Troop, write_sweep: WriteSweep, changes: dict[str, Any]
) -> None:
    found = troop("plan", write_sweep([ASKED[0], {**ASKED[1], **changes}], models=[VLLM]))
    assert (found.code, len(found.err.splitlines())) == (2, 1)
    assert "stop.1" in found.err if "stop" in changes else "task sums, problem 'two'" in found.err


def test_a_stop_of_white_space_is_legal(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("plan", write_sweep(ASKED, models=[VLLM]), "--set", 'sampling={"stop":[" ","\\n"],"max_tokens":8}')
    assert (found.code, found.err) == (0, "")


def test_a_plan_warns_for_each_model_and_task(troop: Troop, write_sweep: WriteSweep) -> None:
    calm = {"temperature": 0.5, "max_tokens": 8}
    models = [VLLM, {**VLLM, "name": "own", "sampling": calm}]
    tasks = [{"name": name, "kind": "jsonl", "path": "problems.jsonl"} for name in ("sums", "more")]
    sweep = write_sweep(ASKED, models=models, tasks=tasks, sampling={"temperature": 0, "max_tokens": 4})
    found = troop("plan", sweep, "--json")
    told = json.loads(found.out)["warnings"]
    assert [line.partition(":")[0] for line in told] == ["small on sums", "small on more"]
    assert found.err.splitlines() == [f"troop: warning: {line}" for line in told]
    assert troop("plan", sweep, "--set", "k=1", "--set", "models.small.k=1").err == ""


def test_a_run_warns_before_it_starts(troop: Troop, write_sweep: WriteSweep) -> None:
    service = {"name": "far", "path": "served", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "k": 1}
    sweep = write_sweep(
        ASKED,
        models=[{**service, "service": {"check": False}, "tasks": ["sums"]}],
        sampling={"stop": list("abcde")},
        stop={"until": "2020-01-01T00:00:00+00:00"},
    )
    first = troop("run", sweep, "--local", "--no-report").err.splitlines()[0]
    assert first.startswith("troop: warning: far on sums: stop: 5 strings")


def test_a_models_own_settings_hold_where_nobody_gives_any(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    folder = shutil.copytree(SMALL_MODEL, tmp_path / "model")
    own = {"temperature": 0.25, "top_p": 0.5, "top_k": -1, "repetition_penalty": 1.5, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(own))
    tasks = [{"name": "sums", "kind": "jsonl", "path": "problems.jsonl", "sampling": {"top_p": 0.75}}]
    settings = {"generation_config": "model", "repetition_penalty": 1.25, "max_tokens": 4}
    sweep = write_sweep(ASKED, models=[{**VLLM, "path": str(folder)}], tasks=tasks, sampling=settings)
    cell = json.loads(troop("plan", sweep, "--json").out)["cells"][0]
    shown = {key: cell["sampling"][key] for key in own if key != "do_sample"}
    assert shown == {"temperature": 0.25, "top_p": 0.75, "top_k": 0, "repetition_penalty": 1.25}
    assert cell["from_model"] == ["temperature", "top_k"]
    assert "temperature 0.25 (the model’s), top_p 0.75, max_tokens 4" in troop("plan", sweep).out
    (folder / "generation_config.json").unlink()
    found = troop("plan", sweep)
    assert (found.code, len(found.err.splitlines())) == (2, 1) and "has no generation_config.json" in found.err


def test_a_chat_template_is_read_from_the_sweeps_folder(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    turns = [{**problem, "prompt": None, "messages": [{"role": "user", "content": "1"}]} for problem in ASKED]
    sweep = write_sweep(turns, models=[VLLM], sampling={"chat_template": "t.jinja", "max_tokens": 4})
    found = troop("plan", sweep)
    assert found.code == 2 and "sampling.chat_template: no file" in found.err and "t.jinja" in found.err
    (tmp_path / "t.jinja").write_text("{{ messages[0].content }}")
    found = troop("plan", sweep, "--json")
    assert json.loads(found.out)["cells"][0]["sampling"]["chat_template"] == "{{ messages[0].content }}", found.err
