"""Data sets of programming: HumanEval and MBPP, judged by calls, and CodeContests, judged by a program's output."""

import re
from typing import Any, ClassVar

from pydantic import AliasChoices, Field

from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.problems import load_json
from sampling.references import PythonReference, StdioReference
from sampling.tasks.questions import Question, Row
from sampling.validate import parse


class HumanEvalRow(Row):
    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


class MbppRow(Row):
    """A row of MBPP, or of its sanitized version, whose fields are ``prompt`` and ``test_imports``."""

    task_id: int
    text: str = Field(validation_alias=AliasChoices("text", "prompt"))
    code: str
    test_list: tuple[str, ...] = Field(min_length=1)
    test_setup_code: str = ""
    test_imports: tuple[str, ...] = ()


class CodeContestsRow(Row):
    """A row of SandboxFusion's sample: the statement in ``content``, the cases as JSON in ``test``."""

    id: int | str
    content: str
    test: str


class _Tests(Row):
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class _Solutions(Row):
    language: tuple[int, ...] = ()
    solution: tuple[str, ...] = ()


class _Duration(Row):
    seconds: int = 0
    nanos: int = 0


class ContestRow(Row):
    """A row of ``deepmind/code_contests``, in Parquet or as the same columns in JSON."""

    name: str
    description: str
    public_tests: _Tests = _Tests()
    private_tests: _Tests = _Tests()
    generated_tests: _Tests = _Tests()
    solutions: _Solutions = _Solutions()
    time_limit: _Duration | None = None
    memory_limit_bytes: int | None = None


class _Stdin(Row):
    stdin: str


class _Stdout(Row):
    stdout: str


class _Case(Row):
    input: _Stdin
    output: _Stdout


class _Cases(Row):
    test: tuple[_Case, ...] = Field(min_length=1)


class PublishedFunction(PythonReference):
    """A function of HumanEval or MBPP, with the time limit of their own harnesses."""

    default_limit_s: ClassVar[float] = 3.0


def read_humaneval(data: Any, where: str, index: int) -> Question:
    row = parse(HumanEvalRow, data, where)
    reference = PublishedFunction(entry_point=row.entry_point, tests=row.test, prefix=row.prompt)
    solution = row.canonical_solution
    return Question(row.task_id, {"question": row.prompt}, solution, "python", reference, solution)


# Tests of these problems build objects of the candidate's own classes (Node, Pair) or use its imports: that works in
# one process only.
_MBPP_SHARED = frozenset({367, 596, 601, 927})


def read_mbpp(data: Any, where: str, index: int) -> Question:
    row = parse(MbppRow, data, where)
    code = row.code.replace("\r\n", "\n").strip()
    setup = "\n".join([*row.test_imports, row.test_setup_code]).replace("\r\n", "\n")
    fields = {"question": row.text.strip(), "tests": "\n".join(row.test_list)}
    name = tested_function(code, row.test_list[0])
    reference = mbpp_reference(PublishedFunction, row.task_id, name, setup, row.test_list)
    return Question(f"mbpp/{row.task_id}", fields, code, "python", reference, code)


def mbpp_reference(
    kind: type[PythonReference], number: int, name: str | None, setup: str, asserts: tuple[str, ...]
) -> PythonReference:
    """Returns the reference of a problem of MBPP, by its number."""
    if number in _MBPP_SHARED:  # the set-up needs the candidate's classes: it is the test's first step
        return kind(asserts=(*filter(None, [setup]), *asserts), shared=True)
    return kind(entry_point=name, setup=setup, asserts=asserts)


def tested_function(code: str, test: str) -> str | None:
    """Returns the function of the gold solution that a test calls or hands to another, such as ``map``.

    It tells a solution's block from an example's.
    """
    defined = re.findall(r"^def[ \t]+(\w+)", code, re.MULTILINE)
    used = [name for name in defined if re.search(rf"\b{name}\b", test)]
    return next((name for name in used if re.search(rf"\b{name}[ \t]*\(", test)), used[0] if used else None)


def read_codecontests(data: Any, where: str, index: int) -> Question:
    return _contest(data, where) if isinstance(data, dict) and "public_tests" in data else _sandboxed(data, where)


PYTHON3 = 3  # its number among the data set's languages
CONTEST_LIMITS = Limits()  # published memory limits are for C++: a larger one is kept, a smaller one is raised to ours


def _contest(data: Any, where: str) -> Question:
    row = parse(ContestRow, data, where)
    seconds = row.time_limit.seconds + row.time_limit.nanos / 1e9 if row.time_limit else 0.0
    memory = (row.memory_limit_bytes or 0) >> 20
    reference = {
        "cases": [
            case for tests in ("public", "private", "generated") for case in _cases(row, f"{tests}_tests", where)
        ],
        "time_limit_s": seconds or None,
        "memory_mb": max(memory, CONTEST_LIMITS.memory_mb),
    }
    program = _python_solution(row.solutions)
    checked = parse(StdioReference, reference, where)
    return Question(f"codecontests/{row.name}", {"question": row.description}, program or "", "stdio", checked, program)


def _cases(row: ContestRow, name: str, where: str) -> list[dict[str, str]]:
    tests: _Tests = getattr(row, name)
    if len(tests.input) != len(tests.output):
        raise BadInput(f"{where}: {name}: {len(tests.input)} inputs, but {len(tests.output)} outputs")
    return [{"stdin": given, "stdout": wanted} for given, wanted in zip(tests.input, tests.output, strict=True)]


def _python_solution(solutions: _Solutions) -> str | None:
    """Returns the first published solution in Python 3 that is plain ASCII, or None."""
    pairs = zip(solutions.language, solutions.solution, strict=False)
    return next((text.strip() for language, text in pairs if language == PYTHON3 and text.isascii()), None)


def _sandboxed(data: Any, where: str) -> Question:
    row = parse(CodeContestsRow, data, where)
    cases = parse(_Cases, {"test": load_json(row.test, f"{where}: test")}, where).test
    reference = StdioReference.model_validate(
        {"cases": [{"stdin": case.input.stdin, "stdout": case.output.stdout} for case in cases]}
    )
    return Question(f"codecontests/{row.id}", {"question": row.content}, "", "stdio", reference)
