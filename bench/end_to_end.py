"""Troop, with verification and commits, against plain ``vllm.LLM.generate`` on the same prompts and settings.

Both use the same engine arguments. Rounds alternate, each in a process of its own; time runs from the moment the engine
is ready to the last completion (plain) or the last commit (Troop).
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.workloads import WORKLOADS
from cluster.actors import RayActors
from cluster.pipeline import Pipeline
from cluster.placement import place
from cluster.session import connected
from cluster.tally import CellTally, Progress, Tally
from jobs.commit import RunSink
from jobs.resolve import Resolved
from jobs.run import current_version, work_of, write_plan
from jobs.runs import missing_units
from jobs.store import open_store

ROUNDS = 3
WAYS = ("plain 1", "plain 2", "troop")


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: completion tokens, samples, and seconds from a ready engine to the end."""

    tokens: int
    samples: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def troop_round(resolved: Resolved, folder: Path) -> Measured:
    """The whole pipeline on a fresh local Ray, into a fresh folder."""
    ready: list[float] = []

    def show(progress: Progress) -> None:
        sampling = [engine.state_s for engine in progress.engines if engine.state == "sampling"]
        if sampling and not ready:
            ready.append(time.monotonic() - max(sampling))

    store = open_store(str(folder / "run"))
    layers, version = write_plan(resolved, store), current_version()
    work, sink = work_of(resolved, layers, missing_units(store, layers, version)), RunSink(store, "", version)
    tally = Tally([CellTally(*cell, 0, 0, 0, set()) for cell in resolved.wanted.k])

    async def run(cpus: float, gpus: float) -> None:
        await Pipeline(work, RayActors(work, sink), place(work.models, cpus, gpus, None), tally).run(show)

    with connected(None) as (cpus, gpus):
        asyncio.run(run(cpus, gpus))
        return Measured(tally.tokens, tally.committed, time.monotonic() - ready[0])


def plain_round(resolved: Resolved, threads: int) -> Measured:
    """``LLM.generate`` with the engine arguments that Troop uses, and ``n`` samples of each prompt."""
    from sampling.gpu_memory import GpuShare
    from sampling.vllm_engine import engine_arguments, prepare_environment, sampling_params

    model, on_gpu = resolved.sweep.models[0], prepare_environment(threads)
    from vllm import LLM

    (problems,) = resolved.problems.values()
    share = GpuShare(model.gpus) if on_gpu else None
    llm = LLM(**engine_arguments(model, resolved.infos[model.name], Path(model.path), 1, share))
    settings = sampling_params(resolved.sweep.settings_of(model), problems[0].stop)
    settings.n = resolved.sweep.k_of(model, resolved.sweep.tasks[0])
    started = time.monotonic()
    outputs = llm.generate([problem.prompt for problem in problems], settings, use_tqdm=False)
    seconds = time.monotonic() - started
    completions = [completion for output in outputs for completion in output.outputs]
    return Measured(sum(len(completion.token_ids) for completion in completions), len(completions), seconds)


def measure(workload: str, rounds: int = ROUNDS) -> dict[str, list[Measured]]:
    """Alternating rounds of each way."""
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            print(f"bench: {workload}, round {number + 1} of {rounds}: {way}", file=sys.stderr, flush=True)
            found[way].append(_in_own_process(workload, way))
    return found


def as_markdown(workload: str, found: dict[str, list[Measured]]) -> str:
    """A table of minimum, median and maximum, with the ratio round by round."""
    best = max(WAYS[:2], key=lambda way: median(measured.rate for measured in found[way]))
    ratios = [troop.rate / plain.rate for troop, plain in zip(found["troop"], found[best], strict=True)]
    rows = [
        _row(f"`LLM.generate`, {way[-1]} threads, tokens/s", [m.rate for m in found[way]], ",.0f") for way in WAYS[:2]
    ]
    rows.append(_row("Troop, verified and committed, tokens/s", [m.rate for m in found["troop"]], ",.0f"))
    rows.append(_row("Troop, samples/s", [m.samples / m.seconds for m in found["troop"]], ",.0f"))
    rows.append(_row("**Troop ÷ the better plain one**", ratios, ".2f"))
    head = [f"### {workload}: {WORKLOADS[workload].about}", "", "| | min | median | max |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _row(name: str, values: list[float], form: str) -> str:
    return f"| {name} | {min(values):{form}} | {median(values):{form}} | {max(values):{form}} |"


def _in_own_process(workload: str, way: str) -> Measured:
    words = [sys.executable, "-m", "bench.end_to_end", workload, way]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    if done.returncode:
        raise SystemExit(f"bench: {workload}, {way} failed:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def _main(workload: str, way: str) -> None:
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as name:
        resolved = WORKLOADS[workload].make(Path(name))
        result = troop_round(resolved, Path(name)) if way == "troop" else plain_round(resolved, int(way[-1]))
        print(json.dumps(asdict(result)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
