"""The shares of the cluster as it is now: pure arithmetic, repeated whenever nodes or work have changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import floor

from cluster.nodes import NodeState
from cluster.placement import ENGINES_SHARE, EPSILON, SERVICE_CPUS, EngineSlot, engines_on


@dataclass(frozen=True, slots=True)
class Demand:
    """One model's demand: the share of each engine, its weight among the models, and how many engines it can use.

    One that ``grows`` waits for as many further engines as fit, so that an autoscaler doubles its nodes.
    """

    slot: EngineSlot
    weight: float
    most: int
    grows: bool = False

    @property
    def size(self) -> float:
        return self.slot.all_gpus or self.slot.cpus


def share_out(demands: Sequence[Demand], nodes: Sequence[NodeState]) -> tuple[int, ...]:
    """Returns the number of engines for each model.

    The rule is weighted max-min fairness by progressive filling (Bertsekas & Gallager, Data Networks, 6.5.2): the next
    engine goes to the model with the least for its weight, while that model can use one and one fits. Every model gets
    at least one engine. Without free resources it waits in Ray's queue, where an autoscaler sees it.
    """
    free, counts, waiting = _FreeResources(nodes), [0] * len(demands), [0] * len(demands)
    line = [(0.0, index) for index in range(len(demands))]
    while line:
        _, index = heappop(line)
        demand = demands[index]
        if counts[index] >= demand.most:
            continue
        may_wait = max(1, counts[index] - waiting[index]) if demand.grows else int(not counts[index])
        fits_now = free.take(demand.slot)
        if fits_now or waiting[index] < may_wait:
            counts[index] += 1
            waiting[index] += not fits_now
            heappush(line, (counts[index] * demand.size / demand.weight, index))
    return tuple(counts)


def worth_joining(waiting: int, engines: int, unit_s: float, start_s: float) -> bool:
    """Returns whether ``waiting`` units keep ``engines`` busy for longer than twice the start of one more engine."""
    return waiting * unit_s > 2 * start_s * engines


def fits(slot: EngineSlot, nodes: Sequence[NodeState]) -> bool:
    """Returns whether one engine would fit if nothing else ran on the cluster."""
    taken = [node for node in nodes if slot.takes(node.gpu_type)]
    return not slot.gpus or sum(engines_on(node.gpus, slot.gpus) for node in taken) >= slot.nodes


def verifier_slots(
    nodes: Sequence[NodeState], engines: Sequence[EngineSlot], cpus: float, mark: str | None
) -> dict[str, int]:
    """Returns how many verifiers of ``cpus`` cores each node holds, by node id. Its engines keep their cores.

    ``mark`` restricts this to nodes that carry it. The result is empty when no node has a core left.
    """
    chosen = [node for node in nodes if mark is None or node.carries(mark)]
    slots = {
        node.node_id: floor((node.cpus - _reserved(node, engines)) / cpus + EPSILON) if cpus else 1 for node in chosen
    }
    return {node_id: count for node_id, count in slots.items() if count > 0}


def fill(slots: Mapping[str, int], taken: Mapping[str, int], count: int) -> list[str]:
    """Returns the nodes for ``count`` more verifiers: each goes to the node with the most free slots."""
    left = Counter({node: most - taken.get(node, 0) for node, most in slots.items()})
    chosen: list[str] = []
    while len(chosen) < count and left and (most := left.most_common(1)[0])[1] > 0:
        chosen.append(most[0])
        left[most[0]] -= 1
    return chosen


def _reserved(node: NodeState, engines: Sequence[EngineSlot]) -> float:
    """Returns the cores that engines may come to need on a node."""
    there = [slot for slot in engines if slot.gpus and slot.takes(node.gpu_type)]
    on_gpus = [engines_on(node.gpus, slot.gpus) * slot.cpus for slot in there]
    on_cpus = ENGINES_SHARE * node.cpus if any(not s.gpus and s.cpus > SERVICE_CPUS for s in engines) else 0.0
    return max([on_cpus, *on_gpus])


class _FreeResources:
    """The GPUs and cores that no engine has yet.

    Nodes (or shared GPUs) with equally much left are counted, not listed: ten thousand GPUs cost no more than ten.
    """

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._gpus: dict[str, Counter[float]] = {}  # by type
        for node in nodes:
            self._gpus.setdefault(node.gpu_type, Counter())[node.gpus] += 1
        self._cpus = Counter(ENGINES_SHARE * node.cpus for node in nodes)
        self._shared: dict[str, Counter[float]] = {kind: Counter() for kind in self._gpus}  # of which a share is taken

    def take(self, slot: EngineSlot) -> bool:
        """Takes one engine's share from the node or GPU with the least left; returns False if it fits nowhere."""
        if not slot.gpus:
            return _take(self._cpus, slot.cpus)
        kinds = [kind for kind in self._gpus if slot.takes(kind)]
        if slot.nodes > 1:
            return any(self._take_several(kind, slot) for kind in kinds)
        if slot.gpus >= 1:
            return any(_take(self._gpus[kind], slot.gpus) for kind in kinds)
        if any(_take(self._shared[kind], slot.gpus) for kind in kinds):
            return True
        return any(self._open(kind) and _take(self._shared[kind], slot.gpus) for kind in kinds)

    def _take_several(self, kind: str, slot: EngineSlot) -> bool:
        """Takes a share of each of several nodes of one type, or nothing."""
        before = self._gpus[kind].copy()
        if all(_take(self._gpus[kind], slot.gpus) for _ in range(slot.nodes)):
            return True
        self._gpus[kind] = before
        return False

    def _open(self, kind: str) -> bool:
        """Makes a whole GPU one that is shared; returns False if none of this type is left."""
        if not _take(self._gpus[kind], 1):
            return False
        self._shared[kind][1.0] += 1
        return True


def _take(bins: Counter[float], size: float) -> bool:
    fitting = [left for left in bins if left >= size - EPSILON]
    if not fitting:
        return False
    tightest = min(fitting)
    bins[tightest] -= 1
    if not bins[tightest]:
        del bins[tightest]
    bins[round(tightest - size, 6)] += 1
    return True
