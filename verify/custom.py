"""The verifier ``custom``: a function of the user's own scores the completion, in the sandbox.

The function is trusted and the text is not. Whatever goes wrong in a call is a ``fault``: neither right nor wrong.
Promised: the text cannot read files, use the network or outlive the limit, whatever the function does with it. Not
promised: a function that executes the text (``eval``) can be made to return any score.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sampling.checkers import CustomReference, Function
from sampling.problems import Problem
from verify.checker_call import call_score
from verify.programs.extract import MAX_TEXT
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.verdict import Status, Verdict


class CustomVerifier:
    """Calls the checker on each completion; a score of ``threshold`` or more passes."""

    version = "custom/1"

    def __init__(self, sandbox: Sandbox | Callable[[], Sandbox]) -> None:
        self.sandbox = sandbox if isinstance(sandbox, Sandbox) else sandbox()

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, CustomReference)
        if len(completion) > MAX_TEXT:
            return Verdict(Status.OUTPUT, reason=f"more than the {MAX_TEXT:,} characters that a checker reads")
        if not reference.source:
            return Verdict(Status.FAULT, reason=f"the checker's file {reference.path} was not read")
        function = reference.found
        given = arguments(function, reference, problem, completion)
        quota = Quota.from_cpu(reference.time_limit_s, reference.memory_mb)
        code = Code(reference.source, packages=reference.packages)
        run, score, trouble = call_score(self.sandbox, code, function, given, quota)
        if score is None:
            return Verdict.on_runs([run], self.sandbox.tier, Status.FAULT, f"the checker {reference.path}: {trouble}")
        status, reason = (Status.PASS, "") if score >= reference.threshold else (Status.FAIL, f"score {score:g}")
        return replace(Verdict.on_runs([run], self.sandbox.tier, status, reason), score=score)

    def close(self) -> None:
        self.sandbox.close()


def arguments(function: Function, reference: CustomReference, problem: Problem, completion: str) -> dict[str, Any]:
    """Returns the keyword arguments of one call; keywords that the function does not take are left out."""
    given: dict[str, Any]
    if function.convention == "verl":
        given = {"data_source": reference.data_source, "solution_str": completion}
        given |= {"ground_truth": reference.ground_truth, "extra_info": reference.extra_info}
    elif problem.messages is None:
        given = {"prompts": [problem.prompt], "completions": [completion]}
    else:
        turns = [{"role": turn.role, "content": turn.content} for turn in problem.messages]
        given = {"prompts": [turns], "completions": [[{"role": "assistant", "content": completion}]]}
    if function.convention == "trl":
        given |= {
            name: [value] for name, value in {"ground_truth": reference.ground_truth, **reference.columns}.items()
        }
    return {name: value for name, value in given.items() if function.takes is None or name in function.takes}
