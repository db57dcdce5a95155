"""Decides whether an engine fits on its GPU, and which share of the memory it takes: arithmetic over sizes.

vLLM holds weights, keys and values, and the workspace of a step on a GPU. It measures the workspace itself and gives
keys and values everything that ``gpu_memory_utilization`` leaves. That share must be right, so that engines on one GPU
do not take each other's memory. A model that can never fit is refused here, with numbers, before minutes of loading.
"""

from dataclasses import dataclass

from sampling.engines.model_info import ModelInfo, compute_format
from sampling.errors import EngineRefused
from sampling.settings import ModelSpec, SamplingSettings

USABLE = 0.92  # part of a share that vLLM may use, its default; the rest is for CUDA graphs and fragments
CONTEXT_BYTES = 640 << 20  # a process's CUDA context, which vLLM does not count
PACKED_MOST = 4  # most engines on one GPU with engines_per_gpu: auto
PACKED_PARAMETERS = 3_000_000_000  # up to this size the CPU side of an engine is its limit, so several engines help
# What vLLM's LLM class takes for max_num_seqs, and the memory from which it takes more (EngineArgs.get_batch_defaults).
FEW_SEQUENCES, MANY_SEQUENCES, LARGE_BYTES = 256, 1024, 70 << 30
PROMPT_TOKENS = 1024  # assumed length of a long prompt with engines_per_gpu: auto
SHRINKING = {"quantization", "cpu_offload_gb", "load_format"}  # engine arguments that make sizes in files useless


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on each of an engine's GPUs: weights, and least and most keys and values for one token of a sequence."""

    weights: int
    kv_least: int
    kv_most: int


@dataclass(frozen=True, slots=True)
class GpuShare:
    """GPUs that one engine holds: ``gpus`` below 1 is a share of one GPU, else a number of whole GPUs.

    ``total_bytes`` is the memory of each GPU; 0 where it is not known. ``nodes`` is how many nodes they are on.
    """

    gpus: float
    total_bytes: int = 0
    name: str = ""
    nodes: int = 1

    @property
    def usable_bytes(self) -> int:
        """Bytes of each GPU that vLLM may count on: they leave room for the CUDA context inside the share."""
        share = min(self.gpus, 1.0) * self.total_bytes
        return int(min(USABLE * share, share - CONTEXT_BYTES))


@dataclass(frozen=True, slots=True)
class Allowance:
    """The CPU threads or the share of GPUs that one engine may use.

    ``uuids`` are the UUIDs of its GPUs, or their ids where the UUIDs are unknown.
    """

    threads: int = 1
    share: GpuShare | None = None
    uuids: tuple[str, ...] = ()


ONE_THREAD = Allowance()


def need(model: ModelSpec, info: ModelInfo, gpus: float) -> Need | None:
    """Returns what an engine over ``gpus`` GPUs needs on each of them; None where sizes are not known."""
    if info.floats is None or SHRINKING & model.vllm.keys():
        return None
    width, parts = (4 if compute_format(model, info) in {"float32", "float"} else 2), max(1, int(gpus))
    kv_bytes = 1 if str(model.vllm.get("kv_cache_dtype", "")).startswith("fp8") else width
    kv_layer = 2 * info.kv_width * kv_bytes  # keys and values
    sizes = (info.floats * width + info.packed_bytes, info.full_layers * kv_layer, info.layers * kv_layer)
    return Need(*(-(-size // parts) for size in sizes))


def utilization(model: ModelSpec, info: ModelInfo, share: GpuShare) -> float:
    """Returns vLLM's ``gpu_memory_utilization`` for an engine with this share; raises EngineRefused if it cannot fit.

    vLLM needs the weights and the keys and values of one full sequence; a model for which they exceed the share is
    refused.
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
    """Returns the bytes of each GPU that an engine takes, which must be free at its start; raises EngineRefused."""
    given = model.vllm.get("gpu_memory_utilization")
    return int(share.total_bytes * (given or utilization(model, info, share)))


def engines_that_fit(model: ModelSpec, info: ModelInfo, settings: SamplingSettings, total_bytes: int | None) -> int:
    """Returns how many engines ``engines_per_gpu: auto`` puts on one GPU of ``total_bytes``.

    More than one only if the model is small and ``max_num_seqs`` sequences of each engine fit at once: an engine that
    waits for memory gains nothing from a second one. One where sizes are not known.
    """
    wanted = need(model, info, 1)
    small = info.parameters is not None and info.parameters <= PACKED_PARAMETERS
    if wanted is None or total_bytes is None or not small:
        return 1
    longest = model.max_model_len or info.max_model_len or 0
    each = wanted.kv_most * min(longest, PROMPT_TOKENS + settings.max_tokens)

    def full(engines: int) -> int:
        return wanted.weights + each * most_sequences(model, total_bytes / engines)

    fitting = [n for n in range(1, PACKED_MOST + 1) if full(n) <= GpuShare(1 / n, total_bytes).usable_bytes]
    return max(fitting, default=1)


def most_sequences(model: ModelSpec, held_bytes: float) -> int:
    """Returns how many samples an engine that holds this much of a GPU's memory generates at a time; 0 is no GPU."""
    if model.max_num_seqs != "auto":
        return model.max_num_seqs
    return MANY_SEQUENCES if held_bytes >= LARGE_BYTES else FEW_SEQUENCES


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
