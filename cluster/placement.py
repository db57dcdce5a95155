"""How many engines and verifiers, with what share of the machine: pure arithmetic over what the cluster has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor

from cluster.batches import ModelWork
from sampling.engines.devices import smallest_gpu
from sampling.engines.gpu_memory import engines_that_fit
from sampling.errors import BadInput
from sampling.settings import ModelSpec

MOST_CPU_ENGINES = 4  # per model, on a machine without a GPU
ENGINES_SHARE = 0.5  # of the cores, where engines have no GPU of their own
SERVICE_CPUS = 0.01  # an engine that only waits for a service
BATCHES_PER_S = 400  # of all engines: a driver follows them with a third of a core (docs/scale.md)
BATCH_S = (1.0, 20.0)  # a slow engine's samples are judged and seen while the unit still runs
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """What one engine of a model gets; ``threads`` are its CPU threads where it has no GPU.

    ``batch_s`` is after how many seconds it hands samples over at the latest.
    """

    count: int
    cpus: float
    gpus: float
    threads: int
    batch_s: float = BATCH_S[0]


@dataclass(frozen=True, slots=True)
class Placement:
    """Engines by model, in the order of the models, and the verifier pool."""

    engines: tuple[EnginePlace, ...]
    verifiers: int
    verifier_cpus: float


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a cluster: cores, GPUs, and the memory of each GPU in bytes, where it is known."""

    cpus: float
    gpus: float
    gpu_bytes: int | None = None


def slots(have: float, gpus: float) -> int:
    """How many engines of ``gpus`` GPUs each, or a share of one, have room on a node of ``have`` GPUs."""
    return int(have) * int(1 / gpus + EPSILON) if gpus < 1 else int(have // gpus)


def place(
    models: Sequence[ModelWork], cpus: float, gpus: float, verifiers: int | None, nodes: Sequence[Node] = ()
) -> Placement:
    """Shares out a cluster of ``cpus`` cores and ``gpus`` GPUs; raises BadInput when a model can never fit.

    Without ``nodes`` it is taken for a single machine.
    """
    nodes = nodes or (Node(cpus, gpus),)
    engines = tuple(
        _on_gpus(work, len(models), nodes)
        if gpus and work.model.engine == "vllm"
        else _on_cpus(work, len(models), cpus)
        for work in models
    )
    wait = batch_s(sum(engine.count for engine in engines))
    engines = tuple(replace(engine, batch_s=wait) for engine in engines)
    left = max(0.0, cpus - sum(place.count * place.cpus for place in engines))
    # Without GPUs the cores are shared anyway: once the engines are done, verifiers should have them all.
    count = verifiers or max(1, int(left if gpus else cpus))
    return Placement(engines, count, min(1.0, left / count))


def batch_s(engines: int) -> float:
    """Seconds after which an engine hands over what it has: the more engines, the fewer batches the driver may see."""
    least, most = BATCH_S
    return min(max(least, engines / BATCHES_PER_S), most)


def _on_gpus(work: ModelWork, models: int, nodes: Sequence[Node]) -> EnginePlace:
    gpus, most = gpus_each(work, nodes), max(1, len(work.units))
    fitting = [(node.cpus, room) for node in nodes if (room := slots(node.gpus, gpus))]
    if not fitting:
        there = max(node.gpus for node in nodes)
        raise BadInput(
            f"model {work.model.name}: gpus is {gpus:g}, but no node has more than {there:g} (of {len(nodes)} nodes "
            f"with {sum(node.gpus for node in nodes):g} together); an engine stays within one node"
        )
    places = sum(room for _, room in fitting)
    count = max(1, places // models) if work.model.engines == "auto" else work.model.engines
    # An engine wants a core. Where a node has fewer for each GPU, its engines must not wait for them for ever.
    core = min(1.0, *(ENGINES_SHARE * cpus / room for cpus, room in fitting))
    return EnginePlace(min(count, most), core, gpus, 1)


def place_here(model: ModelSpec) -> EnginePlace:
    """Of an engine in this process, without Ray."""
    gpus = model.gpus if model.engine == "vllm" and smallest_gpu() else 0
    return EnginePlace(1, 0, gpus, threads=1)


def gpus_each(work: ModelWork, nodes: Sequence[Node]) -> float:
    """What one engine of a model holds: whole GPUs, or a share that Ray can count (four digits)."""
    engines = _packed(work, nodes) if work.model.engines_per_gpu == "auto" else work.model.engines_per_gpu
    return work.model.gpus if engines == 1 else floor(1e4 / engines) / 1e4


def _packed(work: ModelWork, nodes: Sequence[Node]) -> int:
    """Engines on each GPU: as many as every GPU of the cluster has memory for, and its node cores."""
    holding = [node for node in nodes if node.gpus]
    fitting = [engines_that_fit(work.model, work.info, work.settings, node.gpu_bytes) for node in holding]
    return min(*fitting, *(max(1, int(node.cpus / node.gpus)) for node in holding))


def _on_cpus(work: ModelWork, models: int, cpus: float) -> EnginePlace:
    model, most = work.model, max(1, len(work.units))
    asked = None if model.engines == "auto" else model.engines
    if model.engine != "vllm":
        return EnginePlace(min(asked or 1, most), SERVICE_CPUS, 0, 1)
    cores = cpus / models
    wanted = int(cores if work.info.computes_little else cores * ENGINES_SHARE)
    count = min(asked or max(1, min(MOST_CPU_ENGINES, wanted)), most)
    # Cores are lent, not divided: verifiers rarely need their half, and a larger model is a third faster on both.
    return EnginePlace(count, cores * ENGINES_SHARE / count, 0, max(1, int(cores / count)))
