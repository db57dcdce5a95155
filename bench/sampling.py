"""Troop, with verification and commits, against plain ``vllm.LLM.generate`` and Ray Data on the same prompts.

All use the same engine arguments and settings. Rounds alternate, each in a process of its own (``bench.ways``).
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.ways import WAYS, Measured
from bench.workloads import WORKLOADS

ROUNDS = 3
HOME = Path(__file__).parent.parent
PANDAS = Path(sys.prefix) / "ray-data"  # for Ray Data alone
TROOP, RAY_DATA = "troop", "ray data"
PLAIN = tuple(way for way in WAYS if way.startswith("plain"))
Rounds = Mapping[str, Sequence[Measured]]


def measure(workload: str, rounds: int = ROUNDS) -> Rounds:
    """Alternating rounds of each way."""
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            print(f"bench: {workload}, round {number + 1} of {rounds}: {way}", file=sys.stderr, flush=True)
            found[way].append(_in_own_process(workload, way))
    return found


def as_markdown(workload: str, found: Rounds) -> str:
    """A table of minimum, median and maximum, with the ratios round by round."""
    best = max(PLAIN, key=lambda way: median(measured.rate for measured in found[way]))
    head = [f"### {workload}: {WORKLOADS[workload].about}", "", "| | min | median | max |", "|---|---|---|---|"]
    rates = [_row(f"{way}, tokens/s", [measured.rate for measured in found[way]], ",.0f") for way in WAYS]
    samples = _row("troop, samples/s", [one.samples / one.seconds for one in found[TROOP]], ",.0f")
    ratios = [_row(f"**troop ÷ {way}**", _ratios(found, way), ".2f") for way in (best, RAY_DATA)]
    return "\n".join([*head, *rates, samples, *ratios])


def _ratios(found: Rounds, way: str) -> list[float]:
    return [ours.rate / theirs.rate for ours, theirs in zip(found[TROOP], found[way], strict=True)]


def _row(name: str, values: Sequence[float], form: str) -> str:
    return f"| {name} | {min(values):{form}} | {median(values):{form}} | {max(values):{form}} |"


def _in_own_process(workload: str, way: str) -> Measured:
    words = [sys.executable, "-m", "bench.ways", workload, way]
    environment = {**os.environ, "PYTHONPATH": str(PANDAS)} if way == RAY_DATA else None
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=HOME, env=environment)
    if done.returncode:
        raise SystemExit(f"bench: {workload}, {way} failed:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(WORKLOADS)
    print("\n\n".join(as_markdown(name, measure(name)) for name in chosen))
