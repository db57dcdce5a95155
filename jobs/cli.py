"""The command line: each command parses its words, calls one function and prints what it returns.

Heavy packages are imported by the functions that need them, so that ``troop --help`` answers at once.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sampling.errors import BadInput, TroopError

if TYPE_CHECKING:
    from jobs.run import Outcome
    from jobs.spec import Sweep

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130
LISTED = 10


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our bug, 2 bad input, 3 units set aside, 130 interrupted."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        print("troop: interrupted; what was committed stays, the same command continues from there", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except TroopError as error:
        print(f"troop: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="troop")
def cli() -> None:
    """Sample small language models many times, verify every sample, learn what k beats which baseline."""


def sweep_command(function: F) -> F:
    """The words that plan, run and submit share."""
    function = click.argument("sweep_file", metavar="SWEEP", type=click.Path(path_type=Path))(function)
    return click.option("--set", "assignments", multiple=True, metavar="A.B=C", help="Set a key of the sweep.")(
        function
    )


def if_incomplete_option(function: F) -> F:
    """What makes a scheduled command harmless when there is nothing to do."""
    text = "End at once with 0 where nothing is left to do: for schedulers."
    return click.option("--if-incomplete", is_flag=True, help=text)(function)


def cluster_options(function: F) -> F:
    """Where a run takes place."""
    function = click.option("--address", help="A Ray cluster; default: the one this job is in, or this machine.")(
        function
    )
    return click.option("--local", is_flag=True, help="In this process, without Ray: for debugging.")(function)


@cli.command()
@cluster_options
@click.option("--set", "assignments", multiple=True, metavar="A.B=C", help="Set a key of the demo's sweep.")
def demo(assignments: tuple[str, ...], address: str | None, local: bool) -> None:
    """The whole chain on this machine in about three minutes, ending with a report."""
    from jobs.demo import demo_sweep

    sweep = demo_sweep(assignments)
    outcome = _run(sweep, address, local)
    _list_set_aside(outcome)
    _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@cli.command()
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
    from jobs.spec import load_sweep

    sweep = load_sweep(sweep_file, assignments)
    found = calibrate_sweep(sweep, address=address, local=local, say=_say) if calibrate else describe_plan(sweep)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@cli.command()
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
    from jobs.spec import load_sweep

    flags = {"verify.audit=0": no_audit, "store_options.allow_weak_store=true": allow_weak_store}
    sweep = load_sweep(sweep_file, (*assignments, *(setting for setting, wanted in flags.items() if wanted)))
    if if_incomplete and is_complete(sweep):
        _say(f"{sweep.run_uri}: complete; nothing to do")
        return
    outcome = _run(sweep, address, local)
    _list_set_aside(outcome)
    if report:
        _report_sweep(sweep)
    sys.exit(3 if outcome.set_aside else 0)


@cli.command()
@sweep_command
@click.option("--address", required=True, help="The cluster's dashboard, as http://127.0.0.1:8265.")
@click.option("--wait/--no-wait", default=True, help="Follow the job's log and end with its exit code.")
@if_incomplete_option
def submit(sweep_file: Path, assignments: tuple[str, ...], address: str, wait: bool, if_incomplete: bool) -> None:
    """Run a sweep on a cluster through Ray Jobs, with this folder as its working directory."""
    from cluster.submit import submit_job
    from jobs.run import known_complete
    from jobs.spec import load_sweep

    sweep = load_sweep(sweep_file, assignments)  # a mistake is told here, not in a log on the cluster
    if "://" not in sweep.store and not Path(sweep.store).is_absolute():
        raise BadInput(f"submit: store {sweep.store!r} would be lost with the job's folder; give s3://… or a full path")
    if if_incomplete and known_complete(sweep):
        _say(f"{sweep.run_uri}: complete; nothing submitted")
        return
    words = ["run", sweep_file.as_posix(), *(word for a in assignments for word in ("--set", a))]
    words += ["--if-incomplete"] if if_incomplete else []
    sys.exit(submit_job(address, words, Path.cwd(), wait=wait, run=sweep.run_uri, only_one=if_incomplete))


def verifiers_option(function: F) -> F:
    """Which of several versions of the verdicts a reader takes."""
    text = "Verdicts of these verifiers; default: the most complete version, the newest of equals."
    return click.option("--version", "version", metavar="V", help=text)(function)


@cli.command()
@click.argument("run_uri", metavar="RUN")
@verifiers_option
@click.option("--watch", "follow", is_flag=True, help="Look again and again until the run is complete.")
@click.option("--json", "as_json", is_flag=True, help="For a script; with --watch, a line at every look.")
def status(run_uri: str, version: str | None, follow: bool, as_json: bool) -> None:
    """How far a run is, from what is committed; needs no cluster."""
    from jobs.status import read_status

    if follow:
        from jobs.watch import watch

        watch(lambda: read_status(run_uri, version), as_json=as_json)
        return
    found = read_status(run_uri, version)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@cli.command()
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
    from jobs.spec import load_sweep

    sweep, most = load_sweep(sweep_file, assignments), None if every else problems
    with count_display("verdicts") as show:
        found = audit_sweep(sweep, most=most, repeats=repeats, address=address, local=local, show=show)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(found.exit_code)


@cli.command()
@click.argument("run_uri", metavar="[RUN]", required=False)
@click.option("--task", "task", metavar="KIND=PATH", help="Verify samples from anywhere: their problems.")
@click.option("--samples", type=click.Path(path_type=Path), help='JSONL or Parquet of {"problem", "sample", "text"}.')
@click.option("--out", type=click.Path(path_type=Path), help="Verdicts as .jsonl or .parquet.")
@click.option("--tier", type=click.Choice(["isolated", "confined"]), help="Refuse a weaker sandbox.")
@click.option("--workers", type=click.IntRange(min=1), help="Verifier processes; default: one per core.")
@click.option("--json", "as_json", is_flag=True, help="The summary of --samples, for a script.")
def verify(
    run_uri: str | None,
    task: str | None,
    samples: Path | None,
    out: Path | None,
    tier: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Verify again a RUN's samples as a new version, or any samples with --task, --samples and --out."""
    if run_uri is not None and not (task or samples or out):
        from jobs.reverify import reverify_run

        click.echo(reverify_run(run_uri, tier=tier, workers=workers))
        return
    if run_uri is not None or task is None or samples is None or out is None:
        raise BadInput("verify: give either RUN, or all of --task KIND=PATH, --samples and --out")
    from jobs.progress import count_display
    from jobs.verify_samples import verify_file

    with count_display("samples") as show:
        summary = verify_file(
            task, samples, out, tier=tier, workers=workers, progress=lambda now: show(now.done, now.total)
        )
    for line in summary.fault_lines():
        _say(line)
    click.echo(summary.as_json() if as_json else summary.as_text())


@cli.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--model", required=True, metavar="RM", help="The reward model: a folder, a hub id or an s3:// folder.")
@click.option("--revision", help="Of a model of the hub.")
@click.option(
    "--steps", type=click.Choice(["min", "prod", "mean", "last"]), help="How a process model's steps become one score."
)
@click.option("--step-separator", default=r"\n\n", show_default=True, help="What parts the steps of a completion.")
@click.option("--step-token", help="What a process model was trained to see after each step.")
@click.option(
    "--template", type=click.Choice(["auto", "chat", "plain"]), default="auto", show_default=True,
    help="The model's chat template, where it has one, or prompt and completion as one text.",
)  # fmt: skip
@click.option("--dtype", help="As in a sweep: auto, float32, bfloat16, …")
@click.option("--max-model-len", type=int, help="Longest text in tokens; a longer one gets no score.")
@click.option("--gpus", type=float, help="GPUs of one engine: 0.25, 1, 2, …")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def score(
    run_uri: str,
    model: str,
    revision: str | None,
    steps: str | None,
    step_separator: str,
    step_token: str | None,
    template: str,
    dtype: str | None,
    max_model_len: int | None,
    gpus: float | None,
    address: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Score a RUN's samples with a reward model: best-of-N and weighted votes of the report then use the scores."""
    from jobs.score import score_run
    from sampling.reward import RewardSettings, reward_spec
    from sampling.validate import parse

    spec = reward_spec(model, revision=revision, dtype=dtype, max_model_len=max_model_len, gpus=gpus)
    given = {"steps": steps, "step_separator": _unescaped(step_separator), "template": template}
    settings = parse(RewardSettings, {**given, "step_token": step_token and _unescaped(step_token)}, "score")
    done = score_run(run_uri, spec, settings, address=address, local=local, say=_say)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(3 if done.set_aside else 0)


@cli.command("import")
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--outcomes", type=click.Path(path_type=Path), help="One row a sample: problem, sample, passed or status."
)
@click.option("--counts", type=click.Path(path_type=Path), help="One row a problem: problem, n, c.")
@click.option("--samples", type=click.Path(path_type=Path), help="One row a sample with its text, to be verified.")
@click.option(
    "--columns", default="", metavar="NAME=COLUMN,…", help="What the file calls our columns, where it differs."
)
@click.option("--model", help="The model that all rows are of, where no column says so.")
@click.option("--task", help="The task that all rows are of; KIND=PATH if its problems are to be kept too.")
@click.option(
    "--baseline", "baselines", multiple=True, metavar="MODEL", help="A model whose single try is to be reached."
)
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def import_(
    run_uri: str,
    outcomes: Path | None,
    counts: Path | None,
    samples: Path | None,
    columns: str,
    model: str | None,
    task: str | None,
    baselines: tuple[str, ...],
    as_json: bool,
) -> None:
    """Bring verdicts, counts or samples made elsewhere into a run, from Parquet, CSV or JSONL."""
    from jobs.imports import import_table
    from jobs.progress import count_display
    from jobs.tables import COUNTS, OUTCOMES, SAMPLES, Table, parse_columns
    from jobs.verify_samples import task_option

    given = [(kind, path) for kind, path in ((OUTCOMES, outcomes), (COUNTS, counts), (SAMPLES, samples)) if path]
    if len(given) != 1:
        raise BadInput("import: give one of --outcomes FILE, --counts FILE, --samples FILE")
    kind, path = given[0]
    spec = task_option(task) if task and "=" in task else None
    named = {"model": model, "task": spec.title if spec else task}
    table = Table(kind, path, parse_columns(columns, kind), {name: value for name, value in named.items() if value})
    _say(f"reading {path}")
    with count_display("samples imported") as show:
        done = import_table(run_uri, table, task=spec, baselines=baselines, show=show)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())


def scores_option(function: F) -> F:
    """Which of several versions of the scores a reader takes."""
    text = "Scores of this version, or `verdicts` for those that verdicts carry; default: the most complete one, the "
    return click.option("--scores", "scores", metavar="S", help=f"{text}newest of equals.")(function)


@cli.command()
@click.argument("run_uri", metavar="RUN")
@verifiers_option
@scores_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to; default: report/ in the run.")
def report(run_uri: str, version: str | None, scores: str | None, out: Path | None) -> None:
    """Write report.html, report.json, report.md and charts."""
    # Its matrices are small: BLAS's further threads would only wait for work, and that on a core each.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from jobs.reporting import report_run
    from jobs.runs import open_run

    _say(report_run(open_run(run_uri, version, scores), out))


@cli.command()
@click.argument("run_uri", metavar="RUN")
@click.argument("query")
@verifiers_option
@scores_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def sql(run_uri: str, query: str, version: str | None, scores: str | None, as_json: bool) -> None:
    """DuckDB over a run's views samples, verdicts, scores and problems."""
    from jobs.query import run_query

    columns, rows = run_query(run_uri, query, version, scores)
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str))
        return
    from jobs.query import as_table

    click.echo(as_table(columns, rows))


@cli.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--quarantine", is_flag=True, help="Set damaged files aside: their units are then made again.")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def check(run_uri: str, quarantine: bool, as_json: bool) -> None:
    """Read every file of a run and compare it with what was written. Exit code 3: something is damaged."""
    from jobs.check import check as check_files
    from jobs.runs import open_run

    found = check_files(open_run(run_uri).run, quarantine=quarantine)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(3 if found.damage else 0)


@cli.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--grace", default="24h", show_default=True, help="Keep what is younger, as 90s, 30m, 24h or 7d.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def clean(run_uri: str, grace: str, dry_run: bool, as_json: bool) -> None:
    """Delete the samples of attempts that lost: of units that another attempt has committed."""
    from jobs.clean import clean_run, parse_duration
    from jobs.runs import open_run

    found = clean_run(open_run(run_uri).run, parse_duration(grace), dry_run=dry_run)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@cli.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def compact(run_uri: str, as_json: bool) -> None:
    """Make one file of each full shard's many. `troop run` does so itself; this finishes what was killed."""
    from jobs.compact import compact_run
    from jobs.runs import open_run

    done = compact_run(open_run(run_uri).run)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(2 if done.failed else 0)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def doctor(as_json: bool) -> None:
    """What this machine can do: engines, sandbox tier, Ray, store."""
    from jobs.doctor import examine

    found = examine()
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


def _run(sweep: "Sweep", address: str | None, local: bool) -> "Outcome":
    from jobs.run import run_sweep

    return run_sweep(sweep, address=address, local=local, say=_say)


def _report_sweep(sweep: "Sweep") -> None:
    from jobs.reporting import report_run
    from jobs.runs import stored_run
    from jobs.store import open_store

    _say(report_run(stored_run(open_store(sweep.run_uri, sweep.store_options)), None))


def _list_set_aside(outcome: "Outcome") -> None:
    from jobs.run import set_aside_lines

    items = [(item.unit.model, item.unit.task, item.unit.number, item.error) for item in outcome.set_aside]
    for line in set_aside_lines(items)[:LISTED]:
        _say(line)
    if outcome.set_aside:
        _say(f"{len(outcome.set_aside)} units set aside (`troop status` lists them); the same command tries them again")


def _unescaped(text: str) -> str:
    r"""A shell can hardly write a line break: ``\n`` stands for it, ``\t`` for a tab."""
    return text.replace(r"\n", "\n").replace(r"\t", "\t")


def _say(line: str) -> None:
    print(f"troop: {line}", file=sys.stderr, flush=True)
