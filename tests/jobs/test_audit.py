"""The audit with real verifiers: no finding in sound tasks, and one for each way in which a task can mislead."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cluster.trial_rounds import audit_cluster, audit_here
from jobs.audit import check_gold
from sampling.errors import BadInput
from sampling.problems import Problem
from tests.conftest import Troop, WriteSweep
from tests.support.living import living
from verify.trials import Audit, Surprise, Tried, plan_audit, spread, surprises, try_batch
from verify.verdict import Status
from verify.verifiers import Verifiers

DOUBLE = "def f(x):\n    return 2 * x"
CASE = {"stdin": "2\n", "stdout": "4\n"}
CHECK = "def check(candidate):\n    assert {}\n"


def row(name: str, verifier: str, reference: dict[str, Any], solution: str | None) -> dict[str, Any]:
    return {"id": name, "prompt": "?", "verifier": verifier, "reference": reference, "solution": solution}


def function(name: str, solution: str | None = DOUBLE, expected: int = 4) -> dict[str, Any]:
    cases = [{"args": [2], "expected": expected}]
    return row(name, "python", {"entry_point": "f", "cases": cases}, solution)


def with_test(name: str, condition: str, solution: str) -> dict[str, Any]:
    return row(name, "python", {"entry_point": "f", "tests": CHECK.format(condition)}, solution)


def program(name: str, solution: str | None) -> dict[str, Any]:
    return row(name, "stdio", {"cases": [CASE]}, solution)


SOUND = [
    function("cases"),
    with_test("tests", "candidate(2) == 4", DOUBLE),
    with_test("falsy", "not candidate(2)", "def f(x):\n    return False"),
    row("asserts", "python", {"asserts": ["assert f(2) == 4"]}, DOUBLE),
    row(
        "shared",
        "python",
        {"asserts": ["assert f(Two()) == 4"], "shared": True},
        f"class Two:\n    __rmul__ = lambda self, x: 2 * x\n{DOUBLE}",
    ),
    program("stdio", "print(int(input()) * 2)"),
    row("silent", "stdio", {"cases": [{"stdin": "", "stdout": ""}]}, "x = 1"),
    row("math", "math", {"answer": "\\frac{1}{2}"}, "\\boxed{0.5}"),
    row("choice", "choice", {"answer": "(B)"}, "The answer is B."),
    row("exact", "exact", {"answer": "yes"}, "yes"),
    function("no gold", None),
]


def problems(*rows: dict[str, Any]) -> list[Problem]:
    return [Problem.model_validate(row) for row in rows]


@pytest.fixture(scope="module")
def verifiers() -> Iterator[Verifiers]:
    with Verifiers(remembered=0) as verifiers:
        yield verifiers


def audited(verifiers: Verifiers, *rows: dict[str, Any]) -> dict[str, str]:
    """Tries everything once; returns the findings by problem and check."""
    audit = plan_audit({"t": problems(*rows)}, None)
    tried = dict(enumerate(try_batch(verifiers, audit.problems, audit.trials)))
    return {f"{found.trial.problem}: {found.trial.known.check}": found.got for found in surprises(audit, [tried])}


def test_nothing_is_found_where_all_is_well(verifiers: Verifiers) -> None:
    assert audited(verifiers, *SOUND) == {}


def test_what_tasks_get_wrong_is_named_once(verifiers: Verifiers) -> None:
    endless = program("endless", "while True: pass") | {"reference": {"cases": [CASE], "time_limit_s": 0.5}}
    wrong = [
        function("wrong", expected=5),
        function("no program", "no program (at all"),
        with_test("broken test", "helper(1)", DOUBLE),
        with_test("lenient test", "candidate(2) or True", DOUBLE),
        row("two choices", "choice", {"answer": "both"}, "A"),
        row("another number", "math", {"answer": "4"}, "\\boxed{5}"),
        endless,
    ]
    assert audited(verifiers, *wrong, *SOUND[-3:]) == {
        "wrong: gold": "fail",
        "no program: gold": "invalid",
        "broken test: gold": "fault",
        "lenient test: return None": "pass",
        "two choices: gold": "fault",
        "another number: gold": "fail",
        "endless: gold": "timeout",
    }


def test_limits_are_tried_once_for_each_way_of_judging(verifiers: Verifiers) -> None:
    audit = plan_audit({"t": problems(*SOUND, function("again"), program("twice", None))}, None)
    limits = [(t.problem, t.known.check) for t in audit.trials if t.within_s is not None]
    functions = [(name, f"limit: {what}") for name in ("cases", "tests", "asserts", "shared")
                 for what in ("timeout", "memory")]  # fmt: skip
    assert limits == functions + [("stdio", f"limit: {what}") for what in ("timeout", "memory", "output")]


def test_a_limit_that_does_not_hold_is_found() -> None:
    audit = plan_audit({"t": problems(program("p", None))}, None)
    tried = {number: Tried(Status.FAIL, "wrong output", 0.0) for number in range(len(audit.trials))}
    assert [found.expected for found in surprises(audit, [tried])] == ["timeout", "memory", "output"]


def test_a_limit_that_holds_too_late_is_a_fault(verifiers: Verifiers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.trials.LATE_S", -10.0)
    found = audited(verifiers, program("p", None))
    assert found == {f"p: limit: {what}": "fault" for what in ("timeout",)}


def same(audit: Audit, *statuses: Status) -> list[Surprise]:
    return surprises(audit, [{0: Tried(status, "", 0.0)} for status in statuses])


def test_verdicts_that_change_are_found() -> None:
    audit = Audit({}, plan_audit({"t": problems(SOUND[-2])}, None).trials[1:2])  # a wrong answer
    assert same(audit, Status.FAIL, Status.FAIL) == []
    (found,) = same(audit, Status.FAIL, Status.CRASH, Status.FAIL)
    assert (found.got, found.reason) == ("crash, fail", "3 times the same completion")


def test_each_round_has_its_order_and_limits_come_once() -> None:
    audit = plan_audit({"t": problems(*SOUND)}, None)
    first, second, third = audit.rounds(3)
    assert first == list(range(len(audit.trials)))
    assert sorted(second) == sorted(third) == [n for n in first if audit.trials[n].within_s is None]
    assert second != third and audit.rounds(3)[1] == second


def test_problems_are_spread_over_the_task() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread("ab", 5) == ["a", "b"]
    assert spread("ab", None) == ["a", "b"]


FLAKY = "import time\ndef f(x):\n    return 2 * x + time.time_ns() // 1000 % 2"


def on_this_machine(audit: Audit) -> Any:
    return audit_here(audit, 2, None, lambda done, total: None)


def test_all_rounds_on_this_machine() -> None:
    """Forty solutions are right every second time, so some of their verdicts change."""
    audit = plan_audit({"t": problems(*SOUND, *(function(f"flaky {n}", FLAKY) for n in range(40)))}, None)
    (here,) = on_this_machine(audit)
    assert here.verdicts == sum(map(len, audit.rounds(2)))
    found = here.surprises(audit)
    assert found and all(surprise.trial.problem.startswith("flaky") for surprise in found)


def test_a_sandbox_that_is_not_there_is_a_fault_of_each_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.sandbox.tiers.landlock_abi", lambda: 0)
    with Verifiers(remembered=0) as verifiers:
        found = audited(verifiers, *SOUND[:2], SOUND[-2])
    assert found == {"cases: gold": "fault", "tests: gold": "fault"}


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
def test_every_node_of_a_cluster_is_audited(two_nodes: str) -> None:
    audit = plan_audit({"t": problems(*SOUND[-4:], function("bad", expected=5))}, None)
    seen: list[tuple[int, int]] = []
    nodes = audit_cluster(audit, 2, None, lambda done, total: seen.append((done, total)), two_nodes)
    each = sum(map(len, audit.rounds(2)))
    assert [node.verdicts for node in nodes] == [each, each]
    assert len({node.node for node in nodes}) == 2 and all(node.seconds > 0 for node in nodes)
    assert seen[-1] == (2 * each, 2 * each)
    assert [[f.trial.problem for f in node.surprises(audit)] for node in nodes] == [["bad"], ["bad"]]


def test_a_verifier_that_dies_is_a_fault_of_its_node(two_nodes: str) -> None:
    slow = "import time\ndef f(x):\n    time.sleep(0.5)\n    return 2 * x"
    audit = plan_audit({"t": problems(*SOUND[-2:], *(function(f"slow {n}", slow) for n in range(12)))}, None)
    ended = threading.Event()

    def kill_once() -> bool:
        while not (found := living("ray::AuditActor.try_batch")):
            if ended.wait(0.02):
                return False
        found[0].kill()
        return True

    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kill_once)
        nodes = audit_cluster(audit, 1, None, lambda done, total: None, two_nodes)
        ended.set()
        assert killed.result()
    found = [{surprise.got for surprise in node.surprises(audit)} for node in nodes]
    assert sorted(found, key=len) == [set(), {"fault"}]


def test_the_command_says_what_was_proven(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("audit", write_sweep(SOUND[-6:]), "--local", "--repeats", "1")
    assert found.code == 0, found.out
    assert "task sums: 5 of 5 gold solutions (6 problems)" in found.out
    assert "audit: every verdict is as expected; this machine" in found.out
    assert "verdicts in 0:" in found.err


def test_the_command_names_what_failed_and_ends_with_2(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([*SOUND[-3:], function("bad", expected=5)])
    found = troop("audit", sweep, "--local", "--repeats", "1", "--json")
    assert found.code == 2
    report = json.loads(found.out)
    assert [list(finding.values()) for finding in report["findings"]] == [
        ["sums", "bad", "gold", "this machine", "pass", "fail", "case 1 of 1: got 4, expected 5"]
    ]
    assert report["nodes"][0]["verdicts"] == report["tasks"][0]["completions"]


def test_a_task_without_gold_is_said_to_prove_nothing(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("audit", write_sweep([row("p", "exact", {"answer": "yes"}, None)]), "--local")
    assert (found.code, "task sums: no gold solutions: nothing proven" in found.out) == (0, True)


def test_a_run_refuses_a_task_whose_gold_solutions_fail(troop: Troop, write_sweep: WriteSweep, tmp_path: Any) -> None:
    sweep = write_sweep([*SOUND[-3:], function("bad", expected=5)], verify={})
    found = troop("run", sweep, "--local")
    assert found.code == 2
    line = found.err.strip().splitlines()[-1]  # after the warning of a problem without a solution
    assert "task sums: 1 of the 3 gold solutions tried do not pass: 'bad': fail (case 1 of 1" in line
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "sweep.yaml"}
    assert troop("run", sweep, "--local", "--no-report", "--no-audit").code == 0


def test_a_run_tries_gold_solutions_only_where_there_is_something_to_do(troop: Troop, write_sweep: WriteSweep) -> None:
    sweep = write_sweep([SOUND[-2], row("q", "exact", {"answer": "no"}, None)], verify={})
    first = troop("run", sweep, "--local", "--no-report")
    assert "troop: gold solutions: 1 tried, all pass" in first.err
    assert "gold solutions" not in troop("run", sweep, "--local", "--no-report").err


def test_gold_first_stops_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {"a": problems(*SOUND[:2]), "b": problems(SOUND[-1])}
    assert check_gold(tasks, 8, None) == "gold solutions: 2 tried, all pass; task b has none"
    monkeypatch.setattr("jobs.audit.GOLD_FIRST_S", 0.0)
    assert check_gold(tasks, 8, None) == "gold solutions: 0 tried, all pass; 2 left out after 0 s; task b has none"


def test_gold_first_names_a_missing_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.sandbox.tiers.landlock_abi", lambda: 0)
    with pytest.raises(BadInput, match=r"no Landlock.*--no-audit"):
        check_gold({"a": problems(SOUND[0])}, 8, None)
