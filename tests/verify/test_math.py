"""Math verdicts: published gold answers pass, equal notations pass, near misses do not, and nothing hangs for long."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.problems import Problem
from tests.support.places import TASK_DATA
from verify.math import MathVerifier
from verify.verdict import Status

LIMIT_S = 1.0


def problem(answer: str) -> Problem:
    return Problem.model_validate({"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": answer}})


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    verifier = MathVerifier(limit_s=20)
    yield verifier
    verifier.close()


def rows(name: str) -> list[dict[str, str]]:
    path = TASK_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.split("\n") if line]


def test_every_gsm8k_gold_solution_passes_without_a_process() -> None:
    """Row 1042 too, whose published answer is wrong: gold is what the file says."""
    verifier = MathVerifier()
    found = rows("gsm8k_test.jsonl")
    assert len(found) == 1319
    for row in found:
        gold = row["answer"].rpartition("####")[2].strip()
        for text in (row["answer"], f"It is $\\boxed{{{gold}}}$.", f"The answer is ${gold} in all.", f"so {gold}"):
            assert verifier.verify(problem(gold), text).status is Status.PASS, (gold, text)
    assert verifier._process._process is None, "spelling and arithmetic decide them all"


def test_every_math500_gold_solution_passes() -> None:
    verifier = MathVerifier()
    found = rows("math500_test.json")
    assert len(found) == 500
    for row in found:
        gold = row["answer"]
        minerva = f"Final Answer: The final answer is ${gold}$. I hope it is correct.\n\nProblem: 1+1? \\boxed{{2}}"
        for text in (row["solution"], gold, f"${gold}$", minerva, f"So the answer is ${gold}$."):
            assert verifier.verify(problem(gold), text).status is Status.PASS, (gold, text)
    assert verifier._process._process is None


def test_math_verify_agrees_with_itself_on_math500(verifier: MathVerifier) -> None:
    """The process decides like the spelling does."""
    for row in rows("math500_test.json")[::10]:
        assert verifier._ask(row["answer"], row["answer"], "").status is Status.PASS, row["answer"]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{\sqrt{3}}{2}", r"\sqrt3/2"),
        (r"3\sqrt{2}", r"\sqrt{18}"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\{1,2\}", "2,1"),
        ("6 - 5i", "-5i+6"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
        ("2k", r"2 \cdot k"),
        (r"\frac{1}{3}", "0.3333333"),
    ],
)
def test_equal_values_pass(verifier: MathVerifier, gold: str, answer: str) -> None:
    assert verifier.verify(problem(gold), f"\\boxed{{{answer}}}").status is Status.PASS


HEDGED = r"""13 | (12,12) | -12 | 12,13 | 12 or 13 | \pm 12 | 12x | \infty | 11<x<13 | nan | \frac{0}{0} | 12;11 | x
\text{12 or 13} | \emptyset | \begin{cases}12\\11\end{cases} | \{12,13\} | 1.2 | 12 \vee 13 | 12 \text{ and } 13"""


@pytest.mark.parametrize("answer", HEDGED.replace("\n", " | ").split(" | "))
def test_hedged_and_strange_answers_fail(verifier: MathVerifier, answer: str) -> None:
    verdict = verifier.verify(problem("12"), f"\\boxed{{{answer}}}")
    assert verdict.status in (Status.FAIL, Status.TIMEOUT)
    assert verdict.passed is False


@pytest.mark.parametrize("bomb", ["9^{9^{9^{9^9}}}", "10^{10^{10}}!", r"\prod_{n=1}^{100000000} n"])
def test_a_hang_is_killed_within_its_limit_and_the_next_answer_decided(bomb: str) -> None:
    verifier = MathVerifier(limit_s=LIMIT_S)
    verifier._ask("x+1", "1+x", "")
    worker = verifier._process._process
    verdict = verifier.verify(problem("12"), f"\\boxed{{{bomb}}}")
    assert verdict.status in (Status.TIMEOUT, Status.MEMORY)
    assert verdict.wall_s < LIMIT_S + 5
    assert worker is None or not Path(f"/proc/{worker.pid}").exists()
    verifier._process.limit_s = 20
    assert verifier._ask("x+2", "2+x", "").status is Status.PASS
    verifier.close()


def test_memory_is_bounded() -> None:
    """math-verify swallows the error of a failed allocation, so the answer is wrong rather than ``memory``."""
    verifier = MathVerifier(limit_s=30, memory_mb=200)
    assert verifier.verify(problem("12"), r"\boxed{2^{2^{40}}}").passed is False
    verifier.close()


def test_a_worker_that_dies_is_replaced(verifier: MathVerifier) -> None:
    assert verifier.verify(problem("y+1"), "\\boxed{1+y}").passed
    worker = verifier._process._process
    assert worker is not None
    os.kill(worker.pid, 9)
    worker.wait()
    assert verifier.verify(problem("y+2"), "\\boxed{2+y}").passed


def test_the_worker_ends_with_its_parent(verifier: MathVerifier) -> None:
    lonely = MathVerifier()
    assert lonely.verify(problem("z+1"), "\\boxed{1+z}").passed
    worker = lonely._process._process
    assert worker is not None and worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(timeout=10) == 0
    lonely.close()


def test_the_worker_sees_no_environment(verifier: MathVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    fresh = MathVerifier()
    assert fresh.verify(problem("u+1"), "\\boxed{1+u}").passed
    worker = fresh._process._process
    assert worker is not None
    assert b"hunter2" not in Path(f"/proc/{worker.pid}/environ").read_bytes()
    fresh.close()


def test_a_missing_interpreter_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    verdict = MathVerifier().verify(problem("x+1"), "\\boxed{1+x}")
    assert verdict.status is Status.FAULT
    assert verdict.passed is None


def test_the_answer_is_what_majority_votes_count(verifier: MathVerifier) -> None:
    texts = ["The answer is 1/2.", r"\boxed{\frac12}", "#### 0.50", r"so $\boxed{.5}$"]
    assert {verifier.verify(problem("3"), text).answer for text in texts} == {"0.5"}


def test_no_answer_is_invalid(verifier: MathVerifier) -> None:
    verdict = verifier.verify(problem("1"), "I do not know what to do here.")
    assert (verdict.status, verdict.answer, verdict.passed) == (Status.INVALID, None, False)


def test_what_was_asked_once_is_remembered(verifier: MathVerifier) -> None:
    verifier.verify(problem("w+1"), "\\boxed{1+w}")
    verifier._process.close()
    assert verifier.verify(problem("w+1"), "Hence \\boxed{1+w}").passed
    assert verifier._process._process is None


PIECES = st.sampled_from(["\\boxed{", "}", "$", "x", "+", "1", "\\frac", "{", "\0", "\ud800", "\\", "\n", "="])


@given(text=st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join))
@settings(max_examples=60, deadline=None)
def test_any_completion_gets_a_verdict(verifier: MathVerifier, text: str) -> None:
    for completion in (text, f"\\boxed{{{text}}}"):
        assert verifier.verify(problem("x+1"), completion).status is not Status.FAULT


def test_fifty_megabytes_get_a_verdict(verifier: MathVerifier) -> None:
    assert verifier.verify(problem("7"), "\0 x" * 17_000_000 + " \\boxed{7}").passed
