"""A completion of two megabytes takes seconds to judge, whatever it repeats: every reader of completions is linear."""

import re

import pytest

from sampling.problems import Problem
from tests.support.cost import cpu_below
from verify.judge import parse_verdict
from verify.patch import diff
from verify.patch.diff import extract_diff
from verify.verifiers import Verifiers, candidate_text

SIZE = 2_000_000
PREFIXES = (
    *(
        "~",
        "`",
        " ",
        "\t",
        "\n",
        "``` ",
        "~~~\n",
        "```\n",
        "\\boxed{",
        "\\boxed ",
        "{",
        "(",
        "<think>",
        "$",
        "\\(",
        "**",
    ),
    *(
        "The answer is ",
        "answer: ",
        "A. ",
        "(A) ",
        "option ",
        "1,",
        "\\frac{",
        "def f(",
        "def f():\n ",
        '"',
        '"""',
        "\\",
    ),
    *(
        "theorem x ",
        "by ",
        "/-",
        "<patch>\n",
        "--- a\n",
        "diff --git a b\n",
        "VERDICT: ",
        "<|",
        "\u2028",
        "#### ",
        "or ",
    ),
)
ENDS = ("", "`", "x")
PATCH = {"base_commit": "1" * 40, "test_patch": "x", "fail_to_pass": ["t::t"], "test_command": "true", "image": "x"}


def made(verifier: str, **reference: object) -> Problem:
    return Problem.model_validate({"id": "p", "prompt": "?", "verifier": verifier, "reference": reference})


PROGRAMS = {
    "calls": made("python", entry_point="f", cases=[{"args": [], "expected": 1}]),
    "prefix": made("python", entry_point="f", tests="def check(c): pass", prefix="def f(x):\n"),
    "stdio": made("stdio", cases=[{"stdin": "", "stdout": ""}]),
    "c": made("stdio", cases=[{"stdin": "", "stdout": ""}], language="c"),
    "patch": made("patch", **PATCH),
    "proof": made("lean", statement="theorem x : 1 = 1"),
}
ANSWERS = {
    "math": made("math", answer="1/2"),
    "all": made("math", answer="1,2", which="all"),
    "choice": made("choice", answer="B", options={"A": "red", "B": "blue thing"}),
    "exact": made("exact", answer="x", case="ignore"),
    "json": made("json", answer={"a": 1}),
    "ifeval": made("ifeval", instruction_id_list=["punctuation:no_comma"], kwargs=[{}]),
}


@pytest.mark.parametrize("blanks", [" ", "\t"])
def test_a_fence_of_a_diff_is_found_in_one_pass(blanks: str) -> None:
    """Blanks between the mark and the line's end were shared out in every way, which took hours."""
    with cpu_below(0.2):
        assert extract_diff("```" + blanks * SIZE + "`") is None


@pytest.mark.parametrize("pattern", [diff._FENCE, diff._HEAD, diff._PATCH, diff._PATCH_END])
@pytest.mark.parametrize("prefix", ["~", "`", " ", "``` ", "```x ", "--- a\n", "<patch> ", "diff --git a"])
def test_patterns_of_diffs_are_linear(pattern: re.Pattern[str], prefix: str) -> None:
    text = prefix * (200_000 // len(prefix)) + "`"
    with cpu_below(0.2):
        sum(1 for _ in pattern.finditer(text))
        sum(1 for _ in pattern.finditer("```" + text))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*PROGRAMS, *ANSWERS, "judge"])
def test_two_megabytes_are_read_in_seconds(kind: str) -> None:
    with Verifiers() as verifiers:
        for prefix in PREFIXES:
            for end in ENDS:
                text = prefix * (SIZE // len(prefix)) + end
                with cpu_below(1.5):
                    if kind in PROGRAMS:
                        candidate_text(PROGRAMS[kind], text)
                    elif kind in ANSWERS:
                        verifiers.verify(ANSWERS[kind], text)
                    else:
                        parse_verdict(text)
