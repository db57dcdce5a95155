"""Whether an engine got the device it asked for: looked at from inside its process, before anything is loaded.

Ray says which GPUs a process may use and hides the others by ``CUDA_VISIBLE_DEVICES``. A wrong ``--num-gpus``, a
variable set by hand or a process from elsewhere on the same GPU would end in two engines on one device, slow and out of
memory after an hour. NVML, the driver's own account, tells names, UUIDs and memory without touching a GPU.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from sampling.engines.gpu_memory import Allowance, GpuShare, gib
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Provenance

FREE_WAIT_S = 60.0  # for the memory of an engine that has just ended


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML tells of it; sizes in bytes."""

    uuid: str
    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Given:
    """What a process asked for, what Ray gave, what is visible to it, and what NVML knows of what was given.

    ``visible`` is None where no variable restricts the process; ``seen`` has None for an id that NVML does not know,
    and is itself None where there is no NVML.
    """

    asked: float
    ids: tuple[str, ...] = ()
    visible: tuple[str, ...] | None = None
    seen: tuple[Gpu | None, ...] | None = None
    node_id: str | None = None

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        return tuple(gpu for gpu in self.seen or () if gpu)

    def allowance(self, threads: int) -> Allowance:
        """What an engine may use of it."""
        if not self.asked:
            return Allowance(threads)
        names = " + ".join(sorted({gpu.name for gpu in self.gpus}))
        share = GpuShare(self.asked, min((gpu.total_bytes for gpu in self.gpus), default=0), names)
        return Allowance(threads, share, tuple(gpu.uuid for gpu in self.gpus) or self.ids)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a scheduler gave this process: its id of the node, and the ids of the GPUs."""

    node_id: str | None
    ids: tuple[str, ...]


def look(asked: float, grant: Grant | None = None) -> Given:
    """Finds what this process was given: by a scheduler (``grant``), or by what its environment lets it see."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # NVML's order, and so Ray's: CUDA's own is by speed
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = None if said is None else tuple(name for name in said.split(",") if name)
    grant = grant or Grant(None, (visible or tuple(map(str, range(ceil(asked)))))[: ceil(asked)])
    return Given(asked, grant.ids, visible, gpus_of(grant.ids), grant.node_id)


def wrong(given: Given) -> str | None:
    """Why an engine must not start on what was given, or None."""
    wanted = ceil(given.asked)
    if len(given.ids) != wanted:
        return f"asked for {wanted} GPUs, given {_list(given.ids)}"
    if not wanted:
        return None
    if given.visible is None:
        return None if given.seen is None else f"given GPU {_list(given.ids)}, but every GPU is visible"
    if sorted(given.visible) != sorted(given.ids):
        return f"given GPU {_list(given.ids)}, but CUDA_VISIBLE_DEVICES is {_list(given.visible)}"
    missing = [name for name, gpu in zip(given.ids, given.seen or (), strict=False) if gpu is None]
    if missing:
        return f"given GPU {_list(missing)}, which the driver does not have; join with the true `ray start --num-gpus`"
    if len({gpu.uuid for gpu in given.gpus}) != len(given.gpus):
        return f"given GPU {_list(given.ids)}, which are one and the same"
    return None


def refuse_wrong(given: Given) -> None:
    """Raises EngineRefused where the device is not the one that was asked for."""
    trouble = wrong(given)
    if trouble:
        raise EngineRefused(f"{socket.gethostname()}: wrong device: {trouble}")


def located(provenance: Provenance, given: Given) -> Provenance:
    """The same with where the engine runs, and on which GPUs."""
    gpus = given.gpus
    return replace(
        provenance,
        node_id=given.node_id,
        gpus=f"{given.asked:g}" if given.asked else None,
        gpu_ids=",".join(given.ids) or None,
        gpu_uuids=",".join(gpu.uuid for gpu in gpus) or None,
        gpu_memory=gib(min(gpu.total_bytes for gpu in gpus)) if gpus else None,
    )


def wait_for_memory(given: Given, wanted_bytes: float, patience_s: float = FREE_WAIT_S) -> None:
    """Until each GPU has that much free; raises EngineError where somebody keeps it."""
    give_up = time.monotonic() + patience_s
    while short := [gpu for gpu in _now(given) if gpu.free_bytes < wanted_bytes]:
        if time.monotonic() > give_up:
            free = f"{gib(short[0].free_bytes)} of {gib(short[0].total_bytes)} free"
            where = f"{socket.gethostname()}: {short[0].name} {short[0].uuid}"
            raise EngineError(f"{where}: {free}, this engine takes {gib(wanted_bytes)}; another process holds the rest")
        time.sleep(1)


def gpus_of(ids: Sequence[str]) -> tuple[Gpu | None, ...] | None:
    """Indices or UUIDs as in ``CUDA_VISIBLE_DEVICES``; None where there is no NVML."""
    with _nvml() as nvml:
        return None if nvml is None else tuple(_gpu(nvml, name) for name in ids)


def smallest_gpu() -> int | None:
    """Bytes of the smallest GPU of this machine; None where NVML knows of none."""
    with _nvml() as nvml:
        count = nvml.nvmlDeviceGetCount() if nvml else 0
        found = [gpu for index in range(count) if (gpu := _gpu(nvml, str(index)))]
    return min((gpu.total_bytes for gpu in found), default=None)


def _now(given: Given) -> Sequence[Gpu]:
    return [gpu for gpu in gpus_of(given.ids) or () if gpu]


@contextmanager
def _nvml() -> Iterator[Any]:
    """The library, or None where this machine has no driver."""
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
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), memory.total, memory.free)
    except nvml.NVMLError:
        return None


def _list(names: Sequence[str]) -> str:
    return ",".join(names) or "none"
