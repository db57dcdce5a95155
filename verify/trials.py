"""What proves verifiers: completions of known verdict are judged several times over, and must come out as known.

Plain data and one function that judges; who calls it, on which machine, in which process, is for others to say.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sampling.problems import Problem
from sampling.references import AnswerReference, JudgeReference
from verify.mutants import GOLD, Known, known_completions, limit_breakers
from verify.sandbox.limits import time_scale
from verify.sandbox.tiers import TierUnavailable
from verify.verdict import Status
from verify.verifiers import Verifiers

BATCH = 8  # trials
LATE_S = 5.0  # by which a verdict may come after a limit, on a machine that is busy with other things
WAYS = ("cases", "tests", "asserts", "shared")  # to judge a program, by the name of what the reference holds
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """One known completion. ``key`` is where its problem is found, which may have tighter limits than ``problem``."""

    task: str
    problem: str
    key: str
    known: Known
    within_s: float | None = None  # for those that run into a limit


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial came to, and the seconds it took. ``undecided``: it passed, but is provably as good as gold."""

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
        """The order of the trials each time: as they are, then shuffled; what runs into a limit is tried once."""
        again = [number for number, trial in enumerate(self.trials) if trial.within_s is None]
        shuffled = [random.Random(turn).sample(again, len(again)) for turn in range(1, repeats)]
        return [list(range(len(self.trials))), *shuffled]


@dataclass(frozen=True, slots=True)
class Surprise:
    """A trial whose verdict is not the known one, or not the same every time."""

    trial: Trial
    expected: str
    got: str
    reason: str


def gold_problems(problems: Sequence[Problem], most: int | None) -> list[Problem]:
    """At most ``most`` of the problems that have a gold solution, evenly spread over them: the same every time.

    A judge that is paid is not asked: what it says would prove nothing of the next answer.
    """
    return spread([p for p in problems if p.solution is not None and p.verifier != "judge"], most)


def spread(items: Sequence[T], most: int | None) -> list[T]:
    """``most`` of the items, or all of them, in their order and evenly spaced."""
    if most is None or most >= len(items):
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def plan_audit(tasks: Mapping[str, Sequence[Problem]], most: int | None) -> Audit:
    """Gold solutions and mutants of at most ``most`` problems of each task; one problem of each kind at its limits."""
    problems: dict[str, Problem] = {}
    trials: list[Trial] = []
    for task, given in tasks.items():
        for problem in spread([problem for problem in given if any(known_completions(problem))], most):
            problems[key := f"{task}/{problem.id}"] = problem
            trials += [Trial(task, problem.id, key, known) for known in known_completions(problem)]
        for limited, known in _breakers(given):
            assert not isinstance(limited.reference, AnswerReference | JudgeReference)
            problems[key := f"{task}/{limited.id}/{known.check}"] = limited
            trials.append(Trial(task, limited.id, key, known, limited.reference.time_limit_s))
    return Audit(problems, tuple(trials))


def _breakers(problems: Sequence[Problem]) -> Iterator[tuple[Problem, Known]]:
    """For each way in which a task's problems are judged, the limits of the first that can show them."""
    shown: set[tuple[str, ...]] = set()
    for problem in problems:
        way = (problem.verifier, *(name for name in WAYS if getattr(problem.reference, name, None)))
        if way not in shown and (found := list(limit_breakers(problem))):
            shown.add(way)
            yield from found


def batches(order: Sequence[int]) -> list[list[int]]:
    return [list(order[first : first + BATCH]) for first in range(0, len(order), BATCH)]


def try_batch(judge: Verifiers, problems: Mapping[str, Problem], trials: Sequence[Trial]) -> list[Tried]:
    """Judges known completions; a sandbox that cannot be had is a fault of each."""
    return [_try(judge, problems[trial.key], trial) for trial in trials]


def _try(judge: Verifiers, problem: Problem, trial: Trial) -> Tried:
    started, known = time.monotonic(), trial.known
    try:
        verdict = judge.verify(problem, known.text)
    except TierUnavailable as error:
        return failed(str(error))
    seconds = time.monotonic() - started
    most = None if trial.within_s is None else 2 * trial.within_s * time_scale() + LATE_S
    if most is not None and seconds > most:
        return Tried(Status.FAULT, f"{verdict.status} only after {seconds:.1f} s, at most {most:.1f} s", seconds)
    proven = bool(verdict.passed and known.proof and judge.verify(problem, known.proof).passed)
    return Tried(verdict.status, verdict.reason, seconds, proven)


def failed(reason: str) -> Tried:
    """What a trial comes to that nobody could make."""
    return Tried(Status.FAULT, reason, 0.0)


def surprises(audit: Audit, rounds: Sequence[Mapping[int, Tried]]) -> list[Surprise]:
    """What did not come out as known, in the order of the trials; ``rounds`` hold what each trial came to.

    Of a problem whose gold solution is judged wrongly, nothing else is said: its mutants prove nothing then.
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
