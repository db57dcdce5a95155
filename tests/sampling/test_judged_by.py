"""Answer policies of a task: collected from its problems, in JSON and in words."""

from typing import Any

import pytest

from sampling.judged_by import RULES, JudgedBy, collect_rules, in_words, rules_of
from sampling.problems import Problem
from sampling.references import REFERENCES
from sampling.tasks.programs import read_humaneval

CASE = {"cases": [{"stdin": "", "stdout": "1"}]}
CALL = {"entry_point": "f", "cases": [{"args": [1], "expected": 2}]}


def rules(*references: dict[str, Any], kind: str = "math") -> tuple[JudgedBy, ...]:
    problems = [
        Problem.model_validate({"id": f"p{at}", "prompt": "?", "verifier": kind, "reference": reference})
        for at, reference in enumerate(references)
    ]
    return collect_rules(map(rules_of, problems), {"math": "math/9", "stdio": "stdio-3 source/1"})


@pytest.mark.parametrize(
    ("kind", "reference", "words"),
    [
        ("math", {"answer": "1"}, "math/9, extraction kind"),
        ("math", {"answer": "1", "extraction": "gsm8k"}, "math/9, extraction published (gsm8k)"),
        ("math", {"answer": "1", "extraction": "math", "accept": ["2"]},
         "math/9, extraction published (math), 1 further answer"),
        ("math", {"answer": "1", "which": "boxed", "percent": "strict", "tolerance": 0.01},
         "math/9, extraction kind, which boxed, tolerance 0.01, percent strict"),
        ("math", {"answer": "1", "pattern": "is, (.*)"}, 'math/9, extraction kind, pattern "is, (.*)"'),
        ("exact", {"answer": "1", "case": "ignore"}, "exact, case ignore"),
        ("choice", {"answer": "A"}, "choice"),
        ("stdio", CASE, "stdio-3, time limit 5 s"),
        ("stdio", {**CASE, "language": "cpp", "checker": "float", "time_limit_s": 2.5, "memory_mb": 64},
         "stdio-3, language cpp, checker float, time limit 2.5 s, memory 64 MB"),
        ("python", {**CALL, "extraction": "published", "time_limit_s": "auto"},
         "python, extraction published, time limit auto"),
        ("python", {**CALL, "packages": ["numpy", "/data/folder"], "shared": True},
         "python, extraction kind, shared true, time limit 5 s, packages numpy + folder"),
        ("python", {**CALL, "packages": []}, "python, extraction kind, time limit 5 s, packages none"),
        ("lean", {"statement": "theorem a : 1 = 1"}, "lean, time limit 60 s"),
        ("custom", {"path": "/a/reward.py", "threshold": 0.5}, "custom, path reward.py, threshold 0.5, time limit 5 s"),
        ("regex", {"pattern": "a", "case": False, "within": "boxed"}, "regex, within boxed, case false"),
        ("ifeval", {"instruction_id_list": ["punctuation:no_comma"], "loose": True}, "ifeval, loose true"),
        ("json", {"answer": 1}, "json"),
        ("judge", {"answer": "a"}, "judge"),
    ],
)  # fmt: skip
def test_only_what_is_not_default_is_said(kind: str, reference: dict[str, Any], words: str) -> None:
    assert in_words(rules(reference, kind=kind)) == words


def test_rules_that_differ_are_mixed() -> None:
    several = rules({"answer": "1"}, {"answer": "2", "which": "boxed"}, {"answer": "3", "accept": ["4", "5"]})
    assert in_words(several) == "math/9, extraction kind, 0 to 2 further answers, mixed: which default or boxed"
    many = rules(*({"answer": "1", "pattern": f"{at}(.)"} for at in range(5)))
    assert in_words(many) == "math/9, extraction kind, mixed: pattern of 5 kinds"
    ranged = rules({"answer": "1", "tolerance": 1}, {"answer": "1"}, {"answer": "1", "tolerance": 0.5})
    assert in_words(ranged) == "math/9, extraction kind, mixed: tolerance 0 to 1"
    assert ranged[0].rules["tolerance"] == (0.0, 1.0)


def test_limits_of_a_task_are_a_range() -> None:
    limits = ({**CASE, "time_limit_s": seconds} for seconds in (3, 0.5, 1))
    assert in_words(rules(*limits, kind="stdio")) == "stdio-3, time limit 0.5 s to 3 s"
    some = ({**CASE, "time_limit_s": seconds} for seconds in (3, "auto"))
    assert in_words(rules(*some, kind="stdio")) == "stdio-3, time limit 3 s or auto"


def test_several_verifiers_are_mixed() -> None:
    both = (*rules({"answer": "1"}), *rules({"answer": "A"}, {"answer": "B"}, kind="choice"))
    assert in_words(both) == "mixed: math/9, extraction kind (1 problem); choice (2 problems)"
    assert in_words(()) == ""


def test_the_time_limit_is_the_one_that_holds() -> None:
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "canonical_solution": "    pass\n",
           "test": "def check(f): pass", "entry_point": "f"}  # fmt: skip
    question = read_humaneval(row, "file:1", 0)
    problem = Problem(id="a", prompt="?", verifier="python", reference=question.reference)
    assert collect_rules([rules_of(problem)])[0].rules["time_limit_s"] == (3.0,)


def test_a_stored_reference_of_an_older_run_has_the_defaults() -> None:
    (judged,) = collect_rules([("math", {"answer": "1"})])
    assert (judged.version, judged.rules["percent"], judged.rules["extraction"]) == ("", ("same",), ("kind",))
    (judged,) = collect_rules([("stdio", {"cases": [], "time_limit_s": None})])
    assert judged.rules["time_limit_s"] == (5.0,)


def test_control_characters_of_a_pattern_are_escaped_and_long_ones_cut() -> None:
    assert in_words(rules({"answer": "1", "pattern": "a\n(b)"})).endswith('pattern "a\\n(b)"')
    assert len(in_words(rules({"answer": "1", "pattern": "(a)" + "b" * 400}))) < 100


def test_every_rule_is_a_key_of_its_reference() -> None:
    for kind, keys in RULES.items():
        assert set(keys) <= set(REFERENCES[kind].model_fields), kind


def test_it_survives_json() -> None:
    (judged,) = rules({**CALL, "packages": ["numpy"]}, kind="python")
    assert JudgedBy.model_validate_json(judged.model_dump_json()).rules["packages"] == (["numpy"],)
