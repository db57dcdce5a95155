"""Troop, with verification and commits, against plain ``vllm.LLM.generate`` on the same prompts and settings.

Both serve the demo's small model with the same engine arguments. Rounds alternate, each in processes of its own; time
runs from the moment the engine is ready to the last completion (plain) or the last commit (Troop).
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.pipeline import Pipeline
from cluster.placement import place
from cluster.session import connected
from cluster.tally import CellTally, Progress, Tally
from jobs.commit import RunSink
from jobs.demo import demo_sweep
from jobs.resolve import Resolved, resolve
from jobs.run import TaskSinks, verifier_versions, work_of, write_plan
from jobs.runs import missing_units
from jobs.store import open_store

PROBLEMS, K, ROUNDS = 32, 1000, 3


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: completion tokens, and seconds from a ready engine to the end."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def resolved_workload(k: int = K) -> Resolved:
    """The demo's small model alone, on some of its problems."""
    sweep = demo_sweep((f"tasks.functions.limit={PROBLEMS}", f"models.small.k={k}"))
    return resolve(sweep.model_copy(update={"models": sweep.models[:1]}))


def troop_round() -> Measured:
    """The whole pipeline on a fresh local Ray, into a fresh folder."""
    resolved = resolved_workload()
    ready: list[float] = []

    def show(progress: Progress) -> None:
        if not ready and any(engine.state == "sampling" for engine in progress.engines):
            state_s = next(engine.state_s for engine in progress.engines if engine.state == "sampling")
            ready.append(time.monotonic() - state_s)

    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder, connected(None) as (cpus, gpus):
        store = open_store(folder)
        layers, versions = write_plan(resolved, store), verifier_versions(resolved)
        work = work_of(resolved, layers, missing_units(store, layers, versions))
        cells = [CellTally("small", "functions", PROBLEMS, PROBLEMS * K, 0, set())]
        sinks = TaskSinks({task: RunSink(store, "", version) for task, version in versions.items()})
        tally = Tally(cells)

        async def run() -> None:
            await Pipeline(work, sinks, place(work.models, cpus, gpus, None), tally).run(show)

        asyncio.run(run())
        return Measured(tally.tokens, time.monotonic() - ready[0])


def plain_round(threads: int) -> Measured:
    """``LLM.generate`` with the engine arguments that Troop uses."""
    from sampling.vllm_engine import engine_arguments, prepare_environment, sampling_params

    resolved = resolved_workload()
    model, on_gpu = resolved.sweep.models[0], prepare_environment(threads)
    from vllm import LLM

    problems = resolved.problems["functions"]
    llm = LLM(**engine_arguments(model, resolved.infos[model.name], 1, on_gpu))
    settings = sampling_params(resolved.sweep.settings_of(model), problems[0].stop)
    settings.n = K
    started = time.monotonic()
    outputs = llm.generate([problem.prompt for problem in problems], settings, use_tqdm=False)
    seconds = time.monotonic() - started
    return Measured(sum(len(c.token_ids) for output in outputs for c in output.outputs), seconds)


def measure(rounds: int = ROUNDS) -> dict[str, list[Measured]]:
    """Alternating rounds of each way."""
    ways = ("plain-1", "plain-2", "troop")
    found: dict[str, list[Measured]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            print(f"bench: end to end, round {number + 1} of {rounds}: {way}", file=sys.stderr, flush=True)
            found[way].append(_in_own_process(way))
    return found


def _in_own_process(way: str) -> Measured:
    words = [sys.executable, "-m", "bench.end_to_end", way]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    if done.returncode:
        raise SystemExit(f"bench: {way} failed: {done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    chosen = sys.argv[1]
    result = troop_round() if chosen == "troop" else plain_round(int(chosen[-1]))
    print(json.dumps({"tokens": result.tokens, "seconds": result.seconds}))
