"""One engine over its starts, with actors that are plain objects: no Ray."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from cluster.actors import RayActors
from cluster.batches import EngineReady, ModelWork, Work
from cluster.handle import RunningEngine, SamplerHandle
from cluster.placement import EngineSlot
from cluster.queue import ENGINE_TRIES, UnitQueue
from cluster.tally import EngineTally
from sampling.engines.model_info import ModelInfo
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Provenance, Unit
from sampling.settings import ModelSpec, SamplingSettings

UNITS = tuple(Unit("m", "t", number, 0, 1, number, number + 1) for number in range(4))
WORK = ModelWork(
    ModelSpec(name="m", path="m", engine="replay", max_num_seqs=1), ModelInfo("r"), SamplingSettings(), "h", UNITS
)
PROVENANCE = Provenance("m", "r", "replay", "1", "h", "test", "host/1", "cpu")


class Method:
    """A method that is called in Ray's way."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self._answer = answer

    def remote(self, *_: object) -> Awaitable[Any]:
        return self._answer()


class Actor:
    """A sampler that starts at once, or dies at its start."""

    def __init__(self, dies: bool) -> None:
        self._dies = dies
        self.is_placed, self.start, self.stalled_s = Method(self._place), Method(self._start), Method(self._stall)

    async def _place(self) -> tuple[str, ...]:
        return ("node",)

    async def _start(self) -> EngineReady:
        if self._dies:
            raise RayActorError
        return EngineReady(1.0, PROVENANCE, 1)

    async def _stall(self) -> float:
        return 0.0


class Makers:
    """Makes actors, the first ``dying`` of which die at their start; keeps those that were ended."""

    def __init__(self, dying: int = 0) -> None:
        self.made: list[Actor] = []
        self.ended: list[Actor] = []
        self._dying = dying

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Actor:
        self.made.append(Actor(len(self.made) < self._dying))
        return self.made[-1]

    def end(self, actor: Actor) -> None:
        self.ended.append(actor)


def new_handle(
    queue: UnitQueue,
    makers: Makers,
    follow: Callable[[Unit, RunningEngine], None],
    node_left: bool = False,
    work: ModelWork = WORK,
) -> SamplerHandle:
    """Makes a handle; ``follow`` is called for each unit soon after it was handed out, as a task would be."""

    def start_unit(unit: Unit, engine: RunningEngine) -> None:
        asyncio.get_running_loop().call_soon(follow, unit, engine)

    async def lost(node_ids: Collection[str]) -> bool:
        return node_left

    slot, tally = EngineSlot(1, 1.0, 0, 1), EngineTally("m/0")
    return SamplerHandle(work, queue, tally, makers, slot, start_unit, lost)  # type: ignore[arg-type]


def test_an_engine_that_computes_unlike_the_run_is_given_no_unit() -> None:
    handed, work = list[Unit](), replace(WORK, info=ModelInfo("r", dtype="float32"))
    handle = new_handle(UnitQueue(UNITS), Makers(), lambda unit, _: handed.append(unit), work=work)
    with pytest.raises(EngineRefused, match="model m: an engine computes in None, the run in float32"):
        asyncio.run(handle.run())
    assert (handed, handle.tally.state) == ([], "failed")


def test_a_dead_actors_reports_do_not_reach_its_successor() -> None:
    makers, queue, engines = Makers(), UnitQueue(UNITS), list[RunningEngine]()

    def follow(unit: Unit, engine: RunningEngine) -> None:
        engines.append(engine)
        if engine is engines[0]:  # the first actor dies with all of its units
            queue.put_back(unit)
            engine.unit_failed(RayActorError())
        else:
            engines[0].unit_failed(RayActorError())  # a late report
            queue.close(unit)
            engine.unit_sampled(unit)
        engine.handle.unit_ended()

    handle = new_handle(queue, makers, follow)
    asyncio.run(handle.run())
    assert (len(makers.made), len(set(map(id, engines))), queue.closed) == (2, 2, len(UNITS))
    assert makers.ended == makers.made
    assert not any(engine.current for engine in engines)
    assert (handle.tally.restarts, handle.tally.state) == (1, "done")


@pytest.mark.parametrize(("units", "held"), [(9, 2), (3, 2), (2, 1), (1, 1)])
def test_the_last_units_are_left_to_the_engine_that_runs_empty_first(units: int, held: int) -> None:
    """A unit fills an engine here: with two at hand it never waits, but another engine would have none at the end."""
    queue = UnitQueue(tuple(Unit("m", "t", number, 0, 1, number, number + 1) for number in range(units)))
    queue.engines = 1  # another one

    async def feed() -> None:
        run = asyncio.create_task(new_handle(queue, Makers(), lambda unit, engine: None).run())
        await asyncio.sleep(0.05)
        assert (queue.engines, units - queue.waiting) == (2, held)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert queue.engines == 1

    asyncio.run(feed())


def never_started(unit: Unit, engine: RunningEngine) -> None:
    raise AssertionError(unit)


def test_an_engine_that_never_starts_is_given_up_with_its_error() -> None:
    makers, queue = Makers(dying=100), UnitQueue(UNITS)
    handle = new_handle(queue, makers, never_started)
    with pytest.raises(EngineError):
        asyncio.run(handle.run())
    assert (len(makers.made), handle.tally.state, queue.waiting) == (ENGINE_TRIES, "failed", len(UNITS))
    assert makers.ended == makers.made


def test_failures_on_nodes_that_have_left_do_not_count() -> None:
    makers, queue = Makers(dying=2 * ENGINE_TRIES), UnitQueue(UNITS)

    def follow(unit: Unit, engine: RunningEngine) -> None:
        queue.close(unit)
        engine.unit_sampled(unit)
        engine.handle.unit_ended()

    handle = new_handle(queue, makers, follow, node_left=True)
    asyncio.run(handle.run())
    assert (len(makers.made), queue.open) == (2 * ENGINE_TRIES + 1, 0)


def test_an_engine_that_leaves_takes_no_further_unit() -> None:
    makers, queue = Makers(), UnitQueue(UNITS)

    def follow(unit: Unit, engine: RunningEngine) -> None:
        engine.handle.leave()
        assert engine.usable and unit in engine.sampling
        queue.close(unit)
        engine.unit_sampled(unit)

    asyncio.run(new_handle(queue, makers, follow).run())
    assert (queue.closed, queue.waiting, queue.in_flight) == (2, len(UNITS) - 2, 0)


def test_a_start_that_hangs_is_ended_and_tried_again() -> None:
    queue = UnitQueue(UNITS)

    class Hanging(Makers):
        def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Actor:
            actor = super().new_sampler(work, slot)
            actor.start = Method(asyncio.Event().wait)
            return actor

    makers = Hanging()
    handle = new_handle(queue, makers, never_started)
    handle.work = replace(WORK, model=WORK.model.model_copy(update={"start_timeout_s": 0.05, "gpus": 2}))
    with pytest.raises(EngineError, match=r"did not start within 0.05 s and was killed.*NCCL_DEBUG=INFO"):
        asyncio.run(handle.run())
    assert (len(makers.made), makers.ended) == (ENGINE_TRIES, makers.made)


def test_an_engine_that_was_started_early_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray: an actor is a mark, which is started and ended."""
    made, started, ended = list[SimpleNamespace](), list[SimpleNamespace](), list[SimpleNamespace]()

    def make(self: RayActors, work: ModelWork, slot: EngineSlot) -> SimpleNamespace:
        mark = SimpleNamespace(work=work)
        mark.start = SimpleNamespace(remote=lambda: started.append(mark))
        made.append(mark)
        return mark

    monkeypatch.setattr(RayActors, "_make_sampler", make)
    monkeypatch.setattr(RayActors, "end", lambda self, actor: ended.append(actor))
    monkeypatch.setattr("cluster.actors.ray.put", lambda value: value)
    vllm = replace(WORK, model=ModelSpec(name="v", path="v"))
    slots = (EngineSlot(2, 1.0, 0, 1), EngineSlot(1, 1.0, 0, 1))
    actors = RayActors(Work((vllm, WORK), {}, 0, None, None, "test"))
    actors.start_early(slots)
    assert (made, [mark.work for mark in started]) == (started, [vllm])  # a stored model has no engine to start
    assert actors.new_sampler(WORK, slots[1]) not in started
    assert actors.new_sampler(vllm, slots[0]) is started[0]
    assert actors.new_sampler(vllm, slots[0]) is not started[0]
    actors.end_early()
    assert ended == []
    actors.start_early(slots)
    actors.end_early()
    assert ended == started[1:]
