"""Calls a user's checker in the sandbox: trusted code on a hostile text, in a process of its own for each call.

The process is forked from a warm one, so a text that crashes or hangs the checker harms no other verdict.
"""

import math
from dataclasses import replace
from typing import Any

from sampling.checkers import Function
from verify.sandbox.limits import Quota
from verify.sandbox.outcomes import Execution, Raised
from verify.sandbox.sandbox import Code, Sandbox

# Before the file: its ``if __name__ == "__main__":`` must not run.
_SETUP = "import sys\nsys.modules['checker'] = sys.modules[__name__]\n__name__ = 'checker'\n"
_SCORE, _CHECK = "_troop_score", "_troop_check"
# After the file. A score is a number, or for verl a dict with a number under "score"; a check is true or false.
_CALLS = f"""

def {_SCORE}(name, convention, given):
    value = globals()[name](**given)
    if convention == "trl":
        value = list(value)
        if len(value) != 1:
            raise ValueError(f"{{len(value)}} scores for 1 completion")
        value = value[0]
    if convention == "verl" and isinstance(value, dict):
        value = value["score"]
    if value is None or isinstance(value, (str, bytes)):
        raise TypeError(f"a score must be a number, got {{type(value).__name__}}")
    return float(value)


def {_CHECK}(*given):
    value = check(*given)
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"check must return True or False, got {{type(value).__name__}}")
    return bool(value)
"""


def call_score(
    sandbox: Sandbox, code: Code, function: Function, given: dict[str, Any], quota: Quota
) -> tuple[Execution, float | None, str]:
    """Returns how the call went, and a finite score, or None and what went wrong."""
    run, answer, trouble = _call(sandbox, code, _SCORE, [function.name, function.convention, given], quota)
    if not trouble and (type(answer) is not float or not math.isfinite(answer)):
        answer, trouble = None, f"gave no finite score, but {str(answer)[:100]}"
    return run, answer, trouble


def call_check(
    sandbox: Sandbox, code: Code, given: tuple[str, str, str], quota: Quota
) -> tuple[Execution, bool | None, str]:
    """Returns how the call went, and what ``check`` says, or None and what went wrong."""
    run, answer, trouble = _call(sandbox, code, _CHECK, [*given], quota)
    if not trouble and type(answer) is not bool:
        answer, trouble = None, "gave neither True nor False"
    return run, answer, trouble


def _call(sandbox: Sandbox, code: Code, entry: str, given: list[Any], quota: Quota) -> tuple[Execution, Any, str]:
    run = sandbox.call_cases(replace(code, source=code.source + _CALLS, setup=_SETUP), entry, [given], quota)
    if run.status is not None:
        return run, None, f"{run.status}, {run.reason}"
    answer = run.answers[0] if len(run.answers) == 1 else None
    return (run, None, f"raised {answer}") if isinstance(answer, Raised) else (run, answer, "")
