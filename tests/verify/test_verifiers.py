"""All verifiers together: the right one for each problem, each candidate once, faults again, versions that change."""

from collections.abc import Iterator
from typing import Any

import pytest

from sampling.errors import VerifierFault
from sampling.problems import Problem
from verify import verifiers as module
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers, candidate_text, verifier_version


class Scripted:
    """A verifier that answers from a list and counts how often it is asked."""

    version = "scripted/1"

    def __init__(self, *script: Verdict | Exception) -> None:
        self.script = list(script)
        self.asked: list[str] = []
        self.closed = 0

    def verify(self, problem: Problem, completion: str) -> Verdict:
        self.asked.append(completion)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed += 1


PASS, FAIL = Verdict(Status.PASS), Verdict(Status.FAIL)
TIMEOUT, FAULT = Verdict(Status.TIMEOUT), Verdict(Status.FAULT)


def problem(verifier: str, reference: dict[str, Any]) -> Problem:
    return Problem.model_validate({"id": "p", "prompt": "?", "verifier": verifier, "reference": reference})


EXACT = problem("exact", {"answer": "yes"})
STDIO = problem("stdio", {"cases": [{"stdin": "2\n", "stdout": "4\n"}], "time_limit_s": 10})
PYTHON = problem("python", {"entry_point": "f", "tests": "def check(candidate):\n    assert candidate(2) == 4\n"})
ALL = {
    EXACT: ("yes", "no"),
    problem("math", {"answer": "x+1"}): ("\\boxed{1+x}", "\\boxed{2}"),
    problem("choice", {"answer": "B"}): ("(B)", "(C)"),
}
CODE = [
    (STDIO, "print(int(input())**2)", "print(5)"),
    (PYTHON, "def f(x):\n    return x * x", "def f(x):\n    return x"),
]


@pytest.fixture
def verifiers() -> Iterator[Verifiers]:
    with Verifiers() as verifiers:
        yield verifiers


@pytest.mark.parametrize(("asked", "right", "wrong"), [(p, *texts) for p, texts in ALL.items()] + CODE)
def test_every_kind_has_its_verifier(verifiers: Verifiers, asked: Problem, right: str, wrong: str) -> None:
    assert [verdict.status for verdict in verifiers.verify_many(asked, [right, wrong])] == [Status.PASS, Status.FAIL]


def test_no_sandbox_is_started_for_answers(verifiers: Verifiers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Sandbox", None)
    for asked, (right, _) in ALL.items():
        assert verifiers.verify(asked, right).passed


def test_equal_candidates_are_verified_once_and_marked() -> None:
    verifier = Scripted(PASS)
    verifiers = Verifiers(verifiers={"exact": verifier})
    verdicts = verifiers.verify_many(EXACT, ["yes", "no", "yes", "yes"])
    assert verifier.asked == ["yes", "no"]
    assert [verdict.shared for verdict in verdicts] == [False, False, True, True]
    assert verifiers.verify(EXACT, "yes").shared
    assert len(verifier.asked) == 2


def test_equal_programs_in_different_prose_are_one_candidate() -> None:
    verifier = Scripted(PASS)
    verifiers = Verifiers(verifiers={"stdio": verifier, "python": verifier})
    verdicts = verifiers.verify_many(STDIO, ["```python\nprint(1)\n```", "Well:\n```python\nprint(1)\n```\nDone."])
    assert [verdict.shared for verdict in verdicts] == [False, True]
    assert not verifiers.verify(PYTHON, "```python\nprint(1)\n```").shared


def test_problems_do_not_share() -> None:
    verifier = Scripted(PASS)
    verifiers = Verifiers(verifiers={"exact": verifier})
    verifiers.verify(EXACT, "yes")
    assert not verifiers.verify(problem("exact", {"answer": "other"}), "yes").shared


@pytest.mark.parametrize("verdict", [TIMEOUT, FAULT])
def test_what_may_not_repeat_is_never_shared(verdict: Verdict) -> None:
    verifiers = Verifiers(verifiers={"exact": Scripted(verdict)})
    assert [found.shared for found in verifiers.verify_many(EXACT, ["yes", "yes"])] == [False, False]


def test_a_fault_is_tried_again_twice() -> None:
    verifier = Scripted(FAULT, VerifierFault("gone"), PASS)
    assert Verifiers(verifiers={"exact": verifier}).verify(EXACT, "yes") == PASS
    assert len(verifier.asked) == 3


def test_a_fault_that_stays_is_a_fault() -> None:
    verifier = Scripted(VerifierFault("gone"))
    verdict = Verifiers(verifiers={"exact": verifier}).verify(EXACT, "yes")
    assert (verdict.status, verdict.reason, verdict.passed) == (Status.FAULT, "gone", None)
    assert len(verifier.asked) == 3


def test_a_timeout_is_decided_at_once() -> None:
    verifier = Scripted(TIMEOUT, PASS)
    assert Verifiers(verifiers={"exact": verifier}).verify(EXACT, "yes") == TIMEOUT


def test_what_is_remembered_is_bounded() -> None:
    verifier = Scripted(FAIL)
    verifiers = Verifiers(remembered=10, verifiers={"exact": verifier})
    for number in range(50):
        verifiers.verify(EXACT, str(number))
    assert len(verifiers._known) == 10
    assert not verifiers.verify(EXACT, "0").shared
    assert verifiers.verify(EXACT, "49").shared


def test_close_ends_the_verifiers() -> None:
    verifier = Scripted(PASS)
    with Verifiers(verifiers={"exact": verifier}):
        pass
    assert verifier.closed == 1


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "x" * 3_000_000])
def test_any_completion_gets_a_verdict(verifiers: Verifiers, text: str) -> None:
    for asked in [*ALL, STDIO, PYTHON]:
        assert verifiers.verify(asked, text).passed is False


def test_candidate_text() -> None:
    assert candidate_text(EXACT, "yes") == "yes"
    assert candidate_text(STDIO, "no code at all here") is None


def test_the_version_changes_with_what_changes_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = verifier_version(["math", "exact"])
    assert before == verifier_version(["exact", "math", "math"])
    assert before != verifier_version(["math"])
    monkeypatch.setattr(module.KINDS["exact"], "version", "exact/next")
    assert before != verifier_version(["math", "exact"])
