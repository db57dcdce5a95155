"""The commands on a run: what is stored, judged again, read, kept in order."""

import json
import os
import sys
from pathlib import Path

import click

from jobs.cli.options import cluster_options, say, scores_option, verifiers_option
from sampling.errors import BadInput


@click.command()
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


@click.command()
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
        say(line)
    click.echo(summary.as_json() if as_json else summary.as_text())


@click.command()
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
    from sampling.engines.reward import RewardSettings, reward_spec
    from sampling.validate import parse

    spec = reward_spec(model, revision=revision, dtype=dtype, max_model_len=max_model_len, gpus=gpus)
    given = {"steps": steps, "step_separator": _unescaped(step_separator), "template": template}
    settings = parse(RewardSettings, {**given, "step_token": step_token and _unescaped(step_token)}, "score")
    done = score_run(run_uri, spec, settings, address=address, local=local, say=say)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(3 if done.set_aside else 0)


@click.command("import")
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
    say(f"reading {path}")
    with count_display("samples imported") as show:
        done = import_table(run_uri, table, task=spec, baselines=baselines, show=show)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())


@click.command()
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

    say(report_run(open_run(run_uri, version, scores), out))


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.argument("query")
@verifiers_option
@scores_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def sql(run_uri: str, query: str, version: str | None, scores: str | None, as_json: bool) -> None:
    """DuckDB over a run's views samples, verdicts, scores and problems."""
    from jobs.runs import open_run
    from jobs.store.database import run_query

    columns, rows = run_query(open_run(run_uri, version, scores), query)
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(columns, row, strict=True)), default=str))
        return
    from jobs.messages import as_table

    click.echo(as_table(columns, rows))


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--quarantine", is_flag=True, help="Set damaged files aside: their units are then made again.")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def check(run_uri: str, quarantine: bool, as_json: bool) -> None:
    """Read every file of a run and compare it with what was written. Exit code 3: something is damaged."""
    from jobs.runs import open_run
    from jobs.store.check import check_run

    found = check_run(open_run(run_uri).store, quarantine=quarantine)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(3 if found.damage else 0)


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--grace", default="24h", show_default=True, help="Keep what is younger, as 90s, 30m, 24h or 7d.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def clean(run_uri: str, grace: str, dry_run: bool, as_json: bool) -> None:
    """Delete the samples of attempts that lost: of units that another attempt has committed."""
    from jobs.runs import open_run
    from jobs.store.clean import clean_run, parse_duration

    found = clean_run(open_run(run_uri).store, parse_duration(grace), dry_run=dry_run)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def compact(run_uri: str, as_json: bool) -> None:
    """Make one file of each full shard's many. `troop run` does so itself; this finishes what was killed."""
    from jobs.runs import open_run
    from jobs.store.compact import compact_run

    done = compact_run(open_run(run_uri).store)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(2 if done.failed else 0)


def _unescaped(text: str) -> str:
    r"""A shell can hardly write a line break: ``\n`` stands for it, ``\t`` for a tab."""
    return text.replace(r"\n", "\n").replace(r"\t", "\t")


COMMANDS = (status, verify, score, import_, report, sql, check, clean, compact)
