"""Problems in Troop's JSONL: what is refused, in one line that names file, line and what is allowed."""

import json
from pathlib import Path
from typing import Any

import pytest

from sampling.errors import BadInput
from sampling.problems import Problem, check_problems, read_jsonl

GOOD: dict[str, Any] = {"id": "a", "prompt": "1+1?", "verifier": "math", "reference": {"answer": "2"}}
STDIO: dict[str, Any] = {
    "id": "s",
    "prompt": "?",
    "verifier": "stdio",
    "reference": {"cases": [{"stdin": "", "stdout": "1"}]},
}
CASES = {"entry_point": "f", "cases": [{"args": [1], "expected": 2}]}
PYTHON = {"id": "p", "prompt": "?", "verifier": "python", "reference": CASES}
CHAT = {"role": "user", "content": "1+1?"}


def read(folder: Path, *rows: object) -> list[Problem]:
    path = folder / "problems.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return read_jsonl(path)


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def test_every_kind_is_read(tmp_path: Path) -> None:
    answers = [{**GOOD, "id": kind, "verifier": kind} for kind in ("math", "choice", "exact")]
    chat = {**without(GOOD, "prompt"), "id": "chat", "messages": [CHAT]}
    problems = check_problems(read(tmp_path, *answers, "", STDIO, PYTHON, chat), "here")
    assert [problem.id for problem in problems] == ["math", "choice", "exact", "s", "p", "chat"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (without(GOOD, "id"), "id: Field required"),
        ({**GOOD, "id": ""}, "id: String should have at least 1 character"),
        ({**GOOD, "id": True}, "id: Input should be a valid string, got True; put it in quotes to have it as text"),
        ({**GOOD, "id": 7.0}, "id: Input should be a valid string, got 7.0; put it in quotes"),
        ({**GOOD, "id": None}, "id: Input should be a valid string, got None; put it in quotes"),
        (
            {**GOOD, "weight": 1},
            "weight: unknown key; allowed: id, messages, prompt, reference, sampling, solution, stop, verifier",
        ),
        ({**GOOD, "verifier": "vibes"}, "verifier: Input should be 'stdio', 'python', 'math', 'choice', 'exact'"),
        ({**GOOD, "messages": [CHAT]}, "exactly one of prompt, messages is needed"),
        (without(GOOD, "prompt"), "exactly one of prompt, messages is needed"),
        ({**without(GOOD, "prompt"), "messages": [{**CHAT, "role": "robot"}]}, "messages.0.role: "),
        ({**GOOD, "reference": {}}, "answer: Field required"),
        ({**STDIO, "reference": {"cases": []}}, "cases: "),
        ({**STDIO, "reference": {**STDIO["reference"], "checker": "vibes"}}, "checker: Input should be 'tokens'"),
        ({**STDIO, "reference": {**STDIO["reference"], "time_limit_s": 0}}, "time_limit_s: "),
        ({**PYTHON, "reference": {"entry_point": "f"}}, "exactly one of cases, tests, asserts is needed, got none"),
        ({**PYTHON, "reference": {**CASES, "tests": ""}}, "exactly one of cases, tests, asserts is needed"),
        ({**PYTHON, "reference": {"tests": "def check(c): pass"}}, "entry_point is needed with cases or tests"),
        ("[1]", "the whole: Input should be a valid dictionary"),
        ("{", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, GOOD, row)
    assert str(refused.value).startswith(f"{tmp_path}/problems.jsonl:2: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_id_occurs_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="here: problem id 'a' occurs more than once; ids must be unique"):
        check_problems(read(tmp_path, GOOD, GOOD), "here")


def test_there_is_at_least_one_problem(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="here: no problems; at least one is needed"):
        check_problems(read(tmp_path), "here")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_jsonl(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(BadInput, match="cannot be read as UTF-8"):
        read_jsonl(tmp_path / "latin.jsonl")


def test_digests_change_with_what_they_stand_for() -> None:
    problem = Problem.model_validate(GOOD)
    other = Problem.model_validate({**GOOD, "prompt": "1+2?", "stop": ["\n"]})
    assert other.prompt_digest != problem.prompt_digest
    assert other.reference_digest == problem.reference_digest
    assert Problem.model_validate({**GOOD, "verifier": "exact"}).reference_digest != problem.reference_digest
    assert Problem.model_validate({**GOOD, "id": "b"}).prompt_digest == problem.prompt_digest


@pytest.mark.parametrize(
    ("verifier", "reference", "digest"),
    [
        ("math", {"answer": "2"}, "eecb43f7196a1a97"),
        ("exact", {"answer": "2"}, "7fbbf39f34a0a3b7"),
        ("stdio", STDIO["reference"], "02f7b9e2951c0b22"),
        ("python", CASES, "3b8ead0245bbb73b"),
    ],
)
def test_digests_of_older_runs_stay(verifier: str, reference: dict[str, Any], digest: str) -> None:
    """Literals from before references had a policy, packages or a language: such a run must go on."""
    given = {"id": "a", "prompt": "?", "verifier": verifier, "reference": reference}
    assert Problem.model_validate(given).reference_digest == digest


@pytest.mark.parametrize(
    ("verifier", "reference"),
    [
        ("math", {"answer": "2", "which": "boxed"}),
        ("math", {"answer": "2", "accept": ["3"]}),
        ("exact", {"answer": "2", "case": "ignore"}),
        ("python", {**CASES, "packages": []}),
        ("python", {**CASES, "extraction": "published"}),
        ("stdio", {**STDIO["reference"], "language": "cpp"}),
    ],
)
def test_a_policy_changes_the_digest(verifier: str, reference: dict[str, Any]) -> None:
    given = {"id": "a", "prompt": "?", "verifier": verifier, "reference": reference}
    plain = {
        **given,
        "reference": {key: reference[key] for key in ("answer", "entry_point", "cases") if key in reference},
    }
    assert Problem.model_validate(given).reference_digest != Problem.model_validate(plain).reference_digest


def test_a_regular_expression_counts_in_its_digest() -> None:
    digests = {
        Problem.model_validate({**GOOD, "verifier": "regex", "reference": reference}).reference_digest
        for reference in ({"pattern": "a"}, {"pattern": "b"}, {"pattern": "a", "case": False})
    }
    assert len(digests) == 3


def test_a_whole_number_is_an_id_as_its_digits_and_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text("\ufeff" + json.dumps({**GOOD, "id": 7}) + "\n", encoding="utf-8")
    assert [problem.id for problem in read_jsonl(path)] == ["7"]
