"""Whole programs: every checker, every way to end."""

from collections.abc import Iterator
from typing import Any

import pytest

from sampling.problems import Problem
from sampling.references import StdioReference
from verify.sandbox.sandbox import Sandbox
from verify.stdio import StdioVerifier
from verify.verdict import Status, Verdict


@pytest.fixture(scope="module")
def verifier() -> Iterator[StdioVerifier]:
    made = StdioVerifier(Sandbox)
    yield made
    made.close()


def verify(verifier: StdioVerifier, code: str, *cases: tuple[str, str], **limits: Any) -> Verdict:
    reference = {"cases": [{"stdin": stdin, "stdout": stdout} for stdin, stdout in cases], **limits}
    problem = Problem(id="p", prompt="x", verifier="stdio", reference=StdioReference.model_validate(reference))
    return verifier.verify(problem, f"Here it is:\n```python\n{code}\n```\n")


DOUBLE = "print(2 * int(input()))"


def test_a_right_program_passes_and_is_measured(verifier: StdioVerifier) -> None:
    verdict = verify(verifier, DOUBLE, ("3\n", "6\n"), ("-1\n", "-2\n"))
    assert (verdict.status, verdict.reason) == (Status.PASS, "")
    assert verdict.tier in ("isolated", "confined")
    assert verdict.wall_s > 0
    assert verdict.cpu_s > 0
    assert verdict.max_rss_mb > 1
    assert not verdict.shared


def test_the_first_wrong_case_decides(verifier: StdioVerifier) -> None:
    verdict = verify(verifier, DOUBLE, ("3\n", "6\n"), ("4\n", "9\n"), ("x\n", "0\n"))
    assert (verdict.status, verdict.reason) == (Status.FAIL, "case 2 of 3: wrong output")


@pytest.mark.parametrize(
    ("checker", "code", "status"),
    [
        ("tokens", "print('1  2')", Status.PASS),
        ("lines", "print('1  2')", Status.FAIL),
        ("lines", "print('1 2 ')", Status.PASS),
        ("exact", "print('1 2 ')", Status.FAIL),
        ("exact", "print('1 2')", Status.PASS),
        ("float", "print('1.0000001 2')", Status.PASS),
        ("tokens", "print('1.0000001 2')", Status.FAIL),
    ],
)
def test_checkers(verifier: StdioVerifier, checker: str, code: str, status: Status) -> None:
    assert verify(verifier, code, ("", "1 2\n"), checker=checker).status is status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("while True: pass", Status.TIMEOUT),
        ("x = bytearray(1 << 30)", Status.MEMORY),
        ("while True: print('y' * 9999)", Status.OUTPUT),
        ("print(1 2)", Status.CRASH),
        ("print('ok')\nraise SystemExit(3)", Status.CRASH),
        ("print('ok')\n1 / 0", Status.CRASH),
        ("import os\nprint('ok', flush=True)\nos.kill(os.getpid(), 9)", Status.CRASH),
        ("print('ok')\nexit()", Status.PASS),
        ("import sys\nsys.stdout = None", Status.FAIL),
        ("", Status.INVALID),
    ],
)
def test_how_it_ends(verifier: StdioVerifier, code: str, status: Status) -> None:
    verdict = verify(verifier, code, ("", "ok\n"), time_limit_s=0.5, memory_mb=256)
    assert verdict.status is status, verdict.reason


@pytest.mark.parametrize("text", ["", "I do not know.", "\x00", "``` ```"])
def test_no_program_is_invalid(verifier: StdioVerifier, text: str) -> None:
    problem = Problem(id="p", prompt="x", verifier="stdio", reference={"cases": [{"stdin": "", "stdout": "1"}]})
    assert verifier.verify(problem, text).status is Status.INVALID


def test_bytes_that_are_no_text_are_a_wrong_output(verifier: StdioVerifier) -> None:
    code = "import sys\nsys.stdout.buffer.write(bytes([255, 254]))"
    assert verify(verifier, code, ("", "x")).status is Status.FAIL


def test_large_inputs_and_outputs(verifier: StdioVerifier) -> None:
    text = "\n".join(map(str, range(300_000))) + "\n"
    assert verify(verifier, "import sys\nsys.stdout.write(sys.stdin.read())", (text, text)).status is Status.PASS


@pytest.mark.parametrize(
    "code",
    [
        "print(2 * int(open('/dev/stdin').read()))",
        "print(2 * int(open(0).read()))",
        "with open('/dev/stdin', 'rb') as f:\n    print(2 * int(f.readline()))",
        "import os\nprint(2 * int(os.read(os.open('/dev/stdin', os.O_RDONLY), 99)))",
        "from pathlib import Path\nprint(2 * int(Path('/dev/stdin').read_text()))",
        "open('/dev/stdout', 'w').write(str(2 * int(input())))",
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, (-1, -1))\nprint(2 * int(input()))",
        "import sys, resource\nresource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY,) * 2)\n"
        "sys.setrecursionlimit(10**6)\nprint(2 * int(input()))",
        "a, b = str(10**6000), int('7' * 6000)\nprint(2 * int(input()))",
    ],
)
def test_what_contest_programs_expect(verifier: StdioVerifier, code: str) -> None:
    """Kind: the input by its file names, a stack limit that may not be raised, integers of any length."""
    verdict = verify(verifier, code, ("21\n", "42\n"))
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


def test_a_long_integer_is_bounded_by_time(verifier: StdioVerifier) -> None:
    verdict = verify(verifier, "print(len(str(7 ** (10 ** 8))))", ("", "1"), time_limit_s=0.5)
    assert verdict.status is Status.TIMEOUT
