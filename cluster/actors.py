"""Who does the work: the only place that makes actors and tasks. A bench hands in makers of its own."""

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.batches import ModelWork, Work
from cluster.census import NodeState, look
from cluster.placement import EnginePlace
from cluster.sampler import Sampler
from cluster.sink import Receipt, Sink
from cluster.verifier import VerifierWorker, commit_unit, compact_shard
from sampling.errors import StoreError
from sampling.samples import Provenance, Shard, Unit

UNITS_IN_FLIGHT = 8  # at most, on one engine
COMMIT_TRIES = 5

Ref = Any  # a ray.ObjectRef: a reference, never the payload


class Actors(Protocol):
    """Makers of sampler and verifier actors, and of commit tasks.

    An actor has the methods of Sampler or VerifierWorker, each called as Ray's are.
    """

    def new_sampler(self, work: ModelWork, place: EnginePlace) -> Any:
        """An actor that serves one model from its place."""

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        """An actor that judges batches, on a certain node or on any."""

    def commit(self, unit: Unit, provenance: Provenance, batches: Sequence[Ref]) -> Awaitable[Receipt]:
        """Commits a unit from its sample batches and, in the same order, their verdict batches."""

    def compact(self, shard: Shard) -> Awaitable[None]:
        """Compacts a full shard."""

    def end(self, actor: Any) -> None:
        """Kills an actor."""

    def look(self) -> Sequence[NodeState]:
        """The living nodes; called from a thread."""


class RayActors:
    """The real ones, on a cluster that is connected."""

    def __init__(self, work: Work, sink: Sink) -> None:
        self._work, self._sink, self._problems = work, ray.put(sink), ray.put(work.problems)
        options = {"num_cpus": 0, "max_retries": COMMIT_TRIES, "retry_exceptions": [StoreError]}
        self._commit: Any = ray.remote(commit_unit).options(**options)
        self._compact: Any = ray.remote(compact_shard).options(num_cpus=0)

    def new_sampler(self, work: ModelWork, place: EnginePlace) -> Any:
        actor: Any = ray.remote(Sampler)
        work = replace(work, units=(next(iter(work.units)),))  # not all travel to every engine
        arguments = (work, self._problems, self._work.seed, self._work.code_version, place)
        options = {"num_cpus": place.cpus, "num_gpus": place.gpus, "max_concurrency": UNITS_IN_FLIGHT + 2}
        return actor.options(**options).remote(*arguments)

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

    def look(self) -> Sequence[NodeState]:
        return look()
