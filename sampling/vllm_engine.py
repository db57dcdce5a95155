"""vLLM behind the Engine protocol (tried with 0.24 to 0.33), on GPUs or with its CPU build."""

import os
import time
from collections.abc import Sequence
from typing import Any

from sampling.engine import Completion, Request
from sampling.errors import EngineError
from sampling.models import ModelInfo
from sampling.problems import Problem
from sampling.seeds import Seeds, sample_seed
from sampling.settings import ModelSpec, SamplingSettings

CPU_KV_CACHE_BYTES = (64 << 20, 4 << 30)  # at least, at most
BYTES_PER_CACHE_VALUE = 4  # the widest dtype a CPU cache uses


class VllmEngine:
    """One vLLM engine. Every sample is its own request over shared prompt tokens, so that none waits for its siblings
    and the prefix cache still pays for the prompt once."""

    def __init__(
        self, model: ModelSpec, info: ModelInfo, settings: SamplingSettings, seeds: Seeds, threads: int
    ) -> None:
        on_gpu = prepare_environment(threads)
        import vllm

        self.version = f"vllm {vllm.__version__}"
        self._settings, self._seeds, self._model = settings, seeds, model
        try:
            arguments = vllm.EngineArgs(**engine_arguments(model, info, seeds.engine, on_gpu))
            self._engine = vllm.LLMEngine.from_engine_args(arguments)
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"model {model.name}: vLLM does not start ({_last_line(error)})") from error
        self.device = _device_name(on_gpu)
        self._tokenizer: Any = self._engine.get_tokenizer()
        self._longest: int = self._engine.vllm_config.model_config.max_model_len
        self._params: dict[tuple[str, ...], Any] = {}
        self._pending: dict[str, tuple[Request, int, float, int]] = {}  # request id -> request, sample, start, seed
        self._refused: list[Completion] = []

    def add(self, request: Request) -> None:
        tokens = self._prompt_tokens(request.problem)
        samples = range(request.first_sample, request.last_sample)
        if len(tokens) >= self._longest:
            self._refused += [_too_long(request, index, len(tokens), self._seeds.engine) for index in samples]
            return
        for index in samples:
            self._add_one(request, index, tokens)

    def step(self) -> Sequence[Completion]:
        if self._refused:
            done, self._refused = self._refused, []
            return done
        try:
            outputs = self._engine.step()
        except Exception as error:  # whatever it raises here, it is dead
            raise EngineError(f"model {self._model.name}: vLLM broke ({_last_line(error)})") from error
        return [
            self._completion(output) for output in outputs if output.finished and output.request_id in self._pending
        ]

    def in_flight(self) -> int:
        return len(self._pending) + len(self._refused)

    def abort(self, tag: int) -> None:
        names = [name for name, (request, *_) in self._pending.items() if request.tag == tag]
        self._engine.abort_request(names)
        for name in names:
            del self._pending[name]

    def close(self) -> None:
        shutdown = getattr(self._engine.engine_core, "shutdown", None)
        if shutdown is not None:
            shutdown()

    def _prompt_tokens(self, problem: Problem) -> list[int]:
        if problem.messages is None:
            return list(self._tokenizer.encode(problem.prompt))
        if getattr(self._tokenizer, "chat_template", None):
            turns = [message.model_dump() for message in problem.messages]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer.encode(text, add_special_tokens=False))
        return list(self._tokenizer.encode("\n\n".join(message.content for message in problem.messages)))

    def _add_one(self, request: Request, index: int, tokens: list[int]) -> None:
        name = f"{request.tag}-{request.problem_idx}-{index}"
        seed, params = self._seeds.engine, self._sampling_params(request.problem.stop)
        if self._settings.seed == "per_sample":
            params = params.clone()
            params.seed = seed = sample_seed(self._seeds.run, self._model.name, request.problem.id, index)
        self._pending[name] = (request, index, time.monotonic(), seed)
        self._engine.add_request(name, {"prompt_token_ids": tokens}, params)

    def _sampling_params(self, stop: tuple[str, ...]) -> Any:
        if stop not in self._params:
            self._params[stop] = sampling_params(self._settings, stop)
        return self._params[stop]

    def _completion(self, output: Any) -> Completion:
        request, index, started, seed = self._pending.pop(output.request_id)
        only = output.outputs[0]
        return Completion(
            tag=request.tag,
            problem_idx=request.problem_idx,
            sample_idx=index,
            text=only.text,
            finish_reason=only.finish_reason or "error",
            prompt_tokens=len(output.prompt_token_ids),
            tokens=len(only.token_ids),
            seed=seed,
            gen_s=time.monotonic() - started,
            logprob=only.cumulative_logprob,
        )


def prepare_environment(threads: int) -> bool:
    """Sets what vLLM reads at import; returns whether there is a GPU.

    Without one the engine runs inside this process: a second one costs a start of 30 s more and brings nothing, and
    thread binding would put the engines of one machine onto the same cores.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    import torch

    if torch.cuda.is_available():
        return True
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    return False


def engine_arguments(model: ModelSpec, info: ModelInfo, seed: int, on_gpu: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": model.path,
        "revision": model.revision,
        "dtype": model.dtype,
        "max_model_len": model.max_model_len,
        "max_num_seqs": model.max_num_seqs,
        "seed": seed,
        "disable_log_stats": True,
        "tensor_parallel_size": max(1, int(model.gpus)) if on_gpu else 1,
    }
    if on_gpu and model.gpus < 1:
        arguments["gpu_memory_utilization"] = 0.9 * model.gpus
    if not on_gpu:
        arguments |= {"enforce_eager": True, "distributed_executor_backend": "uni"}
        arguments["kv_cache_memory_bytes"] = _cpu_cache_bytes(model, info)
    return arguments | model.vllm


def _cpu_cache_bytes(model: ModelSpec, info: ModelInfo) -> int:
    """Enough keys and values for ``max_num_seqs`` sequences of full length, within bounds."""
    longest = model.max_model_len or info.max_model_len or 2048
    wanted = 2 * info.layers * info.kv_width * BYTES_PER_CACHE_VALUE * longest * model.max_num_seqs
    return min(max(wanted, CPU_KV_CACHE_BYTES[0]), CPU_KV_CACHE_BYTES[1])


def sampling_params(settings: SamplingSettings, stop: tuple[str, ...]) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k or -1,
        max_tokens=settings.max_tokens,
        stop=[*settings.stop, *stop],
        logprobs=0 if settings.logprobs else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _too_long(request: Request, index: int, prompt_tokens: int, seed: int) -> Completion:
    return Completion(request.tag, request.problem_idx, index, "", "prompt_too_long", prompt_tokens, 0, seed, 0.0)


def _device_name(on_gpu: bool) -> str:
    if not on_gpu:
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(0))


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
