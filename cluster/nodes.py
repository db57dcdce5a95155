"""What the nodes of a connected cluster have, as the placement wants to know it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.batches import ModelWork
from cluster.placement import Node
from cluster.session import alive_nodes
from sampling.engines.devices import smallest_gpu

ANSWER_S = 60.0  # a node may have to start a process first


def survey(models: Sequence[ModelWork]) -> tuple[Node, ...]:
    """Every living node, with the memory of its GPUs where a model needs that to know how many engines share one."""
    rows = alive_nodes()
    sizes = _gpu_bytes(rows) if any(work.model.engines_per_gpu == "auto" for work in models) else {}
    return tuple(
        Node(row["Resources"].get("CPU", 0.0), row["Resources"].get("GPU", 0.0), sizes.get(row["NodeID"]))
        for row in rows
    )


def _gpu_bytes(rows: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """By node id, from a short task on each node with GPUs; a node that does not answer in time is left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look: Any = ray.remote(num_cpus=0, max_retries=0)(smallest_gpu)
    asked = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(row["NodeID"], soft=False)).remote(): row[
            "NodeID"
        ]
        for row in rows
        if row["Resources"].get("GPU")
    }
    answers, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    return {asked[ref]: ray.get(ref) for ref in answers}
