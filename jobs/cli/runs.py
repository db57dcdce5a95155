"""The commands on a run: status, report, sql, check, clean, compact."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.cli.options import FILE, json_option, population_option, say, scores_option, verifiers_option

if TYPE_CHECKING:
    from jobs.numbers.intervals import Population


@click.command()
@click.argument("run_uri", metavar="RUN")
@verifiers_option
@population_option
@click.option("--watch", "follow", is_flag=True, help="Read again every few seconds until the run is complete.")
@json_option("Print JSON instead of text, for scripts; with --watch, one line per look. Default: off.")
def status(run_uri: str, version: str | None, population: "Population", follow: bool, as_json: bool) -> None:
    """Show the progress of a run, from what is committed.

    Reads the store only: works on any machine that can read it, also while the run goes on, and needs no cluster.
    Writes nothing. Prints samples committed and passed, problems solved and coverage so far for each model and task,
    then the units set aside. Exit codes: 0 done, complete or not; 2 no run at RUN.

    \b
    Example: troop status runs/demo --watch
    """
    from jobs.status import read_status

    if follow:
        from jobs.watch import watch

        watch(lambda: read_status(run_uri, version, population), as_json=as_json)
        return
    found = read_status(run_uri, version, population)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@click.command()
@click.argument("run_uri", metavar="RUN")
@verifiers_option
@scores_option
@population_option
@click.option("--out", metavar="FOLDER", type=FILE, help="Folder to write to. Default: report/ in the run.")
def report(run_uri: str, version: str | None, scores: str | None, population: "Population", out: Path | None) -> None:
    """Write the report of a RUN: HTML, JSON, Markdown, charts.

    Reads what is committed, also of a run that is not complete, and then says so first. Writes report.html,
    report.json, report.md and every chart as PNG and SVG. Prints coverage with its intervals, best-of-N, crossovers and
    the place of the page, on standard error. Exit codes: 0 done, 2 no run or nothing to report.

    \b
    Example: troop report runs/demo --out /tmp/report
    """
    # The matrices are small: more BLAS threads would only wait for work, each on a core of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from jobs.reporting import report_run
    from jobs.sweep import open_run

    say(report_run(open_run(run_uri, version, scores), out, population))


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.argument("query")
@verifiers_option
@scores_option
@json_option("Print one JSON object per row instead of a table. Default: off.")
def sql(run_uri: str, query: str, version: str | None, scores: str | None, as_json: bool) -> None:
    """Query a RUN with SQL, through DuckDB.

    The views are samples, verdicts, scores and problems, and rollouts, which joins them under the names of other tools
    (task_id, completion, reward, …). Reads what is committed, in place from a folder, through a
    temporary copy from S3; writes nothing. Prints a plain table, or lines of JSON, while it reads; a result of any
    length fits in memory. docs/results.md lists the columns. Exit codes: 0 done, 2 no run or a wrong
    query.

    \b
    Example: troop sql runs/demo "SELECT model, avg(passed::INT) FROM verdicts GROUP BY model"
    """
    from jobs.messages import table_parts
    from jobs.store.database import stream_query
    from jobs.sweep import open_run

    with stream_query(open_run(run_uri, version, scores), query) as (columns, batches):
        for part in _json_parts(columns, batches) if as_json else table_parts(columns, batches):
            click.echo(part)


def _json_parts(columns: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]) -> Iterator[str]:
    """Yields the rows of each batch as lines of JSON, whose strings hold no control character."""
    for batch in batches:
        yield "\n".join(json.dumps(dict(zip(columns, row, strict=True)), default=str) for row in batch)


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--quarantine", is_flag=True, help="Move damaged files to quarantine/ in the run; `troop run` then draws their "
    "units again. Only for a run at rest. Default: off, nothing is written.",
)  # fmt: skip
@json_option()
def check(run_uri: str, quarantine: bool, as_json: bool) -> None:
    """Check every file of a RUN against what was written.

    Reads all samples, verdicts and scores with their checksums. Prints each damaged or missing file. Exit codes: 0 all
    files are whole, 2 no run, 3 something is damaged, quarantined or not.

    \b
    Example: troop check runs/demo --quarantine
    """
    from jobs.store.check import check_run
    from jobs.sweep import open_run

    found = check_run(open_run(run_uri).store, quarantine=quarantine)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(3 if found.damage else 0)


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--grace", default="24h", show_default=True, help="Keep files younger than this: a number with s, m, h or d. "
    "Examples: 90s, 30m, 7d",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing. Default: off.")
@json_option()
def clean(run_uri: str, grace: str, dry_run: bool, as_json: bool) -> None:
    """Delete samples that lost attempts have left in a RUN.

    An attempt has lost when another attempt has committed its unit. Reads listings and verdict files of RUN; deletes
    only samples that can never be committed, and old leases of drivers. Prints the deleted files, and how many orphans
    were kept. Exit codes: 0 done, 2 no run.

    \b
    Example: troop clean runs/demo --grace 7d --dry-run
    """
    from jobs.store.clean import clean_run, parse_duration
    from jobs.sweep import open_run

    found = clean_run(open_run(run_uri).store, parse_duration(grace), dry_run=dry_run)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())


@click.command()
@click.argument("run_uri", metavar="RUN")
@json_option()
def compact(run_uri: str, as_json: bool) -> None:
    """Merge the files of each full shard (256 units) of a RUN into one.

    `troop run` does the same as it goes; this command finishes what a killed run left. Reads a shard's files, writes
    one for all, then deletes the single ones. Prints the shards compacted. Exit codes: 0 done, 2 no run, or a shard
    could not be compacted.

    \b
    Example: troop compact runs/demo
    """
    from jobs.store.compact import compact_run
    from jobs.sweep import open_run

    done = compact_run(open_run(run_uri).store)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())
    sys.exit(2 if done.failed else 0)


COMMANDS = (status, report, sql, check, clean, compact)
