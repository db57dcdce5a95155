"""Who gets how much of the cluster as it is now: pure arithmetic, asked again whenever nodes or work have changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import floor

from cluster.census import NodeState
from cluster.placement import ENGINES_SHARE, EPSILON, SERVICE_CPUS, EnginePlace, slots


@dataclass(frozen=True, slots=True)
class Demand:
    """One model: what each of its engines takes, its weight among the models, and how many engines it can use."""

    place: EnginePlace
    weight: float
    most: int

    @property
    def size(self) -> float:
        return self.place.gpus or self.place.cpus


def share_out(demands: Sequence[Demand], nodes: Sequence[NodeState]) -> tuple[int, ...]:
    """Engines of each model: weighted max-min fairness by progressive filling (Bertsekas & Gallager, Data Networks,
    6.5.2): the next engine goes to the model that has least for its weight, as long as it can use one and one fits.

    A model always gets one, which waits in Ray's queue where nothing is free: an autoscaler sees it there.
    """
    room, counts = _Room(nodes), [0] * len(demands)
    line = [(0.0, index) for index in range(len(demands))]
    while line:
        _, index = heappop(line)
        demand = demands[index]
        if counts[index] < demand.most and (room.take(demand.place) or not counts[index]):
            counts[index] += 1
            heappush(line, (counts[index] * demand.size / demand.weight, index))
    return tuple(counts)


def worth_joining(waiting: int, engines: int, unit_s: float, start_s: float) -> bool:
    """Whether the ``waiting`` units keep the present engines busy for longer than twice the start of a further one."""
    return waiting * unit_s > 2 * start_s * engines


def fits(place: EnginePlace, nodes: Sequence[NodeState]) -> bool:
    """Whether one engine has room on a cluster where nothing else runs."""
    return not place.gpus or any(node.gpus >= place.gpus for node in nodes)


def verifier_rooms(
    nodes: Sequence[NodeState], places: Sequence[EnginePlace], cpus: float, mark: str | None
) -> dict[str, int]:
    """How many verifiers of ``cpus`` cores each node holds beside its engines, whose cores stay free for them.

    With ``mark`` only nodes that carry it. Empty where no core is left anywhere.
    """
    chosen = [node for node in nodes if mark is None or node.carries(mark)]
    rooms = {
        node.node_id: floor((node.cpus - _reserved(node, places)) / cpus + EPSILON) if cpus else 1 for node in chosen
    }
    return {node_id: room for node_id, room in rooms.items() if room > 0}


def fill(rooms: Mapping[str, int], taken: Mapping[str, int], count: int) -> list[str]:
    """Nodes for ``count`` more verifiers, each time the one with most room left."""
    left = Counter({node: room - taken.get(node, 0) for node, room in rooms.items()})
    chosen: list[str] = []
    while len(chosen) < count and left and (most := left.most_common(1)[0])[1] > 0:
        chosen.append(most[0])
        left[most[0]] -= 1
    return chosen


def _reserved(node: NodeState, places: Sequence[EnginePlace]) -> float:
    """Cores that engines may come to need on a node."""
    on_gpus = [slots(node.gpus, place.gpus) * place.cpus for place in places if place.gpus]
    on_cpus = ENGINES_SHARE * node.cpus if any(not p.gpus and p.cpus > SERVICE_CPUS for p in places) else 0.0
    return max([on_cpus, *on_gpus])


class _Room:
    """What is left to give. Nodes, or GPUs that are shared, with as much left are alike: counted, not listed, so that
    ten thousand GPUs cost no more than ten."""

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._gpus = Counter(node.gpus for node in nodes)
        self._cpus = Counter(ENGINES_SHARE * node.cpus for node in nodes)
        self._shared: Counter[float] = Counter()  # GPUs of which a share is taken

    def take(self, place: EnginePlace) -> bool:
        """Room for one engine, the tightest that does; False where there is none."""
        if not place.gpus:
            return _take(self._cpus, place.cpus)
        if place.gpus >= 1:
            return _take(self._gpus, place.gpus)
        if _take(self._shared, place.gpus):
            return True
        if not _take(self._gpus, 1):
            return False
        self._shared[1.0] += 1
        return _take(self._shared, place.gpus)


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
