"""Trials that prove verifiers: completions with a known verdict are verified several times and must come out as known.

Trials are plain data and one function that verifies; its callers choose the machine and the process. Gold solutions are
also timed here, for problems whose time limit is ``auto``: once, on this machine.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from os import cpu_count
from typing import TypeVar

from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.problems import Problem
from sampling.references import StdioReference
from verify.languages.compiler import COMPILE
from verify.mutants import GOLD, Known, known_completions, limit_breakers
from verify.processes import VerifierProcesses
from verify.sandbox.limits import WALL_FACTOR
from verify.sandbox.tiers import TierUnavailable
from verify.verdict import Status
from verify.verifiers import Verifiers

BATCH = 8  # trials
AUTO_TIMES, AUTO_LEAST_S = 10, 0.5  # a limit ``auto``: so many times the gold solution's CPU time, at least so much
FEW = 8  # problems that are measured without other processes
LATE_S = 5.0  # seconds by which a verdict may come after a limit, on a busy machine
WAYS = ("cases", "tests", "asserts", "shared")  # fields of a reference that change how a program is verified
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """One known completion.

    ``key`` names its problem in the audit, which may have tighter limits than ``problem`` in the task. ``within_s`` is
    the CPU limit in seconds that a completion runs into, None for all others.
    """

    task: str
    problem: str
    key: str
    known: Known
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of a trial and its seconds. ``undecided``: it passed, but is provably as good as gold."""

    status: Status
    reason: str
    seconds: float
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """All trials, and their problems by key."""

    problems: Mapping[str, Problem]
    trials: tuple[Trial, ...]

    def rounds(self, repeats: int) -> list[list[int]]:
        """Returns the numbers of the trials in each round: in order, then shuffled without those that meet a limit."""
        again = [number for number, trial in enumerate(self.trials) if trial.within_s is None]
        shuffled = [random.Random(turn).sample(again, len(again)) for turn in range(1, repeats)]
        return [list(range(len(self.trials))), *shuffled]


@dataclass(frozen=True, slots=True)
class Surprise:
    """A trial whose verdict is not the known one, or differs between rounds."""

    trial: Trial
    expected: str
    got: str
    reason: str


def gold_problems(problems: Sequence[Problem], most: int | None) -> list[Problem]:
    """Returns at most ``most`` of the problems with a gold solution, evenly spread, always the same ones.

    Problems of a judge are left out: it is paid, and its verdict would prove nothing about the next answer.
    """
    return spread([p for p in problems if p.solution is not None and p.verifier != "judge"], most)


def spread(items: Sequence[T], most: int | None) -> list[T]:
    """Returns ``most`` of the items, or all of them, in their order and evenly spaced."""
    if most is None or most >= len(items):
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def plan_audit(tasks: Mapping[str, Sequence[Problem]], most: int | None) -> Audit:
    """Plans gold solutions and mutants of ``most`` problems of each task, and one problem per kind at its limits."""
    problems: dict[str, Problem] = {}
    trials: list[Trial] = []
    for task, given in tasks.items():
        for problem in spread([problem for problem in given if any(known_completions(problem))], most):
            problems[key := f"{task}/{problem.id}"] = problem
            trials += [Trial(task, problem.id, key, known) for known in known_completions(problem)]
        for limited, known in _breakers(given):
            assert isinstance(limited.reference, Limits)
            problems[key := f"{task}/{limited.id}/{known.check}"] = limited
            trials.append(Trial(task, limited.id, key, known, limited.reference.limit_s))
    return Audit(problems, tuple(trials))


def _breakers(problems: Sequence[Problem]) -> Iterator[tuple[Problem, Known]]:
    """Yields programs that meet limits, for the first problem of each way in which the task's problems are verified."""
    shown: set[tuple[str, ...]] = set()
    for problem in problems:
        way = (problem.verifier, *(name for name in WAYS if getattr(problem.reference, name, None)))
        if way not in shown and (found := list(limit_breakers(problem))):
            shown.add(way)
            yield from found


def batches(order: Sequence[int]) -> list[list[int]]:
    return [list(order[first : first + BATCH]) for first in range(0, len(order), BATCH)]


def try_batch(verifiers: Verifiers, problems: Mapping[str, Problem], trials: Sequence[Trial]) -> list[Tried]:
    """Verifies known completions; where the sandbox cannot be had, each result is a fault."""
    return [_try(verifiers, problems[trial.key], trial) for trial in trials]


def _try(verifiers: Verifiers, problem: Problem, trial: Trial) -> Tried:
    started, known = time.monotonic(), trial.known
    try:
        verdict = verifiers.verify(problem, known.text)
    except TierUnavailable as error:
        return failed(str(error))
    seconds = time.monotonic() - started
    late_s = LATE_S + (COMPILE.wall_s if getattr(problem.reference, "language", "python") != "python" else 0.0)
    most = None if trial.within_s is None else 2 * WALL_FACTOR * trial.within_s + late_s
    if most is not None and seconds > most:
        return Tried(Status.FAULT, f"{verdict.status} only after {seconds:.1f} s, at most {most:.1f} s", seconds)
    proven = bool(verdict.passed and known.proof and verifiers.verify(problem, known.proof).passed)
    return Tried(verdict.status, verdict.reason, seconds, proven)


def failed(reason: str) -> Tried:
    """Returns the result of a trial that could not be made."""
    return Tried(Status.FAULT, reason, 0.0)


def surprises(audit: Audit, rounds: Sequence[Mapping[int, Tried]]) -> list[Surprise]:
    """Returns the trials that did not come out as known, in their order; ``rounds`` hold the results by trial number.

    A problem whose gold solution does not pass has no other entry: its mutants prove nothing then.
    """
    found: list[Surprise] = []
    broken: set[tuple[str, str]] = set()
    for number, trial in enumerate(audit.trials):
        if (trial.task, trial.problem) in broken:
            continue
        came = [results[number] for results in rounds if number in results]
        wrong = [tried for tried in came if tried.status not in trial.known.expected and not tried.undecided]
        statuses = sorted({tried.status.value for tried in came})
        if wrong:
            found.append(Surprise(trial, _words(trial.known), wrong[0].status.value, wrong[0].reason))
            broken |= {(trial.task, trial.problem)} if is_gold(trial) else set()
        elif len(statuses) > 1:
            reason = f"{len(came)} times the same completion"
            found.append(Surprise(trial, f"the same every time ({_words(trial.known)})", ", ".join(statuses), reason))
    return found


def _words(known: Known) -> str:
    return next(iter(known.expected)).value if len(known.expected) == 1 else "no pass"


def is_gold(trial: Trial) -> bool:
    return trial.known.check == GOLD


# ---------------------------------------------------------------- time limits ``auto``


def says_auto(problem: Problem) -> bool:
    return isinstance(problem.reference, Limits) and problem.reference.time_limit_s == "auto"


def with_limits(problems: Mapping[str, Problem], tier: str | None) -> dict[str, Problem]:
    """Returns the problems, by any key, with measured limits in place of ``auto``; raises as ``measure_limits``."""
    limits = measure_limits(problems, tier)
    return {
        key: problem.with_time_limit(limits[key]) if key in limits else problem for key, problem in problems.items()
    }


def measure_limits(problems: Mapping[str, Problem], tier: str | None) -> dict[str, float]:
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
    parts = [[keys[at] for at in part] for part in batches(range(len(keys)))]
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
    roomy = problem.with_time_limit(AUTO_TIMES * reference.limit_s)
    runs = [verifiers.verify(one, problem.solution) for one in _single_cases(roomy)]
    if not all(run.passed for run in runs):
        return None
    return max(AUTO_LEAST_S, round(AUTO_TIMES * max(run.cpu_s for run in runs), 2))


def _single_cases(problem: Problem) -> Iterator[Problem]:
    reference = problem.reference
    if not isinstance(reference, StdioReference):
        yield problem
        return
    for case in reference.cases:
        yield problem.model_copy(update={"reference": reference.model_copy(update={"cases": (case,)})})
