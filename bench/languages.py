"""Programs in other languages: verdicts per second for programs already compiled, and for new ones.

A sample that repeats another's program costs a run; a new program costs a compilation as well. Every verdict here is of
one case, a sum of two integers. ``python -m bench.verify --languages [SECONDS]`` prints the table.
"""

import itertools
import time
from collections.abc import Callable

from bench.figures import Figure, as_markdown
from sampling.problems import Problem
from sampling.references import StdioReference
from verify.languages.samples import SAMPLES
from verify.languages.toolchains import ToolchainUnavailable, find_toolchain
from verify.sandbox.sandbox import Sandbox
from verify.stdio import StdioVerifier
from verify.verdict import Status

SECONDS, ROUNDS = 10.0, 3
_PYTHON = "a, b = map(int, input().split())\nprint(a + b)\n"


def report(seconds: float = SECONDS) -> str:
    """Measures each language that this machine has, in rounds; names the ones that it lacks."""
    figures, missing = [], []
    with Sandbox() as sandbox:
        for language in ("python", *SAMPLES):
            try:
                figures += _measure(StdioVerifier(sandbox), language, seconds / ROUNDS)
            except ToolchainUnavailable as error:
                missing.append(str(error))
    return "\n".join([as_markdown(figures), f"tier {sandbox.tier}", *missing])


def _measure(verifier: StdioVerifier, language: str, seconds: float) -> list[Figure]:
    source = SAMPLES[language].total if language in SAMPLES else _PYTHON
    name = find_toolchain(language).version if language in SAMPLES else "python"
    mark = "#" if language == "python" else "//"
    numbers = itertools.count()
    ways: dict[str, Callable[[], str]] = {
        "compiled before": lambda: source,
        "compiled anew": lambda: (
            f"```{language}\n{mark} {next(numbers)}\n{source}```\n"
        ),  # in a fence nothing is dropped
    }
    taken = ways if language in SAMPLES else {"": ways["compiled anew"]}
    return [
        Figure(
            f"{name} {way}".strip(),
            "verdicts/s",
            tuple(_rate(verifier, language, make, seconds) for _ in range(ROUNDS)),
        )
        for way, make in taken.items()
    ]


def _rate(verifier: StdioVerifier, language: str, make: Callable[[], str], seconds: float) -> float:
    problem = Problem(id="p", prompt="", verifier="stdio", reference=_reference(language))
    assert verifier.verify(problem, make()).status is Status.PASS  # starts the fork server
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        verdict = verifier.verify(problem, make())
        assert verdict.status is Status.PASS, verdict
        count += 1
    return count / (time.monotonic() - began)


def _reference(language: str) -> StdioReference:
    cases = [{"stdin": "40 2\n", "stdout": "42\n"}]
    return StdioReference.model_validate({"cases": cases, "language": language, "memory_mb": 256})
