"""Attacks on what decides: on the test by its candidate's messages, on a task's own checker by a program's output."""

import pytest

from sampling.problems import Problem
from sampling.references import PythonReference, StdioCase, StdioReference
from tests.attacks import messages, output_checkers
from tests.attacks.test_attacks import Trap, sandbox, survivors, trap
from verify.python import PythonVerifier
from verify.sandbox.sandbox import Sandbox
from verify.stdio import StdioVerifier
from verify.verdict import Status

__all__ = ["sandbox", "trap"]  # fixtures, by name
LIMIT_S = 0.5
TEST = """
def check(candidate):
    assert candidate(3) == 1003
    assert candidate([8]) == 1008
"""
ARRAYS = """
import numpy
def check(candidate):
    assert numpy.allclose(candidate(3), [1003.0, 1004.0])
    assert (candidate([8]) == numpy.array([1008.0, 1009.0])).all()
"""
HONEST = "def f(x):\n    return 1000 + (x[0] if isinstance(x, list) else x)\n"


@pytest.mark.parametrize("test", [TEST, ARRAYS], ids=["plain", "arrays"])
@pytest.mark.parametrize("message", messages.CASES, ids=lambda message: message.name)
def test_no_message_makes_a_test_pass(sandbox: Sandbox, trap: Trap, message: messages.Message, test: str) -> None:
    packages = ("numpy",) if test is ARRAYS else ()
    reference = PythonReference(entry_point="f", tests=test, packages=packages, time_limit_s=LIMIT_S, memory_mb=256)
    attacked = Problem(id=test, prompt="x", verifier="python", reference=reference)
    verdict = PythonVerifier(sandbox).verify(attacked, message.code)
    assert verdict.status not in (Status.PASS, Status.FAULT), verdict
    assert len(verdict.reason) < 2000
    assert survivors(sandbox) == []
    honest = Problem(id="next", prompt="x", verifier="python", reference=PythonReference(entry_point="f", tests=TEST))
    assert PythonVerifier(sandbox).verify(honest, HONEST).passed


@pytest.mark.parametrize("attack", output_checkers.CASES, ids=lambda attack: attack.name)
def test_no_output_makes_a_checker_pass(
    sandbox: Sandbox, trap: Trap, attack: output_checkers.Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StdioReference, "default_limit_s", LIMIT_S)  # the least that a checker is given

    def problem(source: str) -> Problem:
        reference = StdioReference(
            cases=(StdioCase(stdin="", stdout="18\n"),),
            checker="check.py",
            checker_source=source,
            time_limit_s=LIMIT_S,
            memory_mb=128,
        )
        return Problem(id=attack.name, prompt="x", verifier="stdio", reference=reference)

    verifier = StdioVerifier(sandbox)
    verdict = verifier.verify(problem(attack.checker), trap.fill_in(attack.program))
    assert verdict.status in attack.ends, verdict
    assert trap.secret_file.read_text() not in verdict.reason
    assert trap.touched() == []
    assert survivors(sandbox) == []
    assert verifier.verify(problem(output_checkers.ANY_ORDER), "print(18)").passed


def test_names_are_unique() -> None:
    for cases in (messages.CASES, output_checkers.CASES):
        names = [case.name for case in cases]
        assert sorted(names) == sorted(set(names))
