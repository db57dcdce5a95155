"""The verifier ``patch``: tests that failed have to pass, and tests that passed still have to, as in SWE-bench.

Git applies the diff of a completion in a jail, to the snapshot at its base commit. A diff that does not apply is no
candidate, and one that touches the tests or files that decide how they run is refused (``verify.patch.diff``). Then the
test patch is applied too and the named tests run. Every run has a new jail or container over a tree of its own.

**The tests run the candidate's code in their own process, so a pass can be forged**, and every verdict says so. The
defences (``verify.patch.outcomes``) stop what a model does by accident or in haste: leaving early, printing results,
skipping or excusing tests, changing every report. They do not stop code that seeks out the test runner in its process
and changes its report of single tests. The jail's own promises (``verify.sandbox.commands``) hold against any code.
"""

from collections.abc import Iterable

from sampling.errors import BadInput, VerifierFault
from sampling.patches import PatchReference
from sampling.problems import Problem
from verify.patch import diff, outcomes
from verify.patch.containers import ContainerWorkspace, find_engine, pull_if_missing
from verify.patch.diff import extract_diff, refusal
from verify.patch.outcomes import majority, passed
from verify.patch.snapshots import SnapshotWorkspace, check_source, clone_snapshot, default_environment
from verify.patch.suite import GIT_QUOTA, NotApplied, Suite, SuiteRun, list_changes, run_baseline
from verify.patch.workspace import PatchUnavailable, Workspace
from verify.sandbox.commands import Jail
from verify.verdict import SHARED_NOTE, Status, Verdict

MAX_SUITES = 512  # problems whose suites are kept


class PatchVerifier:
    """Checks diffs; the baseline of one problem runs once for all its samples."""

    version = f"patch-1 {diff.VERSION} {outcomes.VERSION}"

    def __init__(self) -> None:
        self._suites: dict[str, Suite] = {}
        self._engine: str | None = None

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Returns the verdict; raises VerifierFault where this machine fails, as a second try may succeed."""
        reference = problem.reference
        assert isinstance(reference, PatchReference), f"problem {problem.id}: not a patch problem"
        candidate = extract_diff(completion)
        if candidate is None:
            return Verdict(Status.INVALID, "no diff in the completion")
        suite = self._suite_of(problem.id, reference)
        if suite.fault is not None:
            return Verdict(Status.FAULT, suite.fault)
        try:
            refused = refusal(list_changes(suite.workspace, candidate), suite.files, reference.protected)
        except NotApplied as error:
            return Verdict(error.status, str(error))
        return Verdict(Status.INVALID, refused) if refused else _run_tests(suite, candidate)

    def close(self) -> None:
        self._suites.clear()

    def _suite_of(self, name: str, reference: PatchReference) -> Suite:
        known = self._suites.get(name)
        if known is None or known.reference != reference:
            if len(self._suites) >= MAX_SUITES:
                self._suites.clear()
            known = self._suites[name] = run_baseline(Suite(reference, self._open_workspace(reference)))
        return known

    def _open_workspace(self, reference: PatchReference) -> Workspace:
        try:
            if reference.snapshot is not None:
                folder = clone_snapshot(reference.snapshot, reference.base_commit)
                return SnapshotWorkspace(folder, reference.environment or default_environment())
            assert reference.image is not None
            self._engine = self._engine or find_engine()
            pull_if_missing(self._engine, reference.image)
            return ContainerWorkspace(self._engine, reference.image)
        except PatchUnavailable as error:
            raise VerifierFault(str(error)) from error


def _run_tests(suite: Suite, candidate: str) -> Verdict:
    """Runs the tests over the candidate's diff until most runs agree, and returns the verdict."""
    reference = suite.reference
    wanted = (*reference.fail_to_pass, *reference.pass_to_pass)
    runs: list[SuiteRun] = []
    decided: bool | None = None
    while decided is None:
        runs.append(suite.run(candidate))
        decided = majority([passed(run.outcomes, suite.may_fail) for run in runs], wanted, reference.repeats)
    status, reason = Status.PASS, ""
    if not decided:
        worst = next(run for run in reversed(runs) if not set(wanted) <= passed(run.outcomes, suite.may_fail))
        status, reason = worst.status, f"; {worst.reason(wanted, suite.may_fail)}"
    several = f" ({len(runs)} runs)" if len(runs) > 1 else ""
    note = f"{SHARED_NOTE}{several}{reason}"
    return Verdict.on_runs([run.finished for run in runs], suite.workspace.tier, status, note)


def check_patches(problems: Iterable[Problem]) -> None:
    """Raises BadInput for the first problem that this machine cannot verify: no snapshot, no image, no jail.

    Pulls one image that is not here and then stops: this shows that images can be had, and verifiers pull the rest.
    """
    references = [(p.id, p.reference) for p in problems if isinstance(p.reference, PatchReference)]
    snapshots = {(r.snapshot, r.base_commit): name for name, r in references if r.snapshot}
    images = {r.image: name for name, r in references if r.image}
    asked = ""
    try:
        for (source, commit), asked in snapshots.items():  # noqa: B007
            check_source(str(source), commit)
        if snapshots:
            Jail().run("exit 0", GIT_QUOTA)
        for image, asked in images.items():  # noqa: B007
            if pull_if_missing(find_engine(), str(image)):
                break
    except (PatchUnavailable, VerifierFault) as error:
        raise BadInput(f"problem {asked!r}: {error}") from error
