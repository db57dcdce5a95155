"""GPUs of this machine as NVML, the driver's own library, reports them, and its native number formats.

Asking uses no GPU. A processor may emulate a format of 16 bits: four times as slow as float32, or refused by vLLM.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLOAT32, FLOAT16, BFLOAT16 = "float32", "float16", "bfloat16"
# Flags of /proc/cpuinfo, of x86 and of ARM, any of which says that a core computes in the format.
_CPU_FLAGS = {BFLOAT16: {"avx512_bf16", "amx_bf16", "bf16"}, FLOAT16: {"avx512_fp16", "amx_fp16", "asimdhp"}}
_GPU_COMPUTES = {BFLOAT16: (8, 0), FLOAT16: (5, 3)}  # least compute capability
_FLAGS = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML reports it; sizes in bytes, ``compute`` as CUDA's compute capability, such as (9, 0)."""

    uuid: str
    name: str
    total_bytes: int
    free_bytes: int
    compute: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Formats:
    """Number formats that a machine computes in natively: on its cores, and on all its GPUs (None: it has none)."""

    cpu: frozenset[str]
    gpu: frozenset[str] | None = None

    def on(self, gpus: bool) -> frozenset[str]:
        return (self.gpu or frozenset()) if gpus else self.cpu


def formats_here() -> Formats:
    """Returns this machine's native number formats."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    gpus = [gpu_formats(gpu.compute) for gpu in all_gpus().values()]
    return Formats(cpu_formats(text), frozenset.intersection(*gpus) if gpus else None)


def cpu_formats(cpuinfo: str) -> frozenset[str]:
    """Returns the formats of the cores that /proc/cpuinfo describes; all of them where it shows no flags."""
    found = _FLAGS.search(cpuinfo)
    flags = set(found[1].split()) if found else set.union(*_CPU_FLAGS.values())
    return frozenset({FLOAT32, *(name for name, any_of in _CPU_FLAGS.items() if any_of & flags)})


def gpu_formats(compute: tuple[int, int]) -> frozenset[str]:
    """Returns the formats of a GPU of this compute capability."""
    return frozenset({FLOAT32, *(name for name, least in _GPU_COMPUTES.items() if compute >= least)})


def best_format(own: str, machines: Iterable[frozenset[str]], *, gpus: bool, half: bool = True) -> str:
    """Returns the format for a model whose config names ``own``, on one or more machines with these native formats.

    ``half`` is False for a model whose numbers float16 does not hold. The answer is what vLLM takes by itself (16 bits
    in place of float32) where all machines compute in it, else the next best: float16 on GPUs, and float32, which holds
    every value of both, on cores.
    """
    common = frozenset.intersection(*machines)
    ranked = [BFLOAT16 if own == FLOAT32 else own, *([FLOAT16] if gpus else [])]
    return next((name for name in ranked if name in common and (half or name != FLOAT16)), FLOAT32)


def driver_version() -> str | None:
    """Returns the version of this machine's NVIDIA driver, or None where there is none."""
    with _nvml() as nvml:
        return str(nvml.nvmlSystemGetDriverVersion()) if nvml else None


def gpus_of(ids: Sequence[str]) -> tuple[Gpu | None, ...] | None:
    """Returns the GPUs with these indices or UUIDs, None for an unknown one; None where there is no NVML."""
    with _nvml() as nvml:
        return None if nvml is None else tuple(_gpu(nvml, name) for name in ids)


def smallest_gpu() -> int | None:
    """Returns the memory of this machine's smallest GPU in bytes; None where NVML finds no GPU."""
    return min((gpu.total_bytes for gpu in all_gpus().values()), default=None)


def all_gpus() -> dict[str, Gpu]:
    """Returns this machine's GPUs by index, or by UUID the slices that MIG divides one into; none without NVML."""
    with _nvml() as nvml:
        indices = range(nvml.nvmlDeviceGetCount() if nvml else 0)
        names = [name for index in indices for name in _slices(nvml, index) or [str(index)]]
        return {name: gpu for name in names if (gpu := _gpu(nvml, name))}


def is_slice(name: str) -> bool:
    """Tells whether a GPU's id is that of a MIG device, of which CUDA shows a process only one."""
    return name.startswith("MIG-")


@contextmanager
def _nvml() -> Iterator[Any]:
    """Yields the NVML library, or None where this machine has no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, name: str) -> Gpu | None:
    try:
        by_index = name.isdigit()
        handle = nvml.nvmlDeviceGetHandleByIndex(int(name)) if by_index else nvml.nvmlDeviceGetHandleByUUID(name)
        total, free = _memory(nvml, handle)
        whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if is_slice(name) else handle
        compute = nvml.nvmlDeviceGetCudaComputeCapability(whole)
        return Gpu(nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), total, free, tuple(compute))
    except nvml.NVMLError:
        return None


def _slices(nvml: Any, index: int) -> list[str]:
    """Returns the UUIDs of a GPU's MIG devices; none where it is not divided."""
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        if nvml.nvmlDeviceGetMigMode(gpu)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        places = range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu))
    except nvml.NVMLError:  # a GPU that cannot be divided
        return []
    return [uuid for place in places if (uuid := _slice(nvml, gpu, place))]


def _slice(nvml: Any, gpu: Any, place: int) -> str | None:
    try:
        return str(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place)))
    except nvml.NVMLError:  # nothing is at this place
        return None


def _memory(nvml: Any, handle: Any) -> tuple[int, int]:
    """Returns a GPU's total and free bytes; the machine's own where they share one memory, as on GB10 and Jetson."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError_NotSupported:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    return memory.total, memory.free
