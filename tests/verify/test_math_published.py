"""Math by a benchmark's own way: what the programs of GSM8K and MATH find and call equal, and texts that cost little.

The expected values were made with the published programs (openai/grade-school-math, hendrycks/math).
"""

import pytest

from sampling.problems import Problem
from tests.sampling.tasks.files import published
from tests.support.cost import cpu_below
from verify.math.published import gsm8k_number, last_box, same_spelling
from verify.math.verifier import MathVerifier
from verify.verdict import Status


def verdict(completion: str, **reference: object) -> Status:
    given = {"id": "p", "prompt": "?", "verifier": "math", "reference": reference}
    return MathVerifier().verify(Problem.model_validate(given), completion).status


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is 17.\n#### 18", "18"),
        ("#### 18\n\nQuestion: next\n#### 7", "18"),
        ("#### -1,234", "-1234"),
        ("#### 18.", "18."),
        ("#### 1.50", "1.50"),
        ("#### $18", None),
        ("####18", None),
        ("####  18", None),
        ("#### **18**", None),
        ("#### ,", None),
        ("The answer is 18. \\boxed{18}", None),
        ("#### Step 1\nso\n#### 18", "18"),
        ("<think>#### 3</think>#### 4", "3"),
        ("#### " + "1" * 2_000, None),
    ],
)
def test_gsm8k_takes_the_first_number_after_its_mark(text: str, number: str | None) -> None:
    assert gsm8k_number(text) == number


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{1} and \\boxed{2}", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed{\\left\\{1}", None),
        ("\\boxed{2} then \\boxed 3", None),
        ("\\boxed 3", None),
        ("\\fbox{3}", None),
        ("\\boxed{1} then \\boxed{", None),
        ("\\boxed{}", ""),
        ("The final answer is $2$. I hope it is correct.", None),
        ("\\boxed{" + "1" * 2_000 + "}", None),
    ],
)
def test_math_takes_the_last_box(text: str, content: str | None) -> None:
    assert last_box(text) == content


@pytest.mark.parametrize(
    ("gold", "said", "right"),
    [
        ("\\frac{1}{2}", "1/2", True),
        ("\\frac{1}{2}", "\\dfrac12", True),
        ("\\frac{1}{2}", "0.5", True),
        ("\\frac{1}{2}", ".5", True),
        ("\\frac{1}{2}", "0.50", False),
        ("\\frac{1}{2}", "\\frac{2}{4}", False),
        ("\\frac{1}{4}", "0.25", False),
        ("10", "10\\%", True),
        ("10", "10%", False),
        ("10", "\\$10", True),
        ("10", "10.0", False),
        ("4", "4\\text{ cm}", True),
        ("4", "4\\text{cm}", False),
        ("4", "4 \\text{ cm} \\text{ long}", False),
        ("5", "x = 5", True),
        ("5", "xyz=5", False),
        ("\\sqrt{3}", "\\sqrt3", True),
        ("30", "30^\\circ", True),
        ("1,2", "1, 2", True),
        ("1,2", "2,1", False),
        ("(1,2)", "\\left( 1, 2 \\right)", True),
        ("10000", "10,000", False),
        ("\\text{Yes}", "\\text{yes}", False),
        ("\\frac", "\\frac", True),
        ("\\frac", "\\frac ", False),
        ("3\\sqrt{2}", "\\sqrt{18}", False),
    ],
)
def test_math_compares_its_authors_spelling(gold: str, said: str, right: bool) -> None:
    assert same_spelling(gold, said) is right


def test_verdicts_by_each_way() -> None:
    assert verdict("So 18.\n#### 18", answer="18", extraction="gsm8k") == Status.PASS
    assert verdict("#### 1,000", answer="1,000", extraction="gsm8k") == Status.PASS
    assert verdict("#### 18.00", answer="18", extraction="gsm8k") == Status.FAIL
    assert verdict("#### 18.00", answer="18") == Status.PASS
    assert verdict("The answer is 18.", answer="18", extraction="gsm8k") == Status.INVALID
    assert verdict("The answer is 18.", answer="18") == Status.PASS
    assert verdict("\\boxed{x^2+2x+1}", answer="(x+1)^2", extraction="math") == Status.FAIL
    assert verdict("\\boxed{x^2+2x+1}", answer="(x+1)^2") == Status.PASS
    assert verdict("\\boxed{\\tfrac34}", answer="3/4", extraction="math") == Status.PASS
    assert verdict("The answer is 3/4.", answer="3/4", extraction="math") == Status.INVALID
    assert verdict("\\boxed{7}", answer="6", accept=["7"], extraction="math") == Status.PASS


def test_the_answer_that_votes_count_is_the_one_that_is_compared() -> None:
    given = {"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": "1/2", "extraction": "math"}}
    problem, verifier = Problem.model_validate(given), MathVerifier()
    answers = {verifier.verify(problem, f"\\boxed{{{said}}}").answer for said in ("0.5", "1/2", "\\dfrac 12")}
    assert answers == {"\\frac{1}{2}"}


@pytest.mark.parametrize("kind", ["gsm8k", "math"])
def test_gold_solutions_pass_by_the_benchmarks_own_way(kind: str) -> None:
    verifier = MathVerifier()
    problems = published(kind, extraction="published")
    assert all(verifier.verify(problem, problem.solution or "").passed for problem in problems)


@pytest.mark.parametrize(
    "text",
    ["#" * 100_000, "#### " * 20_000, "\\boxed{" * 15_000, "\\boxed" * 17_000, "{" * 100_000, "\\boxed{}" * 12_000],
)
@pytest.mark.parametrize("extraction", ["gsm8k", "math"])
def test_hostile_texts_cost_little(text: str, extraction: str) -> None:
    with cpu_below(1):
        verdict(text, answer="18", extraction=extraction)
        verdict(f"#### 1{text}\\boxed{{{text[:900]}}}", answer="18", extraction=extraction)
