"""Patches, judged by a repository's own tests, as SWE-bench does: what failed has to pass, what passed still has to.

The diff of a completion is applied by git in a jail to the snapshot at its base commit. One that does not apply is no
candidate, and one that touches the tests or what decides how they run is refused (``verify.patch.diff``). Then the test
patch is applied too and the named tests run, in a new jail or container for every run, over a tree that nobody else
sees.

Before the first candidate of a problem its tests run without any patch. Where those that have to keep passing do not
pass, or those that have to be repaired all do, the task is at fault, and so says every verdict: a broken environment
never makes wrong answers.

**The tests run the candidate's code in their own process, so a pass can be forged**, and every verdict says so. What is
there against it (``verify.patch.outcomes``) stops what a model does by accident or in haste: leaving early, printing
results, skipping or excusing tests, changing every report. It does not stop code that seeks out the test runner in its
process and changes what it says of single tests. The jail's own promises (``verify.sandbox.commands``) hold against any
code.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sampling.errors import BadInput, VerifierFault
from sampling.problems import Problem
from sampling.references import PatchReference
from verify.patch import diff as diffs
from verify.patch import outcomes as results
from verify.patch.containers import ContainerPlace, NoContainer, find_engine, have_image
from verify.patch.diff import Change, NotRaw, extract_diff, read_changes, refusal
from verify.patch.outcomes import Outcomes, majority, make_control, passed, read_outcomes
from verify.patch.scripts import UNAPPLIED, UNREADY, tests_script, touched_script
from verify.patch.snapshots import NoSnapshot, SnapshotPlace, check_source, default_environment, prepared
from verify.python import SHARED_NOTE
from verify.sandbox.commands import Finished, Jail
from verify.sandbox.limits import Quota, time_scale
from verify.verdict import Status, Verdict

Place = SnapshotPlace | ContainerPlace

OUTPUT_BYTES = 32 << 20
MAX_SUITES = 512
NAMED = 3  # tests in a reason
_GIT = Quota(wall_s=120.0, memory_mb=2048, output_bytes=1 << 20)
_DOTTED = re.compile(r"\(([\w.]+)\)")


class NotApplied(Exception):
    """A diff that git refuses, or that takes it too much; the message says why."""

    def __init__(self, reason: str, status: Status = Status.INVALID) -> None:
        super().__init__(f"the diff does not apply: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests: what it said of each, nothing where it did not end by itself."""

    finished: Finished
    outcomes: Outcomes

    @property
    def status(self) -> Status:
        return self.finished.status or (Status.INVALID if self.finished.code == UNAPPLIED else Status.FAIL)

    def reason(self, tests: Iterable[str], may_fail: frozenset[str]) -> str:
        """Why the run is not a pass."""
        if self.finished.status is not None:
            return self.finished.reason
        if self.finished.code == UNAPPLIED:
            return f"the diff and the test patch do not apply together: {_tail(self.finished.output)}"
        if not self.outcomes:
            return f"the tests gave no result: {_tail(self.finished.output)}"
        wanted, good = list(tests), passed(self.outcomes, may_fail)
        bad = [test for test in wanted if test not in good]
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        return f"{len(bad)} of {len(wanted)} tests did not pass: {', '.join(bad[:NAMED])}{more}"


@dataclass(frozen=True, slots=True)
class Suite:
    """What all samples of one problem share. ``fault`` says why its tests cannot judge anything.

    ``files`` are the tests' own, ``may_fail`` the tests that fail as expected without any patch.
    """

    reference: PatchReference
    place: Place
    files: tuple[str, ...] = ()
    may_fail: frozenset[str] = frozenset()
    fault: str | None = None

    def run(self, candidate: str) -> Run:
        """One run of the tests over the candidate's diff, or over none."""
        reference = self.reference
        control = make_control(reference.results, secrets.token_hex(16)) if reference.control else None
        diffs = [*([candidate] if candidate else []), _ended(reference.test_patch)]
        script = tests_script(self.place.to_tree, diffs, control, reference.test_command)
        quota = Quota(reference.time_limit_s * time_scale(), reference.memory_mb, OUTPUT_BYTES)
        finished = self.place.run(script, quota)
        if finished.code == UNREADY:
            raise VerifierFault(f"the tree for the tests: {_tail(finished.output)}")
        said = {} if finished.status else read_outcomes(reference.results, finished.output, control)
        return Run(finished, said)


class PatchVerifier:
    """Judges diffs; what a problem's samples share is prepared once."""

    version = f"patch-1 {diffs.VERSION} {results.VERSION}"

    def __init__(self) -> None:
        self._suites: dict[str, Suite] = {}
        self._engine: str | None = None

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Raises VerifierFault where this machine fails; that may pass."""
        reference = problem.reference
        assert isinstance(reference, PatchReference), f"problem {problem.id}: not a patch problem"
        candidate = extract_diff(completion)
        if candidate is None:
            return Verdict(Status.INVALID, "no diff in the completion")
        suite = self._suite(problem.id, reference)
        if suite.fault is not None:
            return Verdict(Status.FAULT, suite.fault)
        try:
            refused = refusal(touched(suite.place, candidate), suite.files, reference.protected)
        except NotApplied as error:
            return Verdict(error.status, str(error))
        return Verdict(Status.INVALID, refused) if refused else _judged(suite, candidate)

    def close(self) -> None:
        self._suites.clear()

    def _suite(self, name: str, reference: PatchReference) -> Suite:
        known = self._suites.get(name)
        if known is None or known.reference != reference:
            if len(self._suites) >= MAX_SUITES:
                self._suites.clear()
            known = self._suites[name] = prepare(Suite(reference, self._place(reference)))
        return known

    def _place(self, reference: PatchReference) -> Place:
        try:
            if reference.snapshot is not None:
                folder = prepared(reference.snapshot, reference.base_commit)
                return SnapshotPlace(folder, reference.environment or default_environment())
            assert reference.image is not None
            self._engine = self._engine or find_engine()
            have_image(self._engine, reference.image)
            return ContainerPlace(self._engine, reference.image)
        except (NoSnapshot, NoContainer) as error:
            raise VerifierFault(str(error)) from error


def prepare(suite: Suite) -> Suite:
    """The suite, tried without any patch; raises VerifierFault where this machine fails."""
    try:
        changes = touched(suite.place, _ended(suite.reference.test_patch))
    except NotApplied as error:
        return _at_fault(suite, f"the test patch: {error}")
    reference, runs = suite.reference, [suite.run("")]
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
    return Suite(reference, suite.place, tuple(sorted(files)), _good(last) - passed(last.outcomes))


def named_files(reference: PatchReference) -> set[str]:
    """The files that the names of tests speak of: ``a/b.py::test``, or all that ``test (a.b.Class)`` may be in."""
    files = set()
    for name in (*reference.fail_to_pass, *reference.pass_to_pass):
        if reference.results == "pytest":
            files.add(name.partition("::")[0])
        elif found := _DOTTED.search(name):
            parts = found[1].split(".")
            files |= {"/".join(parts[:end]) + ".py" for end in range(1, len(parts) + 1)}
    return files


def _good(run: Run) -> frozenset[str]:
    """What passed without any patch, or failed as expected."""
    return passed(run.outcomes, run.outcomes)


def _at_fault(suite: Suite, reason: str) -> Suite:
    return Suite(suite.reference, suite.place, fault=f"the task's own tests, without a patch: {reason}")


def touched(place: Place, diff: str) -> tuple[Change, ...]:
    """What a diff changes at the base commit; raises NotApplied, and VerifierFault where git itself fails."""
    finished = place.run(touched_script(place.to_index, diff), _GIT)
    if finished.status is not None:
        raise NotApplied(f"git took {finished.reason}", finished.status)
    if finished.code == UNAPPLIED:
        raise NotApplied(_tail(finished.output))
    try:
        if finished.code == 0:
            return read_changes(finished.output)
    except NotRaw as error:
        raise VerifierFault(f"git says {error}") from error
    raise VerifierFault(f"git cannot work on the snapshot: {_tail(finished.output)}")


def _judged(suite: Suite, candidate: str) -> Verdict:
    reference = suite.reference
    wanted = (*reference.fail_to_pass, *reference.pass_to_pass)
    runs: list[Run] = []
    decided: bool | None = None
    while decided is None:
        runs.append(suite.run(candidate))
        decided = majority([passed(run.outcomes, suite.may_fail) for run in runs], wanted, reference.repeats)
    status, reason = Status.PASS, ""
    if not decided:
        worst = next(run for run in reversed(runs) if not set(wanted) <= passed(run.outcomes, suite.may_fail))
        status, reason = worst.status, worst.reason(wanted, suite.may_fail)
    several = f" ({len(runs)} runs)" if len(runs) > 1 else ""
    return Verdict(
        status,
        f"{SHARED_NOTE}{several}" + (f"; {reason}" if reason else ""),
        wall_s=sum(run.finished.wall_s for run in runs),
        cpu_s=sum(run.finished.cpu_s for run in runs),
        max_rss_mb=max(run.finished.max_rss_mb for run in runs),
        tier="isolated" if reference.snapshot else "container",
    )


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _tail(output: str) -> str:
    """The last of what was said, in a line that a terminal can show."""
    words = " ".join(output.split())[-300:]
    return "".join(c if c.isprintable() else "?" for c in words) or "nothing was said"


def check_patches(problems: Iterable[Problem]) -> None:
    """Raises BadInput for the first problem that this machine could not judge: no snapshot, no image, no jail.

    Of images that are not here, one is pulled: so the others can be had too, and whoever judges pulls them.
    """
    references = [(p.id, p.reference) for p in problems if isinstance(p.reference, PatchReference)]
    snapshots = {(r.snapshot, r.base_commit): name for name, r in references if r.snapshot}
    images = {r.image: name for name, r in references if r.image}
    asked = ""
    try:
        for (source, commit), asked in snapshots.items():  # noqa: B007
            check_source(str(source), commit)
        if snapshots:
            Jail().run("exit 0", _GIT)
        for image, asked in images.items():  # noqa: B007
            if have_image(find_engine(), str(image)):
                break
    except (NoSnapshot, NoContainer, VerifierFault) as error:
        raise BadInput(f"problem {asked!r}: {error}") from error
