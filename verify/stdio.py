"""Whole programs, judged by what they print: the supervisor compares, the candidate never meets what is expected."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sampling.problems import Problem, StdioCase, StdioReference
from verify.compare import same_output
from verify.extract import extract_code
from verify.sandbox.limits import DEFAULT_OUTPUT, Quota, time_scale
from verify.sandbox.sandbox import Code, Execution, Sandbox
from verify.verdict import Status, Verdict

NO_CODE = Verdict(Status.INVALID, "no code in the completion")


@dataclass(slots=True)
class Spent:
    """What all runs of one sample took together."""

    tier: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = field(default=0.0)

    def add(self, run: Execution) -> None:
        self.wall_s += run.wall_s
        self.cpu_s += run.cpu_s
        self.max_rss_mb = max(self.max_rss_mb, run.max_rss_mb)

    def verdict(self, status: Status, reason: str = "") -> Verdict:
        return Verdict(status, reason, wall_s=self.wall_s, cpu_s=self.cpu_s, max_rss_mb=self.max_rss_mb, tier=self.tier)


class StdioVerifier:
    """Runs the candidate once per case and stops at the first that is not right."""

    version = "stdio-1"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, StdioReference), f"problem {problem.id}: not a stdio problem"
        source = extract_code(completion)
        if source is None:
            return NO_CODE
        spent = Spent(self.sandbox.tier)
        for number, case in enumerate(reference.cases, start=1):
            run = self.sandbox.run_stdio(Code(source), case.stdin, _quota(reference, case))
            spent.add(run)
            if (wrong := _wrong(reference.checker, case, run)) is not None:
                status, reason = wrong
                return spent.verdict(status, f"case {number} of {len(reference.cases)}: {reason}")
        return spent.verdict(Status.PASS)

    def close(self) -> None:
        self.sandbox.close()


def _quota(reference: StdioReference, case: StdioCase) -> Quota:
    """Room for twice the right output, so that a wrong one is told from an endless one."""
    output = DEFAULT_OUTPUT + 2 * len(case.stdout.encode("utf-8", "surrogatepass"))
    return Quota(reference.time_limit_s * time_scale(), reference.memory_mb, output)


def _wrong(checker: str, case: StdioCase, run: Execution) -> tuple[Status, str] | None:
    if run.status is not None:
        return run.status, run.reason
    return None if same_output(checker, case.stdout, run.output) else (Status.FAIL, "wrong output")
