"""Multiple choice: the label or option text that a completion states, in every wrapper and phrasing."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.choices import ChoiceReference
from sampling.problems import Problem
from verify.choice import ChoiceVerifier, choice_answer
from verify.verdict import Status

COLOURS = {"A": "green", "B": "blue", "C": "3.2 eV", "D": "A polygenic risk score"}


def answer(text: str, gold: str = "B", options: object = None) -> str | None:
    return choice_answer(text, ChoiceReference.model_validate({"answer": gold, "options": options}))


def verdict(gold: str, text: str) -> tuple[Status, str | None]:
    data = {"id": "p", "prompt": "?", "verifier": "choice", "reference": {"answer": gold}}
    found = ChoiceVerifier().verify(Problem.model_validate(data), text)
    return found.status, found.answer


@pytest.mark.parametrize("gold", ["B", "b", "(B)", " B. "])
def test_the_right_letter_passes_however_it_is_written(gold: str) -> None:
    for text in ("B", "(B) because", "The answer is b.", "\\boxed{B}", "Hm.\n\n**B**"):
        assert verdict(gold, text) == (Status.PASS, "B")


def test_another_letter_fails() -> None:
    assert verdict("B", "The answer is (C)") == (Status.FAIL, "C")
    assert verdict("1", "0") == (Status.FAIL, "0")


@pytest.mark.parametrize("text", ["", "no letter to be seen", "\0\ud800", "A, B or C", "x" * 5_000_000])
def test_no_choice_is_invalid(text: str) -> None:
    assert verdict("B", text) == (Status.INVALID, None)


def test_a_reference_that_is_no_choice_is_our_fault() -> None:
    assert verdict("both", "B")[0] is Status.FAULT


BARE = [
    "`B`",
    "'B'",
    '"B"',
    "“B”",
    "**B**",
    "__B__",
    "*B*",
    "[B]",
    "{B}",
    "<B>",
    "(B)",
    "( B )",
    "B.",
    "B:",
    "$B$",
    "Ｂ",
]
LATEX = [
    r"$\mathrm{B}$",
    r"\(\mathbf{B}\)",
    r"$\boxed{\textbf{(B)}\ 12}$",
    r"\text{(B) blue}",
    r"\texttt{B}",
    r"\boxed{b}",
]
BOXES = [r"\boxed{\text{(B) x}}", r"\boxed{\text{B) x}}", r"\boxed{B.}", r"\boxed{\text{Answer: B}}", r"\fbox{B}"]


@pytest.mark.parametrize("wrapped", BARE + LATEX + BOXES)
def test_letters_in_wrappers(wrapped: str) -> None:
    for text in (wrapped, f"The answer is {wrapped}", f"ANSWER: {wrapped}", f"Let us see.\n\n{wrapped}"):
        assert answer(text) == "B", text


STATED = [
    *("The answer is (B), which is the capital of France.", "So B.", "Therefore, (B)", "Hence (B).", "Answer: B ✓"),
    *("Solution: B", "[ANSWER]B[/ANSWER]", "The answer is A... wait, no, B.", "Answer: A. Actually, B.", "[[B]]"),
    *("```\nB\n```", '{"answer": "B"}', "B\n\nA is wrong because of x. C is wrong too.", "#### B", "The letter is B"),
    *("The answer is B because it is blue", "The answer is B, because A is wrong", "The best answer is (b)."),
    *("The correct choice is option B: something", "The right option is B", "Hence the answer must be B."),
    *("My answer is B", "Final answer: option B", "**Answer**: B", "Answer - B", "Answer → B", "Answer = B"),
    *(
        "The final answer is $\\boxed{B}$. I hope it is correct.",
        "I'd go with B.",
        "I would choose option B",
        "I pick (B)",
    ),
    *("Thus option B is the correct answer.", "Therefore, B is the best answer.", "Only B is correct.", "Thus it's B."),
    *("This matches option B.", "which corresponds to choice (B).", "<answer>B</answer>", "<answer>\nB\n</answer>"),
    *("Option (B): blue", "The answer is not A but B.", "Answer: A\n\nWait, the answer is B.", "## Answer\n\n**B) x**"),
    *("The answer to the question of what to do is B.", "Answer: B. C is wrong.", "Answer: B\n\nIt is not C."),
    *("B\n\nQuestion: Next?\nA. x\nB. y\nAnswer: D", "B<|im_end|>\n<|im_start|>user\nAnswer: D", "B</s>"),
    *("B) x\n\nWhy:\nA) too small\nC) too large", "A) no\nB) yes\nC) no\n\nB"),
]
# A label behind a hedge word, in a tag or sign of its own, or in a sentence that ends in "best" or "so"
STATED += [
    *("Answer: I think B", "I'd say B.", "<choice>B</choice>", "【B】", "👉 **B**", "\\boxed{\\underline{B}}"),
    *("Of these, option B is best.", "So statement B is correct.", "Answer: B (2.5 mol)", "Ans: B", "Ans. (B)"),
    *("The correct one is B.", "I'll go for B", "A and C are wrong, so B.", "Answer looks like B."),
]
LANGUAGES = [
    *("la respuesta es B", "La respuesta correcta es la opción B", "La bonne réponse est B.", "Ответ: B"),
    *("Die richtige Antwort ist B.", "Die Antwort lautet: B", "Правильный ответ — B", "正解はBです", "答えは B です。"),
    *(
        "정답: B",
        "정답은 B입니다",
        "答案是B",
        "故选：B",
        "选B",
        "应选 B。",
        "选项B正确",
        "答案：（B）",
        "A resposta é: (B)",
    ),
    *("Đáp án: B", "Đáp án đúng là B", "सही उत्तर B है", "A resposta correta é a B", "الإجابة الصحيحة هي B"),
    *("Het juiste antwoord is B", "Odpowiedź: B", "คำตอบคือ B", "Rätt svar är B", "Правильна відповідь: B"),
    *("【答案】B", "正确的是B", "B项正确", "La opción correcta es B", "Die Antwort lautet B.", "Верный вариант: B"),
    *("الإجابة: B", "उत्तर: B", "Jawaban: B", "Cevap: B", "La risposta corretta è B"),
]


@pytest.mark.parametrize("text", STATED + LANGUAGES)
def test_stated_phrasings(text: str) -> None:
    assert answer(text) == "B"


ARTICLES = [
    *("A dog is an animal", "The answer is a dog", "I think so", "Answer: I am not sure", "Answer: I'm not sure"),
    *("Answer: A bit unclear", "Answer: Every", "Vitamin C is needed", "This answer is a good one", "b) because"),
]
UNDECIDED = [
    *("The answer is A or B", "either B or C", "The answer is between B and C", "\\boxed{A} or \\boxed{B}", "B or C"),
    *("The answer is B/C", "Answer: A-D", "Answer: B?", "Is the answer B?", "Maybe the answer is B?", "B\n\nC"),
    *(
        "Either B",
        "Answer: B... or D",
        "Answer: B\nD",
        "It could be B",
        "Answer: B (or D)",
        "\\boxed{B/D}",
    ),
    *("The answer is B. No, the answer is A or C.", "A) x\nB) y\nC) z", "A\nB\nC", "Answer: B = C", "\\boxed{b or c}"),
]
TURNED = [
    *("The answer is not (B)", "The answer cannot be B", "The answer isn't B", "I don't think the answer is B."),
    *(
        "If the answer is B, then",
        "The wrong answer is B",
        "B is incorrect",
        "Answer: (B) is wrong",
        "B is not correct",
    ),
    *("The answer could be B", "Do not choose B", "I would not pick B.", "Answer: anything but B", "\\boxed{\\neg B}"),
    *("The answer is the opposite of B", "none of B", "Anything except B", "B is not the answer", "Rule out B"),
    *("Neither A nor B is correct", "Option A is wrong. Option B is wrong.", "Answer: B, which is wrong"),
]
NAMES = [
    "C60 and C++",
    "Answer: B major",
    "Answer: 5 B",
    "B-section",
    "Answer: B cells",
    "The answer is E. coli",
    "E. coli is a bacterium",
    "Answer: T-cells",
    "\\boxed{B",
]
# What somebody else might choose, denials in other languages, names with initials
OTHERS = [
    *(
        "You might think the answer is B.",
        "Students often choose B.",
        "It is tempting to pick B.",
        "One may say B is right",
    ),
    *("A common mistake is to choose B.", "La respuesta no es B.", "Die Antwort ist nicht B.", "Ответ не B."),
    *("B. F. Skinner wrote it.", "The least likely answer is B."),
]
THOUGHTS = ["<think>the answer is B", "</think><think>Answer: B", "<think>\nMaybe (B)"]


@pytest.mark.parametrize("text", ARTICLES + UNDECIDED + TURNED + NAMES + OTHERS + THOUGHTS)
def test_in_doubt_nothing_is_chosen(text: str) -> None:
    assert answer(text) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *(("blue", "B"), ("The answer is blue.", "B"), ("\\boxed{3.2 eV}", "C"), ("**Blue**", "B"), ("b", "B")),
        *(("The answer is 3.2 eV because", "C"), ("Answer: A polygenic risk score", "D"), ("Answer: C 3.2 eV", "C")),
        *(("Answer: D A polygenic risk score", "D"), ("(D) A polygenic risk score", "D"), ("Answer: the blue", "B")),
        *(("Answer: (B) 3.2 eV", None), ("The answer is (C) green.", None), ("Answer: E", None), ("Answer: I", None)),
        *(
            ("green or blue", None),
            ("The answer is green or blue", None),
            ("The sky is blue", None),
            ("not blue", None),
        ),
        *(
            ("\\boxed{3.2\\text{ eV}}", "C"),
            ("The answer is $3.2$ eV.", "C"),
            ("3.2\\,\\mathrm{eV}", "C"),
            ("3.2eV", "C"),
        ),
        *(("3.3 eV", None), ("3.2 V", None), ("You might think it is blue", None)),
        *(("The answer is not blue", None), ("3.2", None), ("A polygenic risk", None)),
    ],
)
def test_options_that_are_known(text: str, label: str | None) -> None:
    """A text of an option stands for its label; only labels of options count; label and text must agree."""
    assert answer(text, options=COLOURS) == label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        *(("Answer: AC", "A,C"), ("A, C", "A,C"), ("C and A", "A,C"), ("(A) and (C)", "A,C"), ("\\boxed{A, C}", "A,C")),
        *(("\\boxed{AC}", "A,C"), ("\\boxed{\\text{A and C}}", "A,C"), ("The correct answers are A and C.", "A,C")),
        *(("Both A and C are correct", "A,C"), ("答案：AC", "A,C"), ("Answers: A, C, and D", "A,C,D"), ("A", "A")),
        *(("\\boxed{A}, \\boxed{C}", "A,C"), ("Answer: A or C", None), ("AAC", None), ("Answer: ACID", None)),
    ],
)
def test_several_right_options(text: str, labels: str | None) -> None:
    assert answer(text, "A, C") == labels


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *(("Answer: 10", "10"), ("10", "10"), ("(10)", "10"), ("\\boxed{10}", "10"), ("Option 10", "10"), ("7.", "7")),
        *(("The answer is 3.5", None), ("3 apples", None), ("Answer: 3%", None), ("1. First\n2. Second", None)),
        *(("1. First", None), ("Answer: 10 or 11", None), ("Answer: 1,000", None), ("The answer is (4) four", "4")),
    ],
)
def test_numbers_as_labels(text: str, label: str | None) -> None:
    assert answer(text, "2") == label


def test_ten_options_and_more() -> None:
    ten = [f"text {number}" for number in range(10)]
    assert answer("Answer: J", "J", ten) == "J" and answer("Answer: K", "J", ten) is None
    assert answer("The answer is text 9", "J", ten) == "J"
    many = [f"text {number}" for number in range(30)]
    assert answer("Answer: 30", "30", many) == "30" and answer("Answer: 31", "30", many) is None
    assert answer("Answer: 3", "30", many) == "3"


HOSTILE = [
    *(
        "\\boxed{" * 30_000,
        "answer is " * 20_000,
        "answer is B or " * 14_000,
        "A is correct. " * 14_000,
        "A, " * 60_000,
    ),
    *("A\n" * 100_000, "(" * 200_000, "\\text{" * 32_000, "*" * 200_000, "the " * 50_000 + "A", "选" * 200_000),
    *("Question: x\n" * 16_000, "<|im_end|>" * 20_000, "\\boxed{B}" * 20_000, "'" * 200_000, "not " * 50_000),
    *("it is " * 32_000, " " * 200_000, "\n" * 200_000, "A" * 200_000, "\ud800\0" * 100_000, "a" * 10_000_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_text_costs_little(text: str) -> None:
    began = time.process_time()
    for gold, options in (("B", None), ("B", COLOURS), ("A, C", None), ("2", None)):
        answer(text, gold, options)
    assert time.process_time() - began < 8


PIECES = [
    "\\boxed{",
    "}",
    "answer is ",
    "(",
    ")",
    "A",
    "B",
    " or ",
    ", ",
    "**",
    "$",
    "\\text{",
    "not ",
    "\n",
    "</think>",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_labels_or_none(text: str) -> None:
    for options in (None, COLOURS):
        found = answer(text, options=options)
        assert found is None or set(found.split(",")) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if options is None else "ABCD"
        )
