"""An engine with vLLM: 0.33 on GPUs, 0.32 or later with its CPU build."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from sampling.engines.adapters import Variant, load_adapters, lora_arguments
from sampling.engines.devices import driver_trouble, has_toolkit
from sampling.engines.engine import Completion, Request
from sampling.engines.gpu_memory import Allowance, GpuShare, most_sequences, utilization
from sampling.engines.hardware import formats_here
from sampling.engines.model_info import ModelInfo, compute_format, inspect_folder
from sampling.engines.prompts import PromptRefused, prompt_tokens
from sampling.engines.thought_reader import ThoughtReader, reasoning_arguments
from sampling.engines.vllm_params import rendered, sampling_params, token_lists
from sampling.engines.weights import local_weights
from sampling.errors import EngineError, EngineRefused, TroopError
from sampling.log_tail import LogTail
from sampling.node import one_first, only_one
from sampling.seeds import Seeds, sample_seed
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling, settings_on

T = TypeVar("T")

CPU_KV_CACHE_BYTES = (64 << 20, 4 << 30)  # least and most
BYTES_PER_CACHE_VALUE = 4  # the widest dtype a CPU cache uses
OF_ONE_ENGINE = {"seed", "gpu_memory_utilization"}  # engine arguments that do not change what is compiled


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample that vLLM works on; ``opened`` says that its prompt opened a thought."""

    request: Request
    index: int
    started: float
    seed: int
    opened: bool
    settings: SamplingSettings


class VllmEngine:
    """One vLLM engine. Every sample is its own request, so that no sample waits for others of its problem.

    vLLM's prefix cache still computes the prompt once.
    """

    def __init__(self, own: Variant, sharing: Sequence[Variant], seeds: Seeds, allowance: Allowance) -> None:
        served, self._seeds, self._model = sharing or [own], seeds, own.model
        self._variants = {"": own} | {variant.model.name: variant for variant in served}
        adapted = lora_arguments([variant.info for variant in served])
        self._engine = start_llm_engine(own.model, own.info, seeds.engine, allowance, own.settings, adapted)
        try:
            self._adapters = load_adapters(self._engine, served)
        except TroopError:
            self.close()
            raise
        self.version = vllm_version()
        self.device = device_name(allowance.share)
        self.dtype = str(self._engine.vllm_config.model_config.dtype).removeprefix("torch.")
        self._tokenizer: Any = self._engine.get_tokenizer()
        config = self._engine.vllm_config
        self._longest: int = config.model_config.max_model_len
        self.concurrency: int = config.scheduler_config.max_num_seqs
        self._params: dict[tuple[str, TaskSampling | None, tuple[str, ...]], Any] = {}
        self._pending: dict[str, Draw] = {}  # by request id
        self._refused: list[Completion] = []
        self._reader = ThoughtReader(own.model.thinking, self._tokenizer)

    def add(self, request: Request) -> None:
        samples = range(request.first_sample, request.last_sample)
        variant = self._variants[request.model]
        try:
            settings = settings_on(variant.model, variant.settings, request.problem.sampling)
            tokens = prompt_tokens(self._tokenizer, request.problem, settings)
        except PromptRefused:
            tokens = []
        if not tokens:  # vLLM would raise, and the run would end with this one problem
            self._refused += [self._undrawn(request, index, "prompt_refused") for index in samples]
            return
        if len(tokens) >= self._longest:
            self._refused += [self._undrawn(request, index, "prompt_too_long", len(tokens)) for index in samples]
            return
        opened, params = self._reader.is_opened(tokens, request.problem), self._sampling_params(request, variant)
        prompt = rendered(tokens)
        for index in samples:
            self._add_one(request, index, prompt, opened, params)

    def step(self) -> Sequence[Completion]:
        if self._refused:
            done, self._refused = self._refused, []
            return done
        try:
            outputs = self._engine.step()
        except Exception as error:  # the engine is dead after any error
            raise EngineError(f"model {self._model.name}: vLLM broke ({last_line(error)})") from error
        return [self._completion(output) for output in outputs if output.finished]

    def in_flight(self) -> int:
        return len(self._pending) + len(self._refused)

    def close(self) -> None:
        close_llm_engine(self._engine)

    def _add_one(self, request: Request, index: int, prompt: Any, opened: bool, params: Any) -> None:
        name = f"{request.tag}-{request.problem_idx}-{index}"
        variant, seed = self._variants[request.model], self._seeds.engine
        model, adapter = variant.model.name, self._adapters.get(variant.model.name)
        if variant.settings.seed == "per_sample":
            params = params.clone()
            params.seed = seed = sample_seed(self._seeds.run, model, request.problem.id, index)
        started = time.monotonic()
        try:
            self._engine.add_request(name, prompt, params, lora_request=adapter)
        except (ValueError, TypeError) as error:  # the settings are the same for every sample of the task
            raise EngineRefused(f"model {model}: vLLM refuses the settings ({last_line(error)})") from error
        self._pending[name] = Draw(request, index, started, seed, opened, variant.settings)

    def _undrawn(self, request: Request, index: int, reason: str, prompt_tokens: int = 0) -> Completion:
        place = (request.tag, request.problem_idx, index)
        return Completion(*place, "", reason, prompt_tokens, tokens=0, seed=self._seeds.engine, gen_s=0.0)

    def _sampling_params(self, request: Request, variant: Variant) -> Any:
        """Returns vLLM's sampling parameters, cached by (model, task sampling, stop strings)."""
        problem = request.problem
        key = (request.model, problem.sampling, problem.stop)
        if key not in self._params:
            settings = settings_on(variant.model, variant.settings, problem.sampling)
            keeps_marks = self._reader.needs_special_tokens
            self._params[key] = sampling_params(settings, problem.stop, keeps_marks=keeps_marks)
        return self._params[key]

    def _completion(self, output: Any) -> Completion:
        draw = self._pending.pop(output.request_id)
        only = output.outputs[0]
        read = self._reader.read(only.text, only.token_ids, draw.opened)
        return Completion(
            tag=draw.request.tag,
            problem_idx=draw.request.problem_idx,
            sample_idx=draw.index,
            text=read.answer,
            finish_reason=only.finish_reason or "error",
            prompt_tokens=len(output.prompt_token_ids),
            tokens=len(only.token_ids),
            seed=draw.seed,
            gen_s=time.monotonic() - draw.started,
            logprob=only.cumulative_logprob,
            reasoning=read.reasoning,
            reasoning_tokens=read.tokens,
            lists=token_lists(draw.settings, only.token_ids, only.logprobs),
        )


def start_llm_engine(
    model: ModelSpec,
    info: ModelInfo,
    seed: int,
    allowance: Allowance,
    settings: SamplingSettings | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Starts vLLM's own engine and loads its model; raises EngineError, EngineRefused where it can never run.

    ``allowance`` is what the engine may use of this machine. ``settings`` are for drawing; None where it scores.
    ``more`` are arguments that the model's key ``vllm`` may still replace.
    """
    check_build(prepare_environment(allowance.threads), allowance.share)
    check_format(model, info, allowance.share)
    folder = local_weights(model.path, info.revision, model.s3_options)
    if info.floats is None:  # the sizes of a hub model are known once its files are here
        info = replace(inspect_folder(folder, f"models.{model.name}"), dtype=info.dtype)
    arguments = engine_arguments(model, info, folder, seed, allowance.share)
    if settings is not None:
        arguments = {**more, **reasoning_arguments(model, settings, folder), **arguments}
    from vllm import EngineArgs, LLMEngine
    from vllm.usage.usage_lib import UsageContext

    log = LogTail()
    try:
        return start_in_turn(
            arguments,
            allowance,
            lambda: LLMEngine.from_engine_args(EngineArgs(**arguments), UsageContext.LLM_CLASS),  # batches as LLM has
            model.start_timeout_s / 2,
        )
    except (RuntimeError, ValueError, OSError) as error:
        said = log.errors() or last_line(error)
        raise EngineError(f"model {model.name}: vLLM does not start ({said})") from error


def vllm_version() -> str:
    import vllm

    return f"vllm {vllm.__version__}"


def close_llm_engine(engine: Any) -> None:
    """Ends the processes of a vLLM engine, where it has any."""
    shutdown = getattr(engine.engine_core, "shutdown", None)
    if shutdown is not None:
        shutdown()


def prepare_environment(threads: int) -> bool:
    """Sets the variables that vLLM reads at import; returns True where PyTorch sees a GPU.

    Without a GPU the engine runs inside this process: a second process takes 30 s more to start and gains nothing. CPU
    binding is off, because it would put all engines of one machine on the same cores. So is torch.compile: an eager
    engine would compile one function, at its first log probability, for ten seconds and with a C++ compiler.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    import torch

    if torch.cuda.is_available():
        if not has_toolkit():  # FlashInfer compiles its sampler at the first top_p or top_k, and would end the engine
            os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
        return True
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    return False


def check_build(sees_gpu: bool, share: GpuShare | None) -> None:
    """Raises EngineRefused where vLLM cannot use the GPU it was given, or would use one that it was not given."""
    here = os.uname().nodename
    if share and not sees_gpu:
        cure = driver_trouble() or "install the GPU build, or join with --num-gpus 0"
        raise EngineRefused(f"{here}: given a GPU, but PyTorch sees none; {cure}")
    if sees_gpu and not share:
        raise EngineRefused(f"{here}: PyTorch sees a GPU that Ray has not given; join with `ray start --num-gpus N`")


def check_format(model: ModelSpec, info: ModelInfo, share: GpuShare | None) -> None:
    """Raises EngineRefused where this machine only emulates the number format that was chosen for the run."""
    if model.dtype != "auto" or not info.dtype or info.dtype in formats_here().on(share is not None):
        return
    what = f"{os.uname().nodename}: the run computes in {info.dtype}, which this {'GPU' if share else 'CPU'} emulates"
    raise EngineRefused(f"{what}; give models.{model.name}.dtype: {info.dtype} if it shall all the same")


def engine_arguments(
    model: ModelSpec, info: ModelInfo, folder: Path, seed: int, share: GpuShare | None
) -> dict[str, Any]:
    """Returns the arguments for vLLM's EngineArgs; raises EngineRefused where the model does not fit on its share."""
    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": compute_format(model, info),
        "max_model_len": model.max_model_len,
        "max_num_seqs": _sequences(model, share),
        "seed": seed,
        "disable_log_stats": True,
    }
    if share is None:
        arguments |= {"enforce_eager": True, "distributed_executor_backend": "uni"}
        arguments["kv_cache_memory_bytes"] = _cpu_cache_bytes(model, info)
        return arguments | model.vllm
    arguments["gpu_memory_utilization"] = utilization(model, info, share)
    if share.gpus > 1:
        arguments["tensor_parallel_size"] = int(share.gpus) // share.nodes
        arguments["distributed_executor_backend"] = "mp"
    if share.nodes > 1:  # vLLM's workers take the GPUs of this actor's placement group
        arguments |= {"pipeline_parallel_size": share.nodes, "distributed_executor_backend": "ray"}
    return arguments | model.vllm


def _sequences(model: ModelSpec, share: GpuShare | None) -> int | None:
    """Returns ``max_num_seqs``; None leaves it to vLLM, which knows whole GPUs best but nothing of shares."""
    if model.max_num_seqs == "auto" and share is not None and share.gpus >= 1:
        return None
    return most_sequences(model, share.gpus * share.total_bytes if share else 0)


def start_in_turn(
    arguments: Mapping[str, Any], allowance: Allowance, start: Callable[[], T], patience_s: float = -1
) -> T:
    """Calls ``start()`` once no other engine on this machine is in its way.

    Engines that share a GPU measure its memory while they start, so they start one after another. The first engine of a
    kind fills vLLM's cache of compiled code; the others of that kind read it, and may start at the same time. An
    engine that hangs delays the others by ``patience_s`` at most.
    """
    if allowance.share is None:
        return start()
    from vllm import __version__, envs

    kind = [
        __version__,
        allowance.share.name,
        *(f"{k}={v}" for k, v in sorted(arguments.items()) if k not in OF_ONE_ENGINE),
    ]
    key = hashlib.sha256("\n".join(kind).encode()).hexdigest()[:32]
    compiled = Path(envs.VLLM_CACHE_ROOT) / "torch_compile_cache" / f"troop-{key}"
    with only_one([f"gpu-{uuid}" for uuid in allowance.uuids] if allowance.share.gpus < 1 else [], patience_s):
        return one_first(f"compile-{key}", compiled, start, patience_s)


def _cpu_cache_bytes(model: ModelSpec, info: ModelInfo) -> int:
    """Returns the bytes of keys and values for ``max_num_seqs`` sequences of full length, within bounds."""
    longest = model.max_model_len or info.max_model_len or 2048
    wanted = 2 * info.layers * info.kv_width * BYTES_PER_CACHE_VALUE * longest * most_sequences(model, 0)
    return min(max(wanted, CPU_KV_CACHE_BYTES[0]), CPU_KV_CACHE_BYTES[1])


def device_name(share: GpuShare | None) -> str:
    if share is None:
        return "cpu"
    import torch

    return share.name or str(torch.cuda.get_device_name(0))


def last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
