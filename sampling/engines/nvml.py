"""GPUs of this machine as NVML, the driver's own library, reports them; asking uses no GPU."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML reports it; sizes in bytes, ``compute`` as CUDA's compute capability, such as (9, 0)."""

    uuid: str
    name: str
    total_bytes: int
    free_bytes: int
    compute: tuple[int, int]


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
