"""A test process meets many candidates, and none of them can tell."""

import os
import signal
from collections.abc import Iterator

import pytest

from verify.sandbox import tiers, warm
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox, compiled
from verify.sandbox.warm import Checks
from verify.verdict import Status

QUOTA = Quota(wall_s=10.0, memory_mb=256)
SHORT = Quota(wall_s=0.5, memory_mb=256)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        made = Sandbox()
    except tiers.TierUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made


def checks(test: str, setup: str = "") -> Checks:
    return Checks(compiled(setup, "setup.py"), ("f",), (compiled(test, "tests.py"),), calls_check=True)


def status(sandbox: Sandbox, test: Checks, source: str, quota: Quota = QUOTA) -> Status | None:
    return sandbox.run_test(Code(source), test, quota).status


def test_pid(sandbox: Sandbox) -> int:
    return sandbox._supervisor("test", ()).child_pid()


test_pid.__test__ = False  # type: ignore[attr-defined]
ADDS = checks("def check(f):\n    assert f(1) == 2\n")
RIGHT, WRONG = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"


def test_one_process_judges_many_candidates_of_a_problem(sandbox: Sandbox) -> None:
    assert status(sandbox, ADDS, RIGHT) is Status.PASS
    first = test_pid(sandbox)
    found = [status(sandbox, ADDS, source) for source in (WRONG, RIGHT, "x = 1", "raise OSError", RIGHT)]
    assert found == [Status.FAIL, Status.PASS, Status.FAIL, Status.FAIL, Status.PASS]
    assert test_pid(sandbox) == first


def test_problems_may_alternate(sandbox: Sandbox) -> None:
    doubles = checks("def check(f):\n    assert f(3) == 6\n")
    for _ in range(3):
        assert status(sandbox, ADDS, RIGHT) is Status.PASS
        assert status(sandbox, doubles, "def f(x):\n    return x * 2\n") is Status.PASS
        assert status(sandbox, doubles, RIGHT) is Status.FAIL


def test_what_a_candidate_changed_is_forgotten(sandbox: Sandbox) -> None:
    test = checks("def check(f):\n    f(SHARED)\n    assert SHARED == [1, 2]\n", setup="SHARED = [1]")
    appends, does_not = "def f(x):\n    x.append(2)\n", "def f(x):\n    pass\n"
    assert [status(sandbox, test, source) for source in (appends, does_not, appends)] == ["pass", "fail", "pass"]


def test_every_candidate_meets_the_same_random_numbers(sandbox: Sandbox) -> None:
    test = checks("import random\ndef check(f):\n    assert f(random.random()) == 'never'\n")
    answers = {sandbox.run_test(Code("def f(x):\n    raise ValueError(x)\n"), test, QUOTA).reason for _ in range(4)}
    assert len(answers) == 1


def test_a_candidate_that_hangs_costs_the_next_nothing(sandbox: Sandbox) -> None:
    assert status(sandbox, ADDS, "def f(x):\n    while True: pass\n", SHORT) is Status.TIMEOUT
    assert status(sandbox, ADDS, RIGHT, SHORT) is Status.PASS


def test_a_test_process_that_was_killed_is_replaced(sandbox: Sandbox) -> None:
    assert status(sandbox, ADDS, RIGHT) is Status.PASS
    os.kill(test_pid(sandbox), signal.SIGKILL)
    assert status(sandbox, ADDS, RIGHT) is Status.PASS


def test_memory_that_earlier_candidates_used_up_is_not_charged_to_a_later_one(sandbox: Sandbox) -> None:
    keeps = "import sys\ndef check(f):\n    sys.modules.setdefault('kept', []).append(bytearray(f(1)))\n"
    test, quota = checks(keeps), Quota(wall_s=10.0, memory_mb=64)
    assert {status(sandbox, test, "def f(x):\n    return 25 << 20\n", quota) for _ in range(5)} == {Status.PASS}


def test_a_process_is_retired_in_time(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "CANDIDATES", 2)
    test = checks("def check(f):\n    assert f(2) == 3\n")
    pids = []
    for _ in range(4):
        assert status(sandbox, test, RIGHT) is Status.PASS
        pids.append(test_pid(sandbox))
    assert pids[0] == pids[1] != pids[2] == pids[3]
