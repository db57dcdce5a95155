"""Checks that an engine got the device it asked for, from inside its process, before anything is loaded.

Ray assigns GPUs to a process and hides the others by ``CUDA_VISIBLE_DEVICES``. A wrong ``--num-gpus``, a variable set
by hand or a foreign process on the same GPU would put two engines on one device: slow, and out of memory after an hour.
"""

import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from sampling.engines.gpu_memory import Allowance, GpuShare, gib
from sampling.engines.hardware import Gpu, all_gpus, driver_version, gpus_of, is_slice
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Provenance

OLDEST_DRIVER = 580  # of the CUDA 13 wheels in requirements/gpu.txt
FREE_WAIT_S = 60.0  # an engine that has just ended may take this long to free its memory


@dataclass(frozen=True, slots=True)
class Given:
    """GPUs of a process: how many it ``asked`` for, the ``ids`` that Ray gave, and which are ``visible`` to it.

    ``visible`` is None where no variable restricts the process. ``seen`` is NVML's report on each id, None for an id
    that NVML does not know; the whole is None where there is no NVML. ``nodes`` above 1 says that the GPUs belong to
    other processes, on several nodes; then ``seen`` are this node's.
    """

    asked: float
    ids: tuple[str, ...] = ()
    visible: tuple[str, ...] | None = None
    seen: tuple[Gpu | None, ...] | None = None
    node_id: str | None = None
    nodes: int = 1

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        return tuple(gpu for gpu in self.seen or () if gpu)

    def allowance(self, threads: int) -> Allowance:
        """Returns what an engine in this process may use; ``threads`` are its CPU threads."""
        if not self.asked:
            return Allowance(threads)
        names = " + ".join(sorted({gpu.name for gpu in self.gpus}))
        share = GpuShare(self.asked, min((gpu.total_bytes for gpu in self.gpus), default=0), names, self.nodes)
        return Allowance(threads, share, tuple(gpu.uuid for gpu in self.gpus) or self.ids)


@dataclass(frozen=True, slots=True)
class Grant:
    """Assignment of a scheduler to this process: the id of the node, and the ids of the GPUs."""

    node_id: str | None
    ids: tuple[str, ...]


def look(asked: float, grant: Grant | None = None) -> Given:
    """Returns the GPUs of this process: from a scheduler's ``grant``, or else from what its environment shows."""
    os.environ.setdefault(
        "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
    )  # the order of NVML and Ray; CUDA's default order is by speed
    if grant is None:
        grant = Grant(None, _take(ceil(asked)))
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = None if variable is None else tuple(name for name in variable.split(",") if name)
    return Given(asked, grant.ids, visible, gpus_of(grant.ids), grant.node_id)


def look_across(gpus: int, nodes: int, node_id: str | None) -> Given:
    """Returns the ``gpus`` GPUs on each of ``nodes`` nodes that an engine's own workers hold, not this process.

    Ray hides all GPUs from a process that asked for none; vLLM then would not know what its workers run on.
    """
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    seen = tuple(all_gpus().values())[:gpus]
    return Given(gpus * nodes, seen=seen or None, node_id=node_id, nodes=nodes)


def _take(count: int) -> tuple[str, ...]:
    """Chooses ``count`` GPUs where no scheduler does, and hides the others from CUDA, which has not started yet.

    Without ``CUDA_VISIBLE_DEVICES`` these are the GPUs with the most free memory, else the first ones that it names.
    """
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count:
        return ()
    if variable is not None:
        ids = tuple(name for name in variable.split(",") if name)[:count]
    else:
        free = {name: gpu.free_bytes for name, gpu in all_gpus().items()}
        ids = tuple(sorted(free, key=lambda name: -free[name])[:count]) or tuple(map(str, range(count)))
        if not free:
            return ids
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(ids)
    return ids


def device_trouble(given: Given) -> str | None:
    """Returns why an engine must not start on the given GPUs, or None."""
    wanted = ceil(given.asked)
    if given.nodes > 1:
        return None  # Ray gives each worker its own
    if wanted > 1 and any(is_slice(name) for name in given.ids):
        return f"given {_list(given.ids)}; an engine cannot join MIG devices: set gpus to 1"
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
    """Raises EngineRefused where the given GPUs are not what was asked for."""
    trouble = device_trouble(given)
    if trouble:
        raise EngineRefused(f"{socket.gethostname()}: wrong device: {trouble}")


def located(provenance: Provenance, given: Given) -> Provenance:
    """Returns the provenance with the engine's node and GPUs filled in."""
    gpus = given.gpus
    return replace(
        provenance,
        node_id=given.node_id,
        gpus=f"{given.asked:g}" if given.asked else None,
        gpu_ids=",".join(given.ids) or None,
        gpu_uuids=",".join(gpu.uuid for gpu in gpus if given.ids) or None,
        gpu_memory=gib(min(gpu.total_bytes for gpu in gpus)) if gpus else None,
    )


def wait_for_memory(given: Given, wanted_bytes: float, patience_s: float = FREE_WAIT_S) -> None:
    """Waits until each GPU has ``wanted_bytes`` free; raises EngineError after ``patience_s`` seconds."""
    give_up = time.monotonic() + patience_s
    while short := [gpu for gpu in _gpus_now(given) if gpu.free_bytes < wanted_bytes]:
        if time.monotonic() > give_up:
            free = f"{gib(short[0].free_bytes)} of {gib(short[0].total_bytes)} free"
            where = f"{socket.gethostname()}: {short[0].name} {short[0].uuid}"
            raise EngineError(f"{where}: {free}, this engine takes {gib(wanted_bytes)}; another process holds the rest")
        time.sleep(1)


def driver_trouble() -> str | None:
    """Returns why this machine's NVIDIA driver cannot run the GPU wheels, or None; None where there is no driver."""
    version = driver_version()
    return None if version is None else too_old(version)


def has_toolkit() -> bool:
    """Returns True where CUDA's compiler is found, as PyTorch looks for it."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    return shutil.which("nvcc") is not None or (Path(home) / "bin" / "nvcc").is_file()


def too_old(driver: str) -> str | None:
    """Returns a complaint about a driver such as ``570.86.15`` that is older than OLDEST_DRIVER, else None."""
    first = driver.partition(".")[0]
    if not first.isdigit() or int(first) >= OLDEST_DRIVER:
        return None
    cure = f"install nvidia-driver-{OLDEST_DRIVER}"
    return f"driver {driver} is older than {OLDEST_DRIVER}, which the CUDA 13 wheels need; {cure}"


def _gpus_now(given: Given) -> Sequence[Gpu]:
    return [gpu for gpu in gpus_of(given.ids) or () if gpu]


def _list(names: Sequence[str]) -> str:
    return ",".join(names) or "none"
