"""Task files for the tests: the published ones where they are there, and small ones that a test writes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.problems import Problem
from sampling.tasks.load import load_task
from tests.support.places import TASK_DATA

PUBLISHED = {
    "gsm8k": ("gsm8k_test.jsonl", 1319),
    "math": ("math500_test.json", 500),
    "humaneval": ("HumanEval.jsonl.gz", 164),
    "mbpp": ("mbpp.jsonl", 964),
    "codecontests": ("codecontests_sample20.jsonl", 20),
}


def published(kind: str, **options: Any) -> tuple[Problem, ...]:
    path = TASK_DATA / PUBLISHED[kind][0]
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    return load_task(kind, path, **options)


OWN = {"id": "a", "prompt": "1+1?", "verifier": "math", "reference": {"answer": "2"}}


def written(folder: Path, *rows: object, name: str = "own.jsonl") -> Path:
    path = folder / name
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode("utf-8", "surrogatepass"))
    return path


CONTEST = {
    "name": "1_A. Twice",
    "description": "Print twice the number.",
    "public_tests": {"input": ["1\n"], "output": ["2\n"]},
    "private_tests": {"input": ["2\n", "3\n"], "output": ["4\n", "6\n"]},
    "generated_tests": {"input": ["5\n"], "output": ["10\n"]},
    "solutions": {"language": [2, 3, 3], "solution": ["int main() {}", "# dö\nprint(0)", "print(2 * int(input()))\n"]},
    "incorrect_solutions": {"language": [3], "solution": ["print(1)"]},
    "time_limit": {"seconds": 1, "nanos": 500_000_000},
    "memory_limit_bytes": 1 << 30,
}


def parquet(folder: Path, *rows: dict[str, Any], name: str = "own.parquet") -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / name)
    return folder / name
