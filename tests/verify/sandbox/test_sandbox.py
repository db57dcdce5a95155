"""Promises of the sandbox, in every tier that this machine gives. The long list of attacks is in tests/attacks."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sampling.errors import BadInput
from tests.support.places import ROOT
from verify.sandbox import supervisor, tiers
from verify.sandbox.limits import Quota
from verify.sandbox.outcomes import Execution, Raised
from verify.sandbox.sandbox import Code, Sandbox, compiled
from verify.sandbox.warm import Checks
from verify.verdict import Status

QUOTA = Quota(wall_s=10.0, memory_mb=256)
SHORT = Quota(wall_s=0.5, memory_mb=256)
PATIENCE_S = 30.0  # how much later than its limit a verdict may come on a busy machine
HONEST = Code("def f(x):\n    return x + 1\n")


def call(sandbox: Sandbox, source: str, *arguments: Any, quota: Quota = QUOTA) -> Execution:
    return sandbox.call_cases(Code(source), "f", [list(arguments)], quota)


def is_well(sandbox: Sandbox) -> bool:
    return sandbox.call_cases(HONEST, "f", [[1], [2]], QUOTA).answers == (2, 3)


def worked(sandbox: Sandbox, attempt: str) -> Any:
    """Returns the result of an attempt, or the name of its error."""
    run = call(sandbox, f"import ctypes, os, socket, threading\ndef f():\n    return {attempt}\n")
    assert run.status is None, run.reason
    answer = run.answers[0]
    return str(answer).partition(":")[0] if isinstance(answer, Raised) else answer


def test_answers_are_plain_values(sandbox: Sandbox) -> None:
    run = sandbox.call_cases(Code("def f(a, b=2):\n    return [(a, b), {a: {b}}, None]\n"), "f", [[1], [3, 4]], QUOTA)
    assert run.answers == ([(1, 2), {1: {2}}, None], [(3, 4), {3: {4}}, None])
    assert run.status is None
    assert 0 < run.cpu_s < 5
    assert 1 < run.max_rss_mb < 200


def test_programs_read_and_print(sandbox: Sandbox) -> None:
    source = "import sys, os\nprint(sys.stdin.read()[::-1], os.fstat(0).st_size, __name__, file=sys.stdout)\n"
    run = sandbox.run_stdio(Code(source), "abc", QUOTA)
    assert (run.status, run.output) == (None, "cba 3 __main__\n")


@pytest.mark.parametrize(
    "source",
    [
        "print('ok')\nexit()\n",
        "import sys\nprint('ok')\nsys.exit(0)\n",
        "import atexit\natexit.register(print, 'ok')\n",
        "import threading\nthreading.Thread(target=print, args=('ok',)).start()\n",
        "import threading\nthreading.stack_size(512 << 20)\nthreading.Thread(target=print, args=('ok',)).start()\n",
        "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    print('ok')\nasyncio.run(main())\n",
        "import sys\nsys.stderr.write('x' * 100000)\nprint('ok')\n",
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n):\n    return n and f(n - 1)\nf(50000)\nprint('ok')\n",
        "from concurrent.futures import ThreadPoolExecutor as P\nwith P(4) as p:\n    print(*p.map(str, ['ok']))\n",
        "import sqlite3, hashlib, zoneinfo, csv, xml.dom.minidom, logging\nprint('ok')\n",
        "import os\nos.write(1, b'ok\\n')\nos._exit(0)\n",
    ],
)
def test_honest_programs_run(sandbox: Sandbox, source: str) -> None:
    run = sandbox.run_stdio(Code(source), "", QUOTA)
    assert (run.status, run.output) == (None, "ok\n"), run.reason


@pytest.mark.parametrize(
    ("source", "status", "word"),
    [
        ("while True: pass", Status.TIMEOUT, "0.5 s"),
        ("import time\ntime.sleep(99)", Status.TIMEOUT, "0.5 s"),
        ("import os\nos.kill(os.getpid(), 19)", Status.TIMEOUT, "0.5 s"),
        ("import atexit\n@atexit.register\ndef _():\n    while True: pass", Status.TIMEOUT, "0.5 s"),
        ("x = bytearray(1 << 30)", Status.MEMORY, "MemoryError"),
        ("while True: print('x' * 65536)", Status.OUTPUT, "bytes"),
        ("import os\nwhile True: os.write(2, b'x' * 65536)", Status.OUTPUT, "bytes"),
        ("1 / 0", Status.CRASH, "ZeroDivisionError"),
        ("def", Status.CRASH, "SyntaxError"),
        ("import os\nos.abort()", Status.CRASH, "SIGABRT"),
        ("import os\nos._exit(7)", Status.CRASH, "7"),
        ("import sys\nsys.exit('bye')", Status.CRASH, "bye"),
        ("import ctypes\nctypes.string_at(0)", Status.CRASH, "SIGSEGV"),
        ("import os\nos.fork()", Status.CRASH, "PermissionError"),
    ],
)
def test_how_programs_end(sandbox: Sandbox, source: str, status: Status, word: str) -> None:
    run = sandbox.run_stdio(Code(source), "", SHORT)
    assert run.status is status, run.reason
    assert word in run.reason
    assert is_well(sandbox)


def test_a_sleeper_is_ended_on_time(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert call(sandbox, "import time\ndef f():\n    time.sleep(99)", quota=SHORT).status is Status.TIMEOUT
    assert SHORT.wall_s <= time.monotonic() - began < SHORT.wall_s + PATIENCE_S


def test_processor_time_is_bounded_across_threads(sandbox: Sandbox) -> None:
    source = """
import hashlib, threading, time
def f():
    for _ in range(4):
        threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"x", b"y", 10**9)).start()
    time.sleep(99)
"""
    run = call(sandbox, source, quota=Quota(wall_s=20.0, memory_mb=256, cpu_s=0.1))
    assert run.status is Status.TIMEOUT
    assert "CPU" in run.reason


def test_the_signal_of_used_up_time_cannot_be_ignored(sandbox: Sandbox) -> None:
    source = "import signal\ndef f():\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True: pass\n"
    run = call(sandbox, source, quota=Quota(wall_s=20.0, memory_mb=256, cpu_s=0.1))
    assert run.status is Status.TIMEOUT
    assert "CPU" in run.reason


def test_memory_is_bounded(sandbox: Sandbox) -> None:
    source = "def f():\n    kept = []\n    while True:\n        kept.append(bytearray(b'x') * (1 << 20))\n"
    run = call(sandbox, source)
    assert run.status is Status.MEMORY
    assert run.max_rss_mb < QUOTA.memory_mb + 64


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd').read()",
        "os.listdir('/proc')",
        "open('/proc/self/environ').read()",
        "open('/proc/self/mem', 'rb+')",
        "open('/dev/shm/troop-test', 'w')",
        "open(os.path.dirname(os.__file__) + '/os.py', 'a')",
        "os.truncate(os.path.dirname(os.__file__) + '/os.py', 0)",
        "os.chmod(os.__file__, 0o777)",
        "os.utime(os.__file__, (1, 1))",
        "os.setxattr(os.__file__, 'user.x', b'1')",
        "os.link(os.__file__, 'x')",
        "socket.socket()",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "os.kill(os.getppid(), 0)",
        "os.kill(-1, 9)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.setuid(0)",
        "os.memfd_create('x')",
        "os.sched_setaffinity(os.getppid(), {0})",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "os.pidfd_open(os.getppid())",
    ],
)
def test_what_is_forbidden_fails(sandbox: Sandbox, attempt: str) -> None:
    assert worked(sandbox, attempt) in ("PermissionError", "FileNotFoundError", "OSError")


def test_nothing_is_inherited(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Sandbox(sandbox.tier) as fresh:
        assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & set(worked(fresh, "dict(os.environ)"))
        names = worked(fresh, "[m for m in __import__('sys').modules if m.startswith('verify')]")
        assert names == []
        assert str(ROOT) not in worked(fresh, "__import__('sys').path")


OPEN = """
import os
def f():
    found = []
    for number in range(1024):
        try:
            found.append((number, os.fstat(number).st_mode >> 12))
        except OSError:
            pass
    return found
"""
FOLDER = 4  # the interpreter's own, kept open where only root may enter it


def descriptors(sandbox: Sandbox) -> list[int]:
    (found,) = call(sandbox, OPEN).answers
    return [number for number, kind in found if kind != FOLDER]


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('fcntl').flock(os.open(os.__file__, 0), 1)",
        "__import__('fcntl').lockf(os.open('/dev/null', 2), 6)",
        "os.fsync(os.open(os.__file__, 0))",
        "os.fdatasync(os.open(os.__file__, 0))",
        "os.readlink('/etc/mtab')",
        "(lambda pair: pair[0].send(b'x', socket.MSG_OOB))(socket.socketpair())",
        "os.open('/tmp', os.O_TMPFILE | os.O_RDWR)",
    ],
)
def test_nothing_of_the_machine_is_held_or_told(sandbox: Sandbox, attempt: str) -> None:
    assert worked(sandbox, attempt) in ("PermissionError", "FileNotFoundError", "OSError")


@pytest.mark.parametrize("call", ["sysinfo(b)", "mincore(b, 4096, b)", "syscall(324, 0, 0, 0)"])
def test_calls_that_tell_of_the_machine_are_refused(sandbox: Sandbox, call: str) -> None:
    source = f"(lambda libc, b: libc.{call})(ctypes.CDLL(None), ctypes.create_string_buffer(4096))"
    assert worked(sandbox, source) == -1


def test_the_host_has_no_name(sandbox: Sandbox) -> None:
    names = "(os.uname().nodename, socket.gethostname(), __import__('platform').node())"
    assert worked(sandbox, names) == ("sandbox",) * 3
    raw = "(lambda libc, b: (libc.uname(b), bytes(b)))(ctypes.CDLL(None), ctypes.create_string_buffer(390))"
    assert os.uname().nodename.encode() + b"\0" not in worked(sandbox, raw)[1]


DATABASE = """
import os, sqlite3
try:
    made = sqlite3.connect("a.db")
    with made:
        made.execute("create table a (b)")
        made.execute("insert into a values (3)")
    made.close()
    with open("x", "w") as file:
        file.write("y"); file.flush(); os.fsync(file.fileno()); os.fsync(file)
    print(sqlite3.connect("a.db").execute("select b from a").fetchall())
except (OSError, sqlite3.Error):
    print("[(3,)]" if os.getcwd() == "/" else "broken")
"""


def test_databases_in_own_files_work_without_locks(sandbox: Sandbox) -> None:
    assert sandbox.run_stdio(Code(DATABASE), "", QUOTA).output == "[(3,)]\n"
    if sandbox.tier == "isolated":
        step_source = DATABASE.replace("print(", "assert str(").replace("fetchall())", "fetchall()) == '[(3,)]'")
        test = Checks(step(""), ("f",), (step(step_source + "assert f(1) == 2"),), calls_check=False)
        assert sandbox.run_test(HONEST, test, QUOTA).status is Status.PASS


@pytest.mark.parametrize(
    "held",
    [
        "m = __import__('mmap').mmap(-1, 100 << 20)\nfor at in range(0, len(m), 4096): m[at] = 1",
        "open('/tmp/a', 'wb').write(bytes(15 << 20)) if __import__('os').getcwd() != '/' else 1/0\n"
        "x = bytearray(b'x') * (60 << 20)",
    ],
)
def test_memory_is_bounded_with_shared_maps_and_files(sandbox: Sandbox, held: str) -> None:
    run = sandbox.run_stdio(Code(held), "", Quota(wall_s=10.0, memory_mb=64))
    assert run.status is Status.MEMORY or sandbox.tier == "confined"
    assert run.status is not None
    assert is_well(sandbox)


SOCKETS = """
import ctypes, socket, threading
libc, held, go = ctypes.CDLL(None), [], threading.Event()
def each():
    keep, n = [], 0
    libc.syscall(436, 200, 300, 2)
    try:
        while True:
            for one in socket.socketpair():
                one.setblocking(False); keep.append(one)
                try:
                    while True: n += one.send(bytes(4096))
                except BlockingIOError: pass
    except OSError: pass
    held.append(n)
    go.wait(1)
def f():
    threads = [threading.Thread(target=each, daemon=True) for _ in range(8)]
    [thread.start() for thread in threads]
    while len(held) < 8: pass
    return sum(held) >> 20
"""


def test_no_thread_has_descriptors_of_its_own_to_fill(sandbox: Sandbox) -> None:
    (megabytes,) = call(sandbox, SOCKETS).answers
    assert megabytes < 40


HOG = """
import threading, time
threading.stack_size(32768)
try:
    while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
except RuntimeError: time.sleep(2)
"""
NEIGHBOUR = """
import threading, time
threading.stack_size(65536)
for _ in range(50): threading.Thread(target=time.sleep, args=(0.01,)).start()
print("ok")
"""


@pytest.mark.slow
def test_a_hog_of_threads_takes_none_from_its_neighbours(sandbox: Sandbox) -> None:
    with Sandbox(sandbox.tier) as other:
        hogs = [threading.Thread(target=other.run_stdio, args=(Code(HOG), "", Quota(6.0, 1024))) for _ in range(3)]
        for hog in hogs:
            hog.start()
        found = []
        while any(hog.is_alive() for hog in hogs):
            found.append(sandbox.run_stdio(Code(NEIGHBOUR), "", QUOTA).output)
        assert set(found) == {"ok\n"}


def test_descriptors_are_only_the_channel(sandbox: Sandbox) -> None:
    assert descriptors(sandbox) == [0, 1, 2, 3]


@pytest.mark.parametrize("many", [17, 60, 130])
def test_descriptors_are_only_the_channel_of_a_supervisor_with_many_files(sandbox: Sandbox, many: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(many):
            stack.enter_context(Path("/dev/null").open("rb"))
        with Sandbox(sandbox.tier) as fresh:
            assert descriptors(fresh) == [0, 1, 2, 3]


def test_scratch_is_empty_for_every_sample(sandbox: Sandbox) -> None:
    if sandbox.tier != "isolated":
        assert worked(sandbox, "open('x', 'w')") in ("PermissionError", "OSError")
        return
    litter = "import os\nfor i in range(200):\n    os.mkdir('d')\n    os.chdir('d')\nopen('x', 'w').write('y')\n"
    litter += "os.symlink('/', 'link')\nos.umask(0o777)\nos.mkdir('closed')\ndef f():\n    return os.getcwd()\n"
    assert call(sandbox, litter).status is None
    assert worked(sandbox, "os.listdir('/tmp')") == []
    assert worked(sandbox, "open('x', 'w').write('y' * (64 << 20))") == "OSError"
    assert is_well(sandbox)


def test_an_ended_candidate_leaves_nothing(sandbox: Sandbox) -> None:
    before = children_of(sandbox)
    spawner = """
import threading, time
def f():
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(99,)).start()
    return 1
"""
    assert call(sandbox, spawner).answers == (1,)
    assert children_of(sandbox) == before


def children_of(sandbox: Sandbox) -> list[int]:
    (process, *_) = [entry._process.pid for entry in sandbox._supervisors.values()]
    return [pid for parent in (process, *supervisor._children(process)) for pid in supervisor._children(parent)]


def test_forged_messages_are_no_answers(sandbox: Sandbox) -> None:
    source = """
import os, struct
body = b"[[0,2]]"
for descriptor in range(3, 200):
    try:
        os.write(descriptor, struct.pack("<I", len(body)) + body + b"x")
    except OSError:
        pass
def f():
    pass
"""
    run = call(sandbox, source)
    assert run.status is Status.CRASH
    assert run.answers == ()


@pytest.mark.parametrize("how", ["os._exit(0)", "raise SystemExit(0)", "os.kill(os.getpid(), 9)", "os.close(3)"])
def test_leaving_early_is_no_answer(sandbox: Sandbox, how: str) -> None:
    run = call(sandbox, f"import os\ndef f():\n    {how}\n")
    assert run.status in (None, Status.CRASH)
    assert all(isinstance(answer, Raised) for answer in run.answers)


def test_a_killed_zygote_is_replaced(sandbox: Sandbox) -> None:
    with Sandbox(sandbox.tier) as mortal:
        assert is_well(mortal)
        for entry in mortal._supervisors.values():
            entry._process.send_signal(signal.SIGKILL)
            entry._process.wait()
        assert is_well(mortal)


def test_a_zygote_killed_under_a_sample_is_a_fault_only_when_it_happens_again(sandbox: Sandbox) -> None:
    with Sandbox(sandbox.tier) as mortal:
        (entry,) = mortal._supervisors.values()
        killer = threading.Timer(0.3, entry._process.kill)
        killer.start()
        run = call(mortal, "import time\ndef f():\n    time.sleep(1)\n    return 5\n")
        killer.join()
        assert run.answers == (5,)


def test_a_zygote_ends_with_its_supervisor(sandbox: Sandbox) -> None:
    with Sandbox(sandbox.tier) as closed:
        pids = [entry._process.pid for entry in closed._supervisors.values()]
        pids += [child for pid in pids for child in supervisor._children(pid)]
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_no_descriptors_are_lost(sandbox: Sandbox) -> None:
    assert is_well(sandbox)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        is_well(sandbox)
        sandbox.run_stdio(Code("print(1)"), "", QUOTA)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_large_requests_cross(sandbox: Sandbox) -> None:
    source = "#" + "x" * (1 << 20) + "\ndef f(s):\n    return len(s)\n"
    assert call(sandbox, source, "y" * (1 << 20)).answers == (1 << 20,)
    run = sandbox.run_stdio(Code("print(len(input()))"), "z" * (4 << 20) + "\n", QUOTA)
    assert run.output == f"{4 << 20}\n"


def test_samples_do_not_see_each_other(sandbox: Sandbox) -> None:
    assert (
        call(sandbox, "import builtins, math\nbuiltins.seen = 1\nmath.pi = 3\ndef f():\n    return 0\n").status is None
    )
    assert worked(sandbox, "(hasattr(__builtins__, 'seen'), __import__('math').pi == 3)") == (False, False)


def step(source: str, name: str = "tests.py") -> bytes:
    return compiled(source, name)


def test_a_test_runs_in_another_process(sandbox: Sandbox) -> None:
    spy = Code("import gc, sys\ndef f(x):\n    return [sorted(sys.modules), len(gc.get_objects())]\n")
    test = Checks(
        step(""), ("f",), (step("names, count = f(1)\nassert 'tests' not in names and count"),), calls_check=False
    )
    run = sandbox.run_test(spy, test, QUOTA)
    assert (run.status, run.reason) == (Status.PASS, "")


def test_any_number_of_threads_may_call(sandbox: Sandbox) -> None:
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(is_well(sandbox))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_tiers_are_reported_and_can_be_required(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = {report.tier: report for report in tiers.probe()}
    assert list(reports) == ["isolated", "confined"]
    assert all(report.available or report.reason for report in reports.values())
    with pytest.raises(BadInput, match="isolated, confined, none"):
        Sandbox("strong")
    monkeypatch.setattr(tiers, "landlock_abi", lambda: 0)
    with pytest.raises(tiers.TierUnavailable, match="Landlock"):
        Sandbox("isolated")
    with pytest.raises(tiers.TierUnavailable, match=r"isolated.*confined"):
        Sandbox()


def test_a_tier_that_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "_TRIES", "def try_all():\n    return ['read /etc/passwd']\n")
    with pytest.raises(tiers.TierUnavailable, match="read /etc/passwd"):
        Sandbox("confined")
