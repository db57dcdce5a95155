"""Kinds of answers that models write in several notations: each kind with right and nearly right ones."""

import pytest

from sampling.policy import MathPolicy
from sampling.problems import Problem
from tests.support.cost import cpu_below
from verify.math.number_words import number_in_words
from verify.math.verifier import MathVerifier, equal_answers

# One pair a line: y or n, the right answer, the written one
DISTANCES = r"""
y|[-3,3]|\|x\| \leq 3
y|(2,8)|\|x-5\|<3
y|(2,8)|\|2x-10\|<6
n|(2,8)|\|x+5\|<3
n|[-3,3]|\|x\| < 3
y|(-\infty,-4)\cup(4,\infty)|\|t\|>4
n|(-\infty,-4)\cup(4,\infty)|\|t\|\ge4
n|[-3,3]|\|x\|+\|y\| \leq 3
"""
SETS_IN_OTHER_FORMS = r"""
y|(2,8)|x>2 \text{ and } x<8
y|(2,8)|x > 2, x < 8
n|(2,8)|x>2 \text{ or } x<8
n|(-\infty,2)\cup(8,\infty)|x<2 \text{ and } x>8
y|(-\infty,2)\cup(8,\infty)|\{x \mid x<2 \text{ or } x>8\}
y|(-\infty,0]\cup[4,\infty)|\mathbb{R}\setminus(0,4)
n|(-\infty,0]\cup[4,\infty)|\mathbb{R}\setminus[0,4]
y|(-\infty,0]\cup[4,\infty)|(-\infty,0] \text{ and } [4,\infty)
n|(1,2),(3,4)|(1,2)\cup(3,5)
y|(1,2]|]1,2]
n|[1,2]|[1,2[
y|[1,5)\cup(6,7]|[1,5)U(6,7]
y|(0,\infty)|\mathbb{R}^+
y|(-\infty,\infty)|\text{all real numbers}
n|(0,\infty)|\text{all real numbers}
y|(-\infty,3)\cup(3,\infty)|\text{all real numbers except } 3
n|(-\infty,3)\cup(3,\infty)|\text{all real numbers except } 2
n|\emptyset|\{\emptyset\}
"""
SYSTEMS_AND_CASES = r"""
y|\begin{cases}x=3\\y=-1\end{cases}|x=3,\ y=-1
y|\begin{cases}x=3\\y=-1\end{cases}|(3,-1)
y|\begin{cases}x=3\\y=-1\end{cases}|\begin{aligned}y&=-1\\x&=3\end{aligned}
n|\begin{cases}x=3\\y=-1\end{cases}|x=-1, y=3
n|\begin{cases}x=3\\y=-1\end{cases}|x=3
y|\begin{cases}1 & x>0\\0 & x\le 0\end{cases}|\begin{cases}0, & \text{if } x\le 0\\1, & \text{if } x>0\end{cases}
n|\begin{cases}1 & x>0\\0 & x\le 0\end{cases}|\begin{cases}0, & x>0\\1, & x\le 0\end{cases}
n|x=4 \text{ or } x=9|y=4 \text{ or } y=9
n|x=4, 9|y=4, 9
y|x=4 \text{ or } x=9|x=9, 4
"""
MATRICES_AND_VECTORS = r"""
y|\begin{pmatrix}2&4\\6&8\end{pmatrix}|2\begin{pmatrix}1&2\\3&4\end{pmatrix}
n|\begin{pmatrix}2&4\\6&8\end{pmatrix}|2\begin{pmatrix}1&2\\3&5\end{pmatrix}
y|\begin{pmatrix}2&4\\6&8\end{pmatrix}|[[2,4],[6,8]]
n|\begin{pmatrix}2&4\\6&8\end{pmatrix}|[[2,6],[4,8]]
y|\begin{pmatrix}3\\4\end{pmatrix}|\begin{pmatrix}3&4\end{pmatrix}^T
y|\begin{pmatrix}3\\4\end{pmatrix}|\langle 3,4 \rangle
n|\begin{pmatrix}3\\4\end{pmatrix}|(3,4)
n|\begin{pmatrix}3\\4\end{pmatrix}|(4,3)^T
y|\begin{pmatrix}-1\\2\end{pmatrix}|-\begin{pmatrix}1\\-2\end{pmatrix}
y|3\mathbf{i}-\mathbf{j}|3\hat{i}-\hat{j}
y|3\mathbf{i}-\mathbf{j}|\langle 3,-1\rangle
n|3\mathbf{i}-\mathbf{j}|(3,1)
n|3\mathbf{i}-\mathbf{j}|(-1,3)
n|3\mathbf{i}\mathbf{j}|(3,3)
y|(3,-5)|P(3,-5)
n|(3,-5)|P(3,5)
"""
EXACT_VALUES_AND_DECIMALS = r"""
y|0.5|\sin\frac{\pi}{6}
y|\cos 60^\circ|0.5
y|2.5|\log_{4} 32
n|2.5|\log_{4} 31
n|0.8660|\sin 60^\circ
n|-0.5|\sin\frac{\pi}{6}
y|10^{-7}|0.0000001
n|3\times10^{-7}|0.0000004
n|1.0000001|1
y|\frac{5}{6}|0.8333\ldots
y|\frac{1}{7}|0.142857142857...
n|\frac{5}{6}|0.83...
n|\sqrt{2}|1.414\ldots
n|120|12\ldots
y|-3|\sqrt[3]{-27}
n|-3|\sqrt{-9}
y|66\frac{2}{3}\%|\frac{2}{3}
n|66\frac{2}{3}\%|66\frac{1}{3}\%
y|37^\circ 30'|37.5^\circ
n|37^\circ 30'|37.3^\circ
"""
WORDS_DATES_AND_TIMES = r"""
y|21|\text{twenty-one}
n|21|\text{twenty-two}
y|\text{one hundred and five}|105
y|\infty|\text{infinitely many}
y|\text{DNE}|\text{does not exist}
n|\text{does not exist}|\text{no solution}
y|\text{March 5}|\text{5th of March}
n|\text{March 5}|\text{5 May}
n|\text{March 5, 1998}|\text{March 5, 1999}
y|\text{7:45 AM}|7:45 \text{ a.m.}
n|\text{7:45 AM}|7:45 PM
y|15:20|3:20 \text{ p.m.}
n|15:20|3:20 \text{ a.m.}
n|12:30|12:30 \text{ pm}
y|3:4|3 \text{ to } 4
n|\frac{3}{4}|3 \text{ to } 4
"""
MONEY_UNITS_AND_GROUPS = r"""
n|\$12|12 \text{ cents}
n|\$12|€12
y|\$12|12 \text{ dollars}
y|12|\text{Rs. }12
y|5|5\,\Omega
y|5|5\ \mathrm{J\,K^{-1}}
y|6|6 oranges
n|6|6 wrong
n|6|6 abcd
y|1234567|12,34,567
n|1234567|1.234.567
n|12,34,56|12,34,567
y|8|2**3
n|6|2**3
y|10|C(5,3)
y|(5,3)|C(5,3)
y|101_2|101_{\text{two}}
n|101_2|101 \text{ in base } 3
"""
LABELS_AND_OPTIONS = r"""
y|f(x)=3x-2|y=3x-2
y|f(x)=3x-2|f(t)=3t-2
n|f(x)=3x-2|f(t)=3t+2
n|f(x)=3x-2|g(x)=3x-2
n|f(a)=7|f(b)=7
n|f(x)=ax|f(a)=a^2
y|4|4 = x
n|4|5 = x
y|31|\text{Total cost} = 31
n|31|\text{Total} = 30
y|\frac13|P(A\|B)=\frac13
n|\frac13|P(A\|B)=\frac14
y|n \equiv 2, 5 \pmod 7|n \equiv 5 \text{ or } 2 \pmod{7}
n|n \equiv 2, 5 \pmod 7|n \equiv 2, 4 \pmod 7
n|n \equiv 2, 5 \pmod 7|2, 5
y|\text{(D)}|\textbf{(D)}\ 17
y|\text{(D)}|\text{Option D}
n|\text{(D)}|\text{(D) or (E)}
n|\text{(D)}|(D) \text{ is wrong}
n|17|\textbf{(D)}\ 17
"""

_FORMS = (DISTANCES, SETS_IN_OTHER_FORMS, SYSTEMS_AND_CASES, MATRICES_AND_VECTORS, EXACT_VALUES_AND_DECIMALS)
_OTHERS = (WORDS_DATES_AND_TIMES, MONEY_UNITS_AND_GROUPS, LABELS_AND_OPTIONS)
LINES = [line for kind in (*_FORMS, *_OTHERS) for line in kind.strip().split("\n")]
PAIRS = [tuple(part.replace("\0", "|") for part in line.replace(r"\|", "\0").split("|")) for line in LINES]


@pytest.mark.parametrize(("right", "gold", "written"), PAIRS)
def test_equal_answers(right: str, gold: str, written: str) -> None:
    assert equal_answers(gold, written, MathPolicy()) is (right == "y")


# (right answer, completion that gives it, completion that gives another or none)
FOUND = [
    ("14", "The answer is 9 + 5 = 14 pears.", "The answer is 9 + 4 = 13 pears."),
    ("9", "The answer is 9.", "The answer is 9 + 5 = 14 pears."),
    ("14", "#### 9 + 5 = <<9+5=14>>14", "#### 9 + 5 = <<9+5=15>>15"),
    ("14", "#### p = 14", "#### p = 15"),
    ("2400", "#### 2 400", "#### 2 401"),
    ("14", "Answer: $14 (7 pears at $2 each)", "Answer: $7 (14 pears at $2 each)"),
    ("2.75", "Die Antwort lautet 2,75.", "The answer is 2,75."),
    ("\\frac{5}{4}", "The answer is 5/4 (or 1.25).", "The answer is 4/5 (or 0.8)."),
    ("(3, 8)", "The answer is the ordered pair (3, 8).", "The answer is the ordered pair (8, 3)."),
    ("14", "The answer is 14. The other answer is 15.", "The other answer was 14. The answer is 15."),
    ("14", "So we get\n\\begin{align*}\nx &= 9 + 5 \\\\\n&= 14\n\\end{align*}", "\\begin{align*}x &= 9\\end{align*}"),
    ("14", "\\boxed{\\text{The answer is 14}}", "\\boxed{\\text{The answer is 15}}"),
    ("14", "\\boxed{\\text{about } 14}", "\\boxed{\\text{not } 14}"),
    ("17", "The answer is seventeen.", "The answer is seventy."),
    ("-14", "The answer is minus 14.", "The answer is 14."),
    ("14", "The answer is 14 degrees.", "The answer is twice 14."),
    ("14", "The answer is 14 by then.", "The answer is 14 (mod 20)."),
    ("3, 8", "The solutions are x = 3 and x = 8.", "The solution is x = 8."),
    ("8", "So $x = 8$.", "So $x = 3$ or $x = 8$."),
    ("\\text{3:30 PM}", "The answer is 3:30 p.m.", "The answer is 3:30 a.m."),
    ("14", "The final answer is $14$ ways. I hope it is right.", "The final answer is $14$ or so. I hope it is right."),
    ("14", "정답은 14입니다.", "정답은 15입니다."),
    ("14", "Đáp số: 14", "Đáp số: 41"),
    ("14", "Відповідь: 14", "Відповідь: 41"),
    ("\\frac{3}{8}", "The answer is ⅜.", "The answer is ⅝."),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "right", "wrong"), FOUND)
def test_answers_in_what_models_write(gold: str, right: str, wrong: str) -> None:
    asked = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": gold}})
    assert MathVerifier().verify(asked, right).passed
    assert not MathVerifier().verify(asked, wrong).passed


def test_numbers_in_words() -> None:
    said = [
        "nineteen",
        "forty two",
        "two thousand three hundred",
        "twenty ten",
        "two thousand five thousand",
        "hundred",
    ]
    assert list(map(number_in_words, said)) == [19, 42, 2_300, None, None, None]


@pytest.mark.parametrize(
    "text",
    [
        *("9 + 9 = " * 12_000, "\\begin{align}x &= 1 \\\\" * 4_000, "\n####x= <<1=1>>" * 6_000, "1 000 " * 16_000),
        *("answer is 1 (2) " * 6_000, "other answer is " * 6_000, "respuesta es 1,5" * 6_000, "$1 " * 33_000),
        *("\\boxed{" + "twenty " * 140 + "}", "\\boxed{" + "]1," * 300 + "}", "\\boxed{" + "x<1 and " * 120 + "x<2}"),
        *("\\boxed{" + "(1,2)," * 160 + "(1,2)}", "\\boxed{0." + "12" * 480 + "\\ldots}"),
        *(
            "\\boxed{" + "\\sqrt[3]{-" * 80 + "8" + "}" * 81,
            "\\boxed{" + "-" * 900 + "\\begin{pmatrix}1\\end{pmatrix}}",
        ),
        *("\\boxed{" + "2\\begin{pmatrix}1\\end{pmatrix}" * 28 + "}", "\\boxed{|" + "x|x" * 300 + "|<1}"),
    ],
)
def test_hostile_text_costs_little(text: str) -> None:
    with cpu_below(3):
        for gold in ("(-1,1)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "2\\mathbf{i}+3\\mathbf{j}", "(1,2)\\cup(3,4)"):
            asked = Problem.model_validate(
                {"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": gold}}
            )
            assert not MathVerifier().verify(asked, text).passed
