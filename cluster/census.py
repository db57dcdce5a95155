"""The nodes of a cluster as the driver sees them: which are there, which are about to leave, what each has."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from cluster.session import alive_nodes
from sampling.errors import BadInput

RAYS_OWN = {"CPU", "GPU", "memory", "object_store_memory"}


@dataclass(frozen=True, slots=True)
class NodeState:
    """One living node; ``leaves_at`` is when it goes, in seconds since the epoch, where it has been told to drain."""

    node_id: str
    cpus: float
    gpus: float
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: frozenset[str] = frozenset()
    leaves_at: float | None = None

    def carries(self, mark: str) -> bool:
        """``mark`` is a label, ``key=value``, or the name of a custom resource."""
        key, is_label, value = mark.partition("=")
        return self.labels.get(key) == value if is_label else key in self.resources


class Census:
    """All living nodes, how many have left or begun to leave so far, and how often there were others."""

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

    def lost(self, node_id: str | None) -> bool:
        """Whether a node has left, or will: what dies there is nobody's fault."""
        return node_id is not None and node_id not in self._staying

    def seconds_left(self, node_id: str | None) -> float:
        """Until a draining node goes; infinite where it stays, or says no time."""
        ends = [node.leaves_at for node in self.nodes if node.node_id == node_id and node.leaves_at is not None]
        return ends[0] - time.time() if ends else inf


def check_mark(mark: str | None, nodes: Sequence[NodeState]) -> None:
    """Raises BadInput where no node carries the label or the custom resource that verifiers should go to."""
    if mark is None or any(node.carries(mark) for node in nodes):
        return
    labels = {f"{key}={value}" for node in nodes for key, value in node.labels.items() if not key.startswith("ray.io/")}
    there = sorted(labels | {name for node in nodes for name in node.resources})
    raise BadInput(f"verify.nodes: no node carries {mark!r}; there are {', '.join(there) or 'no labels or resources'}")


def look() -> tuple[NodeState, ...]:
    """The nodes of the connected cluster.

    Ray tells of draining nodes only through its state module (2.60), from where its own trainers and `ray drain-node`
    have them too: node id to milliseconds since the epoch, 0 where no time was given.
    """
    from ray._private.state import state

    draining: dict[str, int] = state.get_draining_nodes()
    return tuple(_node(row, draining.get(row["NodeID"])) for row in alive_nodes())


def _node(row: Mapping[str, Any], drains_at_ms: int | None) -> NodeState:
    has = row["Resources"]
    own = frozenset(name for name in has if name not in RAYS_OWN and not name.startswith("node:"))
    leaves_at = None if drains_at_ms is None else drains_at_ms / 1000 or inf
    return NodeState(row["NodeID"], has.get("CPU", 0.0), has.get("GPU", 0.0), row.get("Labels") or {}, own, leaves_at)
