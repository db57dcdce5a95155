"""Tests of what counts as another distribution: never how fast the samples come, always what nobody is sure of."""

import dataclasses
from typing import Any

import pytest

from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.identity import NEUTRAL, changes, digest, files_read, identity

SETTINGS = SamplingSettings().model_dump(mode="json")


def same(settings: dict[str, Any] | None = None, revision: str = "r", **spec: Any) -> bool:
    """Tells whether a model with these changes draws the same samples as one without."""
    before = ModelSpec.model_validate({"name": "m", "path": "models/small"})
    now = ModelSpec.model_validate({"name": "m", "path": "models/small", **spec})
    parts = (before.distribution, SETTINGS, "r"), (now.distribution, SETTINGS | (settings or {}), revision)
    assert (digest(*parts[0]) == digest(*parts[1])) == (not changes(identity(*parts[0]), identity(*parts[1])))
    return digest(*parts[0]) == digest(*parts[1])


@pytest.mark.parametrize(
    "spec",
    [
        {"vllm": {"gpu_memory_utilization": 0.5, "max_num_batched_tokens": 4096, "enable_prefix_caching": False}},
        {"path": "elsewhere/renamed"},
        {"gpus": 2, "engines": 3, "max_num_seqs": 64, "nodes": 2, "weight": 4},
        {"settings": {"logprobs": True}},
        {"settings": {"logprobs": 5, "token_ids": True}, "vllm": {"max_loras": 2, "max_logprobs": 50}},
    ],
)
def test_what_changes_speed_alone_is_the_same_distribution(spec: dict[str, Any]) -> None:
    assert same(**spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"vllm": {"quantization": "fp8"}},
        {"vllm": {"kv_cache_dtype": "fp8"}},
        {"vllm": {"an_argument_of_tomorrow": 1}},
        {"dtype": "float32"},
        {"max_model_len": 512},
        {"revision": "other"},
        {"settings": {"temperature": 0.5}},
        {"adapter": {"name": "a", "path": "a"}},
        {"settings": {"seed": "per_sample"}},
    ],
)
def test_what_changes_samples_or_may_is_another(spec: dict[str, Any]) -> None:
    if "revision" in spec:
        assert not same(None, spec["revision"])
    else:
        assert not same(**spec)


def test_a_service_is_its_name() -> None:
    one, other = (
        ModelSpec(name="m", engine="openai", path=path, base_url="http://h/v1").distribution for path in ("a", "b")
    )
    assert digest(one, SETTINGS, "service") != digest(other, SETTINGS, "service")


def test_a_service_may_move_and_have_several_addresses() -> None:
    """A run goes on where its servers got other addresses; `revision` tells versions of a model apart."""
    places = ("http://h/v1", "http://other:81/v1", ["http://h/v1", "http://i/v1"], ["http://i/v1"])
    given = {"name": "m", "engine": "openai", "path": "a"}
    models = [ModelSpec.model_validate({**given, "base_url": place}) for place in places]
    assert len({digest(model.distribution, SETTINGS, "service") for model in models}) == 1
    assert models[0].distribution == models[2].distribution, "a judge's version keeps its first address"
    assert digest(models[0].distribution, SETTINGS, "v2") != digest(models[0].distribution, SETTINGS, "service")


def test_an_argument_that_nobody_knows_says_so() -> None:
    then, now = identity({"vllm": {}}, {}, "r"), identity({"vllm": {"mood": 1}}, {}, "r")
    assert changes(then, now) == ["vllm.mood was None, is 1 (not known to leave the samples as they are)"]


def test_of_a_models_folder_only_what_an_engine_reads_counts() -> None:
    read = ["config.json", "merges.txt", "model.safetensors", "modeling_own.py", "tokenizer.model", "chat.jinja"]
    others = ["README.md", "readme.txt", "LICENSE.txt", "licence", "NOTICE.txt", "eval_results.json", ".gitattributes"]
    assert files_read([*others, *read, "pytorch_model.bin", "optimizer.pt"]) == sorted(read)
    assert files_read(["pytorch_model.bin", "optimizer.pt", "config.json"]) == ["config.json", "pytorch_model.bin"]


def test_harmless_arguments_are_vllms() -> None:
    vllm = pytest.importorskip("vllm")
    assert {field.name for field in dataclasses.fields(vllm.EngineArgs)} >= NEUTRAL
