"""Time limits ``auto``: measured by running gold solutions once, on this machine."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from os import cpu_count

from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.references import Limits, StdioReference
from verify.processes import VerifierProcesses
from verify.sandbox.tiers import TierUnavailable
from verify.verifiers import Verifiers

TIMES, LEAST_S = 10, 0.5  # a limit is so many times the gold solution's CPU time, and at least so much
FEW, BATCH = 8, 8  # problems that are measured without other processes; problems that go to a process together


def says_auto(problem: Problem) -> bool:
    return isinstance(problem.reference, Limits) and problem.reference.time_limit_s == "auto"


def with_limits(problems: Mapping[str, Problem], tier: str | None) -> dict[str, Problem]:
    """Returns the problems, by any key, with measured limits in place of ``auto``; raises as ``measure``."""
    limits = measure(problems, tier)
    return {
        key: problem.with_time_limit(limits[key]) if key in limits else problem for key, problem in problems.items()
    }


def measure(problems: Mapping[str, Problem], tier: str | None) -> dict[str, float]:
    """Returns the limit in seconds of each problem that says ``auto`` and whose gold solution passes.

    Raises BadInput where this machine cannot measure.
    """
    asking = {key: one for key, one in problems.items() if says_auto(one) and one.solution is not None}
    try:
        limits = _here(asking, tier) if len(asking) <= FEW else _in_processes(asking, tier)
    except (TierUnavailable, BrokenProcessPool) as error:
        raise BadInput(f"time_limit_s: auto: cannot be measured here ({error}); give seconds") from error
    return {key: limit for key, limit in zip(asking, limits, strict=True) if limit is not None}


def _here(problems: Mapping[str, Problem], tier: str | None) -> list[float | None]:
    with Verifiers(tier, remembered=0) as verifiers:
        return _limits(verifiers, problems, list(problems))


def _in_processes(problems: Mapping[str, Problem], tier: str | None) -> list[float | None]:
    keys = list(problems)
    parts = [keys[first : first + BATCH] for first in range(0, len(keys), BATCH)]
    with VerifierProcesses(problems, tier, min(cpu_count() or 1, len(parts)), remembered=0) as processes:
        waiting = [processes.submit(_limits, part) for part in parts]
        limits = [limit for future in waiting for limit in future.result()]
        processes.finish()
    return limits


def _limits(verifiers: Verifiers, problems: Mapping[str, Problem], keys: Sequence[str]) -> list[float | None]:
    return [_limit(verifiers, problems[key]) for key in keys]


def _limit(verifiers: Verifiers, problem: Problem) -> float | None:
    """Runs the gold solution with room, each case of a program by itself, since limits hold for each.

    Returns None if it does not pass.
    """
    reference = problem.reference
    assert isinstance(reference, Limits) and problem.solution is not None
    roomy = problem.with_time_limit(TIMES * reference.limit_s)
    runs = [verifiers.verify(one, problem.solution) for one in _single_cases(roomy)]
    if not all(run.passed for run in runs):
        return None
    return max(LEAST_S, round(TIMES * max(run.cpu_s for run in runs), 2))


def _single_cases(problem: Problem) -> Iterator[Problem]:
    reference = problem.reference
    if not isinstance(reference, StdioReference):
        yield problem
        return
    for case in reference.cases:
        yield problem.model_copy(update={"reference": reference.model_copy(update={"cases": (case,)})})
