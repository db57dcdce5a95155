"""All attacks in other languages, in all tiers: refused, without a trace, and the next honest program passes."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sampling.problems import Problem
from tests.attacks.languages import BOMBS, CASES, PASS, REJECT, Foreign
from tests.attacks.test_attacks import PATIENCE_S, Trap, survivors, trap
from verify.languages import compiler
from verify.languages.compiler import COMPILE, Compiler
from verify.languages.samples import SAMPLES
from verify.languages.toolchains import ToolchainUnavailable, find_toolchain
from verify.sandbox.limits import WALL_FACTOR
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.stdio import StdioVerifier
from verify.verdict import Status

__all__ = ["trap"]  # a fixture, by name
LIMIT_S, MEMORY_MB = 1.0, 128
SLACK_MB = 256  # what a runtime holds beside its heap
COMPILED = Compiler()  # what one tier has compiled, the next one need not
QUICK = ("c", "javascript")  # languages whose programs start within a second


@pytest.fixture(scope="module", params=SAFE_TIERS)
def verifier(request: pytest.FixtureRequest, trap: Trap) -> Iterator[StdioVerifier]:
    try:
        made = StdioVerifier(Sandbox(request.param))
    except TierUnavailable as error:
        pytest.skip(str(error))
    made.languages._compiler = COMPILED
    yield made
    made.close()


def problem(language: str, stdin: str = "", stdout: str = "ok\n") -> Problem:
    reference = {"cases": [{"stdin": stdin, "stdout": stdout}], "language": language}
    limits = {"time_limit_s": LIMIT_S, "memory_mb": MEMORY_MB}
    return Problem.model_validate({"id": "p", "prompt": "x", "verifier": "stdio", "reference": {**reference, **limits}})


def as_parameter(case: Foreign) -> Any:
    """Marks attacks in languages whose compilers take seconds; the sandbox is the same for all."""
    marks = () if case.language in QUICK else (pytest.mark.slow,)
    return pytest.param(case, id=f"{case.language}-{case.name}", marks=marks)


def need(language: str) -> None:
    try:
        find_toolchain(language)
    except ToolchainUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("case", [as_parameter(case) for case in CASES])
def test_attack(verifier: StdioVerifier, trap: Trap, case: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    need(case.language)
    if case in BOMBS:
        monkeypatch.setattr(compiler, "COMPILE", replace(COMPILE, cpu_s=3.0, wall_s=40.0))  # they are ended soon
    began = time.monotonic()
    verdict = verifier.verify(problem(case.language), f"~~~~{case.language}\n{trap.fill_in(case.source)}\n~~~~\n")
    took = time.monotonic() - began
    expected = verdict.status not in (Status.PASS, Status.FAULT) if case.must == REJECT else verdict.status == case.must
    assert expected, verdict
    assert trap.touched() == []
    assert trap.secret_file.read_text() not in verdict.reason
    assert "root:" not in verdict.reason
    assert survivors(verifier.sandbox) == []
    assert verdict.max_rss_mb < MEMORY_MB + SLACK_MB or verdict.reason.startswith(("compiling", "does not compile"))
    assert took < WALL_FACTOR * LIMIT_S + COMPILE.wall_s + PATIENCE_S
    after = verifier.verify(problem(case.language, "40 2\n", "42\n"), SAMPLES[case.language].total)
    assert after.status is Status.PASS, after


def test_names_are_unique() -> None:
    names = [(case.language, case.name) for case in CASES]
    assert len(names) == len(set(names))
    assert {case.language for case in CASES} == set(SAMPLES)
    assert len(CASES) >= 60 and {case.must for case in CASES} >= {PASS, REJECT}


LIVE = ("c-read-passwords", "c-list-proc", "c-write-new", "c-fork", "c-socket", "c-system", "rust-read-passwords",
        "go-process", "javascript-read-passwords", "javascript-process", "java-process", "java-listen")  # fmt: skip


@pytest.mark.parametrize("name", LIVE)
def test_attacks_are_real(name: str, trap: Trap) -> None:
    """Checks that these work where nothing is forbidden."""
    (case,) = [case for case in CASES if f"{case.language}-{case.name}" == name]
    need(case.language)
    unsafe = StdioVerifier(Sandbox("none"))
    unsafe.languages._compiler = COMPILED
    with unsafe.sandbox:
        verdict = unsafe.verify(problem(case.language), f"~~~~{case.language}\n{trap.fill_in(case.source)}\n~~~~\n")
    for left in trap.folder.glob("new"):
        left.unlink()
    trap.before = trap.state()
    assert verdict.status is Status.PASS, verdict
