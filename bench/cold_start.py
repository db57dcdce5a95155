"""Cold start: the time from ``troop run`` to the first committed unit, part by part.

The workload is the demo's small model on four problems, so that the first unit is done soon. A part ends when its line
is printed or its file exists, as a user would see it. ``python -m bench.cold_start`` prints a table.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, as_markdown

ROUNDS = 3
ROOT = Path(__file__).parent.parent
DEMO = ROOT / "examples" / "demo"
SWEEP = f"""
name: cold
models: [{{name: small, path: {DEMO / "models" / "small"}, k: 1024}}]
tasks: [{{name: functions, kind: jsonl, path: {DEMO / "problems.jsonl"}, limit: 4}}]
sampling: {{temperature: 1.0, max_tokens: 24}}
"""
TROOP = [sys.executable, "-m", "jobs"]
# Name of each part, and words of the line that is printed at its end.
PARTS = (
    ("reads the sweep, looks at models, tries gold solutions, starts Ray", " planned, "),
    ("plans, starts verifiers and engines' actors", "starting"),
    ("an engine starts", "sampling,"),
)


def one_run() -> dict[str, float]:
    """Runs once; returns the seconds of each part, of all parts, and of a report of the finished run."""
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder, _start_run(Path(folder)) as process:
        began, seen = time.monotonic(), dict[str, float]()
        assert process.stderr is not None
        listener = threading.Thread(target=_listen, args=(process.stderr, seen), daemon=True)
        listener.start()
        run = Path(folder) / "cold"
        while not any((run / "verdicts").rglob("*.parquet")) and process.poll() is None:
            time.sleep(0.01)
        first = time.monotonic()
        process.wait()
        listener.join()
        marks = [began, *(seen[word] for _, word in PARTS), first]
        report_s = _timed(["report", str(run)])
    parts = {name: end - start for (name, _), start, end in zip(PARTS, marks, marks[1:], strict=False)}
    parts["samples, verifies and commits the first unit"] = first - marks[-2]
    return parts | {"all of it": first - began, "`troop report` of the run's 4,096 samples": report_s}


def measure() -> list[Figure]:
    """Measures the parts of a cold start, a report, and ``troop --help``."""
    runs = [one_run() for _ in range(ROUNDS)]
    figures = [Figure(name, "s", tuple(run[name] for run in runs)) for name in runs[0]]
    return [*figures, Figure("`troop --help`", "s", tuple(_timed(["--help"]) for _ in range(ROUNDS)))]


@contextmanager
def _start_run(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    (folder / "sweep.yaml").write_text(SWEEP)
    command = [*TROOP, "run", str(folder / "sweep.yaml"), "--set", f"store={folder}", "--no-report"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        yield process


def _listen(lines: Iterator[str], seen: dict[str, float]) -> None:
    for line in lines:
        for _, word in PARTS:
            if word in line:
                seen.setdefault(word, time.monotonic())


def _timed(words: list[str]) -> float:
    started = time.monotonic()
    subprocess.run([*TROOP, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    print(as_markdown(measure()))
