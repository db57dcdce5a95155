"""The commands on a sweep, and the check of this machine: demo, plan, run, submit, audit, doctor."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli.options import (
    AT_LEAST_ONE,
    FILE,
    cluster_options,
    if_incomplete_option,
    json_option,
    say,
    set_option,
    surplus_options,
    sweep_argument,
)
from sampling.errors import BadInput
from sampling.words import many

if TYPE_CHECKING:
    from jobs.doctor.finding import Examination
    from jobs.run import Outcome, Surplus
    from jobs.sweep import Sweep

LISTED = 10  # lines about units set aside that a run prints at most


@click.command()
@cluster_options
@click.option(
    "--adaptive", is_flag=True, help="Draw by rounds: fewer samples for the same crossover, as demo-adaptive."
)
@set_option
def demo(assignments: tuple[str, ...], address: str | None, local: bool, adaptive: bool) -> None:
    """Run the demo, which ends with a report, in two minutes.

    Reads examples/demo of this checkout: two small models and held-out problems. Writes the run to runs/demo in the
    current folder and its page to runs/demo/report/report.html. Prints coverage and crossovers on standard error.
    Exit codes: 0 done, 2 not in a checkout, 3 units were set aside.

    \b
    Example: troop demo
    """
    from jobs.sweep import demo_sweep

    sweep = demo_sweep(assignments, adaptive=adaptive)
    outcome = _run(sweep, address, local)
    _list_set_aside(outcome)
    _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@click.command()
@sweep_argument
@cluster_options
@click.option(
    "--calibrate", is_flag=True, help="Draw a few of the samples, keep them, and predict from them hours, dollars, "
    "bytes and verifier cores of the rest. Default: off, nothing is drawn.",
)  # fmt: skip
@json_option()
def plan(
    sweep_file: Path, assignments: tuple[str, ...], address: str | None, local: bool, calibrate: bool, as_json: bool
) -> None:
    """Show what a run would do, without running it.

    Reads the sweep, its models and problems, and the run if there is one. Writes nothing; with --calibrate, commits a
    few samples and the prediction to the run. Prints samples and units to do, settings, an upper bound of tokens and
    bytes, and for each task its answer policy and its first prompt; on standard error what is surely not meant, such as
    many samples at temperature 0. Exit codes: 0 done, 2 the sweep cannot run, 3 calibration drew no sample.

    \b
    Example: troop plan sweep.yaml --set k=1000
    """
    from jobs.describe import calibrate as calibrate_sweep
    from jobs.describe import describe_plan
    from jobs.sweep import load_sweep

    sweep = load_sweep(sweep_file, assignments)
    found = calibrate_sweep(sweep, address=address, local=local, say=say) if calibrate else describe_plan(sweep)
    for line in found.warnings:
        say(f"warning: {line}")
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@click.command()
@sweep_argument
@cluster_options
@click.option("--report/--no-report", default=True, help="Write the report when the run ends. Default: --report.")
@if_incomplete_option
@surplus_options
@click.option(
    "--no-audit", is_flag=True, help="Start engines without trying gold solutions, as --set verify.audit=0. "
    "Default: 8 of each task must pass.",
)  # fmt: skip
@click.option(
    "--allow-weak-store", is_flag=True, help="Accept a store that ignores create-only writes, as --set "
    "store_options.allow_weak_store=true. Only one run may then write at a time. Default: such a store is refused.",
)  # fmt: skip
def run(
    sweep_file: Path,
    assignments: tuple[str, ...],
    address: str | None,
    local: bool,
    report: bool,
    if_incomplete: bool,
    surplus: "Surplus | None",
    no_audit: bool,
    allow_weak_store: bool,
) -> None:
    """Run a sweep, or continue it.

    Reads the sweep and what its run holds; committed samples are never drawn again. Writes samples and verdicts to
    STORE/NAME of the sweep, unit by unit, then the report. Prints progress on standard error: a live table in a
    terminal, lines of at most 400 characters in a log; `troop status RUN --json` has every model and task. Exit codes:
    0 done or stopped by a limit of the sweep, 2 the sweep cannot run, 3 units were set aside. The same command
    continues.

    \b
    Example: troop run sweep.yaml --address auto
    """
    from jobs.run import is_complete
    from jobs.sweep import load_sweep

    flags = {"verify.audit=0": no_audit, "store_options.allow_weak_store=true": allow_weak_store}
    sweep = load_sweep(sweep_file, (*assignments, *(setting for setting, wanted in flags.items() if wanted)))
    if if_incomplete and is_complete(sweep):
        say(f"{sweep.run_uri}: complete; nothing to do")
        return
    outcome = _run(sweep, address, local, surplus or "ask")
    _list_set_aside(outcome)
    if report:
        _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@click.command()
@sweep_argument
@click.option(
    "--address", required=True, metavar="URL",
    help="Address of the cluster's dashboard. Example: --address http://127.0.0.1:8265",
)  # fmt: skip
@click.option(
    "--wait/--no-wait", default=True,
    help="Print the job's log and exit with its code, or exit with 0 once it is submitted. Default: --wait.",
)  # fmt: skip
@if_incomplete_option
@surplus_options
@click.option(
    "--exclude", "excludes", multiple=True, metavar="PATTERN",
    help="Leave out files or folders whose name or path fits, such as 'data' or '*.bin'; repeatable.",
)  # fmt: skip
@click.option(
    "--env",
    "names",
    multiple=True,
    metavar="NAME",
    help="Give the job this variable of the shell, such as HF_TOKEN; repeatable. Ray keeps it with the job's record.",
)
def submit(
    sweep_file: Path,
    assignments: tuple[str, ...],
    address: str,
    wait: bool,
    if_incomplete: bool,
    surplus: "Surplus | None",
    excludes: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    """Run a sweep on a cluster as a Ray job.

    Sends the current folder to the cluster, without what git ignores but with all that the sweep and its problems name
    by relative paths and with the variables that it is filled in with, and runs `troop run SWEEP` there, in the Python
    that the cluster's Ray runs in. What is named by a full path elsewhere (/data, ~/data) is expected on the cluster,
    and told. `store` must be an s3:// prefix or an absolute path. With --if-incomplete, submits nothing while another
    job works on the run. Prints the job's log. Exit codes: the job's own, 130 if it was stopped, or 2 if it cannot be
    submitted.

    \b
    Example: troop submit sweep.yaml --address http://127.0.0.1:8265 --env HF_TOKEN --no-wait
    """
    from cluster.submit import submit_job
    from jobs.cli.parcel import pack
    from jobs.run import known_complete
    from jobs.sweep import load_sweep
    from jobs.sweep_file import variables_of

    sweep = load_sweep(sweep_file, assignments)  # reports a mistake here, not in a log on the cluster
    if "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(
            f"submit: store {sweep.store!r} would be lost with the job's folder; give s3://… or an absolute path"
        )
    if if_incomplete and known_complete(sweep):
        say(f"{sweep.run_uri}: complete; nothing submitted")
        return
    given, run = _variables([*names, *variables_of(sweep_file, assignments)]), sweep.run_uri
    with tempfile.TemporaryDirectory(prefix="troop-") as folder:
        parcel = Path(folder) / "sweep.zip"
        packed = pack(sweep_file, sweep, assignments, excludes, parcel)
        for path in packed.expected:
            say(f"expected on the cluster: {path}")
        words = ["run", packed.inside, *(word for a in assignments for word in ("--set", a))]
        words += ["--if-incomplete"] if if_incomplete else []
        words += [{"keep": "--keep-plan", "drop": "--drop"}[surplus]] if surplus else []
        code = submit_job(address, words, parcel, wait=wait, run=run, only_one=if_incomplete, variables=given)
    sys.exit(code)


def _variables(names: Sequence[str]) -> dict[str, str]:
    """Returns these variables of this process; raises BadInput for one that is not set."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise BadInput(f"--env {missing[0]}: not set here; `export {missing[0]}=…` first")
    return {name: os.environ[name] for name in names}


@click.command()
@sweep_argument
@cluster_options
@click.option("--problems", type=AT_LEAST_ONE, default=32, show_default=True, help="Most problems tried of each task.")
@click.option("--all", "every", is_flag=True, help="Try all problems that have a gold solution. Default: --problems.")
@click.option("--repeats", type=AT_LEAST_ONE, default=3, show_default=True, help="Verdicts on each completion.")
@json_option()
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
    """Test the verifiers of a sweep on every node.

    Gold solutions must pass, mutants fail, limits hold and repeats agree. Reads the sweep and its problems; needs no
    engine and no GPU, and writes nothing. Prints what was tried on each node and every verdict that differs from the
    expected one. Exit codes: 0 all as expected, 2 a finding or bad input.

    \b
    Example: troop audit sweep.yaml --local --all
    """
    from jobs.audit import audit_sweep
    from jobs.progress import count_display
    from jobs.sweep import load_sweep

    sweep, most = load_sweep(sweep_file, assignments), None if every else problems
    with count_display("verdicts") as show:
        found = audit_sweep(sweep, most=most, repeats=repeats, address=address, local=local, show=show, say=say)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(found.exit_code)


@click.command()
@click.argument("sweep_file", metavar="[SWEEP]", type=FILE, required=False)
@set_option
@click.option(
    "--cluster", "address", metavar="ADDRESS", help="Look at every node of this Ray cluster instead: host:port, or "
    "auto for the one that runs on this machine. Default: this machine.",
)  # fmt: skip
@json_option()
def doctor(sweep_file: Path | None, assignments: tuple[str, ...], address: str | None, as_json: bool) -> None:
    """Show what this machine or cluster can do and lacks.

    Looks at GPUs, engines, sandbox tiers, Lean, containers, Ray and the store; starts no engine. On a cluster it looks
    at driver, CUDA, memory, disk, sandbox and clock of each node and, with a SWEEP, at its store and models from there.
    Writes nothing but one object to that store, which it removes. Prints one line per part: `ok` or `--`, and what was
    found or is missing. Exit codes: 0 always for this machine; with --cluster 2 if a node lacks something.

    \b
    Example: troop doctor sweep.yaml --cluster auto
    """
    from jobs.doctor.machine import examine

    if sweep_file is not None and address is None:
        raise BadInput("doctor: a SWEEP is for --cluster ADDRESS; `troop plan SWEEP` checks it on this machine")
    found = _examine_cluster(address, sweep_file, assignments) if address else examine()
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(2 if address and not all(finding.usable for finding in found.findings) else 0)


def _examine_cluster(address: str, sweep_file: Path | None, assignments: tuple[str, ...]) -> "Examination":
    from cluster.session import connect_ray
    from jobs.doctor.cluster import Needs, examine_nodes
    from jobs.run import needs_of
    from jobs.sweep import load_sweep

    needs = needs_of(load_sweep(sweep_file, assignments)) if sweep_file else Needs()
    with connect_ray(address):
        return examine_nodes(needs)


def _run(sweep: "Sweep", address: str | None, local: bool, surplus: "Surplus" = "ask") -> "Outcome":
    from jobs.run import run_sweep

    return run_sweep(sweep, address=address, local=local, say=say, surplus=surplus)


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
