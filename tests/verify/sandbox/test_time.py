"""Time limits count CPU seconds of a candidate and its test; wall time bounds the ones that sleep."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from verify.sandbox import limits
from verify.sandbox.limits import WALL_FACTOR, Deadline, Ended, Quota
from verify.sandbox.outcomes import Execution
from verify.sandbox.sandbox import Code, Sandbox, compiled
from verify.sandbox.warm import Checks
from verify.verdict import Status

LIMIT_S = 0.5
QUOTA = Quota.from_cpu(LIMIT_S, memory_mb=256)
BURNERS = 2
PATIENCE_S = 30.0  # how much later than its limit a verdict may come on a busy machine


@pytest.fixture
def busy() -> Iterator[None]:
    """Keeps two processes busy beside the test."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BURNERS)]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


def burns(share: float) -> str:
    return f"import time\nwhile time.process_time() < {share * LIMIT_S}: pass\n"


def checks(test: str = "def check(f):\n    assert f(1) == 1\n", setup: str = "") -> Checks:
    return Checks(compiled(setup, "setup.py"), ("f",), (compiled(test, "tests.py"),), calls_check=True)


def run(sandbox: Sandbox, mode: str, source: str, quota: Quota = QUOTA) -> Execution:
    if mode == "stdio":
        return sandbox.run_stdio(Code(source), "", quota)
    code = Code(f"{source}\ndef f(x):\n    return x\n")
    return sandbox.call_cases(code, "f", [[1]], quota) if mode == "cases" else sandbox.run_test(code, checks(), quota)


MODES = pytest.mark.parametrize("mode", ["stdio", "cases", "test"])


@MODES
@pytest.mark.usefixtures("busy")
def test_a_busy_machine_changes_no_verdict(sandbox: Sandbox, mode: str) -> None:
    """Sixty per cent of the limit are enough, every time; 140 % are too much."""
    for _ in range(3):
        assert run(sandbox, mode, burns(0.6)).status in (None, Status.PASS)
    over = run(sandbox, mode, burns(1.4))
    assert over.status is Status.TIMEOUT
    assert "0.5 s of CPU time" in over.reason


@MODES
def test_half_a_second_is_possible(sandbox: Sandbox, mode: str) -> None:
    found = run(sandbox, mode, "while True: pass")
    assert found.status is Status.TIMEOUT
    assert LIMIT_S <= found.cpu_s < LIMIT_S + PATIENCE_S


@MODES
@pytest.mark.parametrize("sleep", ["import time\ntime.sleep(99)", "import os\nos.read(os.pipe()[0], 1)"])
def test_a_sleeper_is_ended_at_the_wall_bound(sandbox: Sandbox, mode: str, sleep: str) -> None:
    quota = Quota.from_cpu(0.1, memory_mb=256)
    began = time.monotonic()
    found = run(sandbox, mode, sleep, quota)
    assert found.status is Status.TIMEOUT
    assert "more than 0.4 s of wall time" in found.reason
    assert 0.4 <= time.monotonic() - began < 0.4 + PATIENCE_S


THREADS = """
import threading, time
def burn():
    while time.thread_time() < {each}: pass
threads = [threading.Thread(target=burn) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@MODES
def test_threads_count_together(sandbox: Sandbox, mode: str) -> None:
    assert run(sandbox, mode, THREADS.format(each=0.3 * LIMIT_S)).status in (None, Status.PASS)
    found = run(sandbox, mode, THREADS.format(each=0.7 * LIMIT_S))
    assert found.status is Status.TIMEOUT
    assert "CPU time" in found.reason


def test_threads_in_parallel_end_before_one_alone_would(sandbox: Sandbox) -> None:
    source = """
import hashlib, threading
for _ in range(4):
    threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"x", b"y", 10**9)).start()
"""
    found = run(sandbox, "stdio", source)
    assert found.status is Status.TIMEOUT
    assert LIMIT_S <= found.cpu_s < LIMIT_S + PATIENCE_S


def test_a_candidate_and_its_test_count_together(sandbox: Sandbox) -> None:
    slow = "import time\ndef check(f):\n    began = time.process_time()\n    assert f(1) == 1\n"
    slow += f"    while time.process_time() - began < {0.6 * LIMIT_S}: pass\n"
    code = "def f(x):\n    return x\n"
    assert sandbox.run_test(Code(code), checks(slow), QUOTA).status is Status.PASS
    both = sandbox.run_test(Code(burns(0.6) + code), checks(slow), QUOTA)
    assert both.status is Status.TIMEOUT
    assert both.cpu_s >= LIMIT_S


def test_an_earlier_candidate_of_a_test_process_is_not_charged_to_a_later_one(sandbox: Sandbox) -> None:
    slow = "import time\ndef check(f):\n    began = time.process_time()\n    assert f(1) == 1\n"
    slow += f"    while time.process_time() - began < {0.4 * LIMIT_S}: pass\n"
    found = [sandbox.run_test(Code("def f(x):\n    return x\n"), checks(slow), QUOTA) for _ in range(4)]
    assert {one.status for one in found} == {Status.PASS}
    assert all(one.cpu_s < LIMIT_S for one in found)


def test_a_busy_candidate_is_not_taken_for_a_set_up_that_hangs(sandbox: Sandbox) -> None:
    """A fault must be out of a candidate's reach, though the set-up takes longer than it needs to time out."""
    slow = f"import time\nwhile time.process_time() < {0.3 * LIMIT_S}: pass\ntime.sleep({LIMIT_S})"
    found = sandbox.run_test(Code("while True: pass"), checks(setup=slow), QUOTA)
    assert found.status is Status.TIMEOUT
    assert sandbox.run_test(Code("def f(x):\n    return x\n"), checks(setup=slow), QUOTA).status is Status.PASS
    assert sandbox.run_test(Code("while True: pass"), checks(setup="while True: pass"), QUOTA).status is Status.FAULT


@pytest.mark.parametrize("hang", ["while True: pass", "import time\ntime.sleep(99)"])
def test_a_hung_candidate_holds_up_no_other(sandbox: Sandbox, hang: str) -> None:
    began = time.monotonic()
    found = [run(sandbox, "test", source).status for source in ("", hang, "", "", hang, "")]
    right, late = Status.PASS, Status.TIMEOUT
    assert found == [right, late, right, right, late, right]
    assert time.monotonic() - began < 2 * WALL_FACTOR * LIMIT_S + PATIENCE_S


def test_a_run_that_used_too_much_is_late_however_it_ended() -> None:
    ended = Ended(wait_status=0, cpu_s=LIMIT_S + 0.01, max_rss_mb=9.0, wall_s=0.6, confined=True)
    assert ended.problem(QUOTA) == (Status.TIMEOUT, "more than 0.5 s of CPU time (0.51 s)")


class Clock:
    """A clock that the test sets, and a run that uses one core."""

    def __init__(self) -> None:
        self.now, self.looks, self.share, self.waited = 0.0, 0, 1.0, 0.0

    def cpu_s(self) -> float:
        self.looks += 1
        return self.now * self.share

    def deadline(self, wall_s: float, cpu_s: float) -> Deadline:
        return Deadline(0.0, wall_s, cpu_s, self.cpu_s, lambda: self.waited)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(limits, "_CORES", 4)
    return made


def follow(clock: Clock, deadline: Deadline) -> float:
    """Returns the time at which the deadline ends a run that is looked at only when it asks for that."""
    while left := deadline.left_s():
        clock.now += left
    return clock.now


def test_the_time_is_looked_at_seldom_and_the_end_is_exact(clock: Clock) -> None:
    assert follow(clock, clock.deadline(wall_s=12.0, cpu_s=3.0)) == pytest.approx(3.0, abs=limits.TICK_S)
    assert clock.looks < 25


def test_a_starved_run_gets_its_waiting_time_back_once(clock: Clock) -> None:
    clock.share, clock.waited = 0.1, math.inf
    deadline = clock.deadline(wall_s=4.0, cpu_s=1.0)
    assert follow(clock, deadline) == pytest.approx(8.0, abs=0.01)
    assert deadline.exceeded == "more than 4 s of wall time (8.00 s, of them 0.80 s of CPU time)"
