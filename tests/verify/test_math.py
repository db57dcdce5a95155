"""Math verdicts: published gold answers pass, equal notations pass, near misses do not, and nothing takes long."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.problems import Problem
from tests.support.cost import cpu_below
from tests.support.places import TASK_DATA
from verify.math.verifier import MathVerifier
from verify.verdict import Status


def problem(answer: str, **policy: object) -> Problem:
    reference = {"answer": answer, **policy}
    return Problem.model_validate({"id": "p", "prompt": "?", "verifier": "math", "reference": reference})


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    yield MathVerifier()


def rows(name: str) -> list[dict[str, str]]:
    path = TASK_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.split("\n") if line]


def test_every_gsm8k_gold_solution_passes(verifier: MathVerifier) -> None:
    """Row 1042 too, whose published answer is wrong: gold is what the file says."""
    found = rows("gsm8k_test.jsonl")
    assert len(found) == 1319
    for row in found:
        gold = row["answer"].rpartition("####")[2].strip()
        for text in (row["answer"], f"It is $\\boxed{{{gold}}}$.", f"The answer is ${gold} in all.", f"so {gold}"):
            assert verifier.verify(problem(gold), text).status is Status.PASS, (gold, text)


def test_every_math500_gold_solution_passes(verifier: MathVerifier) -> None:
    found = rows("math500_test.json")
    assert len(found) == 500
    for row in found:
        gold = row["answer"]
        minerva = f"Final Answer: The final answer is ${gold}$. I hope it is correct.\n\nProblem: 1+1? \\boxed{{2}}"
        for text in (row["solution"], gold, f"${gold}$", minerva, f"So the answer is ${gold}$."):
            assert verifier.verify(problem(gold), text).status is Status.PASS, (gold, text)


HEDGED = r"""13 | (12,12) | -12 | 12,13 | 12 or 13 | \pm 12 | 12x | \infty | 11<x<13 | nan | \frac{0}{0} | 12;11 | x
\text{12 or 13} | \emptyset | \begin{cases}12\\11\end{cases} | \{12,13\} | 1.2 | 12 \vee 13 | 12 \text{ and } 13"""


@pytest.mark.parametrize("answer", HEDGED.replace("\n", " | ").split(" | "))
def test_hedged_and_strange_answers_fail(verifier: MathVerifier, answer: str) -> None:
    assert verifier.verify(problem("12"), f"\\boxed{{{answer}}}").status is Status.FAIL


BOMBS = (
    *("9^{9^{9^{9^9}}}", "10^{10^{10}}!", r"\prod_{n=1}^{100000000} n", r"2^{2^{40}}", "1.5^{99999999}", "9999999!"),
    *("(" * 900, "{" * 900 + "1" + "}" * 900, "-" * 900 + "1", "2^" * 400 + "2", r"\sqrt" * 150 + "{2}"),
    *("1/" * 450 + "3", "x" + "+x" * 450, "(x+1)" * 180, "9" * 990, r"\frac{1}" * 120 + "{2}", "e^{e^{e^{e^{e^{e}}}}}"),
    *(r"\sin(10^{1000000})", r"\sqrt[999999]{2}", r"\binom{999999}{499999}", "1" + ",1" * 480, "e^" * 300 + "e"),
    *(r"0.\overline{" + "7" * 900 + "}", "x^{999}" * 120, "|" * 900, r"\begin{pmatrix}" * 60, r"\ln " * 200 + "x"),
    *("!" * 900, "3" + "!" * 900, r"\sqrt{" * 25 + "x" + "}" * 25, r"e^{\pi\sqrt{163}}", "x^{y^{z^{w^{v}}}}"),
)


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
@pytest.mark.parametrize("gold", ["12", "x+1", r"\sqrt{2}"])
def test_a_formula_that_explodes_is_no_answer_and_costs_little(verifier: MathVerifier, gold: str, bomb: str) -> None:
    with cpu_below(3):
        for text in (f"\\boxed{{{bomb}}}", f"The answer is ${bomb}$", bomb):
            assert verifier.verify(problem(gold), text).passed is False


def test_formulas_that_explode_are_compared_in_time() -> None:
    with cpu_below(20):
        for gold, other in pairwise(BOMBS):
            MathVerifier().verify(problem(gold), f"\\boxed{{{other}}}")


def test_the_answer_is_what_majority_votes_count(verifier: MathVerifier) -> None:
    texts = ["The answer is 1/2.", r"\boxed{\frac12}", "#### 0.50", r"so $\boxed{.5}$", "½"]
    assert {verifier.verify(problem("3"), text).answer for text in texts} == {"0.5"}


def test_no_answer_is_invalid(verifier: MathVerifier) -> None:
    verdict = verifier.verify(problem("1"), "I do not know what to do here.")
    assert (verdict.status, verdict.answer, verdict.passed) == (Status.INVALID, None, False)
    assert verdict.reason == "no final answer found"


def test_an_unfinished_thought_is_invalid(verifier: MathVerifier) -> None:
    verdict = verifier.verify(problem("7"), "<think>It may be \\boxed{7}. Wait,")
    assert (verdict.status, verdict.reason) == (Status.INVALID, "thought not finished")


def test_a_verdict_on_a_pair_is_kept_for_its_policy(verifier: MathVerifier) -> None:
    text = "\\boxed{3.15}"
    assert not verifier.verify(problem("3.14"), text).passed
    assert verifier.verify(problem("3.14", tolerance=0.01), text).passed
    assert not verifier.verify(problem("3.14"), text).passed


PIECES = st.sampled_from(
    ["\\boxed{", "}", "$", "x", "+", "1", "\\frac", "{", "\0", "\ud800", "\\", "\n", "=", "^", "_", "("]
)


@given(text=st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_completion_gets_a_verdict(verifier: MathVerifier, text: str) -> None:
    for completion in (text, f"\\boxed{{{text}}}"):
        assert verifier.verify(problem("x+1"), completion).passed is not None


def test_fifty_megabytes_get_a_verdict(verifier: MathVerifier) -> None:
    assert verifier.verify(problem("7"), "\0 x" * 17_000_000 + " \\boxed{7}").passed
