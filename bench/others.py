"""Alternatives to Troop's sandbox, run on the same candidate.

``python -I bench/others.py WAY CORE`` measures one slice for every number of seconds on its standard input, and
``--programs FILE`` judges a file of programs in HumanEval's way. The script imports only what the way needs, since each
imported module makes a fork more expensive.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable

CANDIDATE = "def f(a, b):\n    return a + b\n"
TEST = "def check(candidate):\n" + "".join(f"    assert candidate({i}, 2) == {i + 2}\n" for i in range(7))
FORK, HUMANEVAL, BUBBLEWRAP = "bare fork and exit", "process per sample, as HumanEval's", "bubblewrap per sample"
BUBBLEWRAP_WALLS = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    "--clearenv",
)
EVALPLUS = "EvalPlus's check per sample"
PEERS = os.path.join(sys.prefix, "peers")  # noqa: PTH118  ``make bench`` installs EvalPlus there
Act = Callable[[int], None]


def program(number: int) -> str:
    return f"{CANDIDATE}# {number}\n{TEST}\ncheck(f)\n"


def bare_fork(_: int) -> None:
    """Forks and exits at once: the ceiling for every way that forks."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def process_per_sample(number: int) -> None:
    """Starts a manager and a process per sample that executes candidate and test together, as HumanEval does."""
    assert passes(program(number), 3.0)


def passes(source: str, limit_s: float) -> bool:
    """Judges a program as HumanEval's ``check_correctness`` does."""
    import multiprocessing

    with multiprocessing.Manager() as manager:
        result = manager.list()
        process = multiprocessing.Process(target=_execute, args=(source, result, limit_s))
        process.start()
        process.join(timeout=limit_s + 1)
        if process.is_alive():
            process.kill()
        process.join()
        return list(result) == ["passed"]


def _execute(source: str, result: "list[str]", limit_s: float) -> None:
    def timed_out(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, timed_out)
    try:
        with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            exec(source, {})  # noqa: S102  the benchmark's own program
            signal.setitimer(signal.ITIMER_REAL, 0)
        result.append("passed")
    except BaseException as error:  # noqa: BLE001
        result.append(f"failed: {error}")


def judge(path: str) -> dict[str, object]:
    """Judges the programs of a file that holds their limit and their sources; returns what it took."""
    import resource

    began = time.perf_counter()
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        limit_s, sources = json.load(file)
    passed = [passes(source, limit_s) for source in sources]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(one.ru_utime + one.ru_stime for one in used)
    return {"cpu_s": cpu_s, "wall_s": time.perf_counter() - began, "passed": passed}


def python_c(number: int) -> None:
    """Starts an interpreter per sample, without protection."""
    import subprocess

    subprocess.run([sys.executable, "-c", program(number)], check=True, stdin=subprocess.DEVNULL)


def bubblewrap(number: int) -> None:
    """Starts an interpreter in a new bubblewrap per sample."""
    import subprocess

    subprocess.run([*BUBBLEWRAP_WALLS, sys.executable, "-c", program(number)], check=True, stdin=subprocess.DEVNULL)


def evalplus(number: int) -> None:
    """Starts a process per sample that calls the function with each input and compares, as EvalPlus (0.3.1) does."""
    from evalplus.eval import untrusted_check

    status, _ = untrusted_check(
        "humaneval",
        f"{CANDIDATE}# {number}\n",
        [[i, 2] for i in range(7)],
        "f",
        [i + 2 for i in range(7)],
        0,
        [0.01] * 7,
    )
    assert status == "pass", status


OTHERS: dict[str, Act] = {
    FORK: bare_fork,
    HUMANEVAL: process_per_sample,
    "python -c per sample": python_c,
    BUBBLEWRAP: bubblewrap,
    EVALPLUS: evalplus,
}


def timed(act: Act, seconds: float) -> dict[str, float]:
    """Repeats for that many seconds; returns acts per second and the 50th and 99th percentile in milliseconds."""
    taken: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        act(len(taken))
        taken.append(time.perf_counter() - now)
    rate = len(taken) / (time.perf_counter() - began)
    taken.sort()
    return {"rate": rate, "p50_ms": 1000 * taken[len(taken) // 2], "p99_ms": 1000 * taken[len(taken) * 99 // 100]}


def serve(act: Act, core: int) -> None:
    """Warms up, then measures one slice for every line of standard input, which holds its seconds."""
    os.sched_setaffinity(0, {core})
    for number in range(20):
        act(-number)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(act, float(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--programs":
        print(json.dumps(judge(sys.argv[2])))
    else:
        sys.path.append(PEERS)
        serve(OTHERS[sys.argv[1]], int(sys.argv[2]))
