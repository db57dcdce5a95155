"""Prompts that a model cannot take are named before it is loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sampling.engines.model_info import ModelInfo, inspect_model
from sampling.engines.prompt_checks import prompt_trouble
from sampling.problems import Problem
from sampling.settings import ModelSpec
from tests.conftest import Troop, WriteSweep
from tests.support.places import SMALL_MODEL

REST = {"verifier": "exact", "reference": {"answer": "x"}}
SHORT = Problem.model_validate({"id": "short", "prompt": "0=1 >", **REST})
LONG = Problem.model_validate({"id": "long", "prompt": "0=1;" * 500, **REST})
CHAT = {"id": "chat", "messages": [{"role": "user", "content": "0=1"}], **REST}


def trouble(folder: Path, *problems: Problem, **changes: Any) -> str:
    model = ModelSpec.model_validate({"name": "m", "path": str(folder), **changes})
    return prompt_trouble(model, inspect_model(model, "m"), problems) or ""


def test_a_prompt_that_leaves_no_room_is_named() -> None:
    assert trouble(SMALL_MODEL, SHORT) == ""
    assert "'long'" in trouble(SMALL_MODEL, SHORT, LONG)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("chat_template.jinja", "{{ messages }}"),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ messages }}"})),
        ("tekken.json", "{}"),
    ],
)
def test_a_chat_needs_a_template_or_a_tokenizer_that_does_without(tmp_path: Path, file: str, text: str) -> None:
    folder, chat = Path(shutil.copytree(SMALL_MODEL, tmp_path / "model")), Problem.model_validate(CHAT)
    assert trouble(folder, chat).startswith("models.m: the model has no chat template")
    assert trouble(folder, SHORT) == ""
    assert trouble(folder, chat, vllm={"tokenizer": "another/model"}) == ""
    (folder / file).write_text(text)
    assert trouble(folder, chat) == ""


def test_a_plan_says_what_to_set(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([CHAT], models=[{"name": "m", "path": str(SMALL_MODEL)}])
    planned = troop("plan", sweep)
    assert planned.code == 2 and "style: base" in planned.err and len(planned.err.splitlines()) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": ""},
        {"messages": []},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": ""}]},
    ],
)
def test_a_prompt_without_a_text_is_named_wherever_the_model_lies(asked: dict[str, object]) -> None:
    problem = Problem.model_validate({"id": "none", **asked, **REST})
    for path in (str(SMALL_MODEL), "owner/on-the-hub", "s3://bucket/model/"):
        model = ModelSpec(name="m", path=path)
        assert "'none': its prompt is empty" in (prompt_trouble(model, ModelInfo("r"), [SHORT, problem]) or "")
    assert prompt_trouble(ModelSpec(name="m", path="gold", engine="replay"), ModelInfo("r"), [problem]) is None


def test_a_text_that_becomes_no_tokens_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SMALL_MODEL, tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Strip", "strip_left": True, "strip_right": True}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    blank = Problem.model_validate({"id": "blank", "prompt": " ", **REST})
    assert "'blank': its prompt is empty" in trouble(folder, blank)


def test_a_context_given_to_vllm_itself_counts() -> None:
    assert "takes at most 1" in trouble(SMALL_MODEL, SHORT, vllm={"max_model_len": 2})
    assert trouble(SMALL_MODEL, SHORT, vllm={"max_model_len": -1}) == ""
