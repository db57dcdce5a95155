"""Whether an engine fits on its GPU, and what share of the memory it may take: arithmetic over sizes, no guess.

What vLLM holds on a GPU is weights, keys and values, and the workspace of a step. It measures the last itself and gives
keys and values all that ``gpu_memory_utilization`` leaves, so that share is what has to be right: engines on one GPU
must not reach into each other's. And what can never fit is found here, in numbers, before minutes of loading.
"""

from dataclasses import dataclass

from sampling.engines.model_info import ModelInfo
from sampling.errors import EngineRefused
from sampling.settings import ModelSpec, SamplingSettings

USABLE = 0.92  # of a share, vLLM's own default: the rest is for CUDA graphs and fragments
CONTEXT_BYTES = 640 << 20  # a process's CUDA context, which vLLM does not count as its own
PACKED_MOST = 4  # engines on one GPU where their number is ours to choose
PACKED_PARAMETERS = 3_000_000_000  # of a model so small that the CPU side of its engine is what bounds it
PROMPT_TOKENS = 1024  # of a long prompt, where the number of engines is ours to choose
SHRINKING = {"quantization", "cpu_offload_gb", "load_format"}  # engine arguments after which sizes tell nothing


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on each of an engine's GPUs: its weights, and least and most per token of a sequence."""

    weights: int
    kv_least: int
    kv_most: int


@dataclass(frozen=True, slots=True)
class GpuShare:
    """What one engine holds: ``gpus`` below 1 is a share of one, above that whole GPUs.

    ``total_bytes`` is the memory of each; 0 where it is not known.
    """

    gpus: float
    total_bytes: int = 0
    name: str = ""

    @property
    def usable_bytes(self) -> int:
        """Of each GPU, for vLLM to count against: never so much that a share's CUDA context reaches into the next."""
        share = min(self.gpus, 1.0) * self.total_bytes
        return int(min(USABLE * share, share - CONTEXT_BYTES))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an engine may use: CPU threads, or a share of GPUs. ``uuids`` are those of its GPUs, where known."""

    threads: int = 1
    share: GpuShare | None = None
    uuids: tuple[str, ...] = ()


ONE_THREAD = Allowance()


def need(model: ModelSpec, info: ModelInfo, gpus: float) -> Need | None:
    """What an engine over ``gpus`` GPUs needs on each of them; None where sizes are not known."""
    if info.floats is None or SHRINKING & model.vllm.keys():
        return None
    width, parts = (4 if model.dtype in {"float32", "float"} else 2), max(1, int(gpus))
    kv_bytes = 1 if str(model.vllm.get("kv_cache_dtype", "")).startswith("fp8") else width
    kv_layer = 2 * info.kv_width * kv_bytes  # keys and values
    sizes = (info.floats * width + info.packed_bytes, info.full_layers * kv_layer, info.layers * kv_layer)
    return Need(*(-(-size // parts) for size in sizes))


def utilization(model: ModelSpec, info: ModelInfo, share: GpuShare) -> float:
    """vLLM's ``gpu_memory_utilization`` for an engine with this share; raises EngineRefused where it cannot fit.

    It cannot where its weights and the keys and values of one full sequence, which vLLM asks for, exceed the share.
    """
    if not share.total_bytes:
        return USABLE * min(share.gpus, 1.0)
    wanted = need(model, info, share.gpus)
    if wanted is not None:
        longest = model.max_model_len or info.max_model_len or 0
        least = wanted.weights + wanted.kv_least * longest
        if least > share.usable_bytes:
            raise EngineRefused(_too_large(model, share, wanted, longest))
    if share.usable_bytes <= 0:
        raise EngineRefused(f"model {model.name}: {_of(share)} has no room for an engine; raise gpus")
    return share.usable_bytes / share.total_bytes


def taken_bytes(model: ModelSpec, info: ModelInfo, share: GpuShare) -> int:
    """What an engine takes of each of its GPUs, and must find free at its start; raises EngineRefused as above."""
    said = model.vllm.get("gpu_memory_utilization")
    return int(share.total_bytes * (said or utilization(model, info, share)))


def engines_that_fit(model: ModelSpec, info: ModelInfo, settings: SamplingSettings, total_bytes: int | None) -> int:
    """How many engines ``engines_per_gpu: auto`` puts on one GPU of ``total_bytes``.

    Several where the model is small and ``max_num_seqs`` sequences of each engine fit at once: an engine that has to
    wait for memory gains nothing from a neighbour. One where sizes are not known.
    """
    wanted = need(model, info, 1)
    small = info.parameters is not None and info.parameters <= PACKED_PARAMETERS
    if wanted is None or total_bytes is None or not small:
        return 1
    longest = model.max_model_len or info.max_model_len or 0
    tokens = model.max_num_seqs * min(longest, PROMPT_TOKENS + settings.max_tokens)
    full = wanted.weights + wanted.kv_most * tokens
    fitting = [n for n in range(1, PACKED_MOST + 1) if full <= GpuShare(1 / n, total_bytes).usable_bytes]
    return max(fitting, default=1)


def _too_large(model: ModelSpec, share: GpuShare, wanted: Need, longest: int) -> str:
    weights, cache = gib(wanted.weights), gib(wanted.kv_least * longest)
    return (
        f"model {model.name} does not fit: weights {weights} + keys and values of one sequence of {longest:,} tokens "
        f"{cache} exceed the {gib(share.usable_bytes)} that {_of(share)} gives; raise gpus, or lower max_model_len"
    )


def _of(share: GpuShare) -> str:
    whole = f"{share.name or 'a GPU'} with {gib(share.total_bytes)}"
    return f"each of {share.gpus:g} × {whole}" if share.gpus > 1 else f"{share.gpus:g} of {whole}"


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
