"""Verification: rate per core and latency of Troop's sandbox and of its alternatives.

Every way judges the same small candidates: a function called seven times, and a program that adds two numbers. Each
way has its own process on one core, and all ways take turns, half a second each, many times. The ceiling is the fork
and exit of an interpreter. ``python -m bench.verify`` prints the tables. ``python -m bench.verify --soak 100000`` runs
that many verifications in a row and prints what they leave behind. ``--humaneval FILE`` judges many candidates of
HumanEval's problems beside HumanEval's own harness (``bench.humaneval``). ``--languages`` measures programs in other
languages (``bench.languages``).
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import humaneval, languages, others
from bench.figures import Figure
from bench.others import BUBBLEWRAP, CANDIDATE, EVALPLUS, FORK, HUMANEVAL, OTHERS, PEERS, TEST, Act, serve
from sampling.problems import Problem
from sampling.references import CallCase, PythonReference, StdioCase, StdioReference
from verify.python import PythonVerifier
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.sandbox.tiers import probe
from verify.stdio import StdioVerifier
from verify.verdict import Status

SLICES = 24
SLICE_S = 0.5
PROGRAM = "a, b = map(int, input().split())\nprint(a + b)\n"
CASES = tuple(CallCase(args=[i, 2], expected=i + 2) for i in range(7))
LIMIT_S = 0.3

PROBLEMS = {
    "cases": Problem(id="p", prompt="", verifier="python", reference=PythonReference(entry_point="f", cases=CASES)),
    "test": Problem(id="p", prompt="", verifier="python", reference=PythonReference(entry_point="f", tests=TEST)),
    "stdio": Problem(
        id="p", prompt="", verifier="stdio", reference=StdioReference(cases=(StdioCase(stdin="1 2\n", stdout="3\n"),))
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One slice: verifications per second, and the 50th and 99th percentile of a verification in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def troop(mode: str, tier: str) -> Iterator[Act]:
    """Yields one verification as a sweep does it, extraction of the candidate included."""
    text = PROGRAM if mode == "stdio" else CANDIDATE
    with Sandbox(tier) as sandbox:
        verifier = StdioVerifier(sandbox) if mode == "stdio" else PythonVerifier(sandbox)

        def act(number: int) -> None:
            verdict = verifier.verify(PROBLEMS[mode], f"{text}# {number}\n")
            assert verdict.status is Status.PASS, verdict

        yield act


TROOP: dict[str, tuple[str, str]] = {
    f"Troop, {tier}, {mode}": (mode, tier) for tier in ("isolated", "confined", "none") for mode in PROBLEMS
}


def available() -> list[str]:
    """Returns the ways that work on this machine."""
    tiers = {"none", *(report.tier for report in probe() if report.available)}
    there = {BUBBLEWRAP: bool(shutil.which("bwrap")), EVALPLUS: Path(PEERS, "evalplus").exists()}
    others = [way for way in OTHERS if there.get(way, True)]
    return [*others, *(way for way, (_, tier) in TROOP.items() if tier in tiers)]


# ---------------------------------------------------------------- measuring


class Worker:
    """A process on one core that measures one way, one slice per request.

    Workers of the alternatives import nothing of Troop, so that their forks stay cheap.
    """

    def __init__(self, way: str, core: int) -> None:
        script = ["-m", "bench.verify", "--serve"] if way in TROOP else ["-I", str(Path(others.__file__))]
        words = [sys.executable, *script, way, str(core)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._line()

    def begin(self) -> None:
        """Starts a slice."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{SLICE_S}\n")

    def finish(self) -> Measured:
        """Waits for the slice to end and returns its result."""
        return Measured(**json.loads(self._line()))

    def measure(self) -> Measured:
        self.begin()
        return self.finish()

    def close(self) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: a worker ended with {self._process.wait()}")
        return line


def measure(ways: list[str], slices: int = SLICES) -> dict[str, list[Measured]]:
    """Measures all ways in turn on one core, one slice each, many times: all meet the same disturbances."""
    core = min(os.sched_getaffinity(0))
    workers = {way: Worker(way, core) for way in ways}
    found: dict[str, list[Measured]] = {way: [] for way in ways}
    for _ in range(slices):
        for way, worker in workers.items():
            found[way].append(worker.measure())
    for worker in workers.values():
        worker.close()
    return found


def scaling(way: str, slices: int) -> float:
    """Returns the rate of two workers on two cores divided by the rate of one, median over slices."""
    first, second = (Worker(way, core) for core in sorted(os.sched_getaffinity(0))[:2])
    ratios = []
    for _ in range(slices):
        alone = first.measure().rate
        first.begin()
        second.begin()
        ratios.append((first.finish().rate + second.finish().rate) / alone)
    first.close()
    second.close()
    return median(ratios)


def lateness_s(tier: str) -> float:
    """Returns the longest delay, in seconds, between a sleeping candidate's limit and its verdict."""
    late = []
    with Sandbox(tier) as sandbox:
        for _ in range(20):
            run = sandbox.run_stdio(Code("import time\ntime.sleep(60)\n"), "", Quota(LIMIT_S, 256))
            assert run.status is Status.TIMEOUT
            late.append(run.wall_s - LIMIT_S)
    return max(late)


# ---------------------------------------------------------------- a hundred thousand in a row


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources that the sandbox holds: memory of supervisor and zygotes, descriptors, processes, files."""

    supervisor_mb: float
    zygotes_mb: float
    descriptors: int
    processes: int
    temporary_files: int


def _resources() -> Resources:
    family = [os.getpid()]
    for pid in family:  # the list grows during the loop
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        family += map(int, children)
    sizes = [_resident_mb(pid) for pid in family]
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    files = sum(1 for place in ("/tmp", "/dev/shm") for _ in Path(place).iterdir())
    return Resources(sizes[0], sum(sizes[1:]), descriptors, len(family), files)


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def soak(count: int) -> None:
    """Runs that many verifications of all modes, a few of which hang or use up memory; prints what changes."""
    hostile = (
        "def f(a, b):\n    while True: pass\n",
        "def f(a, b):\n    return [0] * 10**9\n",
        "import os\nos._exit(0)\n",
    )
    quick = PROBLEMS["cases"].model_copy(
        update={"reference": PythonReference(entry_point="f", cases=CASES, time_limit_s=0.1, memory_mb=64)}
    )
    with Sandbox() as sandbox:
        python, stdio = PythonVerifier(sandbox), StdioVerifier(sandbox)
        began, before = time.monotonic(), None
        for number in range(count):
            mode = ("cases", "test", "stdio")[number % 3]
            verifier = stdio if mode == "stdio" else python
            text = PROGRAM if mode == "stdio" else CANDIDATE
            assert verifier.verify(PROBLEMS[mode], f"{text}# {number}\n").status is Status.PASS
            if number % 500 == 499:
                assert not python.verify(quick, hostile[number // 500 % 3]).passed
            if number in (1000, count - 1) or number % 10_000 == 9_999:
                now = _resources()
                before = before or now
                print(f"{number + 1:>8,} in {time.monotonic() - began:7.1f} s  {now}", flush=True)
        print(f"tier {sandbox.tier}; after 1,001: {before}; after {count:,}: {_resources()}")


# ---------------------------------------------------------------- results


def as_markdown(found: dict[str, list[Measured]]) -> str:
    """Returns a table of rates, latencies, and ratios to the ceiling and to HumanEval's way."""
    rates = {way: median(one.rate for one in slices) for way, slices in found.items()}
    ceiling, harness = rates[FORK], rates[HUMANEVAL]
    lines = [
        "| one core | per second: min | median | max | p50 ms | p99 ms | of bare fork | ÷ HumanEval's way |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way, slices in found.items():
        low, high = min(one.rate for one in slices), max(one.rate for one in slices)
        p50, p99 = median(one.p50_ms for one in slices), median(one.p99_ms for one in slices)
        shares = f"{rates[way] / ceiling:.2f} | {rates[way] / harness:.1f}"
        lines.append(f"| {way} | {low:,.0f} | {rates[way]:,.0f} | {high:,.0f} | {p50:.2f} | {p99:.2f} | {shares} |")
    return "\n".join(lines)


def report(slices: int = SLICES) -> tuple[str, list[Figure]]:
    """Measures everything; returns it as Markdown and as figures."""
    ways = available()
    found = measure(ways, slices)
    tier = next(TROOP[way][1] for way in ways if way in TROOP)
    notes = [
        f"Verdict after a limit of {LIMIT_S} s: at most {1000 * lateness_s(tier):.0f} ms late (20 sleepers, {tier})."
    ]
    if len(os.sched_getaffinity(0)) > 1:
        times = scaling(f"Troop, {tier}, cases", slices)
        notes.append(f"Two workers on two cores do {times:.2f} × what one does (cases).")
    rates = [Figure(way, "per second and core", tuple(one.rate for one in taken)) for way, taken in found.items()]
    return "\n\n".join([as_markdown(found), *notes]), rates


def main(words: list[str]) -> None:
    if words[:1] == ["--serve"]:
        with troop(*TROOP[words[1]]) as act:
            serve(act, int(words[2]))
    elif words[:1] == ["--soak"]:
        soak(int(words[1]))
    elif words[:1] == ["--humaneval"]:
        print(humaneval.report(words[1], *map(int, words[2:])))
    elif words[:1] == ["--languages"]:
        print(languages.report(*map(float, words[1:])))
    else:
        print(report()[0])


if __name__ == "__main__":
    main(sys.argv[1:])
