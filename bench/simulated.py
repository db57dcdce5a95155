"""Simulated engines, verifiers and commits, so that only the driver remains to be measured.

They implement the protocols of ``cluster.actors``. The planner, the queues, the fleet, the pool, the backlog and the
tallies are Troop's own; on a real Ray the commits are too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.actors import UNITS_IN_FLIGHT, RayActors, Ref
from cluster.batches import (
    EngineReady,
    ModelWork,
    Problems,
    SampleBatch,
    SampleHeader,
    VerdictBatch,
    VerdictHeader,
    Work,
)
from cluster.nodes import NodeState
from cluster.placement import EngineSlot
from cluster.sampler import Sampler
from cluster.sink import Receipt, Sink
from cluster.verifier import VerifierWorker
from sampling.samples import Provenance, Sample, Shard, Unit
from verify.verdict import Status, Verdict

PROVENANCE = Provenance("simulated", "main", "simulated", "1", "0123456789abcdef", "bench", "node/1", "gpu")
NODE = "node-1"


class SimulatedSampler(Sampler):
    """Returns ready-made samples at once, each unit in as many batches as the model's path says."""

    def start(self) -> EngineReady:
        """Returns at once: there is no engine to start."""
        return EngineReady(0.0, PROVENANCE, 256)

    def sample(self, unit: Unit) -> Iterator[SampleHeader | SampleBatch]:
        """Yields samples of four letters."""
        step = -(-unit.rows // int(self._work.model.path))
        for first in range(unit.first_sample, unit.last_sample, step):
            last = min(first + step, unit.last_sample)
            yield SampleHeader(last - first, last, 0.0, 4 * (last - first))
            yield SampleBatch(unit.task, self._samples(unit, first, last))

    def stalled_s(self) -> float:
        """Returns 0: it never stalls."""
        return 0.0

    def _samples(self, unit: Unit, first: int, last: int) -> tuple[Sample, ...]:
        return tuple(Sample(unit.first_problem, i, "text", "stop", 10, 1, 1, 0.1) for i in range(first, last))


class HollowSampler(SimulatedSampler):
    """A simulated sampler with empty batches, whose node is this process."""

    def is_placed(self) -> tuple[str, ...]:
        """Returns the only node."""
        return (NODE,)

    def _samples(self, unit: Unit, first: int, last: int) -> tuple[Sample, ...]:
        return ()


class SimulatedJudge(VerifierWorker):
    """Passes everything at once, without a sandbox."""

    def __init__(self, problems: Problems, tier: str | None) -> None:
        pass

    def prepare(self) -> None:
        """Returns at once: there is no sandbox to open."""

    def verify(self, batch: SampleBatch) -> tuple[VerdictHeader, VerdictBatch]:
        """Returns one pass per sample."""
        return VerdictHeader(len(batch.samples), 0, 0.0), VerdictBatch((Verdict(Status.PASS),) * len(batch.samples))


class SimulatedOnRay(RayActors):
    """Simulated engines and verifiers as actors of a real Ray; commits are the product's, into the sink."""

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        """Starts a simulated sampler with the resources of a real one."""
        actor: Any = ray.remote(SimulatedSampler)
        one = ModelWork(work.model, work.info, work.settings, work.sampling_hash, (next(iter(work.units)),))
        options = {"num_cpus": slot.cpus, "max_concurrency": UNITS_IN_FLIGHT + 2}
        return actor.options(**options).remote(one, self._problems, 0, "bench", slot)

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        """Starts a simulated verifier with the resources of a real one."""
        actor: Any = ray.remote(SimulatedJudge)
        where = NodeAffinitySchedulingStrategy(node_id, soft=False) if node_id else "DEFAULT"
        return actor.options(num_cpus=cpus, scheduling_strategy=where).remote(self._problems, None)


class InThisProcess:
    """Simulated actors without Ray: an actor is an object, a reference is its value, a commit is its receipt."""

    def __init__(self, work: Work, sink: Sink, engines: int, verifiers: int) -> None:
        self._work, self._sink = work, sink
        self._nodes = (NodeState(NODE, float(2 * engines + verifiers), float(engines)),)

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        """Returns a sampler whose methods are called like an actor's."""
        return _Actor(HollowSampler(work, self._work.problems, 0, "bench", slot))

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        """Returns a verifier whose methods are called like an actor's."""
        return _Actor(SimulatedJudge(self._work.problems, None))

    def commit(self, unit: Unit, provenance: Provenance, batches: Sequence[Ref]) -> Awaitable[Receipt]:
        """Returns the receipt that a commit would return."""
        passed = ((unit.first_problem, unit.rows, unit.rows),)
        return _soon(Receipt(unit, True, unit.rows, unit.rows, 0, passed, (("pass", unit.rows),)))

    def compact(self, shard: Shard) -> Awaitable[None]:
        """Returns at once: there are no files to compact."""
        return _soon(None)

    def end(self, actor: Any) -> None:
        """Returns at once: no process runs."""

    def list_nodes(self) -> Sequence[NodeState]:
        """Returns one node with room for all actors."""
        return self._nodes


class _Actor:
    def __init__(self, instance: object) -> None:
        self._instance = instance

    def __getattr__(self, name: str) -> "_Method":
        return _Method(getattr(self._instance, name))


class _Method:
    def __init__(self, call: Callable[..., Any], returns: int | str = 1) -> None:
        self._call, self._returns = call, returns

    def options(self, *, num_returns: int | str = 1, **_: object) -> "_Method":
        return _Method(self._call, num_returns)

    def remote(self, *arguments: Any) -> Any:
        if self._returns == "streaming":
            return _stream(self._call(*arguments))
        result = self._call(*arguments)
        return (_soon(result[0]), result[1]) if self._returns == 2 else _soon(result)


async def _stream(items: Iterator[Any]) -> AsyncIterator[Any]:
    """Yields the reference of each header and of the batch that follows it."""
    for header in items:
        yield _soon(header)
        yield next(items)


def _soon(value: Any) -> "asyncio.Future[Any]":
    """Returns a future that is done in the loop's next round, which is the earliest for another process's answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    loop.call_soon(_answer, answer, value)
    return answer


def _answer(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)
