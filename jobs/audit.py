"""``troop audit``, which proves the verifiers on every node before a sweep; and the few gold solutions of a run."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from cluster.trial_rounds import NodeAudit, OnCount, audit_cluster, audit_here
from jobs.messages import as_table
from jobs.sweep import Sweep
from sampling.errors import BadInput
from sampling.problems import Problem, left_out_note
from sampling.validate import Plain
from sampling.words import printable
from verify.languages.toolchains import ToolchainUnavailable
from verify.lean.verifier import LeanVerifier
from verify.needs import check_languages, check_packages
from verify.patch.verifier import check_patches
from verify.sandbox.tiers import TierUnavailable
from verify.trials import Audit, gold_problems, is_gold, plan_audit, with_limits
from verify.verdict import Status
from verify.verifiers import Verifiers

GOLD_FIRST_S = 20.0  # a run starts no gold solution later than this
LISTED = 50  # findings in the table at most


class Finding(Plain):
    """One verdict that is not as expected: ``expected`` and ``got`` are statuses."""

    task: str
    problem: str
    check: str
    node: str
    expected: str
    got: str
    reason: str


class TaskAudit(Plain):
    """Counts for one task: problems, gold solutions, gold solutions tried, and known completions tried."""

    task: str
    problems: int
    gold: int
    tried: int
    completions: int


class NodeReport(Plain):
    """One node: how many verdicts were made there, in how many seconds."""

    node: str
    verdicts: int
    seconds: float


class AuditReport(Plain):
    """The result of an audit."""

    tasks: tuple[TaskAudit, ...]
    nodes: tuple[NodeReport, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        return BadInput.exit_code if self.findings else 0

    def as_text(self) -> str:
        lines = [_table(self.findings[:LISTED])] if self.findings else []
        if len(self.findings) > LISTED:
            lines.append(f"… and {len(self.findings) - LISTED} more: --json lists all")
        lines += [_about(task) for task in self.tasks]
        nodes = "; ".join(f"{node.node} {node.verdicts:,} verdicts in {node.seconds:.1f} s" for node in self.nodes)
        return "\n".join([*lines, f"audit: {self._result()}; {nodes}"])

    def _result(self) -> str:
        if not self.findings:
            return "every verdict is as expected"
        counts = Counter(finding.task for finding in self.findings)
        return ", ".join(f"{count} wrong in task {task}" for task, count in counts.items())


def _table(findings: Sequence[Finding]) -> str:
    return as_table(tuple(Finding.model_fields), [tuple(finding.model_dump().values()) for finding in findings])


def _about(task: TaskAudit) -> str:
    if not task.gold:
        limits = "; only wrong completions and the limits were tried" if task.completions else ""
        return f"task {task.task}: no gold solutions: nothing proven{limits}"
    return (
        f"task {task.task}: {task.tried} of {task.gold:,} gold solutions ({task.problems:,} problems), "
        f"{task.completions:,} known completions"
    )


def audit_sweep(
    sweep: Sweep,
    *,
    most: int | None,
    repeats: int,
    address: str | None,
    local: bool,
    show: OnCount,
    say: Callable[[str], None] | None = None,
) -> AuditReport:
    """Audits ``most`` problems of each task (None: all), on every node of the cluster, or here if there is none.

    Raises BadInput for a task that cannot be loaded and a cluster that does not answer.
    """
    tasks = {task.title: sweep.problems_of(task) for task in sweep.tasks}
    for title, problems in tasks.items():
        check_packages(problems, f"task {title}: ")
        if say and (note := left_out_note(title, problems)):
            say(note)
    audit = plan_audit(tasks, most)
    audit = replace(audit, problems=with_limits(audit.problems, sweep.verify.tier))
    if local or not (address or os.environ.get("RAY_ADDRESS")):
        check_patches(audit.problems.values())
    address = address or os.environ.get("RAY_ADDRESS")
    if address and not local:
        nodes = audit_cluster(audit, repeats, sweep.verify.tier, show, address)
    else:
        check_lean(tasks, sweep.verify.tier)
        check_compilers(tasks, sweep.verify.tier)
        nodes = audit_here(audit, repeats, sweep.verify.tier, show)
    return _report(tasks, audit, nodes)


def _report(tasks: Mapping[str, Sequence[Problem]], audit: Audit, nodes: Sequence[NodeAudit]) -> AuditReport:
    return AuditReport(
        tasks=tuple(_task_audit(name, problems, audit) for name, problems in tasks.items()),
        nodes=tuple(NodeReport(node=n.node, verdicts=n.verdicts, seconds=round(n.seconds, 3)) for n in nodes),
        findings=tuple(finding for node in nodes for finding in _findings(node, audit)),
    )


def _task_audit(name: str, problems: Sequence[Problem], audit: Audit) -> TaskAudit:
    trials = [trial for trial in audit.trials if trial.task == name]
    return TaskAudit(
        task=name,
        problems=len(problems),
        gold=sum(problem.solution is not None for problem in problems),
        tried=sum(map(is_gold, trials)),
        completions=len(trials),
    )


def _findings(node: NodeAudit, audit: Audit) -> list[Finding]:
    return [
        Finding(
            task=found.trial.task,
            problem=found.trial.problem,
            check=found.trial.known.check,
            node=node.node,
            expected=found.expected,
            got=found.got,
            reason=found.reason,
        )
        for found in node.surprises(audit)
    ]


def check_lean(tasks: Mapping[str, Sequence[Problem]], tier: str | None, *, else_do: str = "") -> None:
    """Raises BadInput if a task needs Lean and this machine has none: most theorems have no gold proof to show it."""
    for task, problems in tasks.items():
        if any(problem.verifier == "lean" for problem in problems):
            try:
                LeanVerifier(tier).close()
            except TierUnavailable as error:
                raise BadInput(f"task {task}: {error}{else_do}") from error
            return


def check_compilers(tasks: Mapping[str, Sequence[Problem]], tier: str | None, *, else_do: str = "") -> None:
    """Raises BadInput if a task asks for programs in a language that this machine cannot compile or run."""
    try:
        check_languages({f"task {task}: ": problems for task, problems in tasks.items()}, tier)
    except ToolchainUnavailable as error:
        raise BadInput(f"{error}{else_do}") from error


def check_gold(tasks: Mapping[str, Sequence[Problem]], most: int, tier: str | None) -> str:
    """Tries up to ``most`` gold solutions of each task, one after another; says how many were tried.

    Raises BadInput that names the first task with gold solutions that do not pass. After GOLD_FIRST_S seconds the rest
    is left out.
    """
    chosen = {task: gold_problems(problems, most) for task, problems in tasks.items()}
    until, tried = time.monotonic() + GOLD_FIRST_S, 0
    with Verifiers(tier) as verifiers:
        for task, problems in chosen.items():
            in_time = takewhile(lambda _: time.monotonic() < until, problems)
            results = [_trouble(verifiers, problem) for problem in in_time]
            tried += len(results)
            if any(results):
                raise BadInput(_refusal(task, [words for words in results if words], len(results)))
    return _passed(chosen, tried)


def _passed(chosen: Mapping[str, Sequence[Problem]], tried: int) -> str:
    left = sum(map(len, chosen.values())) - tried
    without = [task for task, problems in chosen.items() if not problems]
    return (
        f"gold solutions: {tried} tried, all pass"
        + (f"; {left} left out after {GOLD_FIRST_S:.0f} s" if left else "")
        + (f"; task {', '.join(without)} has none" if without else "")
    )


def _trouble(verifiers: Verifiers, problem: Problem) -> str:
    """Says what is wrong with a problem's gold solution; "" if it passes."""
    try:
        verdict = verifiers.verify(problem, problem.solution or "")
    except TierUnavailable as error:
        raise BadInput(f"{error}; --no-audit leaves the sandbox to the cluster's own machines") from error
    if verdict.status is Status.PASS:
        return ""
    return f"{problem.id!r}: {verdict.status}" + (f" ({verdict.reason})" if verdict.reason else "")


def _refusal(task: str, failed: Sequence[str], tried: int) -> str:
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    words = printable(" ".join("; ".join(failed[:3]).split()))
    return (
        f"task {task}: {len(failed)} of the {tried} gold solutions tried do not pass: {words}{more}; "
        "`troop audit` tries more, --no-audit runs all the same"
    )
