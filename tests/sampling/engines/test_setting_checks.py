"""Settings that an engine would refuse, or that are surely not meant, are named before it starts."""

from importlib.util import find_spec
from typing import Any

import pytest

from sampling.engines.model_info import ModelInfo, inspect_model
from sampling.engines.setting_checks import DTYPES, LONGER, model_trouble, setting_warnings, settings_trouble
from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import SMALL_MODEL

INFO = ModelInfo("r", vocabulary=100)
REST = {"verifier": "exact", "reference": {"answer": "x"}}
SERVICE = {"engine": "openai", "path": "served", "base_url": "http://host/v1"}


def problem(**changes: Any) -> Problem:
    return Problem.model_validate({"id": "p", "prompt": "0=1 >", **REST, **changes})


def spec(**changes: Any) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", "path": str(SMALL_MODEL), **changes})


def warned(model: ModelSpec, *problems: Problem, k: int = 4, **settings: Any) -> str:
    info = inspect_model(model, "m") if model.engine == "vllm" else ModelInfo("r")
    given = SamplingSettings(**{"max_tokens": 16, **settings})
    return "\n".join(setting_warnings(model, info, given, k, problems or [problem()]))


def test_a_number_format_that_vllm_does_not_know_is_refused() -> None:
    assert "models.m.dtype: vLLM knows no 'int4'" in (model_trouble(spec(dtype="int4"), ModelInfo("r")) or "")
    found = model_trouble(spec(dtype="float16", vllm={"dtype": "BF16"}), ModelInfo("r"))
    assert "models.m.vllm.dtype: vLLM knows no 'BF16'" in (found or "")
    assert [model_trouble(spec(dtype=name), ModelInfo("r")) for name in DTYPES] == [None] * 6
    assert model_trouble(spec(engine="replay", dtype="int4"), ModelInfo("r")) is None


def test_a_context_beyond_the_models_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    info = inspect_model(spec(), "m")
    assert info.most_model_len == 128
    assert model_trouble(spec(max_model_len=128), info) is None
    assert "models.m.max_model_len: 129 is more" in (model_trouble(spec(max_model_len=129), info) or "")
    assert "vllm.max_model_len: 256" in (model_trouble(spec(vllm={"max_model_len": 256}), info) or "")
    assert model_trouble(spec(max_model_len=129, vllm={"hf_overrides": {}}), info) is None
    monkeypatch.setenv(LONGER, "1")
    assert model_trouble(spec(max_model_len=129), info) is None


def test_a_temperature_that_vllm_refuses_is_named_wherever_it_was_set() -> None:
    hot = problem(sampling={"temperature": 2.5})
    assert "vLLM refuses 2.5; allowed: 0 to 2" in (
        settings_trouble(spec(), INFO, SamplingSettings(), [problem(), hot]) or ""
    )
    assert settings_trouble(spec(sampling={"temperature": 2}), INFO, SamplingSettings(temperature=2), [hot]) is None
    assert settings_trouble(spec(**SERVICE), INFO, SamplingSettings(temperature=3), [hot]) is None


def test_many_samples_that_must_be_the_same_are_told() -> None:
    assert "temperature 0 with k=4: every sample of a problem will be the same" in warned(spec(), temperature=0)
    assert "top_k 1 with k=4" in warned(spec(), top_k=1)
    assert "nearly the same" in warned(spec(**SERVICE), temperature=0)
    assert warned(spec(), temperature=0, k=1) == warned(spec()) == ""
    assert "temperature 0" in warned(spec(), problem(), problem(sampling={"temperature": 0}))
    assert warned(spec(sampling={}), problem(sampling={"temperature": 0})) == "", "the model's own settings go first"
    assert warned(spec(engine="replay", path="gold"), temperature=0) == "", "it draws nothing"


def test_a_limit_beyond_the_context_is_told_with_the_numbers() -> None:
    prompt = len("0=1 >")
    found = warned(spec(), max_tokens=1000)
    assert "max_tokens 1,000" in found and "128 tokens" in found and found.count("\n") == 0
    assert warned(spec(), max_tokens=128 - prompt) == "" != warned(spec(), max_tokens=128)
    assert "context of 64 tokens" in warned(spec(max_model_len=64), max_tokens=64)
    assert "max_tokens 500" in warned(spec(), problem(), problem(sampling={"max_tokens": 500}))
    unknown = spec(path="owner/name", max_model_len=100)
    long = problem(prompt="word " * 60)
    assert "about 75 tokens" in "".join(setting_warnings(unknown, ModelInfo("r"), SamplingSettings(), 1, [long]))


def test_a_temperature_that_vllm_raises_is_told() -> None:
    assert "vLLM takes 0.01 in its place" in warned(spec(), temperature=0.001)


def test_what_a_service_may_refuse_is_told() -> None:
    service = spec(**SERVICE)
    assert warned(service, stop=("a", "b", "c", "d")) == ""
    assert "stop: 5 strings on problem 'p'" in warned(service, problem(stop=["d", "e"]), stop=("a", "b", "c"))
    assert warned(spec(), stop=tuple("abcdef")) == "", "vLLM takes any number"
    assert "the column logprob stays empty" in warned(service, logprobs=True)
    assert "refuses more than 2" in warned(service, temperature=2.5)
    assert "problem 'p': its prompt is empty" in warned(service, problem(prompt=""))


def test_what_vllm_cannot_do_with_gpus_or_does_not_know_is_told() -> None:
    assert "gpus 4: vLLM cannot divide the model's 2 attention heads" in warned(spec(gpus=4))
    assert "gpus 3" in warned(spec(vllm={"tensor_parallel_size": 3}))
    assert warned(spec(gpus=2)) == warned(spec(gpus=0.3)) == ""


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_an_argument_that_vllm_does_not_have_is_told() -> None:
    assert "has no argument 'enable_prefix_cacheing'" in warned(spec(vllm={"enable_prefix_cacheing": False}))
    assert warned(spec(vllm={"enable_prefix_caching": False, "quantization": "fp8"})) == ""


def test_sampling_keys_that_an_engine_would_refuse_are_named() -> None:
    turns = problem(prompt=None, messages=[{"role": "user", "content": "1+1?"}])

    def trouble(model: ModelSpec, *asked: Problem, **settings: Any) -> str:
        return settings_trouble(model, INFO, SamplingSettings(**settings), asked or [problem()]) or ""

    assert "sampling.min_tokens: 20 is more than max_tokens; allowed: 0 to 16" in trouble(
        spec(), min_tokens=20, max_tokens=16
    )
    assert "sampling.stop_token_ids: the model has no token 100; allowed: 0 to 99" in trouble(
        spec(), stop_token_ids=[3, 100]
    )
    assert "sampling.logit_bias: the model has no token 101" in trouble(spec(), logit_bias={101: 1.0})
    assert "system: problem 'p' asks with a plain text; set style: chat" in trouble(spec(), system="Be short.")
    assert trouble(spec(), turns, system="Be short.", chat_template_kwargs={"enable_thinking": False}) == ""
    assert "chat_template: engine openai cannot do it; engine vllm can" in trouble(
        spec(**SERVICE), turns, chat_template="{{ messages }}"
    )
    assert "generation_config: engine openai cannot" in trouble(spec(**SERVICE), generation_config="model")
    assert trouble(spec(engine="replay"), system="Be short.", min_tokens=999) == ""


def test_lists_by_token_are_for_vllm_and_have_a_limit() -> None:
    def trouble(model: ModelSpec, **settings: Any) -> str:
        return settings_trouble(model, INFO, SamplingSettings(**settings), [problem()]) or ""

    assert "logprobs: 21 for each token; allowed: true, or 1 to 20; vllm: {max_logprobs: N}" in trouble(
        spec(), logprobs=21
    )
    assert trouble(spec(), logprobs=20, token_ids=True) == trouble(spec(vllm={"max_logprobs": 50}), logprobs=50) == ""
    assert "1 to 50; vllm" in trouble(spec(vllm={"max_logprobs": 50}), logprobs=51)
    assert trouble(spec(vllm={"max_logprobs": -1}), logprobs=101).endswith("allowed: true, or 1 to 100")
    assert trouble(spec(**SERVICE), logprobs=True) == ""
    assert "logprobs: engine openai stores their sum alone" in trouble(spec(**SERVICE), logprobs=1)
    assert "token_ids: engine openai cannot do it; engine vllm can" in trouble(spec(**SERVICE), token_ids=True)
    asked = [SamplingSettings.model_validate({"logprobs": value}) for value in (False, 0, True, "yes", 1, 7)]
    assert [bool(one.logprobs) for one in asked] == [False, False, True, True, True, True]
    assert [one.top_logprobs for one in asked] == [None] * 4 + [1, 7]
    with pytest.raises(ValueError, match="logprobs"):
        SamplingSettings.model_validate({"logprobs": -1})
