"""The nodes of the connected cluster: which ones live, which are about to leave, and what each has."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from cluster.batches import ModelWork
from cluster.errands import NoAnswer, ask_nodes
from cluster.placement import GPU_TYPE, Node
from cluster.session import alive_nodes
from sampling.engines.hardware import Formats, formats_here, smallest_gpu
from sampling.errors import BadInput

RAYS_OWN = {"CPU", "GPU", "memory", "object_store_memory"}


@dataclass(frozen=True, slots=True)
class NodeState:
    """One living node. ``leaves_at`` is when a draining node goes, in seconds since the epoch; None if it stays."""

    node_id: str
    cpus: float
    gpus: float
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: frozenset[str] = frozenset()
    leaves_at: float | None = None

    @property
    def gpu_type(self) -> str:
        """Type of its GPUs as Ray names it; "" where Ray knows none."""
        return self.labels.get(GPU_TYPE, "")

    def carries(self, mark: str) -> bool:
        """Returns whether the node has ``mark``: a label ``key=value``, or the name of a custom resource."""
        key, is_label, value = mark.partition("=")
        return self.labels.get(key) == value if is_label else key in self.resources


class Census:
    """The living nodes; ``losses`` counts nodes that have left or begun to leave, ``changes`` counts changed sets."""

    def __init__(self) -> None:
        self.nodes: tuple[NodeState, ...] = ()
        self._staying: set[str] = set()
        self.losses = self.changes = 0

    def update(self, nodes: Sequence[NodeState]) -> None:
        self.nodes, before = tuple(nodes), self._staying
        self._staying = {node.node_id for node in self.staying}
        self.losses += len(before - self._staying)
        self.changes += before != self._staying

    @property
    def staying(self) -> tuple[NodeState, ...]:
        return tuple(node for node in self.nodes if node.leaves_at is None)

    def lost(self, node_ids: Collection[str]) -> bool:
        """Returns whether one of the nodes has left or will: a failure there is nobody's fault."""
        return not self._staying.issuperset(node_ids)

    def seconds_left(self, node_ids: Collection[str]) -> float:
        """Returns the seconds until the first of the nodes goes; infinity if they stay or gave no time."""
        ends = [node.leaves_at for node in self.nodes if node.node_id in node_ids and node.leaves_at is not None]
        return min(ends) - time.time() if ends else inf


def check_mark(mark: str | None, nodes: Sequence[NodeState]) -> None:
    """Raises BadInput when no node carries the label or custom resource that ``verify.nodes`` names."""
    if mark is None or any(node.carries(mark) for node in nodes):
        return
    labels = {f"{key}={value}" for node in nodes for key, value in node.labels.items() if not key.startswith("ray.io/")}
    there = sorted(labels | {name for node in nodes for name in node.resources})
    raise BadInput(f"verify.nodes: no node carries {mark!r}; there are {', '.join(there) or 'no labels or resources'}")


def list_nodes() -> tuple[NodeState, ...]:
    """Returns the living nodes.

    Ray reports draining nodes only through its private state module (2.60), where its own trainers and `ray drain-node`
    read them too: node id to milliseconds since the epoch, 0 if no time was given.
    """
    from ray._private.state import state

    draining: dict[str, int] = state.get_draining_nodes()
    return tuple(_node_state(row, draining.get(row["NodeID"])) for row in alive_nodes())


def survey(models: Sequence[ModelWork]) -> tuple[Node, ...]:
    """Returns every living node as the placement needs it.

    The GPUs' memory is included only if a model leaves the number of engines on a GPU to us.
    """
    rows = alive_nodes()
    sizes = _gpu_bytes(rows) if any(work.model.engines_per_gpu == "auto" for work in models) else {}
    return tuple(
        Node(node.cpus, node.gpus, sizes.get(node.node_id), node.gpu_type)
        for node in (_node_state(row, None) for row in rows)
    )


def _gpu_bytes(rows: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """Asks each node with GPUs; one that does not answer is left out."""
    with_gpus: dict[str, tuple[()]] = {row["NodeID"]: () for row in rows if row["Resources"].get("GPU")}
    answers = ask_nodes(smallest_gpu, with_gpus)
    return {node: answer for node, answer in answers.items() if not isinstance(answer, NoAnswer)}


def list_formats() -> list[tuple[str, Formats]]:
    """Returns type of GPU and native number formats of every node that answers and has cores or GPUs for engines."""
    nodes = {node.node_id: node for node in list_nodes() if node.cpus or node.gpus}
    answers = ask_nodes(formats_here, dict.fromkeys(nodes, ()))
    return [(nodes[node].gpu_type, found) for node, found in answers.items() if not isinstance(found, NoAnswer)]


def _node_state(row: Mapping[str, Any], drains_at_ms: int | None) -> NodeState:
    has = row["Resources"]
    own = frozenset(name for name in has if name not in RAYS_OWN and not name.startswith("node:"))
    leaves_at = None if drains_at_ms is None else drains_at_ms / 1000 or inf
    return NodeState(row["NodeID"], has.get("CPU", 0.0), has.get("GPU", 0.0), row.get("Labels") or {}, own, leaves_at)
