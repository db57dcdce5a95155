"""Sampling keys: what is taken, what is refused, and what they do to a run's identity."""

from typing import Any

import pytest
from pydantic import ValidationError

from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling, settings_on
from sampling.settings.identity import digest

KEYS: dict[str, Any] = {
    "min_p": 0.1, "presence_penalty": 1, "frequency_penalty": 1, "repetition_penalty": 1.1, "stop_token_ids": [7],
    "min_tokens": 1, "ignore_eos": True, "bad_words": ["no"], "logit_bias": {7: 1.5},
    "structured_outputs": {"choice": ["a"]}, "skip_special_tokens": False, "system": "Be short.",
    "chat_template_kwargs": {"enable_thinking": False}, "chat_template": "{{ messages }}",
}  # fmt: skip


def hashed(**settings: Any) -> str:
    return digest({}, SamplingSettings(**settings).model_dump(mode="json"), "weights")


def test_settings_of_before_these_keys_keep_their_hash() -> None:
    old = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 512, "stop": [], "seed": "per_engine"}
    assert digest({}, old | {"logprobs": False}, "weights") == hashed() == hashed(generation_config="model")


@pytest.mark.parametrize("key", KEYS)
def test_each_key_makes_another_distribution(key: str) -> None:
    assert hashed(**{key: KEYS[key]}) != hashed()


def test_all_keys_survive_a_stored_plan() -> None:
    settings = SamplingSettings(**KEYS)
    assert SamplingSettings.model_validate_json(settings.model_dump_json()) == settings
    assert settings.given_keys["structured_outputs"] == {"choice": ["a"]}
    assert settings.given_keys["logit_bias"] == {7: 1.5}


def test_the_short_forms_of_vllm_are_taken() -> None:
    assert SamplingSettings.model_validate({"stop": "x", "top_k": -1}) == SamplingSettings(stop=("x",))
    assert TaskSampling.model_validate({"stop": "x", "top_k": -1}) == TaskSampling(stop=("x",), top_k=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"top_k": -2}, "greater than or equal to 0"),
        ({"presence_penalty": 3}, "less than or equal to 2"),
        ({"repetition_penalty": 0}, "greater than 0"),
        ({"bad_words": [""]}, "at least 1 character"),
        ({"structured_outputs": {}}, "give one of json, regex, choice, grammar"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "give one of"),
        ({"structured_outputs": {"jsn": {}}}, "jsn"),
        ({"chat_template_kwargs": {"tokenize": False}}, "tokenize is set by Troop"),
        ({"logit_bias": {"-1": 1}}, "greater than or equal to 0"),
        ({"logit_bias": {"x": 1}}, "valid integer"),
        ({"generation_config": "auto"}, "'model' or 'none'"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SamplingSettings.model_validate(given)


def test_a_tasks_keys_go_before_the_sweeps_and_can_be_grouped() -> None:
    own = {key: value for key, value in KEYS.items() if key != "chat_template"}
    task, model = TaskSampling(**own), ModelSpec(name="m", path="m")
    assert settings_on(model, SamplingSettings(min_p=0.5, max_tokens=9), task) == SamplingSettings(max_tokens=9, **own)
    assert len({task, TaskSampling(**own), TaskSampling()}) == 2
    problem = Problem.model_validate(
        {"id": "a", "prompt": "?", "verifier": "exact", "reference": {"answer": "1"}, "sampling": task}
    )
    assert problem.prompt_digest != problem.model_copy(update={"sampling": TaskSampling(min_p=0.1)}).prompt_digest
