"""Are engines kept busy while rounds are decided? ``python -m bench.adaptive_engine`` prints their starved share.

Simulated engines draw at a fixed pace, and a commit takes as long as one does on a cluster; planner, driver, queues and
rounds are Troop's own, and every round is written into a folder. Times are a sixtieth of a cluster's: there a unit of
2,048 samples takes an engine two minutes, and a commit one or two seconds. Uniform sampling of as many samples stands
beside it.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.simulated import NODE, PROVENANCE, InThisProcess, SimulatedSampler, _Actor, _soon
from cluster.actors import Ref
from cluster.batches import EngineReady, ModelWork, SampleBatch, SampleHeader, Work
from cluster.pipeline import Pipeline
from cluster.placement import EngineSlot, Placement
from cluster.sink import Receipt
from cluster.tally import CellTally, Progress, Tally
from jobs.numbers.estimators import Floats
from jobs.planning import Wanted, extend
from jobs.rounds.cells import Tried
from jobs.rounds.keeper import RoundKeeper
from jobs.rounds.plan import with_rounds
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from jobs.store.layers import Layer, PlannedModel, layer_key, planned_units
from sampling.engines.model_info import ModelInfo
from sampling.problems import Problem
from sampling.samples import Provenance, Unit
from sampling.settings import Adaptive, ModelSpec, SamplingSettings

ENGINES, PROBLEMS, K = 4, 128, 2_000
PACE = 1_024.0  # samples per second of an engine: 2,048 take two seconds here, two minutes on a cluster
COMMIT_S = 0.03
POLICY = Adaptive()
VERSION = "bench"


@dataclass(frozen=True)
class Starved:
    """Share of the engines' time without work, in the whole run and before its last tenth of samples."""

    whole: float
    before_the_end: float
    samples: int
    layers: int


class PacedActor(_Actor):
    """An engine that draws the samples of its units one after another at PACE."""

    def __init__(self, sampler: SimulatedSampler) -> None:
        super().__init__(sampler)
        self._turn, self._begun, self._busy = asyncio.Lock(), 0.0, 0.0

    @property
    def sample(self) -> "PacedActor":
        return self

    def options(self, **_: object) -> "PacedActor":
        return self

    def remote(self, unit: Unit) -> AsyncIterator[Any]:
        return self._draw(unit)

    async def _draw(self, unit: Unit) -> AsyncIterator[Any]:
        async with self._turn:
            self._begun = self._begun or time.monotonic()
            started = time.monotonic()
            await asyncio.sleep(unit.rows / PACE)
            self._busy += time.monotonic() - started
            starved = time.monotonic() - self._begun - self._busy
        yield _soon(SampleHeader(unit.rows, unit.rows, max(0.0, starved), 0))
        yield SampleBatch(unit.task, ())


class Placed(SimulatedSampler):
    """A simulated sampler on the only node."""

    def is_placed(self) -> tuple[str, ...]:
        """Returns the only node."""
        return (NODE,)

    def start(self) -> EngineReady:
        """Returns at once: there is no engine to start."""
        return EngineReady(0.0, PROVENANCE, 256)


class Paced(InThisProcess):
    """Simulated actors with a pace; a commit takes COMMIT_S and draws which samples passed."""

    def __init__(self, work: Work, sink: RunSink, rates: Floats) -> None:
        super().__init__(work, sink, ENGINES, 4)
        self._rates, self._rng = rates, np.random.default_rng(2)

    def new_sampler(self, work: ModelWork, slot: EngineSlot) -> Any:
        """Returns an engine."""
        return PacedActor(Placed(work, self._work.problems, 0, "bench", slot))

    def commit(self, unit: Unit, provenance: Provenance, batches: Sequence[Ref]) -> Awaitable[Receipt]:
        """Returns a receipt after a while."""
        return self._later(unit)

    async def _later(self, unit: Unit) -> Receipt:
        await asyncio.sleep(COMMIT_S)
        width = unit.last_sample - unit.first_sample
        passes = ((idx, width, int(self._rng.binomial(width, self._rates[idx])))
                  for idx in range(unit.first_problem, unit.last_problem))  # fmt: skip
        return Receipt(unit, True, unit.rows, unit.rows, 0, tuple(passes), ())


def measure(policy: Adaptive | None, k: int = K) -> Starved:
    """Runs one sweep with problems as hard as ``beta(0.4, 20)`` makes them."""
    rates = np.random.default_rng(1).beta(0.4, 20, PROBLEMS)
    problems = [
        Problem.model_validate({"id": str(i), "prompt": "?", "verifier": "exact", "reference": {"answer": "1"}})
        for i in range(PROBLEMS)
    ]
    planned = PlannedModel(name="m", distribution={}, sampling={}, revision="main", sampling_hash="h")
    wanted = Wanted((planned,), {"t": problems}, {("m", "t"): k}, adaptive=policy)
    layer = extend([], wanted, created="", code_version="bench", sweep={})
    assert layer is not None
    layer = with_rounds([], layer, wanted, Tried(VERSION)) if policy else layer
    assert layer is not None
    return _run(layer, wanted, rates)


def _run(layer: Layer, wanted: Wanted, rates: Floats) -> Starved:
    units = planned_units([layer])
    model = ModelWork(ModelSpec(name="m", path="1", engine="replay"), ModelInfo("main"), SamplingSettings(), "h", units)
    work = Work((model,), {"t": dict(enumerate(wanted.problems["t"]))}, 0, None, None, "bench")
    tally, seen = Tally([CellTally("m", "t", PROBLEMS, units.rows, 0, set())]), list[tuple[int, float]]()

    def show(progress: Progress) -> None:
        seen.append((progress.committed, progress.idle))

    with tempfile.TemporaryDirectory() as folder:
        sink = RunSink(DirectoryStore(Path(folder)), VERSION)
        sink.store.put_new(layer_key(0), layer.encode())
        places = {"t": set(range(PROBLEMS))}
        rounds = RoundKeeper(sink, [layer], wanted, Tried(VERSION), {}, places) if wanted.adaptive else None
        placement = Placement((EngineSlot(ENGINES, 1, 1, 1),), 4, 1.0)
        pipeline = Pipeline(work, Paced(work, sink, rates), placement, tally, rounds=rounds)
        aside = asyncio.run(pipeline.run(show))
        assert not aside, aside[0]
        layers = len(list(Path(folder).glob("plan*")))
    most = seen[-1][0]
    early = [idle for committed, idle in seen if committed <= 0.9 * most]
    return Starved(seen[-1][1], early[-1], most, layers)


def main() -> None:
    """Prints the starved share of adaptive sampling, and of uniform sampling of about as many samples."""
    adaptive = measure(POLICY)
    uniform = measure(None, max(1, adaptive.samples // PROBLEMS))
    for name, found in (("adaptive", adaptive), ("uniform", uniform)):
        print(f"{name}: engines starved {found.whole:.2%} of their time, {found.before_the_end:.2%} before the last "
              f"tenth of {found.samples:,} samples; {found.layers} layers")  # fmt: skip


if __name__ == "__main__":
    main()
