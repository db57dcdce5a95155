"""The verifier ``python``: checks functions by calls with known results, by test source, or by asserts.

Answers to calls are compared here, outside the sandbox. Tests and asserts run in a process of their own, beside a proxy
of the candidate. The problem alone chooses how it is verified: an answer that cannot leave the candidate's process is a
fail, not a reason to share a process. Where the problem itself asks for a shared process, the verdict's reason says so.
"""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass

from sampling.problems import Problem
from sampling.references import PythonReference
from verify.compare import same_value
from verify.programs.candidate import candidate_code
from verify.programs.prelude import prelude
from verify.programs.statements import long_integers
from verify.programs.task_names import missing_imports, wanted_names
from verify.sandbox import wire
from verify.sandbox.limits import DEFAULT_OUTPUT, Quota
from verify.sandbox.outcomes import Execution, Raised
from verify.sandbox.packages import NUMPY, wanted
from verify.sandbox.sandbox import Code, Sandbox, compiled
from verify.sandbox.warm import Checks
from verify.verdict import NO_CODE, SHARED_NOTE, Status, Verdict

_MAX_KEPT = 4096  # problems whose compiled tests are kept
_LOAD_NUMPY = "import numpy as _numpy\ndel _numpy\n"
_NOT_CODE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class ProblemTests:
    """The tests of one problem, compiled once for all its samples; or ``fault``, why the task's own code is no test."""

    reference: PythonReference
    output_bytes: int = DEFAULT_OUTPUT
    test: Checks | None = None
    fault: str | None = None


class PythonVerifier:
    """Checks functions by calls, test source or asserts."""

    version = "python-4"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()
        self._tests: dict[str, ProblemTests] = {}

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, PythonReference), f"problem {problem.id}: not a python problem"
        source = candidate_code(reference, completion)
        if source is None:
            return NO_CODE
        tests = self._tests_of(problem.id, reference)
        if tests.fault is not None:
            return Verdict.on_runs([], self.sandbox.tier, Status.FAULT, tests.fault)
        setup = prelude(reference, source) + reference.setup
        packages = reference.packages
        if tests.test is not None and tests.test.packages:  # arrays of the test are arrays for the candidate too
            packages = tests.test.packages
            setup = f"{_LOAD_NUMPY}{setup}" if NUMPY[0] in packages else setup
        run, status, reason = self._run(Code(source, setup, packages), tests)
        return Verdict.on_runs([run], self.sandbox.tier, status, reason)

    def close(self) -> None:
        self.sandbox.close()

    def _tests_of(self, name: str, reference: PythonReference) -> ProblemTests:
        known = self._tests.get(name)
        if known is None or known.reference is not reference:
            if len(self._tests) >= _MAX_KEPT:
                self._tests.clear()
            known = self._tests[name] = compile_tests(reference)
        return known

    def _run(self, code: Code, tests: ProblemTests) -> tuple[Execution, Status, str]:
        reference = tests.reference
        quota = Quota.from_cpu(reference.limit_s, reference.memory_mb, tests.output_bytes)
        if reference.cases is not None:
            run = self.sandbox.call_cases(code, reference.entry_point or "", [c.args for c in reference.cases], quota)
            return run, *_compare(reference, run)
        if reference.shared:
            run = self.sandbox.run_shared(code, reference.entry_point or "", _steps(reference), quota)
            return run, *_read_status(run, f"{SHARED_NOTE}; " if run.reason else SHARED_NOTE)
        assert tests.test is not None
        run = self.sandbox.run_test(code, tests.test, quota)
        return run, *_read_status(run, "")


def _read_status(run: Execution, note: str) -> tuple[Status, str]:
    assert run.status is not None
    return run.status, note + run.reason


def _compare(reference: PythonReference, run: Execution) -> tuple[Status, str]:
    """Status and reason: a pass only where every call was answered and every answer is right."""
    if run.status is not None:
        return run.status, run.reason
    cases = reference.cases or ()
    for number, (case, answer) in enumerate(zip(cases, run.answers, strict=False), start=1):
        where = f"case {number} of {len(cases)}"
        if isinstance(answer, Raised):
            return Status.FAIL, f"{where}: {answer}"
        if not _same(case.expected, answer):
            return Status.FAIL, f"{where}: got {_short(answer)}, expected {_short(case.expected)}"
    if len(run.answers) != len(cases):
        return Status.FAIL, f"{len(run.answers)} answers to {len(cases)} calls"
    return Status.PASS, ""


def _same(expected: object, answer: object) -> bool:
    try:
        return same_value(expected, answer)
    except RecursionError:
        return False


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"


def compile_tests(reference: PythonReference) -> ProblemTests:
    """Compiles a problem's tests; code that is no test is the task's fault, whatever the candidate."""
    try:
        if reference.cases is not None:
            values = wire.encode([[case.args, case.expected] for case in reference.cases])
            return ProblemTests(reference, DEFAULT_OUTPUT + 2 * len(wire.pack(values)))
        with long_integers():
            return ProblemTests(reference, test=_test(reference))
    except _NOT_CODE as error:
        return ProblemTests(reference, fault=f"the task's own tests do not compile: {error}")
    except wire.NotPlain as error:
        return ProblemTests(reference, fault=f"the task's own cases hold more than plain values: {error}")


def _test(reference: PythonReference) -> Checks:
    setup = f"{_complete(reference.prefix)}\n{reference.setup}"
    steps = _steps(reference)
    names = _wanted(reference, setup)
    setup = missing_imports(setup, steps, names) + setup
    return Checks(
        setup=compiled(setup, "setup.py"),
        wanted=names,
        steps=tuple(compiled(step, "tests.py") for step in steps),
        calls_check=reference.tests is not None,
        packages=wanted(reference.packages, setup, *steps),
    )


def _wanted(reference: PythonReference, setup: str) -> tuple[str, ...]:
    if reference.asserts is not None:
        return wanted_names(setup, reference.asserts, reference.entry_point)
    return (reference.entry_point,) if reference.entry_point else ()


def _steps(reference: PythonReference) -> list[str]:
    return [reference.tests] if reference.tests is not None else list(reference.asserts or ())


def _complete(prefix: str) -> str:
    """The prompt's own code for the test, which may use its helpers; its last function may lack a body."""
    for source in (prefix, f"{prefix.rstrip()}\n    pass\n"):
        try:
            compile(source, "prefix.py", "exec", dont_inherit=True)
        except _NOT_CODE:
            continue
        return source
    return ""
