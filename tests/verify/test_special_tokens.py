"""Thoughts, special tokens and later turns are no part of an answer."""

import pytest

from tests.support.cost import cpu_below
from verify.special_tokens import after_thought, strip_special_tokens, unfinished_thought


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<thinking>a</thinking> b", " b"),
        ("<thought>a</thought>b", "b"),
        ("<reasoning>a</reasoning>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>b<|end_of_solution|>", "\nb"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("analysisWe add. Done.assistantfinalIt is 4.", "It is 4."),
        ("<think>never finished", ""),
        ("b <think>never finished", "b "),
        ("<|channel|>analysis<|message|>never finished", ""),
        ("analysis of variance", "analysis of variance"),
        ("b", "b"),
    ],
)
def test_a_thought_is_no_answer(text: str, answer: str) -> None:
    assert after_thought(text) == answer


@pytest.mark.parametrize(
    "text", ["<think>a", "x</think><think>a", "<|channel|>analysis<|message|>a", "[THINK]\\boxed{7}"]
)
def test_an_unfinished_thought_has_no_answer(text: str) -> None:
    assert unfinished_thought(text)


@pytest.mark.parametrize("text", ["", "a", "<think>a</think>", "<think>a</think>b", "b <think>a"])
def test_a_finished_text_is_no_unfinished_thought(text: str) -> None:
    assert not unfinished_thought(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a<|endoftext|>", "a"),
        ("a<|im_end|>\n<|im_start|>user\nb", "a"),
        ("<|im_start|>a<|eot_id|>", "a"),
        ("<s> a</s>", " a"),
        ("a</s></s>\n", "a"),
        ("a<｜end▁of▁sentence｜>b", "a"),
        ("a<end_of_turn>\n", "a"),
        ("[/INST] a", " a"),
        ("print('<|endoftext|>', \"<|im_start|>\")", "print('<|endoftext|>', \"<|im_start|>\")"),
        ("<s>struck</s> out", "struck</s> out"),
        ("1<|x|>y", "1<|x|>y"),
        ("a <b", "a <b"),
    ],
)
def test_special_tokens_are_stripped(text: str, answer: str) -> None:
    assert strip_special_tokens(text) == answer


HOSTILE = ["<think>", "</think>", "<|", "<|im_end|>", "</s>", "[INST] ", "<|channel|>analysis<|message|>", "<｜", " "]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_costs_little(piece: str) -> None:
    with cpu_below(2):
        after_thought(piece * 100_000)
        unfinished_thought(piece * 100_000)
