"""The answer of a completion in every convention, and one spelling for different notations."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.boxed import boxed_answer
from tests.support.cost import cpu_below
from verify.answers import gsm8k_answer, math_answer
from verify.math.notation import as_number, normalise, number_text
from verify.stated import last_value


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She has 3 left.\n#### 3", "3"),
        ("#### 1,250\n\nQuestion: next\n#### 7", "1,250"),
        ("#### -5", "-5"),
        ("#### $18.50", "$18.50"),
        ("#### 18 dollars", "18"),
        ("#### 1. First step\nthen\n#### 2) Second\n#### 12", "12"),
        ("#### Step 2", None),
    ],
)
def test_gsm8k(text: str, answer: str | None) -> None:
    assert gsm8k_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} no, \boxed{2}.", "2"),
        (r"\boxed{a_{b_{c}}} and \boxed{unclosed", "a_{b_{c}}"),
        (r"\boxed 7$", "7"),
        (r"\fbox{9}", "9"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        ("none", None),
    ],
)
def test_boxed(text: str, answer: str | None) -> None:
    assert boxed_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Final Answer: The final answer is $[2,5)$. I hope it is correct.\n\nProblem: \\boxed{9}", "$[2,5)$"),
        (r"The final answer is $\boxed{24}$. I hope it is correct.", "24"),
        (r"Hence $x = \boxed{5}$, #### 6", "5"),
        ("The answer is 6. Then we rest.", "6"),
        ("The answer is 12 apples because 3 * 4.", "12"),
        ("**Answer:** $\\frac{1}{3}$", "\\frac{1}{3}"),
        ("The answer is: 2\\pi", "2\\pi"),
        ("\\frac{3}{4}", "\\frac{3}{4}"),
        ("We add 16 and get 24 in all", "24"),
        ("So we get $x^2 + 1$ for it, as was asked of us.", "x^2 + 1"),
        ("It costs $5. He sells 3 for $12 to his friend", "$12"),
        ("\\boxed{1}</think>The answer is 2", "2"),
        ("no idea what to say about this one", None),
        ("", None),
        ("\\boxed{" + "1" * 2000 + "}", None),
    ],
)
def test_math_answer_takes_the_first_convention_that_applies(text: str, answer: str | None) -> None:
    assert math_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "number"), [("10-4", "4"), ("is -4", "-4"), ("1,000,", "1,000"), ("1/2", "1/2"), ("x", None)]
)
def test_last_value(text: str, number: str | None) -> None:
    assert last_value(text) == number


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        ("0.50", "1/2"),
        (r"$\frac{2}{4}$.", ".5"),
        (r"1\frac{1}{2}", "1.5"),
        ("1,234", "1234"),
        ("1{,}234", "1234"),
        (r"\$32,\!348", "32348"),
        ("007", "7"),
        ("−3", "-3"),
        (r"90^\circ", "90"),
        (r"10\%", "10"),
        (r"x = 5", "5"),
        (r"\text{(C)}", "C"),
        (r"\text{Evelyn}", "evelyn"),
        (r"4\text{ cm}^2", "4"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        (r"\sqrt2", r"\sqrt{2}"),
        ("**5**", "5"),
        ("2*sqrt(13)", r"2\sqrt{13}"),
        ("√2", r"\sqrt{2}"),
        ("2*pi", "2π"),
        ("-137 1/2", "-137.5"),
    ],
)
def test_one_spelling(left: str, right: str) -> None:
    assert normalise(left) == normalise(right)


@pytest.mark.parametrize(
    ("left", "right"), [("(1,234)", "(1234)"), ("12", "1/2"), ("a", "A"), ("-1", "1"), ("1/3", "0.33")]
)
def test_different_answers_stay_different(left: str, right: str) -> None:
    assert normalise(left) != normalise(right)


@pytest.mark.parametrize("text", ["1/0", "1e9", "1.2.3", "", "--1", r"\frac{1}{0}", "९", "1_0"])
def test_what_is_no_number(text: str) -> None:
    assert as_number(text) is None


@given(st.fractions())
def test_numbers_survive_their_spelling(number: Fraction) -> None:
    assert as_number(number_text(number)) == number
    assert normalise(number_text(number)) == number_text(number)


HOSTILE = [
    "\\boxed{" * 200_000,
    "\\boxed{" * 100_000 + "}" * 100_000,
    "answer is " * 150_000,
    "#### " * 300_000,
    "#### 1,1,1," * 100_000,
    "1," * 700_000,
    "1" * 2_000_000,
    "$" * 1_000_000,
    "$a" * 500_000,
    "\\(" * 500_000,
    "final answer is" * 100_000 + "I hope",
    "1/" * 500_000,
    "-" * 1_000_000,
    "\ud800\0" * 500_000,
    " " * 1_000_000,
    "a" * 50_000_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_text_costs_little(text: str) -> None:
    with cpu_below(5):
        math_answer(text)
        normalise(text)


SIGNS = ["\\boxed{", "}", "$", "####", " 1", "2/3", ",", ".", "\\frac", "{", "\\text{", "\\left", "=", "%", "−", "**"]
WORDS = ["answer is", "final answer is", "I hope", "</think>", "9" * 400, "\\(", "\\)", "(B)", "\n", "\0", chr(0xD800)]
PIECES = st.sampled_from([*SIGNS, *WORDS])


@given(st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_gives_an_answer_or_none(text: str) -> None:
    answer = math_answer(text)
    assert answer is None or (answer.strip() and normalise(answer).encode() is not None)
    as_number(text)
