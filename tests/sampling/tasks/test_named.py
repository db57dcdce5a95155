"""Benchmarks by name: rows as they are published load, gold answers pass, wrong and hostile ones are told apart."""

import base64
import json
import pickle
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampling.choices import ChoiceReference
from sampling.errors import BadInput
from sampling.references import MathReference, PythonReference, StdioReference
from sampling.tasks.livecodebench import text_of_pickle
from sampling.tasks.load import load_task
from tests.sampling.tasks.files import parquet, written
from tests.sampling.tasks.made_rows import (
    AIME_2024,
    AIME_OTHERS,
    BIGCODE,
    FUNCTIONAL,
    GPQA,
    HUMANEVAL_PLUS,
    IFEVAL,
    MBPP_PLUS,
    MMLU_PRO,
    OLYMPIAD,
    OLYMPIAD_FORMULA,
    OLYMPIAD_PHYSICS,
    STDIN,
    packed,
)
from verify.verdict import Status
from verify.verifiers import Verifiers

NUMPY = {"packages": ("numpy",)}
GOLD: list[tuple[str, list[dict[str, Any]]]] = [
    ("aime", [AIME_2024]),
    *[("aime", [row]) for row in AIME_OTHERS],
    ("olympiadbench", [OLYMPIAD, OLYMPIAD_PHYSICS, OLYMPIAD_FORMULA]),
    ("gpqa", [GPQA]),
    ("mmlu_pro", [MMLU_PRO]),
    ("humaneval_plus", [HUMANEVAL_PLUS]),
    ("mbpp_plus", [MBPP_PLUS]),
    ("bigcodebench", [BIGCODE]),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Verifiers]:
    with Verifiers() as judge:
        yield judge


@pytest.mark.parametrize("style", ["base", "chat"])
@pytest.mark.parametrize(("kind", "rows"), GOLD)
def test_gold_answers_pass(tmp_path: Path, judge: Verifiers, kind: str, rows: list[Any], style: Any) -> None:
    problems = load_task(kind, parquet(tmp_path, *rows), style=style)
    assert problems == load_task(kind, written(tmp_path, *rows), style=style)
    assert len(problems) == len(rows)
    for problem in problems:
        assert not re.search(r"\{(question|answer|options|category|tests|code|format)\}", problem.asked)
        assert problem.solution
        assert judge.verify(problem, problem.solution).status is Status.PASS, problem.id
        assert judge.verify(problem, "I do not know.").status in (Status.FAIL, Status.INVALID), problem.id


@pytest.mark.parametrize(
    ("kind", "row", "wrong"),
    [
        ("aime", AIME_2024, "So \\boxed{205}."),
        ("olympiadbench", OLYMPIAD, "So the final answer is \\boxed{2}."),
        ("olympiadbench", OLYMPIAD_PHYSICS, "So the final answer is \\boxed{5.1}."),
        ("mmlu_pro", MMLU_PRO, "The answer is (D)."),
        ("humaneval_plus", HUMANEVAL_PLUS, "    return x / 2 if x < 400 else 0\n"),
        ("mbpp_plus", MBPP_PLUS, "def shared(a, b):\n    return (4,)\n"),
        ("bigcodebench", BIGCODE, "    return '1,2\\r\\n3,4\\r\\n', 10.0\n"),
    ],
)
def test_wrong_answers_fail(tmp_path: Path, judge: Verifiers, kind: str, row: Any, wrong: str) -> None:
    (problem,) = load_task(kind, written(tmp_path, row))
    assert judge.verify(problem, wrong).status is Status.FAIL


def test_a_tolerance_of_olympiadbench_counts(tmp_path: Path, judge: Verifiers) -> None:
    (problem,) = load_task("olympiadbench", written(tmp_path, OLYMPIAD_PHYSICS))
    assert isinstance(problem.reference, MathReference) and problem.reference.tolerance == 0.1
    assert "A stone falls from rest for one second.\nHow far" in problem.asked
    assert judge.verify(problem, "So the final answer is \\boxed{4.905}.").status is Status.PASS


def test_a_problem_with_a_picture_is_not_asked(tmp_path: Path) -> None:
    rows = [OLYMPIAD, {**OLYMPIAD, "id": 2, "modality": "Multimodal", "image_1": "x"}]
    assert [problem.id for problem in load_task("olympiadbench", written(tmp_path, *rows))] == ["olympiadbench/1606"]


def test_gpqa_is_shuffled_by_a_seed(tmp_path: Path, judge: Verifiers) -> None:
    """The right option stands first in the file. Its place must depend on the id and the seed alone."""
    rows = [{**GPQA, "Record ID": f"rec{number}"} for number in range(200)]
    table = parquet(tmp_path, *rows)
    by_seed = {seed: load_task("gpqa", table, shuffle_options=seed, style="chat") for seed in (None, 0, 7)}
    assert by_seed[None] == by_seed[0] != by_seed[7]
    places = [problem.reference.answer for problem in by_seed[7] if isinstance(problem.reference, ChoiceReference)]
    assert all(30 <= places.count(label) <= 70 for label in "ABCD")
    for problem in by_seed[7][:20]:
        assert isinstance(problem.reference, ChoiceReference) and problem.reference.options
        assert problem.reference.options[problem.reference.answer] == "argon"
        assert f"{problem.reference.answer}) argon" in problem.asked
        assert judge.verify(problem, f"Answer: {problem.reference.answer}").status is Status.PASS
    text = "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in (GPQA, GPQA.values()))
    (tmp_path / "gpqa_diamond.csv").write_text(text)
    assert load_task("gpqa", tmp_path / "gpqa_diamond.csv") == load_task("gpqa", parquet(tmp_path, GPQA))


def test_mmlu_pro_leaves_out_what_fills_up_its_lists(tmp_path: Path) -> None:
    (problem,) = load_task("mmlu_pro", parquet(tmp_path, MMLU_PRO), style="chat")
    assert "about math" in problem.asked and "D) 9" in problem.asked and "N/A" not in problem.asked


@pytest.mark.parametrize("make", [written, parquet])
def test_ifeval_by_its_instructions(tmp_path: Path, judge: Verifiers, make: Any) -> None:
    (problem,) = load_task("ifeval", make(tmp_path, IFEVAL), style="chat")
    assert problem.asked == IFEVAL["prompt"]
    assert judge.verify(problem, "It is wide and blue and never still.").status is Status.PASS
    assert judge.verify(problem, "It is wide, blue and never still.").status is Status.FAIL


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_livecodebench_on_standard_input(tmp_path: Path, judge: Verifiers, protocol: int) -> None:
    tests = [{"input": f"{n}\n", "output": f"{2 * n}\n", "testtype": "stdin"} for n in range(1, 40)]
    row = {**STDIN, "private_test_cases": packed(tests, protocol)}
    (problem,) = load_task("livecodebench", written(tmp_path, row), style="chat")
    assert isinstance(problem.reference, StdioReference)
    assert (len(problem.reference.cases), problem.reference.time_limit_s) == (40, 6)
    assert "standard input" in problem.asked
    assert judge.verify(problem, "```python\nprint(2 * int(input()))\n```").status is Status.PASS
    assert judge.verify(problem, "```python\nprint(2)\n```").status is Status.FAIL


def test_livecodebench_by_calls(tmp_path: Path, judge: Verifiers) -> None:
    (problem,) = load_task("livecodebench", parquet(tmp_path, FUNCTIONAL), style="chat")
    assert isinstance(problem.reference, PythonReference) and problem.reference.cases
    assert problem.reference.entry_point == "Solution.pairs"
    assert [case.args for case in problem.reference.cases] == [[[1, 2, 3], 2], [[5], 2]]
    assert "class Solution:" in problem.asked
    right = "class Solution:\n    def pairs(self, nums: List[int], k: int) -> List[int]:\n        "
    right += "return [a + b for a, b in zip(nums, nums[1:])]"
    assert judge.verify(problem, f"```python\n{right}\n```").status is Status.PASS
    assert judge.verify(problem, right.replace("a + b", "a - b")).status is Status.FAIL


class Evil:
    """A pickle of this calls a function of the machine when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("code of a stranger ran",))


@pytest.mark.parametrize(
    "value", [Evil(), ["[]"], {"a": "b"}, ("[]", "[]"), b"[]", 1, None, "x\ud800", [Evil()], ("x", Evil())]
)
def test_no_pickle_but_a_text_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str], value: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(value, protocol)
        with pytest.raises(ValueError):
            text_of_pickle(data)
        row = {**STDIN, "private_test_cases": base64.b64encode(zlib.compress(data)).decode()}
        with pytest.raises(BadInput, match=r"own.jsonl:1: private_test_cases: no tests as LiveCodeBench packs them"):
            load_task("livecodebench", written(tmp_path, row))
    assert "stranger" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"\x80", b"cos\nsystem\n.", b"X\xff\xff\xff\x7fabc.", b"\x8d" + b"\xff" * 8 + b"a.", b"X\x01\0\0\0a",
        b"\x8c\x01a\x8c\x01b.", b"V\\ud800\n.", b"\x8c\x01\xff.",
        b"\x80\x04" + b"\x94" * 100 + b"\x8c\x01a.",
    ],
)  # fmt: skip
def test_hostile_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        text_of_pickle(data)


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("aime", {"problem": "?"}, "answer: Field required, or a solution with a \\boxed answer"),
        ("aime", {"problem": "?", "answer": "1000"}, "answer: a whole number from 0 to 999 is needed, got '1000'"),
        ("aime", {"problem": "?", "answer": 7.5}, "answer: a whole number from 0 to 999 is needed, got '7.5'"),
        ("aime", {"answer": "7"}, "problem: Field required"),
        ("aime", {"problem": ["?"], "answer": "7"}, "problem: Input should be a valid string"),
        ("aime", [], "the whole: Input should be a valid dictionary"),
        ("olympiadbench", {**OLYMPIAD, "final_answer": None}, "final_answer: Input should be a valid tuple"),
        ("olympiadbench", {**OLYMPIAD, "final_answer": ["$ $"]}, "final_answer: empty"),
        ("olympiadbench", {**OLYMPIAD, "error": "a bit"}, "error: a number is needed, got 'a bit'"),
        ("olympiadbench", {**OLYMPIAD, "error": "inf"}, "error: a finite number is needed"),
        ("gpqa", {k: v for k, v in GPQA.items() if k != "Correct Answer"}, "Correct Answer: Field required"),
        ("gpqa", {**GPQA, "Incorrect Answer 2": None}, "Incorrect Answer 2: Input should be a valid string"),
        ("gpqa", {**GPQA, "Correct Answer": " "}, "options: option A: its text is empty"),
        ("mmlu_pro", {**MMLU_PRO, "answer_index": 10}, "answer_index: 10, but there are 10 options"),
        ("mmlu_pro", {**MMLU_PRO, "options": ["a"] * 300}, "options: Dictionary should have at most 200 items"),
        ("mmlu_pro", {**MMLU_PRO, "options": "abc"}, "options: Input should be a valid tuple"),
        ("ifeval", {**IFEVAL, "instruction_id_list": ["no:such"] * 2}, "the whole: instruction 'no:such': unknown"),
        ("ifeval", {**IFEVAL, "kwargs": [{}]}, "the whole: kwargs: 1 for 2 instructions"),
        ("humaneval_plus", {**HUMANEVAL_PLUS, "test": None}, "test: Input should be a valid string"),
        ("mbpp_plus", {**MBPP_PLUS, "test_list": []}, "test_list: Tuple should have at least 1 item"),
        ("bigcodebench", {**BIGCODE, "entry_point": "f(); import os"}, "entry_point: String should match pattern"),
        ("bigcodebench", {**BIGCODE, "test": "assert True"}, "test: String should match pattern"),
        ("livecodebench", {**STDIN, "private_test_cases": "%%%"}, "private_test_cases: no tests as LiveCodeBench"),
        ("livecodebench", {**STDIN, "public_test_cases": "{}"}, "public_test_cases: a JSON list of tests is needed"),
        ("livecodebench", {**STDIN, "public_test_cases": "[1]"}, "tests.0: Input should be"),
        ("livecodebench", {**STDIN, "public_test_cases": "", "private_test_cases": ""}, "tests: Tuple should have at"),
        ("livecodebench", {**FUNCTIONAL, "metadata": "{}"}, "testtype: all tests must be stdin, or functional"),
        ("livecodebench", {**FUNCTIONAL, "metadata": "{"}, "metadata: not valid JSON"),
        ("livecodebench", {**FUNCTIONAL, "metadata": '{"func_name": "a.b"}'}, "metadata: func_name: String should"),
        ("livecodebench", {**FUNCTIONAL, "public_test_cases": STDIN["public_test_cases"]}, "testtype: all tests must"),
    ],
)  # fmt: skip
def test_hostile_rows_are_named_in_one_line(tmp_path: Path, kind: str, row: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_task(kind, written(tmp_path, row))
    assert f"own.jsonl:1: {said}" in str(refused.value), str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value).replace(str(tmp_path), "")) < 1000


def test_private_tests_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampling.tasks.livecodebench.MOST_DECODED", 1 << 20)
    bomb = base64.b64encode(zlib.compress(pickle.dumps("[" + " " * (32 << 20) + "]"))).decode()
    with pytest.raises(BadInput, match=r"private_test_cases: .* more than 1 MiB unpacked"):
        load_task("livecodebench", written(tmp_path, {**STDIN, "private_test_cases": bomb}))
    monkeypatch.setattr("sampling.tasks.livecodebench.MOST_ENCODED", 10)
    with pytest.raises(BadInput, match=r"private_test_cases: .* characters; allowed: 10"):
        load_task("livecodebench", written(tmp_path, {**STDIN, "private_test_cases": bomb}))


def test_tests_as_plain_json_are_read_too(tmp_path: Path) -> None:
    plain = json.dumps([{"input": "4", "output": "8", "testtype": "stdin"}])
    (problem,) = load_task("livecodebench", written(tmp_path, {**STDIN, "private_test_cases": plain}))
    assert isinstance(problem.reference, StdioReference) and len(problem.reference.cases) == 2
