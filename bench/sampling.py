"""Sampling: Troop, with verification and commits, against plain ``vllm.LLM.generate``, Ray Data and lm-eval.

All use the same prompts, engine arguments and settings. Rounds alternate, each in its own process (``bench.ways``). On
cores that emulate the number format of a model's config, the others have a second row each, with that format.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.figures import Figure, as_markdown
from bench.ways import OWN_FORMAT, PEERS, WAYS, Measured
from bench.workloads import WORKLOADS, chooses_format

ROUNDS = 3
HOME = Path(__file__).parent.parent
TROOP, RAY_DATA, LM_EVAL, DATATROVE = "troop", "ray data", "lm-eval", "datatrove"
FOLDERS = {
    RAY_DATA: Path(sys.prefix) / "ray-data",
    LM_EVAL: Path(sys.prefix) / "peers",
    DATATROVE: Path(sys.prefix) / "datatrove",
}  # packages for it alone
PLAIN = tuple(way for way in WAYS if way.startswith("plain"))
Rounds = Mapping[str, Sequence[Measured]]


def measure(workload: str, ways: Sequence[str] = (*PEERS, TROOP), rounds: int = ROUNDS) -> list[Figure]:
    """Measures alternating rounds of each way."""
    ways = [*ways, *_with_own_format(workload, ways)]
    found: dict[str, list[Measured]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            print(f"bench: {workload}, round {number + 1} of {rounds}: {way}", file=sys.stderr, flush=True)
            found[way].append(_in_own_process(workload, way))
    return _figures(workload, found)


def _with_own_format(workload: str, ways: Sequence[str]) -> list[str]:
    """Returns the same ways with the number format of the model's config, where Troop computes in another one."""
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
        chosen = chooses_format(WORKLOADS[workload].make(Path(folder)))
    return [f"{way}, {OWN_FORMAT}" for way in ways if chosen and way in PEERS]


def _figures(workload: str, found: Rounds) -> list[Figure]:
    """Returns rates, and Troop's ratios per round to the faster plain way and to Ray Data."""
    name = WORKLOADS[workload].about
    best = max((way for way in PLAIN if way in found), key=lambda way: _rates(found, way).median)
    rates = [_rates(found, way) for way in found]
    samples = Figure("troop", "samples/s", tuple(one.samples / one.seconds for one in found[TROOP]))
    idle = Figure(
        "troop: engines idle at the end, of their time", "%", tuple(100 * one.idle_end for one in found[TROOP])
    )
    ratios = [_ratio(found, way) for way in (best, RAY_DATA, LM_EVAL, DATATROVE) if way in found]
    return [replace(rates[0], what=f"{name}: {rates[0].what}"), *rates[1:], samples, idle, *ratios]


def _rates(found: Rounds, way: str) -> Figure:
    return Figure(way, "tokens/s", tuple(one.rate for one in found[way]))


def _ratio(found: Rounds, way: str) -> Figure:
    rounds = zip(found[TROOP], found[way], strict=True)
    return Figure(f"**troop ÷ {way}**", "", tuple(ours.rate / theirs.rate for ours, theirs in rounds))


def _in_own_process(workload: str, way: str) -> Measured:
    words = [sys.executable, "-m", "bench.ways", workload, way]
    folder = FOLDERS.get(way.removesuffix(f", {OWN_FORMAT}"))
    environment = {**os.environ, "PYTHONPATH": str(folder)} if folder else None
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=HOME, env=environment)
    if done.returncode:
        raise SystemExit(f"bench: {workload}, {way} failed:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(WORKLOADS)
    print("\n\n".join(as_markdown(measure(name)) for name in chosen))
