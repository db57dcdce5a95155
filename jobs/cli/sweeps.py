"""The commands on a sweep: what would run, what runs, and whether machine and verifiers are fit for it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli.options import cluster_options, if_incomplete_option, say, sweep_command
from sampling.errors import BadInput
from sampling.words import many

if TYPE_CHECKING:
    from jobs.run import Outcome
    from jobs.sweep import Sweep

LISTED = 10  # units that were set aside, in so many words


@click.command()
@cluster_options
@click.option("--set", "assignments", multiple=True, metavar="A.B=C", help="Set a key of the demo's sweep.")
def demo(assignments: tuple[str, ...], address: str | None, local: bool) -> None:
    """The whole chain on this machine in about two minutes, ending with a report."""
    from jobs.demo import demo_sweep

    sweep = demo_sweep(assignments)
    outcome = _run(sweep, address, local)
    _list_set_aside(outcome)
    _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@click.command()
@sweep_command
@cluster_options
@click.option(
    "--calibrate", is_flag=True, help="Draw a few of the samples, keep them, and predict what the rest takes."
)
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def plan(
    sweep_file: Path, assignments: tuple[str, ...], address: str | None, local: bool, calibrate: bool, as_json: bool
) -> None:
    """Dry run: what would be sampled, the first prompt of each task, what it takes. Writes nothing but to calibrate."""
    from jobs.describe import calibrate as calibrate_sweep
    from jobs.describe import describe_plan
    from jobs.sweep import load_sweep

    sweep = load_sweep(sweep_file, assignments)
    found = calibrate_sweep(sweep, address=address, local=local, say=say) if calibrate else describe_plan(sweep)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@click.command()
@sweep_command
@cluster_options
@click.option("--report/--no-report", default=True, help="Write the report when done.")
@if_incomplete_option
@click.option("--no-audit", is_flag=True, help="Start engines without trying gold solutions; as verify.audit=0.")
@click.option(
    "--allow-weak-store", is_flag=True, help="Accept a store without create-only writes; run only one writer."
)
def run(
    sweep_file: Path,
    assignments: tuple[str, ...],
    address: str | None,
    local: bool,
    report: bool,
    if_incomplete: bool,
    no_audit: bool,
    allow_weak_store: bool,
) -> None:
    """Run a sweep, or continue it: what is committed is never sampled again."""
    from jobs.run import is_complete
    from jobs.sweep import load_sweep

    flags = {"verify.audit=0": no_audit, "store_options.allow_weak_store=true": allow_weak_store}
    sweep = load_sweep(sweep_file, (*assignments, *(setting for setting, wanted in flags.items() if wanted)))
    if if_incomplete and is_complete(sweep):
        say(f"{sweep.run_uri}: complete; nothing to do")
        return
    outcome = _run(sweep, address, local)
    _list_set_aside(outcome)
    if report:
        _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@click.command()
@sweep_command
@click.option("--address", required=True, help="The cluster's dashboard, as http://127.0.0.1:8265.")
@click.option("--wait/--no-wait", default=True, help="Follow the job's log and end with its exit code.")
@if_incomplete_option
def submit(sweep_file: Path, assignments: tuple[str, ...], address: str, wait: bool, if_incomplete: bool) -> None:
    """Run a sweep on a cluster through Ray Jobs, with this folder as its working directory."""
    from cluster.submit import submit_job
    from jobs.run import known_complete
    from jobs.sweep import load_sweep

    sweep = load_sweep(sweep_file, assignments)  # a mistake is told here, not in a log on the cluster
    if "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(f"submit: store {sweep.store!r} would be lost with the job's folder; give s3://… or a full path")
    if if_incomplete and known_complete(sweep):
        say(f"{sweep.run_uri}: complete; nothing submitted")
        return
    words = ["run", sweep_file.as_posix(), *(word for a in assignments for word in ("--set", a))]
    words += ["--if-incomplete"] if if_incomplete else []
    sys.exit(submit_job(address, words, Path.cwd(), wait=wait, run=sweep.run_uri, only_one=if_incomplete))


@click.command()
@sweep_command
@cluster_options
@click.option("--problems", type=click.IntRange(min=1), default=32, show_default=True, help="At most, of each task.")
@click.option("--all", "every", is_flag=True, help="All problems that have a gold solution.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Verdicts of each completion."
)
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def audit(
    sweep_file: Path,
    assignments: tuple[str, ...],
    address: str | None,
    local: bool,
    problems: int,
    every: bool,
    repeats: int,
    as_json: bool,
) -> None:
    """Prove the verifiers, on every node of a cluster or here: gold passes, mutants fail, limits hold, repeats agree.

    Needs no engine and no GPU. Ends with 2 where anything is not as it has to be.
    """
    from jobs.audit import audit_sweep
    from jobs.progress import count_display
    from jobs.sweep import load_sweep

    sweep, most = load_sweep(sweep_file, assignments), None if every else problems
    with count_display("verdicts") as show:
        found = audit_sweep(sweep, most=most, repeats=repeats, address=address, local=local, show=show)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(found.exit_code)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def doctor(as_json: bool) -> None:
    """What this machine can do: engines, sandbox tier, Ray, store."""
    from jobs.doctor import examine

    found = examine()
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


def _run(sweep: "Sweep", address: str | None, local: bool) -> "Outcome":
    from jobs.run import run_sweep

    return run_sweep(sweep, address=address, local=local, say=say)


def _report_sweep(sweep: "Sweep") -> None:
    from jobs.reporting import report_run
    from jobs.store.open import open_store
    from jobs.store.stored_run import read_run

    say(report_run(read_run(open_store(sweep.run_uri, sweep.store_options)), None))


def _list_set_aside(outcome: "Outcome") -> None:
    from jobs.messages import lines_of

    for line in lines_of(outcome.set_aside)[:LISTED]:
        say(line)
    if outcome.set_aside:
        aside = many(len(outcome.set_aside), "unit")
        say(f"{aside} set aside (`troop status` lists them); the same command tries them again")


COMMANDS = (demo, plan, run, submit, audit, doctor)
