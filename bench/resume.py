"""Resuming after a kill: Troop and Inspect ask the same service, are killed at half, and are run again.

The service is a small HTTP server on loopback that takes 50 ms for each answer and counts what it answered, so samples
that are drawn a second time show. ``python -m bench.resume`` prints a table; Inspect needs a folder of its own:
``uv pip install --target .venv/inspect inspect-ai openai``.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.speaking_server import Handler, SpeakingServer

ROOT = Path(__file__).parent.parent
INSPECT = Path(sys.prefix) / "inspect"  # packages for it alone
PROBLEMS, SAMPLES, PARALLEL, ANSWER_S = 100, 20, 16, 0.05
ROUNDS = 3
TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import exact

@task
def sums():
    samples = [Sample(id=str(i), input=f"problem {{i}}", target=f"<problem {{i}}>") for i in range({problems})]
    return Task(dataset=samples, scorer=exact())
"""
EVALUATION = """
import sys
from inspect_ai import eval, eval_retry
from inspect_ai.log import list_eval_logs

asked = dict(max_connections={parallel}, log_dir=sys.argv[1], display="none")
logs = list_eval_logs(sys.argv[1])
new = dict(model="openai-api/bench/served", epochs={samples})
done = eval_retry(logs, **asked) if logs else eval("sums.py", **new, **asked)
print(sum(len(log.samples or []) for log in done if log.status == "success"))
"""


@dataclass(frozen=True, slots=True)
class Resumed:
    """One kill and what came of it: samples that the service drew before it and again, seconds of the second call."""

    before: int
    again: int
    seconds: float
    rows: int


def troop(folder: Path, url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Returns the command for a run of Troop, the same for the first and the second call."""
    lines = [{"id": str(i), "prompt": f"problem {i}", "verifier": "exact", "reference": {"answer": f"<problem {i}>"}}
             for i in range(PROBLEMS)]  # fmt: skip
    (folder / "problems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = {
        "name": "served",
        "engine": "openai",
        "path": "served",
        "base_url": url,
        "parallel": PARALLEL,
        "k": SAMPLES,
    }
    task = {"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}
    sweep = {"name": "run", "store": ".", "models": [model], "tasks": [task], "unit": 64, "verify": {"audit": 0}}
    (folder / "sweep.yaml").write_text(json.dumps(sweep))
    return [sys.executable, "-m", "jobs", "run", "sweep.yaml", "--no-report"], {"PYTHONPATH": str(ROOT)}


def inspect(folder: Path, url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Returns the command for Inspect: an evaluation, or where there is a log, the retry of it."""
    (folder / "sums.py").write_text(TASK.format(problems=PROBLEMS))
    (folder / "evaluation.py").write_text(EVALUATION.format(samples=SAMPLES, parallel=PARALLEL))
    keys = {"BENCH_BASE_URL": url, "BENCH_API_KEY": "none", "PYTHONPATH": str(INSPECT)}
    return [sys.executable, "evaluation.py", str(folder / "logs")], keys


WAYS: Mapping[str, Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]] = {
    "Troop": troop,
    "Inspect": inspect,
}


def answers_slowly(_handler: Handler, _times: int) -> bool:
    time.sleep(ANSWER_S)
    return False


def kill_and_resume(way: str) -> Resumed:
    """Kills the first call when half of the samples were answered, and runs the same command again."""
    server = SpeakingServer({"": answers_slowly}, most_choices=1, wants_key=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="troop-bench-") as name:
        command, variables = WAYS[way](Path(name), server.url)
        asked = {
            "cwd": name,
            "env": {**os.environ, **variables},
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
        first = subprocess.Popen(command, start_new_session=True, **asked)  # type: ignore[call-overload]
        while len(server.seen) < PROBLEMS * SAMPLES // 2 and first.poll() is None:
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        time.sleep(1.0)  # what was under way is answered
        before, began = len(server.seen), time.monotonic()
        second = subprocess.run(command, check=False, text=True, **asked)  # type: ignore[call-overload]
        seconds = time.monotonic() - began
        if second.returncode:
            raise SystemExit(f"bench: {way}: {second.stdout[-2000:]}")
        rows = _rows(way, Path(name), second.stdout)
    server.shutdown()
    return Resumed(before, len(server.seen) - PROBLEMS * SAMPLES, seconds, rows)


def _rows(way: str, folder: Path, said: str) -> int:
    """Returns how many samples there are at the end."""
    if way == "Inspect":
        return int(said.strip().splitlines()[-1])
    asked = [sys.executable, "-m", "jobs", "sql", str(folder / "run"), "SELECT count(*) AS n FROM samples", "--json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT)
    return int(json.loads(done.stdout)["n"])


def main() -> None:
    print("| way | answered before the kill | drawn again | rows at the end | second call, s |")
    print("|---|---:|---:|---:|---:|")
    for _ in range(ROUNDS):
        for way in WAYS:
            if way == "Inspect" and not INSPECT.exists():
                continue
            found = kill_and_resume(way)
            print(f"| {way} | {found.before:,} | {found.again:,} | {found.rows:,} | {found.seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
