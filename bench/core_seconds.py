"""Core-seconds of a run by kind of process: what sampling, verifying, committing and driving take.

``python -m bench.core_seconds functions`` runs a workload of ``bench.workloads`` through the whole pipeline and prints
a table, from a ready engine to the last commit. CPU time is read from the kernel four times a second; what a process
used before its first reading after the engine was ready is left out.
"""

import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.ways import Measured, troop
from bench.workloads import WORKLOADS

LOOK_S = 0.25
KINDS = {  # by a part of the command line; Ray names its processes after what they run
    "ray::Sampler": "engine",
    "ray::VerifierWorker": "verifiers: extraction, comparison, supervision",
    "ray::commit_unit": "commits",
    "ray::IDLE": "commits",
    "ray::ready_to_commit": "commits",
    "raylet": "Ray's own processes",
    "gcs_server": "Ray's own processes",
    "ray::Dashboard": "Ray's own processes",
    "runtime_env": "Ray's own processes",
    "dashboard/agent": "Ray's own processes",
    "-S -B -P -c": "sandbox: fork servers",
}
CANDIDATES, DRIVER = "sandbox: candidates", "driver"


@dataclass(slots=True)
class Readings:
    """CPU seconds of each process over time: own ones, and those of children that it has waited for."""

    kind: dict[int, str] = field(default_factory=dict)
    own: dict[int, list[tuple[float, float, float]]] = field(default_factory=lambda: defaultdict(list))

    def take(self) -> None:
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            try:
                words, times = " ".join(process.cmdline()), process.cpu_times()
            except psutil.Error:  # it has ended
                continue
            known = next((kind for part, kind in KINDS.items() if part in words), "other")
            self.kind[process.pid] = DRIVER if process.pid == here.pid else known
            waited = times.children_user + times.children_system
            self.own[process.pid].append((time.monotonic(), times.user + times.system, waited))

    def between(self, start: float, end: float) -> dict[str, float]:
        """Sums the CPU seconds of each kind between two moments."""
        found: defaultdict[str, float] = defaultdict(float)
        for pid, readings in self.own.items():
            before = [reading for reading in readings if reading[0] <= start][-1:] or readings[:1]
            last = [reading for reading in readings if reading[0] <= end][-1:] or before
            found[self.kind[pid]] += last[0][1] - before[0][1]
            if self.kind[pid].startswith("sandbox"):
                found[CANDIDATES] += last[0][2] - before[0][2]
        return found


def measure(workload: str) -> tuple[Measured, dict[str, float]]:
    """Runs the workload once; returns its figures and the core-seconds of each kind."""
    readings, ended = Readings(), threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            readings.take()

    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
        resolved = WORKLOADS[workload].make(Path(folder))
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            measured = troop(resolved, Path(folder))
            end = time.monotonic()
        finally:
            ended.set()
            watcher.join()
    return measured, readings.between(end - measured.seconds, end)


def main(workload: str) -> None:
    measured, found = measure(workload)
    total = sum(found.values())
    drawn = f"{measured.samples:,} samples, {measured.tokens:,} tokens, {measured.seconds:.1f} s"
    print(f"{WORKLOADS[workload].about}: {drawn}")
    print("\n| process | core-seconds | share |\n|---|---:|---:|")
    for kind, seconds in sorted(found.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {seconds:.2f} | {seconds / total:.0%} |")
    print(f"| all | {total:.2f} | |")


if __name__ == "__main__":
    main(sys.argv[1])
