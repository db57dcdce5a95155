"""Cold start: the time from ``troop run`` to the first committed unit, part by part, and that of vLLM alone.

The workload is the demo's small model on four problems, so that the first unit is done soon. A part ends when its line
is printed or its file exists, as a user would see it. Rounds alternate with plain vLLM: a process that imports it,
starts an engine with Troop's arguments and draws one completion. ``python -m bench.cold_start`` prints a table.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, as_markdown
from bench.ways import CORES, engine_setup
from bench.workloads import resolve_here
from jobs.sweep import load_sweep

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
)
LAST = "an engine starts, and the first unit is sampled, verified and committed"
PLAIN_VLLM = """
import json, sys
from vllm import LLM, SamplingParams
llm = LLM(**json.loads(sys.argv[1]))
llm.generate(["def f(x):"], SamplingParams(max_tokens=1), use_tqdm=False)
print("first completion", flush=True)
"""
READY, ALL = "first completion", "all of it"


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
    parts[LAST] = first - marks[-2]
    return parts | {ALL: first - began, "`troop report` of the run's 4,096 samples": report_s}


def measure() -> list[Figure]:
    """Measures the parts of a cold start beside plain vLLM's, a report, and ``troop --help``."""
    arguments = _engine_arguments()
    runs, plain = [], []
    for _ in range(ROUNDS):
        runs.append(one_run())
        plain.append(plain_start_s(arguments))
    figures = [Figure(name, "s", tuple(run[name] for run in runs)) for name in runs[0]]
    beyond = tuple(run[ALL] - alone for run, alone in zip(runs, plain, strict=True))
    return [
        *figures,
        Figure("plain vLLM, from its process's start to a first completion", "s", tuple(plain)),
        Figure("**from `troop run` to the first commit, beyond plain vLLM**", "s", beyond),
        Figure("`troop --help`", "s", tuple(_timed(["--help"]) for _ in range(ROUNDS))),
    ]


def plain_start_s(arguments: str) -> float:
    """Returns the seconds from the start of a process to the first completion of its engine."""
    environment = {**os.environ, "VLLM_LOGGING_LEVEL": "WARNING"}
    began = time.monotonic()
    words = [sys.executable, "-c", PLAIN_VLLM, arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as it:
        assert it.stdout is not None
        found = any(READY in line for line in it.stdout)
        took = time.monotonic() - began
    if not found:
        raise SystemExit("bench: plain vLLM did not start")
    return took


def _engine_arguments() -> str:
    """Returns Troop's engine arguments for the model, as JSON; sets the variables that the engine reads."""
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as folder:
        path = Path(folder, "sweep.yaml")
        path.write_text(SWEEP)
        return json.dumps(engine_setup(resolve_here(load_sweep(path)), CORES)[0])


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
