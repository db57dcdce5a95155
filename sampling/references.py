"""References: what each verifier needs to judge a problem. One model for each kind, and none is shown to a model."""

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sampling.checkers import CustomReference
from sampling.choices import ChoiceReference
from sampling.formats import JsonReference, RegexReference
from sampling.instructions import IfevalReference
from sampling.limits import Limits, TimeLimit
from sampling.packages import WithPackages
from sampling.patches import PatchReference
from sampling.policy import ExactPolicy, MathPolicy
from sampling.theorems import read_theorem
from sampling.validate import Plain

VerifierKind = Literal[
    "stdio", "python", "math", "choice", "exact", "lean", "judge", "patch", "custom", "regex", "json", "ifeval"
]
Extraction = Literal["kind", "published"]
MathExtraction = Literal["kind", "gsm8k", "math"]
_NUMBER = re.compile(r"-?[0-9.,]+")

Language = Literal["python", "c", "cpp", "java", "go", "rust", "javascript"]
OUTPUT_CHECKERS = ("tokens", "lines", "exact", "float", "caseless")


class StdioCase(Plain):
    """One run of a program: its input and the right output."""

    stdin: str
    """Text that the program reads from standard input."""

    stdout: str
    """Text that it has to print, as ``checker`` compares it."""


class StdioReference(Limits, WithPackages):
    """A whole program judged by its output. It passes if its output is right for every case."""

    cases: tuple[StdioCase, ...] = Field(min_length=1)
    """Inputs and outputs, at least one; the program is run for each in turn; the first wrong one decides.

    Example: `[{"stdin": "1 2\\n", "stdout": "3\\n"}]`.
    """

    language: Language = "python"
    """Language of the program. Example: `cpp`.

    Every language but ``python`` needs a compiler or runtime on the machines that verify, which `troop doctor` lists.
    Compiling has limits of its own; starting Java or Node counts as the program's own time.
    """

    checker: str = "tokens"
    """Comparison of outputs: ``tokens``, ``lines``, ``exact``, ``float``, ``caseless``, or a Python file of your own.

    ``tokens`` compares words, whatever white space is between them; ``caseless`` does so without upper and lower case.
    ``lines`` compares lines without white space at their ends and without empty lines at the end; ``exact`` compares
    every byte; ``float`` compares words, and numbers within a relative or absolute error of a millionth. A file
    (`check.py`, from the folder of the problem's file) defines `check(input, output, expected)`, which returns True
    or False.
    """

    checker_source: str = ""
    """Text of the checker's file, filled in when the problems are loaded."""

    @field_validator("checker")
    @classmethod
    def _known_checker(cls, name: str) -> str:
        if name not in OUTPUT_CHECKERS and not name.endswith(".py"):
            known = ", ".join(repr(known) for known in OUTPUT_CHECKERS[:-1])
            raise ValueError(f"Input should be {known} or {OUTPUT_CHECKERS[-1]!r}, or a file that ends in .py")
        return name


class CallCase(Plain):
    """One call of the entry point and the value that it must return."""

    args: list[Any]
    """Arguments of the call, in order. Example: `[[3, 1, 2], true]`."""

    expected: Any
    """Value that the call must return, compared with Python's ``==`` on built-in types.

    Floats are equal within a relative or absolute error of a millionth, and a tuple may stand for a list.
    """


class PythonReference(Limits, WithPackages):
    """A function judged in one of three ways: by calls (``cases``), by test source (``tests``) or by ``asserts``."""

    entry_point: str | None = None
    """Name of the function that the candidate must define, or a method such as `Solution.solve`.

    Needed with ``cases`` and ``tests``. With ``asserts`` the default is the functions that they call.
    """

    cases: tuple[CallCase, ...] | None = Field(default=None, min_length=1)
    """Calls of the entry point with the values they must return. Example: `[{"args": [1, 2], "expected": 3}]`."""

    tests: str | None = None
    """Python source that defines ``check(candidate)``, which is called with the entry point; HumanEval's form.

    It passes when ``check`` returns and fails when it raises. Example: `def check(f):\\n    assert f(1, 2) == 3`.
    """

    setup: str = ""
    """Python source that runs before the candidate, and before the tests. Example: `import math`."""

    asserts: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Python statements that run in order, each of which must not raise; MBPP's form.

    Example: `["assert add(1, 2) == 3"]`.
    """

    prefix: str = ""
    """Code in the prompt that a completion continues, such as a signature with its docstring."""

    extraction: Extraction = "kind"
    """Way to find the program in a completion: ``kind`` drops prose and repairs what has one meaning.

    ``published`` does as HumanEval and MBPP do: the program is ``prefix`` and the text up to HumanEval's stop strings,
    or without a ``prefix`` the text up to ``[DONE]``, with nothing dropped or repaired.
    """

    prelude: Literal["none", "typing", "leetcode"] | None = None
    """Names that a candidate may use without an import: ``typing`` (`List`, `Optional`, …), ``leetcode``, ``none``.

    ``leetcode`` adds what LeetCode imports (`defaultdict`, `heappush`, `inf`, `math`, …) and defines (`ListNode`,
    `TreeNode`). Default: ``leetcode`` if the entry point is a method (`Solution.solve`), ``typing`` for ``cases``
    without a ``prefix``, else ``none``.
    """

    shared: bool = False
    """Runs candidate and test in one process, where the candidate can forge a pass: every verdict says so.

    Only for tests that need objects of the candidate's own classes; not with ``cases``, which need none.
    """

    @model_validator(mode="after")
    def _one_way_to_judge(self) -> "PythonReference":
        given = [name for name in ("cases", "tests", "asserts") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of cases, tests, asserts is needed, got {given or 'none'}")
        if self.asserts is None and not self.entry_point:
            raise ValueError("entry_point is needed with cases or tests")
        return self


class AnswerReference(Plain):
    """The right answer of a problem."""

    answer: str
    """Right answer: one letter or digit; brackets around it and its case do not count. Example: `B`."""


class MathReference(MathPolicy, AnswerReference):
    """The right answer of a ``math`` problem, and how answers are found and compared with it."""

    answer: str
    """Right answer, as in a textbook: a number, a formula in LaTeX, a list, an equation, a word. Example: `1/2`.

    Every equal value is accepted: `0.5`, `\\frac{1}{2}`, `50\\%`.
    """

    accept: tuple[str, ...] = ()
    """Further right answers; one of them, or ``answer``, has to match. Example: `["0.5", "50\\%"]`."""

    extraction: MathExtraction = "kind"
    """Way to find and compare the answer: ``kind`` is the rules of docs/problems.md, the others are a benchmark's own.

    ``gsm8k`` takes the number after the first ``#### ``, ``math`` the last ``\\boxed{…}`` in the spelling of MATH's
    authors; then only equal text is right. Of the other keys ``accept`` alone can stand beside them.
    """

    @model_validator(mode="after")
    def _one_policy(self) -> "MathReference":
        if self.extraction == "kind":
            return self
        for name, field in MathPolicy.model_fields.items():
            if getattr(self, name) != field.default:
                raise ValueError(f"extraction {self.extraction!r} is a whole policy: {name} cannot stand beside it")
        for answer in (self.answer, *self.accept):
            if self.extraction == "gsm8k" and not _NUMBER.fullmatch(answer):
                raise ValueError(f"extraction 'gsm8k' needs a number as answer (18, -1,000, 2.5), got {answer!r}")
        return self


class ExactReference(ExactPolicy, AnswerReference):
    """The right text of an ``exact`` problem, and how it is compared."""

    answer: str
    """Right text; white space around it and the kind of line ends do not count. Example: `Paris`."""

    accept: tuple[str, ...] = ()
    """Further right texts; one of them, or ``answer``, has to match. Example: `["Paris, France"]`."""


# Files that decide which tests run and what their results are; a patch that touches one is refused.
class JudgeReference(Plain):
    """The right answer, a rubric, or both, by which the sweep's judge (a language model) judges."""

    answer: str = ""
    """Right answer, shown to the judge beside the candidate's. Default: the judge sees the rubric alone."""

    rubric: str = ""
    """Rule for a right answer to this problem, in addition to the rubric of the sweep's judge."""

    @model_validator(mode="after")
    def _says_something(self) -> "JudgeReference":
        if not (self.answer or self.rubric):
            raise ValueError("at least one of answer, rubric is needed")
        return self


class LeanReference(Limits):
    """A theorem to prove in Lean 4. The limits are for one proof, beyond what the header needs."""

    header: str = ""
    """Lean source before the theorem: imports and open namespaces. Example: `import Mathlib\\nopen Real\\n`.

    Every process elaborates it once and keeps it for all problems with the same header.
    """

    statement: str
    """Theorem to prove, `theorem NAME … : …`; a proof or ``sorry`` after it is left out.

    Example: `theorem sum (a b : ℕ) : a + b = b + a`.
    """

    default_limit_s: ClassVar[float] = 60.0

    time_limit_s: TimeLimit | None = None
    """Seconds of CPU time for one proof, all threads together. Default: 60.

    Wall time may be 4 times as much. `auto` is 10 times what the gold proof uses, at least 0.5 s.
    """

    memory_mb: int = Field(default=4096, ge=16)
    """Megabytes (2^20 bytes) of memory for one proof, in addition to what the header takes."""

    @field_validator("statement")
    @classmethod
    def _a_theorem(cls, text: str) -> str:
        return read_theorem(text).statement


Reference = (
    StdioReference
    | PythonReference
    | MathReference
    | ExactReference
    | ChoiceReference
    | LeanReference
    | JudgeReference
    | PatchReference
    | CustomReference
    | RegexReference
    | JsonReference
    | IfevalReference
)
REFERENCES: dict[str, type[Reference]] = {
    "patch": PatchReference,
    "stdio": StdioReference,
    "python": PythonReference,
    "math": MathReference,
    "choice": ChoiceReference,
    "custom": CustomReference,
    "regex": RegexReference,
    "json": JsonReference,
    "ifeval": IfevalReference,
    "exact": ExactReference,
    "judge": JudgeReference,
    "lean": LeanReference,
}
