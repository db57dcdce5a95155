"""The verifier ``stdio``: runs a whole program and compares its output; no candidate meets the expected output."""

from collections.abc import Callable

from sampling.problems import Problem
from sampling.references import StdioCase, StdioReference
from verify.compare import same_output
from verify.extract import candidate_code
from verify.sandbox.limits import DEFAULT_OUTPUT, Quota, time_scale
from verify.sandbox.sandbox import Code, Run, Sandbox
from verify.verdict import NO_CODE, Status, Verdict


class StdioVerifier:
    """Runs the candidate once per case and stops at the first case that is not right."""

    version = "stdio-2"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, StdioReference), f"problem {problem.id}: not a stdio problem"
        source = candidate_code(reference, completion)
        if source is None:
            return NO_CODE
        runs: list[Run] = []
        for number, case in enumerate(reference.cases, start=1):
            runs.append(self.sandbox.run_stdio(Code(source), case.stdin, _quota(reference, case)))
            if (wrong := _wrong(reference.checker, case, runs[-1])) is not None:
                status, reason = wrong
                where = f"case {number} of {len(reference.cases)}"
                return Verdict.on_runs(runs, self.sandbox.tier, status, f"{where}: {reason}")
        return Verdict.on_runs(runs, self.sandbox.tier, Status.PASS)

    def close(self) -> None:
        self.sandbox.close()


def _quota(reference: StdioReference, case: StdioCase) -> Quota:
    """Limits of one case; twice the right output is allowed, so that a wrong output is told from an endless one."""
    output = DEFAULT_OUTPUT + 2 * len(case.stdout.encode("utf-8", "surrogatepass"))
    return Quota(reference.time_limit_s * time_scale(), reference.memory_mb, output)


def _wrong(checker: str, case: StdioCase, run: Run) -> tuple[Status, str] | None:
    """Status and reason of a run that is not right; None where it is right."""
    if run.status is not None:
        return run.status, run.reason
    return None if same_output(checker, case.stdout, run.output) else (Status.FAIL, "wrong output")
