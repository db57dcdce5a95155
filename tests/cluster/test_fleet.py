"""The number of engines that a model asks for, with no engine and no Ray."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from cluster.batches import ModelWork
from cluster.fleet import Crew
from cluster.placement import EngineSlot
from cluster.queue import UnitQueue
from cluster.tally import Tally
from sampling.engines.model_info import ModelInfo
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings

UNITS = tuple(Unit("m", "t", number, 0, 1, number, number + 1) for number in range(8))
WORK = ModelWork(ModelSpec(name="m", path="m"), ModelInfo("r"), SamplingSettings(), "h", UNITS)
ON_CORES, ON_A_GPU = EngineSlot(1, 1.0, 0, 1), EngineSlot(1, 1.0, 1.0, 1)


class Makers:
    """Stands for the makers of actors: no engine is started here."""

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        raise AssertionError

    def end(self, actor: Any) -> None:
        raise AssertionError


async def _lost(_: Collection[str]) -> bool:
    return False


def _crew(slot: EngineSlot, closed: int, sampling_s: float) -> Crew:
    """Returns the crew of a model with one engine that has started in ten seconds and finished units."""
    queue = UnitQueue(UNITS)
    crew = Crew(WORK, queue, slot, Tally([]))
    handle = crew.new_handle(Makers(), lambda _unit, _engine: None, _lost)  # type: ignore[arg-type]
    handle.tally.start_s, handle.tally.sampling_s = 10.0, sampling_s
    for _ in range(closed):
        queue.close(queue.take())
    return crew


def _asked(crews: Sequence[Crew], *, verifiers_lag: bool) -> list[int]:
    async def ask() -> list[int]:
        return [crew.demand(verifiers_lag).most for crew in crews]

    return asyncio.run(ask())


@pytest.mark.parametrize("slot", [ON_CORES, ON_A_GPU])
def test_an_engine_joins_where_much_is_left(slot: EngineSlot) -> None:
    much, little = _crew(slot, closed=1, sampling_s=60), _crew(slot, closed=1, sampling_s=1)
    assert _asked([much, little], verifiers_lag=False) == [7, 1]


def test_an_engine_on_cores_does_not_join_while_verifiers_lag() -> None:
    crews = [_crew(slot, closed=1, sampling_s=60) for slot in (ON_CORES, ON_A_GPU)]
    assert _asked(crews, verifiers_lag=True) == [1, 7]


def test_all_engines_start_before_the_first_unit_is_done() -> None:
    assert _asked([_crew(ON_CORES, closed=0, sampling_s=0)], verifiers_lag=True) == [8]
