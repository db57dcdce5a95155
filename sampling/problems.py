"""A problem: one question together with what its verifier needs. A model never meets the reference."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sampling.errors import BadInput
from sampling.settings import TaskSampling
from sampling.theorems import read_theorem
from sampling.validate import Plain, parse

VerifierKind = Literal["stdio", "python", "math", "choice", "exact", "lean", "judge", "patch"]


class Message(Plain):
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Limits(Plain):
    """What a candidate may use: seconds of wall time and megabytes of memory."""

    time_limit_s: float = Field(default=5.0, gt=0)
    memory_mb: int = Field(default=512, ge=16)


class StdioCase(Plain):
    """What goes in on standard input, and what must come out."""

    stdin: str
    stdout: str


class StdioReference(Limits):
    """A whole program judged by its output."""

    cases: tuple[StdioCase, ...] = Field(min_length=1)
    checker: Literal["tokens", "lines", "exact", "float"] = "tokens"


class CallCase(Plain):
    """One call of the entry point and the value it must return."""

    args: list[Any]
    expected: Any


class PythonReference(Limits):
    """A function judged by calls (``cases``), by test source that defines ``check`` (``tests``) or by ``asserts``."""

    entry_point: str | None = None
    cases: tuple[CallCase, ...] | None = Field(default=None, min_length=1)
    tests: str | None = None
    setup: str = ""
    asserts: tuple[str, ...] | None = Field(default=None, min_length=1)
    prefix: str = ""  # the prompt's own code, which a completion continues
    shared: bool = False  # candidate and test in one process: forgeable, flagged on every verdict

    @model_validator(mode="after")
    def _one_way_to_judge(self) -> "PythonReference":
        given = [name for name in ("cases", "tests", "asserts") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of cases, tests, asserts is needed, got {given or 'none'}")
        if self.asserts is None and not self.entry_point:
            raise ValueError("entry_point is needed with cases or tests")
        return self


class AnswerReference(Plain):
    """The right answer of a ``math``, ``choice`` or ``exact`` problem."""

    answer: str


# Files that decide which tests run and what their results are; a patch that touches one is refused.
DECIDES_HOW_TESTS_RUN = (
    *("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "setup.cfg"),
    *("tox.ini", "noxfile.py", "sitecustomize.py", "usercustomize.py", "*.pth", "*.pyc", "*.egg-info", "*.dist-info"),
    *("pytest.py", "pytest/*", "_pytest/*", "unittest.py", "unittest/*"),
)


class PatchReference(Limits):
    """A repository at a commit, tests that a patch has to make pass, and tests that it must not break.

    The repository is a ``snapshot`` (a git repository or bundle, on every node) or lies at ``/testbed`` in a container
    ``image``. ``test_command`` is shell text that runs the tests at the root of the tree; its output is read as that of
    ``results``. ``environment`` is a prefix or virtual environment for it (default: Troop's own). ``control`` appends a
    file of tests whose endings are known to the command. Each test has to pass in most of ``repeats`` runs.
    ``time_limit_s`` is for one run, ``memory_mb`` for all its processes together.
    """

    time_limit_s: float = Field(default=600.0, gt=0)
    memory_mb: int = Field(default=4096, ge=16)
    snapshot: str | None = Field(default=None, min_length=1)
    image: str | None = Field(default=None, pattern=r"^[a-z0-9][\w.:/@-]*$")
    base_commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    test_patch: str = Field(pattern=r"\S")
    fail_to_pass: tuple[str, ...] = Field(min_length=1)
    pass_to_pass: tuple[str, ...] = ()
    test_command: str = Field(pattern=r"\S")
    results: Literal["pytest", "unittest", "sympy"] = "pytest"
    control: bool = True
    environment: str | None = None
    protected: tuple[str, ...] = DECIDES_HOW_TESTS_RUN
    repeats: int = Field(default=1, ge=1, le=99)

    @model_validator(mode="after")
    def _one_place(self) -> "PatchReference":
        if (self.snapshot is None) == (self.image is None):
            raise ValueError("exactly one of snapshot, image is needed")
        if self.repeats % 2 == 0:
            raise ValueError(f"repeats: {self.repeats} runs can be a tie; an odd number is needed")
        if self.control and self.results == "sympy":
            raise ValueError("control: not with results of sympy, whose runner takes no file of ours; set it to false")
        return self


class JudgeReference(Plain):
    """What a language model judges by: the right answer, a rubric (what makes an answer right), or both."""

    answer: str = ""
    rubric: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> "JudgeReference":
        if not (self.answer or self.rubric):
            raise ValueError("at least one of answer, rubric is needed")
        return self


class LeanReference(Limits):
    """A theorem to prove: ``statement`` is ``theorem NAME … : …``, a proof or ``sorry`` after it is left out.

    ``header`` is what stands before it in a file (``import Mathlib``, ``open Real``, …). The limits are those of one
    proof, beyond what the header needs.
    """

    header: str = ""
    statement: str
    time_limit_s: float = Field(default=60.0, gt=0)
    memory_mb: int = Field(default=4096, ge=16)

    @field_validator("statement")
    @classmethod
    def _a_theorem(cls, text: str) -> str:
        return read_theorem(text).statement


Reference = StdioReference | PythonReference | AnswerReference | LeanReference | JudgeReference | PatchReference
REFERENCES: dict[str, type[Reference]] = {
    "patch": PatchReference,
    "stdio": StdioReference,
    "python": PythonReference,
    "math": AnswerReference,
    "choice": AnswerReference,
    "exact": AnswerReference,
    "judge": JudgeReference,
    "lean": LeanReference,
}


class Problem(Plain):
    """One question. Exactly one of ``prompt`` (text to continue) and ``messages`` (a chat) is given.

    ``stop`` are stop strings that belong to the prompt's format; ``solution`` is a gold completion, if there is one.
    ``sampling`` is what its task samples with in place of the sweep's settings.
    """

    id: Annotated[str, Field(min_length=1)]
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    verifier: VerifierKind
    reference: Reference
    solution: str | None = None
    stop: tuple[str, ...] = ()
    sampling: TaskSampling | None = None

    @model_validator(mode="before")
    @classmethod
    def _reference_by_verifier(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("reference"), dict) and data.get("verifier") in REFERENCES:
            return {**data, "reference": REFERENCES[data["verifier"]].model_validate(data["reference"])}
        return data

    @model_validator(mode="after")
    def _one_prompt(self) -> "Problem":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("exactly one of prompt, messages is needed")
        if not isinstance(self.reference, REFERENCES[self.verifier]):
            raise ValueError(f"reference does not fit verifier {self.verifier!r}")
        return self

    @property
    def asked(self) -> str:
        """What a model is asked, as text: the prompt, or the turns of a chat."""
        return "\n\n".join(turn.content for turn in self.messages) if self.messages else self.prompt or ""

    @property
    def prompt_digest(self) -> str:
        """Hash of all that changes the distribution of this problem's samples."""
        said: list[object] = [self.prompt, [m.model_dump() for m in self.messages or ()], list(self.stop)]
        return _digest(said + ([self.sampling.model_dump(exclude_none=True)] if self.sampling else []))

    @property
    def reference_digest(self) -> str:
        """Hash of all that changes this problem's verdicts; where a snapshot lies does not, its commit does."""
        values = self.reference.model_dump(mode="json", exclude={"snapshot", "environment"})
        return _digest([self.verifier, values])


def read_jsonl(path: Path) -> list[Problem]:
    """The problems of a file in Troop's own format; raises BadInput naming the line."""
    problems = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            problems.append(parse(Problem, load_json(line, f"{path}:{number}"), f"{path}:{number}"))
    return problems


def check_problems(problems: Iterable[Problem], where: str) -> tuple[Problem, ...]:
    """The problems themselves, if there is at least one and no id occurs twice; raises BadInput."""
    checked = tuple(problems)
    if not checked:
        raise BadInput(f"{where}: no problems; at least one is needed")
    twice = [name for name, count in Counter(p.id for p in checked).items() if count > 1]
    if twice:
        raise BadInput(f"{where}: problem id {twice[0]!r} occurs more than once; ids must be unique")
    return checked


def read_text(path: Path) -> str:
    """A UTF-8 file's text; raises BadInput."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text ({error})") from error


def load_json(text: str, where: str) -> Any:
    """Parsed JSON; raises BadInput that starts with ``where``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not valid JSON ({error})") from error


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
