"""The verifier ``regex``: a regular expression must match the whole answer. It is matched in the sandbox."""

from collections.abc import Callable

from sampling.boxed import MAX_ANSWER, boxed_answer
from sampling.formats import RegexReference
from sampling.problems import Problem
from verify.answers import clean
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.special_tokens import after_thought
from verify.verdict import Status, Verdict

MAX_TEXT = 10_000  # characters of an answer; no pattern is tried on a longer one
LIMIT_S, MEMORY_MB = 2.0, 512
_MATCH = "import re\ndef match(pattern, flags, text):\n    return re.fullmatch(pattern, text, flags) is not None\n"


class RegexVerifier:
    """Matches the answer, without white space around it, in a process that can be killed."""

    version = "regex/1"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, RegexReference)
        answer = answer_within(reference.within, completion)
        if not answer or len(answer) > MAX_TEXT:
            return Verdict(Status.INVALID, f"an answer of more than {MAX_TEXT:,} characters" if answer else "no answer")
        flags = 0 if reference.case else 2  # re.IGNORECASE
        quota = Quota.from_cpu(LIMIT_S, MEMORY_MB)
        run = self.sandbox.call_cases(Code(_MATCH), "match", [[reference.pattern, flags, answer]], quota)
        kept = clean(answer) if len(answer) <= MAX_ANSWER else None
        if run.status is not None or len(run.answers) != 1 or type(run.answers[0]) is not bool:
            said = run.reason if run.status is not None else str(run.answers)[:100]
            return Verdict.on_runs(
                [run], self.sandbox.tier, Status.FAULT, f"the pattern was not tried to its end: {said}"
            )
        if run.answers[0]:
            return Verdict(Status.PASS, answer=kept, wall_s=run.wall_s, cpu_s=run.cpu_s, tier=self.sandbox.tier)
        return Verdict(Status.FAIL, "no match", kept, wall_s=run.wall_s, cpu_s=run.cpu_s, tier=self.sandbox.tier)

    def close(self) -> None:
        self.sandbox.close()


def answer_within(part: str, completion: str) -> str:
    """Returns the part of a completion that is its answer; "" where it has none."""
    text = after_thought(completion).strip()
    if part == "boxed":
        return (boxed_answer(text) or "").strip()
    return text.rpartition("\n")[2].strip() if part == "last_line" else text
