"""Scale: how many units per second one driver dispatches, follows and sees committed.

The planner and the driver are Troop's own; engines and verifiers are simulated (bench/simulated.py). ``python -m
bench.scale`` measures the driver alone, with ten thousand simulated engines in its own process and a million planned
units, and prints a table. ``python -m bench.scale ray`` puts dozens of actors on a real Ray of this machine, with real
commits. ``profile`` shows where the driver's time goes.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jobs.planning
import jobs.store.layers
from bench.figures import Figure, as_markdown
from bench.results import ROOT
from bench.simulated import InThisProcess, SimulatedOnRay
from cluster.actors import Actors
from cluster.batches import ModelWork, Work
from cluster.pipeline import Pipeline
from cluster.placement import EngineSlot, Placement
from cluster.session import connect_ray
from cluster.tally import CellTally, Progress, Tally
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from sampling.engines.model_info import ModelInfo
from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings

ROUNDS = 3
PLANNED = 1_000_000
ENGINES, VERIFIERS = 10_000, 1_000  # all in the driver's own process
UNITS = 15_000  # planned units during which the driver alone is measured
ACTORS, JUDGES = 24, 4  # processes on a real Ray
ACTOR_UNITS, ACTOR_ROWS = 2_000, 8
BATCHES = 8  # batches of a unit, 256 samples each
UNIT_S = (60, 180)  # seconds of an engine per unit


@dataclass(frozen=True, slots=True)
class Mark:
    """The driver at one moment: committed units; seconds of wall time, of the event loop's thread, of all threads."""

    units: float
    wall_s: float
    loop_s: float
    process_s: float


@dataclass(frozen=True, slots=True)
class Drive:
    """One measurement: units per second, CPU seconds per unit of the event loop and of the process, peak memory."""

    rate: float
    loop_s: float
    process_s: float
    peak_mb: float


def planned_work(units: int, rows: int, batches: int) -> Work:
    """Plans a run of one problem; Troop's planner cuts it into units of ``rows`` samples."""
    jobs.planning.UNIT_ROWS = rows
    problem = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "exact", "reference": {"answer": "1"}})
    planned = jobs.store.layers.PlannedModel(name="m", distribution={}, sampling={}, revision="main", sampling_hash="h")
    wanted = jobs.planning.Wanted((planned,), {"t": [problem]}, {("m", "t"): units * rows})
    layer = jobs.planning.extend([], wanted, created="", code_version="bench", sweep={})
    assert layer is not None
    todo = jobs.store.layers.planned_units([layer])
    assert len(todo) == units
    spec = ModelSpec(name="m", path=str(batches), engine="replay")
    model = ModelWork(spec, ModelInfo("main"), SamplingSettings(), "h", todo)
    return Work(
        (model,), {"t": {0: problem}}, 0, None, None, "bench", None, jobs.store.layers.open_shards([layer], todo)
    )


def drive(work: Work, actors: Actors, slot: EngineSlot, verifiers: int, units: int) -> Drive:
    """Runs the pipeline; measures from the moment when all engines have started until ``units`` are committed."""
    (model,) = work.models
    rows, marks = next(iter(model.units)).rows, list[Mark]()
    tally = Tally([CellTally("m", "t", 1, len(model.units) * rows, 0, set())])

    def watch(progress: Progress) -> None:
        sampling = sum(engine.state == "sampling" for engine in progress.engines)
        if progress.committed and sampling == slot.count:
            marks.append(_mark(progress.committed / rows))

    def enough(progress: Progress) -> bool:
        return bool(marks) and marks[-1].units - marks[0].units >= units

    placement = Placement((slot,), verifiers, 1.0 if slot.gpus else 0.001)
    aside = asyncio.run(Pipeline(work, actors, placement, tally).run(watch, enough))
    assert not aside, aside[0]
    first, last = marks[0], marks[-1]
    done = last.units - first.units
    return Drive(
        done / (last.wall_s - first.wall_s),
        (last.loop_s - first.loop_s) / done,
        (last.process_s - first.process_s) / done,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _mark(units: float) -> Mark:
    return Mark(units, time.perf_counter(), time.thread_time(), time.process_time())


def driver_alone(batches: int, engines: int = ENGINES) -> Drive:
    """Measures a driver with ten thousand engines in this process and a million planned units."""
    work = planned_work(PLANNED, 2048, batches)
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
        actors = InThisProcess(work, RunSink(DirectoryStore(Path(folder)), "v1"), engines, VERIFIERS)
        return drive(work, actors, EngineSlot(engines, 1, 1, 1), VERIFIERS, UNITS // batches)


def on_ray(batches: int, engines: int = ACTORS) -> Drive:
    """Measures a driver with dozens of actors on this machine, and small units committed with fsync into a folder."""
    work = replace(planned_work(10 * ACTOR_UNITS // batches, ACTOR_ROWS, batches), open_shards={}, verifiers=JUDGES)
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder, connect_ray(None):
        actors = SimulatedOnRay(work, RunSink(DirectoryStore(Path(folder)), "v1"))
        return drive(work, actors, EngineSlot(engines, 0.001, 0, 1), JUDGES, ACTOR_UNITS // batches)


WAYS = {"driver": driver_alone, "ray": on_ray}


def measure(batch_counts: Sequence[int] = (1, BATCHES)) -> list[Figure]:
    """Measures all figures, each round in a process of its own."""
    figures = []
    for batches in batch_counts:
        each = "in one batch" if batches == 1 else f"in {batches} batches"
        found = [_drive_apart("driver", batches) for _ in range(ROUNDS)]
        figures += _figures(f"driver alone, {ENGINES:,} simulated engines, a unit {each}", found)
    return figures


def _figures(what: str, found: Sequence[Drive]) -> list[Figure]:
    loop = tuple(one.loop_s for one in found)
    figures = [
        Figure(f"{what}: dispatched, followed and committed", "units/s", tuple(one.rate for one in found)),
        Figure("the same, CPU of the driver's event loop", "µs/unit", tuple(s * 1e6 for s in loop)),
    ]
    figures.append(Figure("memory at most", "MB", tuple(one.peak_mb for one in found)))
    for seconds in UNIT_S:
        gpus = tuple(seconds / s for s in loop)
        figures.append(Figure(f"its event loop is full at, {seconds} s of an engine a unit", "GPUs", gpus))
    return figures


def _drive_apart(way: str, batches: int) -> Drive:
    print(f"bench: scale, {way}, {batches} batches a unit", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "bench.scale", way, str(batches)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return Drive(**json.loads(done.stdout.splitlines()[-1]))


def report() -> str:
    """Returns the table, and the rate at which the event loop is full."""
    figures = measure()
    alone = next(figure for figure in figures if figure.unit == "µs/unit")
    full = f"At {1e6 / alone.median:,.0f} units/s the driver's own code fills the core of its event loop."
    return f"{as_markdown(figures)}\n\n{full}"


def _main(way: str = "", batches: str = "1", *engines: str) -> None:
    if way in WAYS:
        print(json.dumps(asdict(WAYS[way](int(batches), *map(int, engines)))))
    elif way == "profile":
        import cProfile
        import pstats

        with cProfile.Profile(time.thread_time) as profile:
            driver_alone(int(batches), *map(int, engines))
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    else:
        print(report())


if __name__ == "__main__":
    _main(*sys.argv[1:])
