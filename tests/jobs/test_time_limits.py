"""Time limits of a run's problems: measured or by default, kept in the plan, and the same whenever it is continued."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.reverify import stored_problems
from jobs.store.sealed_parquet import BLANK, seal
from jobs.sweep import open_run
from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.problems import Problem
from sampling.tasks.load import load_task
from tests.conftest import Troop, WriteSweep
from verify.trials import AUTO_LEAST_S, measure_limits, with_limits

QUICK = "def f(x):\n    return 2 * x"
SLOW = "import time\ndef f(x):\n    while time.process_time() < 0.12: pass\n    return 2 * x"
RUN = "runs/sums"


def row(name: str, solution: str | None = QUICK, limit: object = "auto") -> dict[str, Any]:
    reference = {"entry_point": "f", "cases": [{"args": [2], "expected": 4}]}
    given = {} if limit is None else {"time_limit_s": limit}
    return {"id": name, "prompt": "?", "verifier": "python", "reference": reference | given, "solution": solution}


def humaneval(name: str) -> dict[str, str]:
    test = "def check(candidate):\n    assert candidate(2) == 4\n"
    body = "    return 2 * x\n"
    return {"task_id": name, "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": body, "test": test}


def planned() -> list[list[float | None] | None]:
    """Returns the limits in each layer of the run's plan."""
    parts = [part for layer in open_run(RUN).layers for part in layer.problems]
    return [None if part.time_limits_s is None else list(part.time_limits_s) for part in parts]


def stored() -> list[object]:
    """Returns the limits in the problems that the run keeps, which verify it again."""
    (table,) = stored_problems(open_run(RUN).store).values()
    return [getattr(problem.reference, "time_limit_s", None) for problem in table.values()]


def problem(*given: Any) -> Problem:
    return Problem.model_validate(row(*given))


def test_a_limit_is_ten_times_what_gold_takes() -> None:
    """Each case of a program counts by itself; a gold solution beyond the default of its kind may be measured too."""
    cases = [{"stdin": f"{n}\n", "stdout": f"{n}\n"} for n in range(6)]
    burn = "import time\nwhile time.process_time() < 0.1: pass\nprint(input())"
    program = {"id": "s", "prompt": "?", "verifier": "stdio", "solution": burn}
    asked = {
        "quick": problem("quick"),
        "slow": problem("slow", SLOW),
        "program": Problem.model_validate(program | {"reference": {"cases": cases, "time_limit_s": "auto"}}),
        "no gold": problem("no gold", None),
        "wrong gold": problem("wrong gold", "def f(x):\n    return 0"),
        "given": problem("given", QUICK, 7),
    }
    found = measure_limits(asked, None)
    assert found.keys() == {"quick", "slow", "program"}
    assert found["quick"] == AUTO_LEAST_S
    assert 1.2 <= found["slow"] < 30 and 1.0 <= found["program"] < 30
    limited = with_limits(asked, None)
    assert [limited[name].reference.limit_s for name in ("no gold", "given")] == [5.0, 7.0]


def test_many_problems_are_measured_in_several_processes() -> None:
    found = measure_limits({str(number): problem(str(number)) for number in range(20)}, None)
    assert found == {str(number): AUTO_LEAST_S for number in range(20)}


def test_limits_are_kept_when_a_run_goes_on(troop: Troop, write_sweep: WriteSweep) -> None:
    first = troop("run", write_sweep([row("a", SLOW), row("b", None)]), "--local", "--no-report", "--no-audit")
    assert first.code == 0, first.err
    assert "time limits by gold solutions for 1 of 2 problems" in first.err
    ((slow, default),) = planned()  # type: ignore[misc]
    assert slow is not None and slow >= 1.2 and default == 5.0
    again = troop("run", write_sweep([row("a", SLOW), row("b", None), row("c")], k=8), "--local", "--no-report")
    assert again.code == 0, again.err
    assert "time limits by gold solutions for 1 of 1 problem, 0.5 to 0.5 s" in again.err
    assert planned() == [[slow, default], [0.5]]
    assert stored() == [slow, default, 0.5]
    assert "time limits" not in troop("run", write_sweep([row("a", SLOW)], k=9), "--local", "--no-report").err


def test_a_hang_under_auto_costs_half_a_second(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    texts = (QUICK, "while True: pass")
    samples = [{"problem": "a", "sample": n, "text": f"```python\n{text}\n```"} for n, text in enumerate(texts)]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    write_sweep([row("a")])
    found = troop("verify", "--samples", "s.jsonl", "--task", "jsonl=problems.jsonl", "--out", "v.jsonl")
    assert found.code == 0, found.err
    right, hung = map(json.loads, (tmp_path / "v.jsonl").read_text().splitlines())
    assert (right["status"], hung["status"]) == ("pass", "timeout")
    assert hung["reason"].startswith("more than 0.5 s of CPU time (0.5")
    assert troop("audit", write_sweep([row("a")]), "--local").code == 0


def test_a_kind_has_the_limit_of_its_own_harness(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    (tmp_path / "h.jsonl").write_text(json.dumps(humaneval("h")) + "\n")
    sweep = write_sweep(tasks=[{"name": "sums", "kind": "humaneval", "path": "h.jsonl"}])
    assert troop("run", sweep, "--local", "--no-report").code == 0
    assert (planned(), stored()) == ([[3.0]], [3.0])
    given = {"name": "sums", "kind": "humaneval", "path": "h.jsonl", "limits": {"time_limit_s": 5}}
    found = troop("run", write_sweep(tasks=[given], k=8), "--local", "--no-report")
    assert found.code == 2
    assert "time_limit_s of problem 'h' was 3, is 5; give the sweep a new name" in found.err


def test_a_run_made_before_goes_on_with_the_limit_of_its_time(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    (tmp_path / "h.jsonl").write_text(json.dumps(humaneval("h")) + "\n")
    task = {"name": "sums", "kind": "humaneval", "path": "h.jsonl"}
    assert troop("run", write_sweep(tasks=[task]), "--local", "--no-report").code == 0
    plan = tmp_path / RUN / "plan.json"
    old = json.loads(plan.read_bytes())
    del old["problems"][0]["time_limits_s"]
    plan.write_bytes(seal(json.dumps(old | {"sha256": BLANK}, indent=1).encode()))
    assert planned() == [None]
    found = troop("run", write_sweep(tasks=[task], k=8), "--local", "--no-report")
    assert found.code == 0, found.err
    assert stored() == [5.0]


def test_the_digest_of_a_reference_without_a_limit_is_that_of_the_first_default() -> None:
    """Plans of stored runs, which have to continue, hold these digests."""
    function = {"id": "a", "prompt": "x", "verifier": "python", "reference": {"entry_point": "f", "tests": "x"}}
    assert Problem.model_validate(function).reference_digest == "a5c8bb1e14634118"
    program = {"id": "a", "prompt": "x", "verifier": "stdio", "reference": {"cases": [{"stdin": "", "stdout": ""}]}}
    assert Problem.model_validate(program).reference_digest == "61118fafda105c65"
    assert problem("a", QUICK, None).reference_digest == problem("a", QUICK, 5).reference_digest
    assert len({problem("a", QUICK, limit).reference_digest for limit in (None, 3, "auto")}) == 3


@pytest.mark.parametrize("limit", [0, -1, True, "10", "fast", [1]])
def test_a_bad_limit_is_named(limit: object, troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("run", write_sweep([row("a", QUICK, limit)]), "--local")
    assert found.code == 2
    assert f"time_limit_s: should be a number of seconds greater than 0, or auto, got {limit!r}" in found.err


def test_suites_are_not_measured(tmp_path: Path) -> None:
    sha = "0" * 40
    row = {"instance_id": "i", "repo": "a/b", "base_commit": sha, "problem_statement": "?", "patch": "", "version": "1"}
    row |= {"test_patch": "x", "FAIL_TO_PASS": '["t.py::a"]', "PASS_TO_PASS": "[]", "hints_text": ""}
    (tmp_path / "s.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(BadInput, match="'auto' is not for tasks judged by 'patch'"):
        load_task("swebench", tmp_path / "s.jsonl", limits=Limits(time_limit_s="auto"))
