"""The audit's trials on every node of a cluster, or in processes of this machine. Each round uses fresh processes."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from cluster.session import alive_nodes, connect_ray, one_line
from sampling.problems import Problem
from verify.processes import VerifierProcesses
from verify.trials import Audit, Surprise, Trial, Tried, batches, failed, surprises, try_batch
from verify.verifiers import Verifiers

HERE = "this machine"
OnCount = Callable[[int, int], None]  # how many verdicts are there, of how many


@dataclass(slots=True)
class NodeAudit:
    """One node: the results of each round's trials there, and the seconds that all of them took."""

    node: str
    cpus: int
    rounds: list[dict[int, Tried]] = field(default_factory=list)
    seconds: float = 0.0

    def surprises(self, audit: Audit) -> list[Surprise]:
        return surprises(audit, self.rounds)

    @property
    def verdicts(self) -> int:
        return sum(len(results) for results in self.rounds)


def audit_here(audit: Audit, repeats: int, tier: str | None, show: OnCount) -> list[NodeAudit]:
    """Audits on all cores of this machine, without Ray."""
    here, orders = NodeAudit(HERE, os.cpu_count() or 1), audit.rounds(repeats)
    planned, started = sum(map(len, orders)), time.monotonic()
    for order in orders:
        here.rounds.append({})
        with VerifierProcesses(audit.problems, tier, here.cpus, remembered=0) as processes:
            parts = {processes.submit(try_batch, _chosen(audit, part)): part for part in batches(order)}
            for future in as_completed(parts):
                try:
                    tried = future.result()
                except BrokenProcessPool:
                    tried = [failed("the verifying process died")] * len(parts[future])
                here.rounds[-1].update(zip(parts[future], tried, strict=True))
                show(here.verdicts, planned)
            processes.finish()
    here.seconds = time.monotonic() - started
    return [here]


def audit_cluster(audit: Audit, repeats: int, tier: str | None, show: OnCount, address: str | None) -> list[NodeAudit]:
    """Audits on every node of the cluster at ``address`` at once; raises BadInput when none answers."""
    import ray

    with connect_ray(address):
        nodes = {row["NodeID"]: _node(row) for row in alive_nodes()}
        problems, orders = ray.put(audit.problems), audit.rounds(repeats)
        planned = len(nodes) * sum(map(len, orders))
        for order in orders:
            _Round(audit, batches(order), nodes, problems, tier).run(show, planned)
    return list(nodes.values())


def _node(row: Mapping[str, Any]) -> NodeAudit:
    name = row["NodeManagerHostname"] or row["NodeManagerAddress"]
    return NodeAudit(f"{name} ({row['NodeID'][:8]})", max(1, int(row["Resources"].get("CPU", 1))))


class _Round:
    """One round: every batch once on every node, in actors that end with the round."""

    def __init__(
        self, audit: Audit, parts: Sequence[list[int]], nodes: Mapping[str, NodeAudit], problems: Any, tier: str | None
    ) -> None:
        self._nodes, self._started = nodes, time.monotonic()
        self._before = {node.node: node.seconds for node in nodes.values()}
        self._actors: list[Any] = []
        self._waiting: dict[Any, tuple[NodeAudit, list[int]]] = {}
        for node_id, node in nodes.items():
            node.rounds.append({})
            team = [_pinned(node_id, problems, tier) for _ in range(min(node.cpus, len(parts)))]
            self._actors += team
            for number, part in enumerate(parts):
                ref = team[number % len(team)].try_batch.remote(_chosen(audit, part))
                self._waiting[ref] = (node, part)

    def run(self, show: OnCount, planned: int) -> None:
        import ray

        while self._waiting:
            (ready,), _ = ray.wait(list(self._waiting), num_returns=1)
            node, part = self._waiting.pop(ready)
            node.rounds[-1].update(zip(part, _result(ready, len(part)), strict=True))
            node.seconds = self._before[node.node] + time.monotonic() - self._started
            show(sum(node.verdicts for node in self._nodes.values()), planned)
        for actor in self._actors:
            ray.kill(actor)


def _result(ref: Any, count: int) -> list[Tried]:
    """Returns a batch's results; if its verifier has died, all of them are faults of the node."""
    import ray
    from ray.exceptions import RayError

    try:
        tried: list[Tried] = ray.get(ref)
    except RayError as error:
        return [failed(f"the verifier died: {one_line(error)}")] * count
    return tried


def _pinned(node_id: str, problems: Any, tier: str | None) -> Any:
    """Makes a verifier on one node. It asks for no core: nothing else runs yet, and an audit must not wait for one."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor: Any = ray.remote(AuditActor)
    where = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return actor.options(num_cpus=0, scheduling_strategy=where).remote(problems, tier)


class AuditActor:
    """Verifiers that remember nothing, so that equal completions are verified each time."""

    def __init__(self, problems: Mapping[str, Problem], tier: str | None) -> None:
        self._problems, self._verifiers = problems, Verifiers(tier, remembered=0)

    def try_batch(self, trials: Sequence[Trial]) -> list[Tried]:
        return try_batch(self._verifiers, self._problems, trials)


def _chosen(audit: Audit, numbers: Sequence[int]) -> list[Trial]:
    return [audit.trials[number] for number in numbers]
