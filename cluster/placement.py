"""The number of engines and verifiers, and each one's share of the cluster: pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from cluster.batches import ModelWork
from sampling.engines.gpu_memory import engines_that_fit
from sampling.engines.hardware import smallest_gpu
from sampling.errors import BadInput
from sampling.settings import ModelSpec

GPU_TYPE = "ray.io/accelerator-type"  # label that Ray gives every node with GPUs that it knows
MOST_CPU_ENGINES = 4  # of one model, on a machine without a GPU
ENGINES_SHARE = 0.5  # of the cores, where engines have no GPU
SERVICE_CPUS = 0.01  # an engine that only waits for a service
BATCHES_PER_S = 400  # of all engines: following them takes a third of the driver's core (docs/scale.md)
BATCH_S = (1.0, 20.0)  # least and most: a slow engine's samples are verified and shown while its unit still runs
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class EngineSlot:
    """One engine's share of a node, for each of a model's ``count`` engines.

    ``gpus`` below 1 is a share of one GPU. ``threads`` are the CPU threads of an engine without a GPU. ``batch_s`` is
    the longest time in seconds for which an engine keeps finished samples. ``gpu_type`` is "" where any will do. With
    ``nodes`` above 1 an engine holds ``gpus`` GPUs of each.
    """

    count: int
    cpus: float
    gpus: float
    threads: int
    batch_s: float = BATCH_S[0]
    gpu_type: str = ""
    nodes: int = 1

    @property
    def all_gpus(self) -> float:
        """GPUs that one engine holds on all its nodes together."""
        return self.gpus * self.nodes

    @property
    def options(self) -> dict[str, Any]:
        """Options of Ray's actors that hold this share of one node."""
        labels = {"label_selector": {GPU_TYPE: self.gpu_type}} if self.gpu_type else {}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, **labels}

    @property
    def bundles(self) -> list[dict[str, float]]:
        """Bundles of the placement group that holds an engine of several nodes: vLLM wants one for each GPU."""
        others = [{"GPU": 1.0}] * (int(self.all_gpus) - 1)
        return [{"GPU": 1.0, "CPU": self.cpus}, *others]

    def takes(self, gpu_type: str) -> bool:
        """Tells whether an engine may run on GPUs of this type."""
        return self.gpu_type in ("", gpu_type)


@dataclass(frozen=True, slots=True)
class Placement:
    """The engines of each model, in the order of the models, and the verifier pool."""

    engines: tuple[EngineSlot, ...]
    verifiers: int
    verifier_cpus: float


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster.

    ``gpu_bytes`` is the memory of each GPU, None if unknown; ``gpu_type`` is their type, "" if unknown.
    """

    cpus: float
    gpus: float
    gpu_bytes: int | None = None
    gpu_type: str = ""


def engines_on(have: float, gpus: float) -> int:
    """Returns how many engines fit on a node with ``have`` GPUs; each takes ``gpus`` whole GPUs or a share of one."""
    return int(have) * int(1 / gpus + EPSILON) if gpus < 1 else int(have // gpus)


def place(
    models: Sequence[ModelWork], cpus: float, gpus: float, verifiers: int | None, nodes: Sequence[Node] = ()
) -> Placement:
    """Shares out a cluster of ``cpus`` cores and ``gpus`` GPUs; raises BadInput when a model can never fit.

    Without ``nodes`` the cluster is one machine.
    """
    nodes = nodes or (Node(cpus, gpus),)
    engines = tuple(
        _on_gpus(work, len(models), nodes) if _takes_gpus(work.model, gpus) else _on_cpus(work, len(models), cpus)
        for work in models
    )
    wait = batch_s(sum(engine.count for engine in engines))
    engines = tuple(replace(engine, batch_s=wait) for engine in engines)
    left = max(0.0, cpus - sum(engine.count * engine.cpus for engine in engines))
    # Without GPUs the cores are shared anyway: verifiers should have all of them once the engines are done.
    count = verifiers or max(1, int(left if gpus else cpus))
    return Placement(engines, count, min(1.0, left / count))


def batch_s(engines: int) -> float:
    """Returns the longest time in seconds between two batches of an engine: more engines hand over less often."""
    least, most = BATCH_S
    return min(max(least, engines / BATCHES_PER_S), most)


def _takes_gpus(model: ModelSpec, gpus: float) -> bool:
    needs = model.gpu is not None or model.nodes > 1
    asked = model.device == "gpu" or (model.device == "auto" and (gpus > 0 or needs))
    return model.engine == "vllm" and asked


def _on_gpus(work: ModelWork, models: int, nodes: Sequence[Node]) -> EngineSlot:
    wanted = work.model.gpu or ""
    nodes = [node for node in nodes if wanted in ("", node.gpu_type)] or _lacking(work.model, nodes)
    gpus, most = gpus_each(work, nodes), max(1, len(work.units))
    fitting = [(node.cpus, engines) for node in nodes if (engines := engines_on(node.gpus, gpus))]
    total = sum(engines for _, engines in fitting) // work.model.nodes
    if not total and work.model.device == "gpu":  # an autoscaler may bring nodes that fit
        return EngineSlot(1, 1.0, gpus, 1, gpu_type=wanted, nodes=work.model.nodes)
    if not total:
        raise BadInput(_does_not_fit(work.model, gpus, nodes))
    count = max(1, total // models) if work.model.engines == "auto" else work.model.engines
    # An engine asks for one core, or for less on a node with few cores: it would wait there for ever.
    core = min(1.0, *(ENGINES_SHARE * cpus / engines for cpus, engines in fitting))
    return EngineSlot(min(count, most), core, gpus, 1, gpu_type=wanted, nodes=work.model.nodes)


def _does_not_fit(model: ModelSpec, gpus: float, nodes: Sequence[Node]) -> str:
    there = f"(of {len(nodes)} nodes with {sum(node.gpus for node in nodes):g} together)"
    most = max(node.gpus for node in nodes)
    if model.nodes > 1:
        enough = sum(engines_on(node.gpus, gpus) for node in nodes)
        return f"model {model.name}: nodes is {model.nodes}, but {enough} have {gpus:g} GPUs {there}"
    cure = "set nodes to spread an engine over several" if gpus > most else "an engine stays within one node"
    return f"model {model.name}: gpus is {gpus:g}, but no node has more than {most:g} {there}; {cure}"


def _lacking(model: ModelSpec, nodes: Sequence[Node]) -> list[Node]:
    """Returns no node for a model whose type of GPU an autoscaler may still bring; else raises BadInput."""
    if model.device == "gpu":
        return []
    there = sorted({node.gpu_type for node in nodes if node.gpu_type})
    raise BadInput(
        f"model {model.name}: gpu is {model.gpu!r}, but no node has such GPUs; there are {', '.join(there) or 'none'}; "
        "`ray list nodes --detail` shows each node's ray.io/accelerator-type"
    )


def local_slot(model: ModelSpec) -> EngineSlot:
    """Returns the share of an engine in this process, without Ray; raises BadInput for one of several nodes."""
    if model.nodes > 1:
        raise BadInput(f"model {model.name}: nodes is {model.nodes}, which needs Ray; leave out --local")
    gpus = model.gpus if _takes_gpus(model, smallest_gpu() or 0) else 0
    return EngineSlot(1, 0, gpus, threads=1)


def gpus_each(work: ModelWork, nodes: Sequence[Node]) -> float:
    """Returns the GPUs that one engine of a model holds: whole ones, or a share that Ray can count (four digits)."""
    engines = _packed(work, nodes) if work.model.engines_per_gpu == "auto" else work.model.engines_per_gpu
    return work.model.gpus if engines == 1 else floor(1e4 / engines) / 1e4


def _packed(work: ModelWork, nodes: Sequence[Node]) -> int:
    """Returns how many engines share each GPU: the smallest GPU must hold them, and its node have a core for each."""
    holding = [node for node in nodes if node.gpus]
    if not holding:
        return 1
    fitting = [engines_that_fit(work.model, work.info, work.settings, node.gpu_bytes) for node in holding]
    return min(*fitting, *(max(1, int(node.cpus / node.gpus)) for node in holding))


def _on_cpus(work: ModelWork, models: int, cpus: float) -> EngineSlot:
    model, most = work.model, max(1, len(work.units))
    asked = None if model.engines == "auto" else model.engines
    if model.engine != "vllm":
        return EngineSlot(min(asked or 1, most), SERVICE_CPUS, 0, 1)
    cores = cpus / models
    wanted = int(cores if work.info.computes_little else cores * ENGINES_SHARE)
    count = min(asked or max(1, min(MOST_CPU_ENGINES, wanted)), most)
    # Cores are lent, not divided: verifiers rarely need their half, and a larger model is a third faster on all cores.
    return EngineSlot(count, cores * ENGINES_SHARE / count, 0, max(1, int(cores / count)))
