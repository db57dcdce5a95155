"""Outcomes of sandboxed runs: pure functions that read the kernel's report and what the processes wrote.

What a candidate wrote is data from a stranger: it can make its own verdict worse, never better.
"""

import re
from dataclasses import dataclass
from typing import Any

from verify.sandbox import wire
from verify.sandbox.limits import Ended, Quota
from verify.sandbox.warm import Meeting
from verify.verdict import Status

KEPT_ERRORS = 300
# What a candidate says at its end: want of memory (NumPy has an error of its own), or of a package.
_RAISED = re.compile(
    r"(?:assert \d+ of \d+: )?(?:loading )?(?:raised )?([A-Za-z_]{0,40}MemoryError|ModuleNotFoundError: )"
)
NO_PACKAGE = "package not there: "


@dataclass(frozen=True, slots=True)
class Execution:
    """The end of one program, and what it gave. ``status`` is None if it exceeded no limit and did not die."""

    status: Status | None
    reason: str
    wall_s: float
    cpu_s: float
    max_rss_mb: float
    output: str = ""
    answers: tuple[Any, ...] = ()


class Raised(Exception):
    """Stands for the answer of a call that raised or returned no plain value; the message says which."""


def describe(
    ended: Ended, problem: tuple[Status, str] | None, output: str = "", answers: tuple[Any, ...] = ()
) -> Execution:
    status, reason = problem or (None, "")
    return Execution(status, reason, ended.wall_s, ended.cpu_s, ended.max_rss_mb, output, answers)


# The words of a program in another language that got no more memory.
_NO_MEMORY = re.compile(
    r"std::bad_alloc|java\.lang\.OutOfMemoryError|insufficient memory for the Java Runtime|[Oo]ut of memory|"
    r"cannot allocate memory|memory allocation of \d{1,20} bytes failed|"
    r"Array buffer allocation failed|Zone Allocation failed|unable to create native thread"
)
_TELLS = re.compile(r"error|exception|panic|fatal|terminate|abort", re.IGNORECASE)
_READ_ERRORS = 20_000  # characters of standard error that are searched for a reason


def describe_binary(ended: Ended, quota: Quota, own_mb: int, output: bytes, errors: bytes) -> Execution:
    """Describes the end of a program in another language, of whose memory ``own_mb`` are its runtime's."""
    problem = ended.problem(quota)
    if problem and problem[0] is Status.CRASH:
        text = errors[:_READ_ERRORS].decode("utf-8", "replace")
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        said = next((line for line in lines if _TELLS.search(line)), lines[0] if lines else "")[:KEPT_ERRORS]
        status = Status.MEMORY if _NO_MEMORY.search(text) else Status.CRASH
        problem = status, f"{problem[1]}: {said}" if said else problem[1]
    elif problem is None and ended.max_rss_mb > quota.memory_mb + own_mb:
        problem = Status.MEMORY, f"held {ended.max_rss_mb:.0f} MB, more than {quota.memory_mb} MB"
    return describe(ended, problem, output.decode("utf-8", "replace"))


def describe_program(ended: Ended, quota: Quota, output: bytes, errors: bytes) -> Execution:
    """Describes a whole program's end; the last line of its standard error says why it failed."""
    problem = ended.problem(quota)
    if problem and problem[0] is Status.CRASH:
        said = errors.decode("utf-8", "replace").strip()[-KEPT_ERRORS:].split("\n")[-1]
        problem = name_lack(Status.CRASH, said, f"{problem[1]}: {said}" if said else problem[1])
    return describe(ended, problem, output.decode("utf-8", "replace"))


def decode_answers(data: Any) -> tuple[Any, ...]:
    """Decodes answers: values, and ``Raised`` for a call that gave none. Raises NotPlain for anything else."""
    if type(data) is not list:
        raise wire.NotPlain("no list of answers")
    answers: list[Any] = []
    for item in data:
        if type(item) is not list or len(item) < 2:
            raise wire.NotPlain("no answer")
        answers.append(wire.decode(item[1]) if item[0] == 0 else Raised(wire.words(item[1:])))
    return tuple(answers)


def lacking(answers: tuple[Any, ...], ended: Ended, quota: Quota) -> tuple[Status, str] | None:
    """Names want of a package or of memory; an interpreter at its limit may raise other errors than MemoryError."""
    last = answers[-1] if answers else None
    if not isinstance(last, Raised):
        return None
    status, reason = name_lack(Status.FAIL, str(last))
    if status is Status.FAIL:
        return (Status.MEMORY, reason) if ended.max_rss_mb >= quota.memory_mb else None
    return status, reason


def test_verdict(meeting: Meeting, quota: Quota) -> tuple[Status, str] | None:
    """Returns what the test's side decided; None if that depends on how the candidate's process ended.

    Progress comes in letters: s (set-up done), r (candidate loaded), c (candidate called). An end before c is the
    task's fault. An end between s and r is the candidate's, for the test only waits then. Loading may use up most of
    the time, so a test that runs out of it between r and c has hung only if it was busy itself. Before s, only a
    candidate that used time itself can be the cause.
    """
    progress, _, answer = meeting.said.partition(b"\n")
    problem = meeting.ended.problem(quota) if meeting.ended else None
    if problem is None:
        try:
            status, reason = wire.unpack(answer)
        except (wire.NotPlain, TypeError, ValueError):
            problem = (Status.CRASH, "ended without an answer")
        else:
            return None if status == "gone" else name_lack(Status(status), reason)
    if b"c" in progress or (progress == b"s" and problem[0] is not Status.TIMEOUT):
        return problem
    if progress:
        loading = progress == b"s" or meeting.cpu_s < quota.most_cpu_s / 2
    else:
        loading = meeting.candidate_s >= quota.most_cpu_s / 10
    if problem[0] is Status.TIMEOUT and loading:
        return Status.TIMEOUT, f"still loading: {problem[1]}"
    return Status.FAULT, f"the task's own code: {problem[1]} before it called the candidate"


def name_lack(status: Status, said: str, reason: str | None = None) -> tuple[Status, str]:
    """Returns status and reason, except for want of memory or of a package, as the candidate's own words tell it."""
    found = _RAISED.match(said) if status in (Status.FAIL, Status.CRASH) else None
    if found is None:
        return status, said if reason is None else reason
    if found[1].startswith("Module"):
        return Status.CRASH, NO_PACKAGE + said[found.end() :]
    return Status.MEMORY, said if reason is None else reason
