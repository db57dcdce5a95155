"""Thoughts are told from answers in every known format, finished or not, whoever opened them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.thoughts import TEMPLATE_MARKS, Split, ThoughtMarks, Thoughts, are_special, marks_in, thoughts_of
from tests.support.cost import cpu_below
from verify.special_tokens import after_thought

KNOWN = Thoughts()
HARMONY = "<|channel|>analysis<|message|>Is it \\boxed{7}?<|end|><|start|>assistant<|channel|>final<|message|>It is 8."


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("It is 8.", False, None, "It is 8."),
        ("<think>7?</think>8", False, "7?", "8"),
        ("7?\n</think>\n\n8", True, "7?\n", "\n\n8"),
        ("7?</think>8", False, "7?", "8"),
        ("So \\boxed{7} or", True, "So \\boxed{7} or", ""),
        ("<think>So \\boxed{7} or", False, "So \\boxed{7} or", ""),
        ("8<think>or 7", False, "or 7", "8"),
        ("<think>a</think><think>b</think>8", False, "a</think><think>b", "8"),
        ("<think>a</think>8<think>b", False, "ab", "8"),
        ("[THINK]7?[/THINK]8", False, "7?", "8"),
        ("◁think▷7?◁/think▷8", False, "7?", "8"),
        ("<thinking>7?</thinking>8", False, "7?", "8"),
        ("<seed:think>7?</seed:think>8", False, "7?", "8"),
        ("<think></think>8", False, "", "8"),
        (HARMONY, False, "Is it \\boxed{7}?", "It is 8."),
        (HARMONY.partition("<|end|>")[0], False, "Is it \\boxed{7}?", ""),
        ("<|channel|>final<|message|>8", False, None, "8"),
    ],
)
def test_a_completion_is_split(text: str, opened: bool, reasoning: str | None, answer: str) -> None:
    assert KNOWN.split(text, opened) == Split(reasoning, answer)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "7", " so ", "\n"]), max_size=9).map(
        "".join
    )
)
def test_a_split_answer_is_what_verifiers_read_in_the_whole_text(text: str) -> None:
    assert after_thought(KNOWN.split(text).answer) == after_thought(text)


def test_own_marks_are_the_only_ones() -> None:
    own = thoughts_of(ThoughtMarks(start="<<", end=">>"))
    assert own is not None
    assert own.split("<<7?>>8") == Split("7?", "8")
    assert own.split("<think>7?</think>8") == Split(None, "<think>7?</think>8")
    assert thoughts_of("none") is None


@pytest.mark.parametrize(
    ("prompt", "continued", "opened"),
    [
        ("user: 1+1?\nassistant: <think>\n", False, True),
        ("user: 1+1?\nassistant: <think>\n\n</think>\n", False, False),
        ("user: what is <think>?\nassistant: ", False, False),
        ("user: 1+1?\nassistant: <think>Let me see", True, True),
        ("user: 1+1?\nassistant: ", False, False),
    ],
)
def test_a_prompt_that_opens_a_thought_is_seen(prompt: str, continued: bool, opened: bool) -> None:
    assert KNOWN.are_opened_by(prompt, continued) is opened


def test_marks_are_found_in_a_template() -> None:
    assert marks_in("{{ message }}{% if thinking %}<think>\n{% endif %}") == ("<think>", "</think>")
    assert marks_in("{{ content.split('[/THINK]')[-1] }}") == ("[THINK]", "[/THINK]")
    assert marks_in("{{ content }}") is None


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "<|channel|>analysis<|message|>", "<|channel|>a", "<th", "[THINK]"]
)
def test_splitting_is_linear(piece: str) -> None:
    with cpu_below(2):
        KNOWN.split(piece * 100_000)
        KNOWN.are_opened_by(piece * 100_000)


@pytest.mark.parametrize("mark", [mark for pair in TEMPLATE_MARKS for mark in pair] + ["<|channel|>"])
def test_every_mark_that_a_tokenizer_may_drop_is_kept_until_it_is_read(mark: str) -> None:
    """The hole: of `<seed:think>`, `<thinking>` and four others nothing was known, so their thoughts became answers."""
    assert are_special(["<|im_end|>", mark])
    assert not are_special(["<|im_end|>", mark[:-1], "<thinks>"])
    assert len(KNOWN.opens.findall(mark)) + len(KNOWN.closes.findall(mark)) == (mark != "<|channel|>")
