"""Writes problems.jsonl: a fixed number of held-out functions per level, drawn with a fixed seed."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.demo.functions import PROBE, SHOWN_PLACES, Ints, build_levels, held_out, prompt_text

COUNTS = (4, 24, 22, 14)  # problems of levels 1, 2, 3, 4
LEVEL_SIZES = (10**6, 10**6, 100_000, 100_000)
HIDDEN, REPEATED = 12, 4  # cases that the prompt does not show, and cases that it shows


def problem(name: str, text: str, values: Ints, rng: np.random.Generator) -> dict[str, Any]:
    """Returns one problem in Troop's format, as plain data."""
    hidden = rng.choice(np.setdiff1d(np.arange(len(PROBE)), SHOWN_PLACES), size=HIDDEN, replace=False)
    judged = np.sort(np.concatenate([hidden, rng.choice(SHOWN_PLACES, size=REPEATED, replace=False)]))
    cases = [{"args": [int(PROBE[i])], "expected": int(values[i])} for i in judged]
    return {
        "id": name,
        "prompt": prompt_text(values[SHOWN_PLACES]),
        "verifier": "python",
        "reference": {
            "entry_point": "f",
            "prefix": "def f(x):\n    return ",
            "cases": cases,
            "time_limit_s": 2,
            "memory_mb": 256,
        },
        "solution": text,
        "stop": ["\n"],
    }


def make_problems(seed: int) -> list[dict[str, Any]]:
    """Returns the demo's problems, easiest level first."""
    rng = np.random.default_rng(seed)
    found = []
    for number, level in enumerate(build_levels(LEVEL_SIZES, seed)[1:], start=1):
        kept = level.take(held_out(level.values))
        chosen = np.sort(rng.choice(len(kept), size=COUNTS[number - 1], replace=False))
        found += [
            problem(f"level{number}-{place:02d}", kept.texts[row], kept.values[row], rng)
            for place, row in enumerate(chosen, start=1)
        ]
    return found


def main() -> None:
    """Writes problems.jsonl beside this file."""
    lines = [json.dumps(row) + "\n" for row in make_problems(seed=2026)]
    Path(__file__).resolve().with_name("problems.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
