"""Data sets of functions with many tests: HumanEval+, MBPP+ (EvalPlus on the hub) and BigCodeBench."""

from typing import Any, ClassVar

from pydantic import Field

from sampling.references import PythonReference
from sampling.tasks.programs import HumanEvalRow, mbpp_reference, tested_function
from sampling.tasks.questions import Question, Row
from sampling.validate import parse


class MbppPlusRow(Row):
    """A row of ``evalplus/mbppplus``; ``test`` is a script that calls the function on many inputs."""

    task_id: int
    prompt: str
    code: str
    test_list: tuple[str, ...] = Field(min_length=1)
    test_imports: tuple[str, ...] = ()
    test: str = Field(min_length=1)


class BigCodeRow(Row):
    """A row of ``bigcode/bigcodebench``; ``test`` defines test cases of ``unittest``."""

    task_id: str
    complete_prompt: str
    instruct_prompt: str
    canonical_solution: str
    test: str = Field(pattern=r"class \w+\(")
    entry_point: str = Field(pattern=r"^[A-Za-z_]\w*$")


class ManyTests(PythonReference):
    """A function with hundreds of tests, which share one limit."""

    default_limit_s: ClassVar[float] = 10.0


# Unit tests name the function as a global, patch modules that it uses, and look at plots and files: one process.
_RUN_UNITTESTS = """

def check(candidate):
    import unittest
    globals()[{name!r}] = candidate
    loaded = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in list(globals().values())
        if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ != "unittest.case"
    )
    result = unittest.TestResult()
    loaded.run(result)
    assert result.testsRun, "no unit test ran"
    bad = result.errors + result.failures
    assert not bad, bad[0][1].strip().splitlines()[-1]
"""


def read_humaneval_plus(data: Any, where: str, index: int) -> Question:
    row = parse(HumanEvalRow, data, where)
    reference = ManyTests(entry_point=row.entry_point, tests=row.test, prefix=row.prompt)
    solution = row.canonical_solution
    return Question(row.task_id, {"question": row.prompt}, solution, "python", reference, solution)


def read_mbpp_plus(data: Any, where: str, index: int) -> Question:
    row = parse(MbppPlusRow, data, where)
    code = row.code.replace("\r\n", "\n").strip()
    fields = {"question": row.prompt.strip(), "tests": "\n".join(row.test_list)}
    name = tested_function(code, row.test_list[0])
    reference = mbpp_reference(ManyTests, row.task_id, name, "\n".join(row.test_imports), (row.test,))
    return Question(f"mbpp/{row.task_id}", fields, code, "python", reference, code)


def read_bigcodebench(data: Any, where: str, index: int) -> Question:
    row = parse(BigCodeRow, data, where)
    tests = row.test + _RUN_UNITTESTS.format(name=row.entry_point)
    reference = ManyTests(entry_point=row.entry_point, tests=tests, prefix=row.complete_prompt, shared=True)
    fields = {"question": row.instruct_prompt, "code": row.complete_prompt}
    return Question(row.task_id, fields, row.canonical_solution, "python", reference, row.canonical_solution)
