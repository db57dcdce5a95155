"""Answers found in what models write: in prose, formulas, tags, boxes and fourteen languages; hedges give none."""

import pytest

from sampling.problems import Problem
from verify.math.verifier import MathVerifier
from verify.verdict import Status

RIGHT = [
    ("42", "The answer is:\n\\[\n42\n\\]\nas desired."),
    ("42", "Therefore\n$$\nx = 42\n$$\n"),
    ("42", "Thus,\n\\[\nx = 40 + 2 = 42.\n\\]\nDone."),
    ("x^2+1", "So\n\\[\nf(x) = x^2 + 1\n\\]"),
    ("7", "<answer>7</answer>"),
    ("7", "I think 8. <answer> 7 </answer> ok 9"),
    ("7", "<answer>The result is 7.</answer>"),
    ("\\frac12", "<answer>$\\frac{1}{2}$</answer>"),
    ("7", "<answer>\n7\n"),
    ("12", "**Answer:** 12 apples are left because she ate 3."),
    ("12", "**Answer**: 12. She ate 3 of 15."),
    ("12", "**Final Answer: 12** since 3 were eaten"),
    ("12", "## Answer\n12 apples"),
    ("2,3", "The roots are $\\boxed{2}$ and $\\boxed{3}$."),
    ("2,3", "$\\boxed{2}, \\boxed{3}$"),
    ("2,3", "x = \\boxed{2} or x = \\boxed{3}"),
    ("1,2,3", "\\boxed{1}, \\boxed{2}, and \\boxed{3}"),
    ("3", "First \\boxed{2} is the base, then we get \\boxed{3}."),
    ("18", "#### 18 (9 eggs at $2)"),
    ("18", "#### 18 (in dollars)"),
    ("18", "#### $18 per day"),
    ("18", "#### 18, because 9*2=18"),
    ("18", "La respuesta es 18."),
    ("18", "La respuesta final es: $18$."),
    ("18", "La réponse est 18."),
    ("18", "Réponse : 18"),
    ("18", "A resposta é 18."),
    ("18", "Ответ: 18"),
    ("18", "Ответ: 18 рублей, так как 2*9."),
    ("18", "答案是18。"),
    ("18", "答案：18"),
    ("18", "因此答案为 $18$ 元，因为 9 个。"),
    ("18", "所以最终答案是 18，共 9 个。"),
    ("18", "उत्तर: 18"),
    ("18", "उत्तर 18 है।"),
    ("18", "उत्तर: १८"),
    ("18", "الإجابة هي 18"),
    ("18", "الجواب: 18 لأن 9*2"),
    ("18", "الجواب هو ١٨"),
    ("18", "উত্তর: ১৮"),
    ("18", "উত্তর হল 18"),
    ("18", "جواب: 18"),
    ("18", "Die Antwort ist 18, weil 2 mal 9."),
    ("18", "Jawabannya adalah 18."),
    ("18", "The answer is not 20 but 18."),
    ("18", "The answer is not 20, but 18."),
    ("18", "The answer is not 20. It is 18."),
    ("18", "The answer isn't 20; the answer is 18."),
    ("18", "The answer is 18, not 20."),
    ("10", "The answer is 10<|endoftext|>"),
    ("10", "\\boxed{10}<|im_end|>\n<|im_start|>user\nWhat is 3+4?<|im_end|>\n\\boxed{7}"),
    ("10", "10</s>"),
    ("10", "The answer is 10.<|eot_id|><|start_header_id|>"),
    ("12", "The answer is $12$ and this is final."),
    ("12", "The answer is $12$, and 5 is not."),
    ("12", "The answer is twelve."),
    ("12", "The correct answer is 12."),
    ("12", "The answer to the question is 12."),
    ("12", "My answer would be 12."),
    ("12", "Answer = 12"),
    ("12", "The answer is therefore 12."),
    ("12", "The answer is: **12**."),
    ("12", "The final answer is **12 apples**."),
    ("12", "So the answer should be $\\boxed{12}$"),
    ("12", "The answer is \\(12\\)."),
    ("12", "The answer is $x = 12$."),
    ("12", "The answer is $12.00."),
    ("1200", "The answer is $1,200 per month."),
    ("0.5", "The answer is 50%."),
    ("12", "Total: 12"),
    ("12", "It is 12 because 3*4=12."),
    ("12", "The answer is about 12."),
    ("12", "12\n\nExplanation: we multiply 3 by 4."),
    ("12", "The answer is 12.\n\nQuestion: how many are 3+4?\nAnswer: 7"),
    ("12", "#### 12\n\nQuestion: Tom has 3.\n#### 7"),
    ("x+1", "The answer is x+1."),
    ("(2,3)", "The answer is (2, 3)."),
    ("(2,3)", "The answer is the pair $(2,3)$."),
    ("\\frac{3}{4}", "The answer is 3/4."),
    ("\\frac{3}{4}", "The probability is $\\frac{3}{4}$."),
    ("\\text{Tuesday}", "The answer is Tuesday."),
    ("\\text{Tuesday}", "The answer is Tuesday, because of 2."),
    ("\\text{Yes}", "The answer is yes."),
    ("5", "<think>\\boxed{6}</think>\\boxed{5}"),
    ("11", "The answer is 5+6."),
    ("30", "The answer is 5*6."),
    ("-5", "The answer is -5."),
    ("5000000", "The answer is 5 million dollars."),
    ("5000000", "#### 5 million"),
    ("50", "#### 50%"),
    ("1.5", "The answer is 1.5."),
    ("16", "The area is 16 cm^2"),
    ("16", "The answer is 16 cm²."),
    ("16", "The answer is $16\\text{ cm}^2$."),
    ("16", "The area is 16 cm²."),
    ("2^{10}", "The answer is 2^10."),
    ("\\frac23", "We get 2/3"),
    ("25", "AIME: \\boxed{025}"),
]
WRONG = [
    ("8", "I think \\boxed{8}. <answer>7</answer>"),
    ("3", "**Answer:** 12 apples are left because she ate 3."),
    ("3", "The roots are $\\boxed{2}$ and $\\boxed{3}$."),
    ("18", "#### 18 = 9*2"),
    ("18", "#### 18 or 20"),
    ("20", "#### 18 or 20"),
    ("9", "答案是18。因为 9 个。"),
    ("20", "The answer is not 20 but 18."),
    ("20", "So the answer is not 20."),
    ("20", "The answer is 18, not 20."),
    ("4", "12\n\nExplanation: we multiply 3 by 4."),
    ("7", "The answer is 12.\n\nQ: What is 3+4?\nA: The answer is 7."),
    ("5", "The answer is 5 or 6."),
    ("6", "The answer is 5 or 6."),
    ("5", "The answer is either 5 or 6."),
    ("6", "The answer is either 5 or 6."),
    ("5", "The answer is 5, or maybe 6."),
    ("5", "The answer is between 5 and 6."),
    ("6", "The answer is between 5 and 6."),
    ("5", "\\boxed{5} or maybe \\boxed{6}"),
    ("5", "The answer is 5+6."),
    ("5", "The answer is 5 * 6."),
    ("5", "The answer is 5x."),
    ("5", "The answer is 5:6."),
    ("5", "The answer is 5^2."),
    ("5", "The answer is -5."),
    ("5", "The answer is 5 - 3."),
    ("5", "The answer is 5 plus 3."),
    ("5", "The answer is 5 times 3."),
    ("5", "The answer is 5 million."),
    ("5", "The answer is 5 million dollars."),
    ("5", "The answer is 5 dozen."),
    ("5", "So we have 5 million"),
    ("5", "The answer is 5 and a half."),
    ("5", "The answer is 5 hundred."),
    ("5", "#### 5 million"),
    ("5", "#### 5x"),
    ("5", "#### 5:30"),
    ("5", "#### 5!"),
    ("5", "#### 5^2"),
    ("10", "The answer is 2^10."),
    ("2", "The answer is 2^10."),
    ("3", "We get 2/3"),
]


def status(answer: str, completion: str, **policy: object) -> Status:
    data = {"id": "p", "prompt": "?", "verifier": "math", "reference": {"answer": answer, **policy}}
    return MathVerifier().verify(Problem.model_validate(data), completion).status


@pytest.mark.parametrize(("answer", "completion"), RIGHT)
def test_the_answer_is_found(answer: str, completion: str) -> None:
    assert status(answer, completion) is Status.PASS


@pytest.mark.parametrize(("answer", "completion"), WRONG)
def test_what_is_not_the_answer_does_not_pass(answer: str, completion: str) -> None:
    assert status(answer, completion) is not Status.PASS


SEVERAL = "First \\boxed{1}, then #### 2, then the answer is 3.\nLast: \\boxed{4}"


@pytest.mark.parametrize(
    ("policy", "completion", "answer"),
    [
        ({"which": "last"}, SEVERAL, "4"),
        ({"which": "first"}, SEVERAL, "1"),
        ({"which": "all"}, SEVERAL, "1, 4"),
        ({"which": "boxed"}, SEVERAL, "4"),
        ({"which": "last"}, "#### 5\n#### 6", "6"),
        ({"which": "first"}, "The answer is 5. The answer is 6.", "5"),
        ({"which": "last"}, "The answer is 5. The answer is 6.", "6"),
        ({"pattern": r"Result: (\S+)"}, "Result: 5\nResult: 6\n\\boxed{7}", "6"),
        ({"pattern": r"Result: (\S+)", "which": "first"}, "Result: 5\nResult: 6", "5"),
        ({"pattern": r"(?i)result\s*=\s*(?P<x>[0-9/]+)"}, "RESULT = 1/2.", "0.5"),
    ],
)
def test_the_policy_says_which_answer_counts(policy: dict[str, object], completion: str, answer: str) -> None:
    assert status(answer, completion, **policy) is Status.PASS


@pytest.mark.parametrize(
    ("policy", "completion"),
    [
        ({"which": "boxed"}, "The answer is 5."),
        ({"pattern": "Result: (.)"}, "\\boxed{5}"),
        ({"pattern": "(5)"}, "<think>5"),
    ],
)
def test_without_the_answer_that_the_policy_wants_there_is_none(policy: dict[str, object], completion: str) -> None:
    assert status("5", completion, **policy) is Status.INVALID


@pytest.mark.parametrize(
    ("policy", "gold", "answer", "passes"),
    [
        ({"accept": ["7", "8"]}, "6", "8", True),
        ({"accept": ["7", "8"]}, "6", "9", False),
        ({"tolerance": 0.01}, "3.14", "3.1416", True),
        ({"tolerance": 0.01}, "3.14", "\\pi", True),
        ({"tolerance": 0.01}, "3.14", "3.16", False),
        ({"relative_tolerance": 0.05}, "9.81", "9.8", True),
        ({"relative_tolerance": 0.05}, "-200", "-209", True),
        ({"relative_tolerance": 0.05}, "-200", "-211", False),
        ({"relative_tolerance": 0.05}, "6.6\\times 10^{-34}", "6.63\\times 10^{-34}", True),
        ({"relative_tolerance": 0.05}, "6.6\\times 10^{-34}", "7.63\\times 10^{-34}", False),
        ({"relative_tolerance": 0.05}, "(1, 2)", "(1.01, 1.99)", True),
        ({}, "10\\%", "10", True),
        ({"percent": "strict"}, "10\\%", "10", False),
        ({"percent": "strict"}, "10\\%", "0.1", True),
        ({"percent": "strict"}, "10", "10\\%", False),
        ({}, "5\\text{ cm}", "5", True),
        ({"units": "strict"}, "5\\text{ cm}", "5", False),
        ({"units": "strict"}, "5\\text{ cm}", "5 cm", True),
        ({"units": "strict"}, "5", "5 cm", False),
        ({"units": "strict"}, "5\\text{ cm}", "5\\text{ centimetres}", True),
        ({}, "1, 2", "2, 1", True),
        ({"order": "strict"}, "1, 2", "2, 1", False),
        ({"order": "strict"}, "1, 2", "1, 2", True),
        ({"order": "strict"}, "1, 2", "1, 2, 2", False),
        ({}, "Yes", "YES", True),
        ({"case": "strict"}, "Yes", "YES", False),
        ({"case": "strict"}, "\\text{Yes}", "Yes", True),
    ],
)
def test_the_policy_says_what_is_equal(policy: dict[str, object], gold: str, answer: str, passes: bool) -> None:
    assert (status(gold, f"\\boxed{{{answer}}}", **policy) is Status.PASS) is passes
