"""The verifier ``stdio``: runs a whole program and compares its output; no candidate meets the expected output."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sampling.problems import Problem
from sampling.references import StdioCase, StdioReference
from verify.checker_call import call_check
from verify.compare import same_output
from verify.languages.runner import Languages
from verify.programs import foreign
from verify.programs.candidate import candidate_code
from verify.sandbox.limits import DEFAULT_OUTPUT, Quota
from verify.sandbox.outcomes import Execution
from verify.sandbox.sandbox import Code, Sandbox
from verify.verdict import NO_CODE, Status, Verdict


class StdioVerifier:
    """Runs the candidate once per case; the first case that is not right decides."""

    version = f"stdio-4 {foreign.VERSION}"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()
        self.languages = Languages(self.sandbox)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, StdioReference), f"problem {problem.id}: not a stdio problem"
        source = candidate_code(reference, completion)
        if source is None:
            return NO_CODE
        if reference.language == "python":
            return self._judge(reference, partial(self.sandbox.run_stdio, Code(source, packages=reference.packages)))
        program = self.languages.compile(reference.language, source)
        if isinstance(program, Execution):
            assert program.status is not None
            verdict = Verdict.on_runs([program], self.sandbox.tier, program.status, program.reason)
        else:
            verdict = self._judge(reference, partial(self.sandbox.run_program, program))
        return replace(verdict, toolchain=self.languages.version(reference.language))

    def _judge(self, reference: StdioReference, run: Callable[[str, Quota], Execution]) -> Verdict:
        """Judges by the first case that is not right; after a wrong output, the cases after it run all the same.

        Were a program stopped at its first wrong output, the next run would tell it that its last output was right.
        Only the first case may tell. A run that exceeds a limit or dies is the last: that is the program's own doing.
        """
        runs: list[Execution] = []
        first: tuple[Status, str] | None = None
        for number, case in enumerate(reference.cases, start=1):
            runs.append(run(case.stdin, _quota(reference, case)))
            if (wrong := self._wrong(reference, case, runs[-1])) is not None and first is None:
                first = wrong[0], f"case {number} of {len(reference.cases)}: {wrong[1]}"
            if runs[-1].status is not None or (first and number == 1):
                break
        return Verdict.on_runs(runs, self.sandbox.tier, *(first or (Status.PASS,)))

    def close(self) -> None:
        self.sandbox.close()

    def _wrong(self, reference: StdioReference, case: StdioCase, run: Execution) -> tuple[Status, str] | None:
        """Status and reason of a run that is not right; None where it is right."""
        if run.status is not None:
            return run.status, run.reason
        if reference.checker.endswith(".py"):
            given = (case.stdin, run.output, case.stdout)
            quota = _quota(reference, case, least_s=reference.default_limit_s)
            code = Code(reference.checker_source, packages=reference.packages)
            _, same, trouble = call_check(self.sandbox, code, given, quota)
            if same is None:
                return Status.FAULT, f"the checker {reference.checker}: {trouble}"
        else:
            same = same_output(reference.checker, case.stdout, run.output)
        return None if same else (Status.FAIL, "wrong output")


def _quota(reference: StdioReference, case: StdioCase, least_s: float = 0.0) -> Quota:
    """Limits of one case; twice the right output is allowed, so that a wrong output is told from an endless one.

    A checker is given ``least_s``: a short limit is meant for candidates.
    """
    output = DEFAULT_OUTPUT + 2 * len(case.stdout.encode("utf-8", "surrogatepass"))
    return Quota.from_cpu(max(reference.limit_s, least_s), reference.memory_mb, output)
