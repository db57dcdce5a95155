"""Memory and time of compacting one shard whose units overlap. ``python -m bench.compaction 2.7`` prints both.

Every unit holds samples of every problem, as in a run whose k was raised step by step, so that no row of the compacted
files can be written before all units have been looked at. The argument is the gigabytes of text of the shard.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.made_results import MODEL, PROVENANCE, TASK, VERSION, words
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run
from jobs.store.folder import DirectoryStore
from sampling.samples import UNITS_PER_SHARD, Sample, Unit
from verify.verdict import Status, Verdict

PROBLEMS, SAMPLES = 100, 20  # of each unit


def write_units(folder: Path, gigabytes: float) -> int:
    """Commits a full shard of units that overlap; returns the bytes of its text."""
    sink, draw = RunSink(DirectoryStore(folder), VERSION), random.Random(1)
    vocabulary, written = words(), 0
    length = round(gigabytes * 1e9 / (UNITS_PER_SHARD * PROBLEMS * SAMPLES) / 6.4)  # words of a text
    for number in range(UNITS_PER_SHARD):
        unit = Unit(MODEL, TASK, number, 0, PROBLEMS, number * SAMPLES, (number + 1) * SAMPLES)
        samples = [
            Sample(p, s, " ".join(draw.choices(vocabulary, k=length)), "stop", 100, length, number, 1.0, 0.1)
            for p in range(PROBLEMS)
            for s in range(unit.first_sample, unit.last_sample)
        ]
        verdicts = [Verdict(Status.PASS if s.sample_idx % 5 == 0 else Status.FAIL) for s in samples]
        written += sum(len(s.text) for s in samples)
        sink.commit(unit, samples, verdicts, PROVENANCE)
    return written


def watch_memory(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds that ``work`` took and the most memory in MB that this process held, without its start."""
    most, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            pages = Path("/proc/self/status").read_text(encoding="ascii")
            held = next(int(line.split()[1]) for line in pages.splitlines() if line.startswith("VmRSS"))
            most[0] = max(most[0], held / 1024)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    started = time.perf_counter()
    work()
    done.set()
    watcher.join()
    return time.perf_counter() - started, most[0]


def main(gigabytes: float, place: Path) -> None:
    if not any(place.iterdir()):  # by another process, whose memory does not count
        subprocess.run([sys.executable, "-m", "bench.compaction", str(gigabytes), str(place), "write"], check=True)
    seconds, megabytes = watch_memory(lambda: print(compact_run(DirectoryStore(place)).as_text()))
    sizes = sorted(path.stat().st_size / 1e6 for path in (place / "final" / "samples").rglob("*.parquet"))
    largest = f"the largest {sizes[-1]:,.0f} MB" if sizes else "none"
    print(f"{seconds:.0f} s, {megabytes:,.0f} MB of memory at most, {len(sizes)} files of samples, {largest}")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        print(f"{write_units(Path(sys.argv[2]), float(sys.argv[1])) / 1e9:.2f} GB of text in {UNITS_PER_SHARD} units")
    elif len(sys.argv) > 2:  # a folder of units that an earlier call has written, or an empty one
        main(float(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="troop-bench-") as made:
            main(float(sys.argv[1]), Path(made))
