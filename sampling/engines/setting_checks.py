"""Checks of a model's settings before any engine starts: what the engine would refuse, and what is surely not meant."""

import ast
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from sampling.engines.model_info import ModelInfo
from sampling.engines.prompt_checks import OWN_TOKENIZER, given_context, is_empty, local_tokenizer
from sampling.problems import Problem, read_text
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling, settings_on
from sampling.settings.forms import form_trouble

DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")  # vllm.config.model.ModelDType
MOST_TEMPERATURE, LEAST_TEMPERATURE = 2.0, 0.01  # vLLM refuses a higher one, and raises a lower one but 0
MOST_LOGPROBS = 20  # vLLM's own limit, which its argument max_logprobs raises
MOST_STOPS = 4  # of OpenAI's own API
OF_VLLM = ("chat_template", "generation_config", "token_ids")  # sampling keys that no service is sent
OF_CHATS = ("system", "chat_template", "chat_template_kwargs")
CHARACTERS_PER_TOKEN = 4  # a rough mean, where the model's tokenizer is not at hand
LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"  # the variable with which vLLM takes any max_model_len
OWN_CONFIG = {"hf_overrides", "hf_config_path"}  # engine arguments: not the config alone decides


def model_trouble(model: ModelSpec, info: ModelInfo) -> str | None:
    """Returns a message about a setting with which vLLM would not start the model, or None."""
    if model.engine != "vllm":
        return None
    dtype = model.vllm.get("dtype", model.dtype)
    if isinstance(dtype, str) and dtype not in DTYPES:
        key = "vllm.dtype" if "dtype" in model.vllm else "dtype"
        return f"models.{model.name}.{key}: vLLM knows no {dtype!r}; allowed: {', '.join(DTYPES)}"
    longest, most = given_context(model), info.most_model_len
    if longest and most and longest > most and not OWN_CONFIG & model.vllm.keys() and not _allows_longer():
        key = "vllm.max_model_len" if "max_model_len" in model.vllm else "max_model_len"
        return (
            f"models.{model.name}.{key}: {longest} is more than the model's context of {most} tokens, and vLLM "
            f"refuses it without rotary scaling in the model's config; allowed: 8 to {most}"
        )
    return None


def settings_trouble(
    model: ModelSpec, info: ModelInfo, settings: SamplingSettings, problems: Sequence[Problem]
) -> str | None:
    """Returns a message about sampling settings that the engine would refuse on one of the problems, or None."""
    for task, those in _by_sampling(problems).items() if model.engine != "replay" else ():
        effective = settings_on(model, settings, task)
        trouble = _vllm_trouble(model, effective, info) if model.engine == "vllm" else _service_trouble(effective)
        if trouble := trouble or _trouble_with_chats(effective, those) or form_trouble(effective.structured_outputs):
            return f"models.{model.name}: sampling.{trouble}"
    return None


def _vllm_trouble(model: ModelSpec, settings: SamplingSettings, info: ModelInfo) -> str | None:
    if settings.temperature > MOST_TEMPERATURE:
        return f"temperature: vLLM refuses {settings.temperature:g}; allowed: 0 to {MOST_TEMPERATURE:g}"
    if (settings.min_tokens or 0) > settings.max_tokens:
        return f"min_tokens: {settings.min_tokens} is more than max_tokens; allowed: 0 to {settings.max_tokens}"
    if (settings.top_logprobs or 0) > (most := _most_logprobs(model, info)):
        more = "" if most == info.vocabulary else "; vllm: {max_logprobs: N} allows more"
        return f"logprobs: {settings.top_logprobs} for each token; allowed: true, or 1 to {most}{more}"
    for key in ("stop_token_ids", "logit_bias"):
        largest = max(getattr(settings, key) or (), default=0)
        if info.vocabulary and largest >= info.vocabulary:
            return f"{key}: the model has no token {largest}; allowed: 0 to {info.vocabulary - 1}"
    return None


def _most_logprobs(model: ModelSpec, info: ModelInfo) -> int:
    """Returns how many log probabilities vLLM gives for each token; its own -1 is as many as there are tokens."""
    given = model.vllm.get("max_logprobs", MOST_LOGPROBS)
    all_tokens = info.vocabulary or sys.maxsize
    return min(given, all_tokens) if isinstance(given, int) and given >= 0 else all_tokens


def _service_trouble(settings: SamplingSettings) -> str | None:
    if key := next((key for key in OF_VLLM if getattr(settings, key) not in (None, False, "none")), None):
        return f"{key}: engine openai cannot do it; engine vllm can"
    if settings.top_logprobs is not None:
        return "logprobs: engine openai stores their sum alone, with true; engine vllm also those of the top N"
    return None


def _trouble_with_chats(settings: SamplingSettings, problems: Sequence[Problem]) -> str | None:
    key = next((key for key in OF_CHATS if getattr(settings, key) is not None), None)
    text = next((problem.id for problem in problems if problem.messages is None), None)
    if key is None or text is None:
        return None
    return f"{key}: problem {text!r} asks with a plain text; set style: chat on its task, or leave {key} out"


def setting_warnings(
    model: ModelSpec, info: ModelInfo, settings: SamplingSettings, k: int, problems: Sequence[Problem]
) -> list[str]:
    """Returns what is surely not meant in the settings of a model on the problems of a task, each thing once.

    ``settings`` are the model's before its task's are applied, ``k`` its samples per problem.
    """
    if model.engine == "replay":  # it draws nothing, so its settings change nothing
        return []
    found: list[str] = []
    for task, those in _by_sampling(problems).items():
        effective = settings_on(model, settings, task)
        found += _same_samples(model, effective, k)
        found += (
            _of_vllm(model, info, effective, those) if model.engine == "vllm" else _of_service(info, effective, those)
        )
    return list(dict.fromkeys(found))


def _by_sampling(problems: Sequence[Problem]) -> Mapping[TaskSampling | None, list[Problem]]:
    groups: dict[TaskSampling | None, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.sampling, []).append(problem)
    return groups


def _same_samples(model: ModelSpec, settings: SamplingSettings, k: int) -> Iterator[str]:
    cause = "temperature 0" if settings.temperature == 0 else "top_k 1" if settings.top_k == 1 else None
    if cause and k > 1:
        nearly = "nearly " if model.engine == "openai" else ""
        yield f"{cause} with k={k:,}: every sample of a problem will be {nearly}the same; k: 1 says as much"


def _of_vllm(
    model: ModelSpec, info: ModelInfo, settings: SamplingSettings, problems: Sequence[Problem]
) -> Iterator[str]:
    if 0 < settings.temperature < LEAST_TEMPERATURE:
        yield f"temperature {settings.temperature:g}: vLLM takes {LEAST_TEMPERATURE:g} in its place"
    context = given_context(model) or info.max_model_len
    gpus = model.vllm.get("tensor_parallel_size", model.gpus)
    if isinstance(gpus, int | float) and gpus > 1 and info.heads % gpus:
        yield f"gpus {gpus:g}: vLLM cannot divide the model's {info.heads} attention heads among so many GPUs"
    if unknown := sorted(model.vllm.keys() - (_vllm_arguments() or model.vllm.keys())):
        yield f"vllm: the vLLM of this machine has no argument {unknown[0]!r}"
    prompt = _longest_prompt(model, problems)
    if context and prompt + settings.max_tokens > context:
        yield (
            f"max_tokens {settings.max_tokens:,} after a prompt of up to about {prompt:,} tokens is more than the "
            f"model's context of {context:,} tokens; vLLM cuts such completions there, with finish_reason length"
        )


@lru_cache
def _vllm_arguments() -> frozenset[str]:
    """Returns the names of vLLM's EngineArgs, read from its source: an import takes ten seconds. Empty without vLLM."""
    try:
        found = find_spec("vllm")
    except ImportError:  # an environment that hides it
        return frozenset()
    file = Path(found.origin).parent / "engine" / "arg_utils.py" if found and found.origin else None
    if file is None or not file.is_file():
        return frozenset()
    classes = [node for node in ast.parse(read_text(file)).body if isinstance(node, ast.ClassDef)]
    bodies = [node.body for node in classes if node.name == "EngineArgs"]
    fields = [node.target for body in bodies for node in body if isinstance(node, ast.AnnAssign)]
    return frozenset(target.id for target in fields if isinstance(target, ast.Name))


def _of_service(info: ModelInfo, settings: SamplingSettings, problems: Sequence[Problem]) -> Iterator[str]:
    yield from (f"base_url: {said}; it is left out until it answers" for said in info.unreachable)
    if settings.temperature > MOST_TEMPERATURE:
        yield f"temperature {settings.temperature:g}: OpenAI's own API refuses more than {MOST_TEMPERATURE:g}"
    if settings.logprobs:
        yield "logprobs: not every service has them; where this one has none, the column logprob stays empty"
    stops = max((len({*settings.stop, *problem.stop}), problem.id) for problem in problems)
    if stops[0] > MOST_STOPS:
        yield f"stop: {stops[0]} strings on problem {stops[1]!r}; OpenAI's own API refuses more than {MOST_STOPS}"
    if empty := next((problem.id for problem in problems if is_empty(problem)), None):
        yield f"problem {empty!r}: its prompt is empty"


def _allows_longer() -> bool:
    return os.environ.get(LONGER, "0").lower() in {"1", "true"}


def _longest_prompt(model: ModelSpec, problems: Sequence[Problem]) -> int:
    """Estimates the tokens of the longest prompt, without what a chat template adds to it."""
    text = max((problem.asked for problem in problems), key=len)
    here = Path(model.path).is_dir() and not OWN_TOKENIZER & model.vllm.keys()
    tokenizer = local_tokenizer(Path(model.path)) if here else None
    return len(tokenizer.encode(text).ids) if tokenizer else -(-len(text) // CHARACTERS_PER_TOKEN)
