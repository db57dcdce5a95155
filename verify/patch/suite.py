"""A problem's tests in its workspace: how they run, and what they say without any patch.

Before the first candidate of a problem its tests run without any patch. If the tests that have to keep passing do not
pass, or all tests that a patch has to repair do pass, the task is at fault, and every verdict says so: a broken
environment never makes wrong answers.
"""

import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from sampling.errors import VerifierFault
from sampling.patches import PatchReference
from verify.patch.diff import Change, NotRaw, read_changes
from verify.patch.outcomes import Outcomes, majority, make_control, passed, read_outcomes
from verify.patch.scripts import UNAPPLIED, UNREADY, tests_script, touched_script
from verify.patch.workspace import Workspace, last_words
from verify.sandbox.commands import Finished
from verify.sandbox.limits import Quota
from verify.verdict import Status

OUTPUT_BYTES = 32 << 20
NAMED = 3  # tests in a reason
GIT_QUOTA = Quota(wall_s=120.0, memory_mb=2048, output_bytes=1 << 20)
_DOTTED = re.compile(r"\(([\w.]+)\)")
_REFERENCE_S = 0.01  # CPU seconds that ``_work`` takes on the machine for which time limits are written
_MAX_SCALE = 5.0


class NotApplied(Exception):
    """Raised where git refuses a diff, or the diff takes too much time or memory; the message says why."""

    def __init__(self, reason: str, status: Status = Status.INVALID) -> None:
        super().__init__(f"the diff does not apply: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One run of a problem's tests and the outcome of each test; no outcomes where the run did not end by itself."""

    finished: Finished
    outcomes: Outcomes

    @property
    def status(self) -> Status:
        return self.finished.status or (Status.INVALID if self.finished.code == UNAPPLIED else Status.FAIL)

    def reason(self, tests: Iterable[str], may_fail: frozenset[str]) -> str:
        """Returns why the run is not a pass of all ``tests``."""
        if self.finished.status is not None:
            return self.finished.reason
        if self.finished.code == UNAPPLIED:
            return f"the diff and the test patch do not apply together: {last_words(self.finished.output)}"
        if not self.outcomes:
            return f"the tests gave no result: {last_words(self.finished.output)}"
        wanted, good = list(tests), passed(self.outcomes, may_fail)
        bad = [test for test in wanted if test not in good]
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        return f"{len(bad)} of {len(wanted)} tests did not pass: {', '.join(bad[:NAMED])}{more}"


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one problem, shared by all its samples. ``fault`` says why they cannot decide anything.

    ``files`` are the tests' own files, ``may_fail`` the tests that fail as expected without any patch.
    """

    reference: PatchReference
    workspace: Workspace
    files: tuple[str, ...] = ()
    may_fail: frozenset[str] = frozenset()
    fault: str | None = None

    def run(self, candidate: str) -> SuiteRun:
        """Runs the tests once over the candidate's diff, or over none where it is empty."""
        reference = self.reference
        control = make_control(reference.results, secrets.token_hex(16)) if reference.control else None
        diffs = [*([candidate] if candidate else []), _with_line_end(reference.test_patch)]
        script = tests_script(self.workspace.to_tree, diffs, control, reference.test_command)
        quota = Quota(reference.limit_s * time_scale(), reference.memory_mb, OUTPUT_BYTES)
        finished = self.workspace.run(script, quota)
        if finished.code == UNREADY:
            raise VerifierFault(f"the tree for the tests: {last_words(finished.output)}")
        outcomes = {} if finished.status else read_outcomes(reference.results, finished.output, control)
        return SuiteRun(finished, outcomes)


def run_baseline(suite: Suite) -> Suite:
    """Runs the tests without any patch; returns the suite with what they show, or with its fault.

    Raises VerifierFault where this machine fails.
    """
    reference = suite.reference
    try:
        changes = list_changes(suite.workspace, _with_line_end(reference.test_patch))
    except NotApplied as error:
        return _at_fault(suite, f"the test patch: {error}")
    runs = [suite.run("")]
    while majority([_good(run) for run in runs], reference.pass_to_pass, reference.repeats) is None:
        runs.append(suite.run(""))
    last = runs[-1]
    if last.finished.status is not None or (reference.control and not any(run.outcomes for run in runs)):
        return _at_fault(suite, last.reason((), frozenset()))
    if not majority([_good(run) for run in runs], reference.pass_to_pass, reference.repeats):
        return _at_fault(suite, last.reason(reference.pass_to_pass, frozenset(last.outcomes)))
    if all(set(reference.fail_to_pass) <= passed(run.outcomes) for run in runs):
        return _at_fault(suite, "all tests that a patch has to repair pass without one")
    files = {*(change.path for change in changes), *named_files(reference)}
    return Suite(reference, suite.workspace, tuple(sorted(files)), _good(last) - passed(last.outcomes))


def _good(run: SuiteRun) -> frozenset[str]:
    """Tests that passed without any patch, or failed as expected."""
    return passed(run.outcomes, run.outcomes)


def _at_fault(suite: Suite, reason: str) -> Suite:
    return Suite(suite.reference, suite.workspace, fault=f"the task's own tests, without a patch: {reason}")


def named_files(reference: PatchReference) -> set[str]:
    """Files in the names of tests: ``a/b.py::test``, or all files that may hold ``test (a.b.Class)``."""
    files = set()
    for name in (*reference.fail_to_pass, *reference.pass_to_pass):
        if reference.results == "pytest":
            files.add(name.partition("::")[0])
        elif found := _DOTTED.search(name):
            parts = found[1].split(".")
            files |= {"/".join(parts[:end]) + ".py" for end in range(1, len(parts) + 1)}
    return files


def list_changes(workspace: Workspace, diff: str) -> tuple[Change, ...]:
    """Applies a diff to the base commit's index and returns its changes.

    Raises NotApplied, and VerifierFault where git itself fails.
    """
    finished = workspace.run(touched_script(workspace.to_index, diff), GIT_QUOTA)
    if finished.status is not None:
        raise NotApplied(f"git took {finished.reason}", finished.status)
    if finished.code == UNAPPLIED:
        raise NotApplied(last_words(finished.output))
    try:
        if finished.code == 0:
            return read_changes(finished.output)
    except NotRaw as error:
        raise VerifierFault(f"git says {error}") from error
    raise VerifierFault(f"git cannot work on the snapshot: {last_words(finished.output)}")


def _with_line_end(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


@cache
def time_scale() -> float:
    """Returns the factor by which wall limits are longer here: 1 on the reference machine or a faster one, at most 5.

    Limits of other verifiers count CPU time and need no factor. A suite has many processes, whose CPU time is lost to
    us when they end, and a container's engine tells none, so wall time is all that can be counted for both. It is the
    best of five tries in CPU time, so that a busy machine is not taken for a slow one.
    """
    best = min(_time_work() for _ in range(5))
    return min(max(best / _REFERENCE_S / 1.25, 1.0), _MAX_SCALE)


def _time_work() -> float:
    began = time.thread_time()
    _work()
    return time.thread_time() - began


def _work() -> int:
    total = 0
    for number in range(200_000):
        total += number & 7
    return total
