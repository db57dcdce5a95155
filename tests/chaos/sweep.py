"""The sweep of all rounds. Every row of it is known beforehand: its text, and whether that is right."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from jobs.store.base import StoreOptions
from sampling.seeds import derive_seed

TASKS = ("sums", "functions")
FUNCTIONS = 3  # problems whose candidates are programs, each run in the sandbox
POLICY = {"first": 16, "grow": 2, "retire_at": 3}  # of adaptive rounds
CANDIDATES, IN_A_ROW = 4, 16  # programs of such a problem; few, since each costs a process


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the sweep: ``sums`` problems of the cheap task; ``k`` samples by one model, a sixteenth by the other.

    Where it is ``adaptive``, problems that pass get fewer.
    """

    sums: int
    k: int
    adaptive: bool = False

    @property
    def models(self) -> dict[str, int]:
        return {"small": self.k, "large": self.k // 16}

    @property
    def problems(self) -> dict[str, int]:
        return {"sums": self.sums, "functions": FUNCTIONS}

    @property
    def rows(self) -> int:
        if self.adaptive:
            return sum(1 for _ in expected_rows(self))
        return sum(self.models.values()) * sum(self.problems.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One expected row of the result."""

    model: str
    task: str
    problem_idx: int
    sample_idx: int
    text: str
    passed: bool


def expected_rows(size: Size) -> Iterator[Row]:
    """Yields every row that a complete run holds."""
    for model, k in size.models.items():
        for task, problems in size.problems.items():
            make = _sum if task == "sums" else _function
            for problem in range(problems):
                rows = [Row(model, task, problem, sample, *make(model, problem, sample)) for sample in range(k)]
                yield from rows[: _end(rows) if size.adaptive else k]


def _end(rows: list[Row]) -> int:
    """Returns how many samples the policy gives a problem."""
    end = min(POLICY["first"], len(rows))
    while sum(row.passed for row in rows[:end]) < POLICY["retire_at"] and end < len(rows):
        end = min(end * POLICY["grow"], len(rows))
    return end


def write_inputs(folder: Path, size: Size) -> None:
    """Writes problems and stored samples."""
    for task, count in size.problems.items():
        problems = [{"id": f"{task}-{idx}", **_problem(task, idx)} for idx in range(count)]
        _write_lines(folder / f"{task}.jsonl", problems)
    rows = list(expected_rows(replace(size, adaptive=False)))
    for model in size.models:
        samples = [
            {"problem": f"{row.task}-{row.problem_idx}", "sample": row.sample_idx, "text": row.text}
            for row in rows
            if row.model == model
        ]
        _write_lines(folder / f"{model}.jsonl", samples)


def write_sweep(folder: Path, size: Size, name: str, store: str, options: StoreOptions) -> Path:
    """Writes a sweep over the inputs in ``folder``, into the run ``name`` of a store; returns its path."""
    sweep = {
        "name": name,
        "store": store,
        "store_options": options.model_dump(mode="json", exclude_defaults=True),
        "models": [{"name": m, "path": f"{m}.jsonl", "engine": "replay", "k": k} for m, k in size.models.items()],
        "tasks": [{"name": task, "kind": "jsonl", "path": f"{task}.jsonl"} for task in TASKS],
        "verify": {"workers": 2},
        **({"adaptive": POLICY} if size.adaptive else {}),
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(sweep))
    return path


def _sum(model: str, problem: int, sample: int) -> tuple[str, bool]:
    """Returns a text and whether it is right. All texts differ; later problems have fewer right ones."""
    right = derive_seed(model, problem, sample) % (problem + 2) == 0
    return f"{model} thinks of {problem}, {sample}</think>{7 * problem + (not right)}", right


def _function(model: str, problem: int, sample: int) -> tuple[str, bool]:
    """Returns a program and whether it is right: one of the same few, of which one is right."""
    added = sample // IN_A_ROW % CANDIDATES
    return f"def f(x):\n    return x + {added}  # {model}\n", added == problem


def _problem(task: str, idx: int) -> dict[str, object]:
    if task == "sums":
        return {"prompt": f"7*{idx}=", "verifier": "exact", "reference": {"answer": str(7 * idx)}}
    cases = [{"args": [x], "expected": x + idx} for x in range(3)]
    return {"prompt": f"f adds {idx}:", "verifier": "python", "reference": {"entry_point": "f", "cases": cases}}


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
