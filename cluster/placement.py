"""How many engines and verifiers, with what share of the machine: pure arithmetic over what the cluster has."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.batches import ModelWork
from sampling.errors import BadInput

MOST_CPU_ENGINES = 4  # per model, on a machine without a GPU
ENGINES_SHARE = 0.5  # of the cores, where engines have no GPU of their own
SERVICE_CPUS = 0.01  # an engine that only waits for a service


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """What one engine of a model gets; ``threads`` are its CPU threads where it has no GPU."""

    count: int
    cpus: float
    gpus: float
    threads: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Engines by model, in the order of the models, and the verifier pool."""

    engines: tuple[EnginePlace, ...]
    verifiers: int
    verifier_cpus: float


def place(models: Sequence[ModelWork], cpus: float, gpus: float, verifiers: int | None) -> Placement:
    """Shares out a cluster of ``cpus`` cores and ``gpus`` GPUs; raises BadInput when a model can never fit."""
    engines = tuple(_engine_place(work, len(models), cpus, gpus) for work in models)
    left = max(0.0, cpus - sum(place.count * place.cpus for place in engines))
    # Without GPUs the cores are shared anyway: once the engines are done, verifiers should have them all.
    count = verifiers or max(1, int(left if gpus else cpus))
    return Placement(engines, count, min(1.0, left / count))


def _engine_place(work: ModelWork, models: int, cpus: float, gpus: float) -> EnginePlace:
    model, most = work.model, max(1, len(work.units))
    asked = None if model.engines == "auto" else int(model.engines)
    if model.engine != "vllm":
        return EnginePlace(min(asked or 1, most), SERVICE_CPUS, 0, 1)
    if gpus:
        if model.gpus > gpus:
            raise BadInput(f"model {model.name}: gpus is {model.gpus:g}, but the cluster has {gpus:g}")
        count = asked or max(1, int(gpus / models / model.gpus))
        return EnginePlace(min(count, most), 1.0, model.gpus, 1)
    count = min(asked or max(1, min(MOST_CPU_ENGINES, int(cpus * ENGINES_SHARE / models))), most)
    share = cpus * ENGINES_SHARE / models / count
    # Cores are lent, not divided: verifiers rarely need their half, and an engine alone is a third faster on both.
    return EnginePlace(count, share, 0, max(1, int(cpus / models / count)))
