"""The makers of all actors and tasks of a run. A bench hands in its own makers."""

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from cluster.batches import ModelWork, Work
from cluster.nodes import NodeState, list_nodes
from cluster.placement import GPU_TYPE, EngineSlot
from cluster.sampler import Sampler
from cluster.sink import Receipt, Sink
from cluster.verifier import VerifierWorker, commit_unit, compact_shard, ready_to_commit
from sampling.errors import StoreError
from sampling.samples import Provenance, Shard, Unit

UNITS_IN_FLIGHT = 64  # the most on one engine: small units of long samples must keep it full too
COMMIT_TRIES = 5

Ref = Any  # a ray.ObjectRef: a reference, never the payload


class Actors(Protocol):
    """Makes sampler and verifier actors, and commit and compaction tasks.

    An actor has the methods of Sampler or VerifierWorker, each called in Ray's way: ``actor.method.remote(…)``.
    """

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        """Makes an actor that serves one model with one engine."""

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        """Makes an actor that verifies batches, on the given node or on any."""

    def commit(self, unit: Unit, provenance: Provenance, batches: Sequence[Ref]) -> Awaitable[Receipt]:
        """Commits a unit from its sample batches and, in the same order, their verdict batches."""

    def compact(self, shard: Shard) -> Awaitable[None]:
        """Compacts a full shard."""

    def end(self, actor: Any) -> None:
        """Kills an actor."""

    def list_nodes(self) -> Sequence[NodeState]:
        """Returns the living nodes. It is called from a thread."""


class RayActors:
    """Makes real actors and tasks on the connected cluster."""

    def __init__(self, work: Work, sink: Sink | None = None) -> None:
        """Makes actors for the work; without a sink, ``commit_to`` has to come before the first commit."""
        self._work, self._problems = work, ray.put(work.problems)
        self._early: list[tuple[str, EngineSlot, Any]] = []
        self._groups: dict[Any, PlacementGroup] = {}  # of engines on several nodes
        options = {"num_cpus": 0, "max_retries": COMMIT_TRIES, "retry_exceptions": [StoreError]}
        self._commit: Any = ray.remote(commit_unit).options(**options)
        self._compact: Any = ray.remote(compact_shard).options(num_cpus=0)
        if sink is not None:
            self.commit_to(sink)

    def commit_to(self, sink: Sink) -> None:
        """Commits into a sink from now on. A process gets ready for it, which takes a second, while engines start."""
        self._sink = ray.put(sink)
        self._warm = ray.remote(ready_to_commit).options(num_cpus=0).remote(self._sink)

    def start_early(self, engines: Sequence[EngineSlot]) -> None:
        """Starts one engine of each model, which the first ``new_sampler`` returns; a service has none to start."""
        for work, slot in zip(self._work.models, engines, strict=True):
            if work.model.engine == "vllm" and slot.count:
                actor = self._make_sampler(work, slot)
                actor.start.remote()
                self._early.append((work.model.name, slot, actor))

    def end_early(self) -> None:
        """Ends engines that were started early and that nobody wanted."""
        while self._early:
            self.end(self._early.pop()[2])

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        for early in self._early:
            if early[:2] == (work.model.name, slot):
                self._early.remove(early)
                return early[2]
        return self._make_sampler(work, slot)

    def _make_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        actor: Any = ray.remote(Sampler)
        work = replace(work, units=(next(iter(work.units)),))  # an engine needs only one of them, for its seed
        arguments = (work, self._problems, self._work.seed, self._work.code_version, slot)
        options, group = slot.options, None
        if slot.nodes > 1:  # the GPUs are for the workers that vLLM starts in the same group
            group = _group(slot)
            options = {"num_cpus": slot.cpus, "scheduling_strategy": PlacementGroupSchedulingStrategy(group, 0)}
        made = actor.options(**options, max_concurrency=UNITS_IN_FLIGHT + 2).remote(*arguments)
        self._groups |= {made: group} if group else {}
        return made

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        actor: Any = ray.remote(VerifierWorker)
        where = NodeAffinitySchedulingStrategy(node_id, soft=False) if node_id else "DEFAULT"
        return actor.options(num_cpus=cpus, scheduling_strategy=where).remote(
            self._problems, self._work.tier, self._work.judge
        )

    def commit(self, unit: Unit, provenance: Provenance, batches: Sequence[Ref]) -> Awaitable[Receipt]:
        receipt: Awaitable[Receipt] = self._commit.remote(self._sink, unit, provenance, *batches)
        return receipt

    def compact(self, shard: Shard) -> Awaitable[None]:
        done: Awaitable[None] = self._compact.remote(self._sink, shard)
        return done

    def end(self, actor: Any) -> None:
        ray.kill(actor)
        if actor in self._groups:
            remove_placement_group(self._groups.pop(actor))

    def list_nodes(self) -> Sequence[NodeState]:
        return list_nodes()


def _group(slot: EngineSlot) -> PlacementGroup:
    """Asks Ray for the GPUs of one engine on as few nodes as hold them; vLLM divides it along their borders."""
    selector = [{GPU_TYPE: slot.gpu_type} if slot.gpu_type else {}] * len(slot.bundles)
    made: PlacementGroup = placement_group(slot.bundles, strategy="PACK", bundle_label_selector=selector)
    return made
