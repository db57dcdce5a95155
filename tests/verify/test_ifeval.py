"""Instructions by their published ids: each rule, strict and loose, bad references, texts that cost little."""

import time
from typing import Any

import pytest

from sampling.errors import BadInput
from sampling.instructions import ARGUMENTS, LEFT_OUT, IfevalReference
from sampling.problems import Problem
from sampling.validate import parse
from verify.ifeval import RULES, IfevalVerifier
from verify.verdict import Status, Verdict


def verdict(text: str, *instructions: tuple[str, dict[str, Any]], loose: bool = False) -> Verdict:
    names, kwargs = [name for name, _ in instructions], [given for _, given in instructions]
    reference = {"instruction_id_list": names, "kwargs": kwargs, "loose": loose}
    asked = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "ifeval", "reference": reference})
    return IfevalVerifier().verify(asked, text)


LONG = '"Good day"\n\nThe second, here.\n\nThird'
# (instruction, arguments, texts that follow it, texts that do not)
RULED: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["Ann", "tea"]}, ["ann had TEA"], ["Ann had milk"]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, ["tea, Tea"], ["tea"]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"}, ["tea", "-"], ["tea tea"]),
    ("keywords:forbidden_words", {"forbidden_words": ["tea", "c.p"]}, ["teapot cap"], ["my Tea!", "a c.p."]),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "at least"}, ["Ee"], ["e"]),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "***\na\n***\nb"],
        ["a", "a***b***c"],
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 3}, ["a***b***c"], ["a*** ***b***c", "a\n\nb\n\nc"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["one, two three"], ["one two"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, ["one two"], ["one two three"]),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 3, "nth_paragraph": 1, "first_word": "good"},
        [LONG],
        ["good", LONG + "\n\nfour", "x\n\ny\n\nz"],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] [b]", "[a]\n[b]"], ["[a]", "[a [b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Hi\np. s. bye"], ["Hi PS bye"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["Hi\nP.P.S more"], ["Hi\nP.S. more"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n- b", "*a\n*b"], ["* a", "** a\n** b\n* c"]),
    ("detectable_format:constrained_response", {}, ["My answer is yes."], ["my answer: yes", "My answer is good."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*a* *b*"], ["*a*", "* *a", "*a\nb*"]),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part", "num_sections": 2},
        ["Part 1\nx\nPart 2\ny"],
        ["Part 1", "Part A Part B"],
    ),
    ("detectable_format:json_format", {}, ['{"a": 1}', "```json\n[1]\n```", "```\n1\n```"], ["a: 1", 'Here: {"a": 1}']),
    ("detectable_format:title", {}, ["<<My title>>\ntext"], ["<title>", "<<>>", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["a\n******\nb", "******a******b"], ["a******a", "a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, ["say it. Yes"], ["Yes. Say it."]),
    (
        "startend:end_checker",
        {"end_phrase": "That is all."},
        ["Hm. that is all.", '"That is all."'],
        ["That is all. Bye"],
    ),
    ("startend:quotation", {}, ['"a b"'], ['"a b', '"', "'a'"]),
    ("punctuation:no_comma", {}, ["a b"], ["a, b"]),
]


@pytest.mark.parametrize(("name", "given", "right", "wrong"), RULED)
def test_each_rule(name: str, given: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if not verdict(text, (name, given)).passed] == []
    assert [text for text in wrong if verdict(text, (name, given)).passed] == []


def test_every_instruction_has_a_rule_and_a_test() -> None:
    assert RULES.keys() == ARGUMENTS.keys() == {name for name, *_ in RULED}
    assert len(RULES) + len(LEFT_OUT) == 25  # as many as are published


def test_all_instructions_must_be_followed_and_the_share_is_the_score() -> None:
    comma, words = ("punctuation:no_comma", {}), ("length_constraints:number_words", RULED[7][1])
    assert verdict("one two three", comma, words) == Verdict(Status.PASS, score=1.0)
    found = verdict("one, two three", comma, words)
    assert (found.status, found.reason, found.score) == (Status.FAIL, "not followed: punctuation:no_comma", 0.5)


def test_loose_leaves_out_lines_and_asterisks() -> None:
    quoted, text = ("startend:quotation", {}), 'Sure, here it is:\n**"Good day."**\nI hope it helps'
    assert not verdict(text, quoted).passed and verdict(text, quoted, loose=True).passed
    assert not verdict("one", ("startend:quotation", {}), loose=True).passed


def test_thoughts_and_empty_answers() -> None:
    assert verdict("<think>a, b</think>c", ("punctuation:no_comma", {})).passed
    assert verdict(" \n", ("punctuation:no_comma", {})).status is Status.INVALID
    assert verdict("x" * 300_000, ("punctuation:no_comma", {})).status is Status.INVALID


def test_nulls_of_the_published_rows_count_as_not_given() -> None:
    given = {"num_words": 1, "relation": "at least", "keyword": None, "language": None}
    assert verdict("one", ("length_constraints:number_words", given)).passed


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("language:response_language", {"language": "fr"}, "instruction language:response_language: needs a language"),
        ("punctuation:no_dot", {}, "instruction 'punctuation:no_dot': unknown; allowed: keywords:existence, "),
        ("punctuation:no_comma", {"x": 1}, "instruction punctuation:no_comma: unknown argument 'x'"),
        ("startend:end_checker", {}, "startend:end_checker: end_phrase is needed, a text, got None"),
        ("keywords:existence", {"keywords": "tea"}, "keywords is needed, a list of texts, got 'tea'"),
        ("keywords:existence", {"keywords": [1]}, "keywords:existence: keywords: texts are needed"),
        (
            "length_constraints:number_words",
            {"num_words": 3, "relation": "exactly"},
            "relation: allowed: less than, at",
        ),
        (
            "length_constraints:number_words",
            {"num_words": True, "relation": "at least"},
            "num_words is needed, a whole",
        ),
    ],
)
def test_bad_references_are_refused_in_one_line(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as error:
        parse(IfevalReference, {"instruction_id_list": [name], "kwargs": [given]}, "here")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_kwargs_belong_to_instructions() -> None:
    with pytest.raises(BadInput, match="kwargs: 2 for 1 instructions"):
        parse(IfevalReference, {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]}, "here")
    assert IfevalReference(instruction_id_list=("punctuation:no_comma",)).instructions == (
        ("punctuation:no_comma", {}),
    )


HOSTILE = [
    "[" * 199_000,
    "<<" * 99_000,
    "*" * 199_000,
    "*a" * 99_000,
    "P." * 99_000,
    "***" * 66_000,
    "\n" * 199_000 + "x",
]


@pytest.mark.parametrize("text", [*HOSTILE, "p. " * 66_000, "[[1," * 49_000, "\ud800", "```json" * 28_000])
def test_hostile_text_costs_little(text: str) -> None:
    began = time.process_time()
    for name, given, _, _ in RULED:
        verdict(text, (name, given), loose=True)
    assert time.process_time() - began < 10
