"""SWE-bench: a row of its published files as a question for the patch verifier.

The columns are named as in ``princeton-nlp/SWE-bench_Lite``; the names of images, the test commands and the choice of
test files follow the harness of github.com/SWE-bench/SWE-bench. Additional columns override them: ``snapshot`` and
``environment`` in place of the image, ``test_command``, ``results``, ``control``, ``repeats``, ``time_limit_s``.
``text`` is the whole prompt in data sets that have one (such as ``SWE-bench_Lite_oracle``).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from sampling.patches import PatchReference
from sampling.tasks.questions import Question, Row
from sampling.validate import parse

TIME_LIMIT_S, MEMORY_MB = 1800.0, 8192  # the harness's own time limit for one run of the tests
_FILE = re.compile(r"^diff --git a/\S+ b/(\S+)$", re.MULTILINE)
_NO_TESTS = (".json", ".png", "csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml")
_ACTIVATE = "source /opt/miniconda3/bin/activate testbed\n"


@dataclass(frozen=True, slots=True)
class Suite:
    """Command that runs a repository's tests, and the format of its output.

    ``modules``: the runner takes dotted module names below ``tests/`` instead of files.
    """

    command: str = "pytest"
    results: Literal["pytest", "unittest", "sympy"] = "pytest"
    modules: bool = False


SUITES: Mapping[str, Suite] = {
    "django/django": Suite(
        "export LANG=en_US.UTF-8 LC_ALL=en_US.UTF-8 PYTHONIOENCODING=utf8\n"
        "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1",
        "unittest",
        modules=True,
    ),
    "sympy/sympy": Suite("PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose", "sympy"),
}


class SweBenchRow(Row):
    """The columns that are read; those with a default may be missing."""

    instance_id: str = Field(min_length=1)
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    base_commit: str
    patch: str
    test_patch: str
    problem_statement: str
    fail_to_pass: tuple[str, ...] = Field(alias="FAIL_TO_PASS")
    pass_to_pass: tuple[str, ...] = Field(alias="PASS_TO_PASS")
    hints_text: str | None = None
    version: str | None = None
    text: str | None = None
    image: str | None = None
    snapshot: str | None = None
    environment: str | None = None
    test_command: str | None = None
    results: str | None = None
    control: bool | None = None
    repeats: int | None = None
    time_limit_s: float | None = None

    @field_validator("fail_to_pass", "pass_to_pass", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        """Parses the lists of tests, which are published as JSON in a string."""
        return json.loads(value) if isinstance(value, str) else value

    @property
    def fields(self) -> dict[str, str]:
        """Values for the names in a prompt's template."""
        given = {"repo": self.repo, "version": self.version, "hints": self.hints_text, "text": self.text}
        return {"question": self.problem_statement.strip(), **{name: value or "" for name, value in given.items()}}

    def reference(self, where: str) -> PatchReference:
        """Returns the row as a reference; raises BadInput."""
        suite = SUITES.get(self.repo, Suite())
        command = f"{suite.command} {' '.join(runner_arguments(self.test_patch, suite))}"
        own = ("snapshot", "environment", "test_command", "results", "control", "repeats", "time_limit_s")
        values: dict[str, Any] = {
            "image": None if self.snapshot else self.image or image_name(self.instance_id),
            "base_commit": self.base_commit,
            "test_patch": self.test_patch,
            "fail_to_pass": self.fail_to_pass,
            "pass_to_pass": self.pass_to_pass,
            "test_command": command if self.snapshot else _ACTIVATE + command,
            "results": suite.results,
            "control": suite.results == "pytest",
            "time_limit_s": TIME_LIMIT_S,
            "memory_mb": MEMORY_MB,
        }
        values |= {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        return parse(PatchReference, values, where)


def read_swebench(data: Any, where: str, index: int) -> Question:
    row = parse(SweBenchRow, data, where)
    return Question(row.instance_id, row.fields, row.patch, "patch", row.reference(where), row.patch)


def image_name(instance: str) -> str:
    """Returns the container image that the data set's authors publish for an instance."""
    return f"swebench/sweb.eval.x86_64.{instance.lower().replace('__', '_1776_')}:latest"


def runner_arguments(test_patch: str, suite: Suite) -> list[str]:
    """Returns the test files that a patch changes, in the form that the suite's runner takes."""
    files = [path for path in _FILE.findall(test_patch) if not path.endswith(_NO_TESTS)]
    if not suite.modules:
        return files
    inside = [path.removesuffix(".py").removeprefix("tests/") for path in files if _is_django_test(path)]
    return [path.replace("/", ".") for path in inside]


def _is_django_test(path: str) -> bool:
    return path.endswith("/tests.py") or "/test_" in path or "/tests/" in path or path.startswith("tests/")
