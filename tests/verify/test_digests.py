"""One verdict is kept for equal candidates, so its digest holds all that its verdict depends on."""

from collections.abc import Iterator
from typing import Any

import pytest

from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import REFERENCES
from sampling.validate import parse
from tests.support.speaking_server import KEY, Handler, speaking
from verify.judge_settings import JudgeSettings
from verify.verdict import Status
from verify.verifiers import KINDS, READS_PROMPT, Verifiers, verdict_digest

CHECKER = "def check(input, output, expected):\n    return True\n"
REWARD = "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return 1\n"
REWARD += REWARD.replace("compute_score", "other")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
RUN = {"time_limit_s": 2.0, "memory_mb": 256, "packages": ["/here/one/", "numpy"]}
WHOLE: dict[str, list[dict[str, Any]]] = {
    "stdio": [
        {
            "cases": [{"stdin": "1", "stdout": "2"}],
            "language": "python",
            "checker": "c.py",
            "checker_source": CHECKER,
            **RUN,
        }
    ],
    "python": [
        {"entry_point": "f", "cases": [{"args": [1], "expected": 2}], "prelude": "typing", **RUN},
        {"entry_point": "f", "tests": "def check(f): pass", "setup": "import os", "prefix": "def f():", "shared": True},
        {"asserts": ["assert f(1)", "assert f(2)"], "extraction": "published"},
    ],
    "math": [
        {
            "answer": "1",
            "accept": ["2"],
            "which": "last",
            "tolerance": 0.1,
            "relative_tolerance": 0.1,
            "pattern": "a(.)",
        },
        {"answer": "1", "percent": "strict", "units": "strict", "order": "strict", "case": "strict"},
        {"answer": "1", "extraction": "gsm8k"},
    ],
    "choice": [{"answer": "B", "options": {"A": "red", "B": "blue"}, "order": ["A", "B"]}],
    "exact": [{"answer": "x", "accept": ["y"], "pattern": "a(.)", "which": "first", "case": "ignore"}],
    "lean": [{"header": "import Mathlib", "statement": "theorem t : 1 = 1", "time_limit_s": 2.0, "memory_mb": 512}],
    "judge": [{"answer": "6", "rubric": "be strict"}],
    "patch": [
        {
            **{
                "snapshot": "/a",
                "environment": "/b",
                "base_commit": "1" * 40,
                "test_patch": "x",
                "fail_to_pass": ["t"],
            },
            **{"pass_to_pass": ["u"], "test_command": "true", "results": "unittest", "control": False, "repeats": 3},
            **{"protected": ["x"], "time_limit_s": 2.0, "memory_mb": 512},
        },
        {"image": "a", "base_commit": "1" * 40, "test_patch": "x", "fail_to_pass": ["t"], "test_command": "true"},
    ],
    "custom": [
        {
            **{"path": "r.py", "function": "compute_score", "ground_truth": {"a": [1]}, "data_source": "d", **RUN},
            **{"extra_info": {"b": "c"}, "columns": {"d": "e"}, "threshold": 0.5, "source": REWARD},
        }
    ],
    "regex": [{"pattern": "a+", "within": "boxed", "case": False}],
    "json": [{"answer": {"a": 1}}, {"json_schema": SCHEMA}],
    "ifeval": [
        {
            "instruction_id_list": ["keywords:existence", "punctuation:no_comma"],
            "kwargs": [{"keywords": ["a"]}, {}],
            "loose": True,
        }
    ],
}


def made(kind: str, reference: dict[str, Any], prompt: str = "?") -> Problem | None:
    data = {"id": "p", "prompt": prompt, "verifier": kind, "reference": reference}
    try:
        return parse(Problem, data, "p")
    except BadInput:
        return None


def changed(value: Any) -> Iterator[Any]:
    """Yields values of the same shape that differ in one place; pydantic refuses some of them."""
    if isinstance(value, dict):
        yield from ({**value, name: other} for name, part in value.items() for other in changed(part))
        yield {**value, "zz": 1}
    elif isinstance(value, list | tuple):
        yield from ([*value[:i], other, *value[i + 1 :]] for i, part in enumerate(value) for other in changed(part))
        yield from ([*value, *value[-1:]], value[::-1])
    elif isinstance(value, bool) or value is None:
        yield from (not value, "x", 1)
    elif isinstance(value, int | float):
        yield from (value + 1, value + 2, value / 2)
    else:
        yield from (f"{value}x", f" {value}", f"{value}y", value.upper(), *WORDS)


WORDS = (
    *("any", "strict", "ignore", "same", "first", "last", "all", "boxed", "kind", "published", "math", "gsm8k", "none"),
    *(
        "typing",
        "leetcode",
        "python",
        "cpp",
        "pytest",
        "unittest",
        "tokens",
        "lines",
        "A",
        "/other/one/",
        "2" * 40,
        *("other", "text", "number", "string", "punctuation:no_comma", "startend:quotation"),
    ),
)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_part_of_a_problem_that_decides_is_in_its_digest(kind: str) -> None:
    tried: set[str] = set()
    for given in WHOLE[kind]:
        first = made(kind, given)
        assert first is not None, kind
        full = first.reference.model_dump(mode="json", by_alias=True)
        for name in full:
            others = ((other, made(kind, {**given, name: other})) for other in changed(full[name]))
            for other, problem in others:
                if problem is not None and problem.reference != first.reference:
                    tried.add(name)
                    assert verdict_digest(problem) != verdict_digest(first), (name, other)
        assert made(kind, given) is not None and verdict_digest(first) == verdict_digest(made(kind, given) or first)
    fields = {field.alias or name for name, field in REFERENCES[kind].model_fields.items()}
    assert tried == fields, f"{kind}: not tried: {fields - tried}"


@pytest.mark.parametrize("kind", sorted(READS_PROMPT))
def test_the_question_is_in_the_digest_where_the_verifier_reads_it(kind: str) -> None:
    given = WHOLE[kind][0]
    first, second = made(kind, given, "2+2?"), made(kind, given, "3+3?")
    assert first and second and verdict_digest(first) != verdict_digest(second)
    asked = {"id": "p", "messages": [{"role": "user", "content": "2+2?"}], "verifier": kind, "reference": given}
    assert verdict_digest(Problem.model_validate(asked)) != verdict_digest(first)


def only_even(handler: Handler, _: int) -> bool:
    right = "2+2" in handler.prompt
    reply = {"message": {"content": f"So.\nVERDICT: {'pass' if right else 'fail'}"}, "finish_reason": "stop"}
    handler.answer(200, {"choices": [reply], "usage": {"prompt_tokens": 3, "completion_tokens": 3}})
    return True


def test_a_judges_verdict_on_one_question_is_none_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have one id, one rubric and one answer; they are asked at once, as of two tasks."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    rubric = {"rubric": "The sum is right."}
    first, second = made("judge", rubric, "2+2?"), made("judge", rubric, "3+3?")
    assert first and second
    with speaking({"": only_even}) as server:
        settings = JudgeSettings.model_validate({"path": "served", "base_url": server.url, "api_key_env": "JUDGE_KEY"})
        with Verifiers(judge=settings) as verifiers:
            verifiers.announce(first, ["4"])
            verifiers.announce(second, ["4"])
            assert verifiers.verify(second, "4").status is Status.FAIL
            assert verifiers.verify(first, "4").status is Status.PASS
