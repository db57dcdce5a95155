"""Adaptive sweeps of stored samples: problems with chosen pass rates, replayed through the real pipeline."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from jobs.store.layers import Layer

RATES = {"easy": 0.5, "fair": 0.1, "hard": 0.02, "rare": 0.005, "never": 0.0}
POLICY = {"first": 10, "grow": 2, "retire_at": 3}
K = 160


def outcomes(rates: Mapping[str, float], samples: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Draws which samples of each problem pass."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(samples) < rate for name, rate in rates.items()}


def write_adaptive(
    folder: Path,
    passed: Mapping[str, Sequence[bool]],
    *,
    models: Sequence[str] = ("m",),
    problems: Sequence[str] | None = None,
    **changes: object,
) -> Path:
    """Writes an adaptive sweep whose sample i of a problem passes as ``passed`` says; returns its file.

    ``problems`` are the ones that the task has, by default all.
    """
    lines = [
        {"id": name, "prompt": "?", "verifier": "exact", "reference": {"answer": "1"}} for name in problems or passed
    ]
    (folder / "problems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = (
        {"problem": name, "sample": i, "text": str(int(ok))} for name, oks in passed.items() for i, ok in enumerate(oks)
    )
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sweep = {
        "name": "run",
        "store": str(folder / "runs"),
        "models": [{"name": name, "path": "samples.jsonl", "engine": "replay"} for name in models],
        "tasks": [{"name": "t", "kind": "jsonl", "path": "problems.jsonl"}],
        "k": K,
        "adaptive": POLICY,
        "verify": {"audit": 0},
        **changes,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in sweep.items() if value is not None}))
    return path


def expected(passed: Mapping[str, Sequence[bool]], k: int = K) -> dict[str, int]:
    """Returns the samples of each problem by the policy, reckoned by hand."""
    found = {}
    for name, oks in passed.items():
        end = POLICY["first"]
        while sum(oks[:end]) < POLICY["retire_at"] and end < k:
            end = min(2 * end, k)
        found[name] = end
    return found


def decisions(layers: Sequence[Layer]) -> set[tuple[str, int, str, int]]:
    """Returns every decision of a plan: (model, round's end, what, problem)."""
    found = set()
    for entry in (entry for layer in layers for entry in layer.rounds):
        for what, ranges in (("on", entry.problems), ("retired", entry.retired)):
            found |= {(entry.model, entry.end, what, idx) for first, last in ranges for idx in range(first, last)}
    return found
