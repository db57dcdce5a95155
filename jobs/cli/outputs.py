"""The commands that hand a run on: export, compare, register."""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from jobs.cli.options import AT_LEAST_ONE, FILE, json_option, population_option, scores_option, verifiers_option
from sampling.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.export.data_set import DataSet
    from jobs.export.files import Target
    from jobs.numbers.intervals import Population

_FORMATS, _WAYS = ["sft", "dpo", "kto", "rl", "pass-rate"], ["exact", "normalised", "minhash"]
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_RATE = click.FloatRange(0, 1)
_SHARE, _DIFFERENCE = click.FloatRange(0, 1, min_open=True), click.FloatRange(-1, 1)
_SEEN = {"per_problem", "order", "dedupe", "drop_truncated", "thoughts"}  # options about samples


@click.command()
@click.argument("run_uri", metavar="RUN")
@verifiers_option
@scores_option
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="Rows for training instead: sft, dpo and kto have TRL's "
    "columns, rl has verl's and holds the right answers, pass-rate has counts. Default: samples with their verdicts.",
)  # fmt: skip
@click.option(
    "--out", metavar="PLACE", required=True, help="New or empty folder, s3:// prefix or hf://datasets/owner/name to "
    "write to; a data set of the hub is made private.",
)  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME", help="Model to take; repeatable. Default: all.")
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Task to take; repeatable. Default: all.")
@click.option(
    "--per-problem", type=AT_LEAST_ONE, metavar="N", help="Most samples of each prompt and model; most pairs for dpo, "
    "most of each label for kto. Default: all; 1 for dpo.",
)  # fmt: skip
@click.option("--random", "order", flag_value="random", help="Take them at random, by --seed. Default: this.")
@click.option("--shortest", "order", flag_value="shortest", help="Take those with the fewest characters.")
@click.option("--best", "order", flag_value="best", help="Take those with the highest scores of `troop score`.")
@click.option(
    "--dedupe", type=click.Choice(_WAYS), help="Keep only the first of equal completions of a prompt: exact, "
    "normalised (case, white space, forms of letters) or minhash (similar at 0.8). Default: keep all.",
)  # fmt: skip
@click.option("--min-rate", type=_RATE, metavar="P", help="Least pass rate of a problem that is taken. Default: 0.")
@click.option("--max-rate", type=_RATE, metavar="P", help="Largest pass rate of a problem that is taken. Default: 1.")
@click.option("--drop-truncated", is_flag=True, help="Leave out completions that the token limit cut. Default: off.")
@click.option("--thoughts", is_flag=True, help="Put each thought before its answer, in <think> … </think>.")
@click.option("--chat", is_flag=True, help="Make a user's turn of each prompt that is text. Default: text stays text.")
@click.option(
    "--split", default="train", show_default=True, metavar="NAME[=P,…]", help="Name of the split, or several with "
    "shares; equal prompts lie in one split. Example: train=0.9,test=0.1",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of --random and of --split.")
@click.option(
    "--license", "licence", default="unknown", show_default=True, help="Licence named in the data set's card."
)
@json_option()
def export(run_uri: str, version: str | None, scores: str | None, form: Any, out: str, as_json: bool,
           **given: Any) -> None:  # fmt: skip
    """Write the samples of a RUN as Parquet files, or as training data.

    Without --format each committed sample is there once, with its verdict and its prompt, in part-00000.parquet and so
    on, sorted by model, task, problem and sample. With --format: data/SPLIT-00000.parquet and so on, and README.md, the
    data set's card. Samples of lost attempts are left out, faults are neither right nor wrong. _export.json is
    written last and lists the files. The same rows make the same bytes. Replaces nothing; what was written before a
    failure is taken away. Works on a run of any size in 2 GB of memory. docs/export.md lists the columns. Exit codes:
    0 done, 2 no run, nothing to export, or PLACE is not empty.

    \b
    Example: troop export runs/demo --format sft --per-problem 4 --dedupe exact --out exports/sft
    """
    from jobs.export.files import export_run
    from jobs.export.training import export_training
    from jobs.sweep import open_run

    wanted = _data_set(form, scores, given)
    stored = open_run(run_uri, version, scores)
    target = _target(out, getattr(stored.store, "options", None))
    done = export_training(stored, target, wanted) if wanted else export_run(stored, target)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())


def _target(out: str, options: object) -> "Target":
    from jobs.export.hub import parse_hub
    from jobs.store.base import StoreOptions
    from jobs.store.open import open_store

    return parse_hub(out) or open_store(out, options if isinstance(options, StoreOptions) else None)


def _data_set(form: Any, scores: str | None, given: dict[str, Any]) -> "DataSet | None":
    """Returns what is asked for, or None without a format; raises BadInput for options that go not together."""
    from jobs.export.data_set import DataSet, with_defaults
    from jobs.export.duplicates import require
    from jobs.export.formats import OF_COUNTS
    from jobs.export.parts import parse_splits
    from jobs.export.selection import Selection
    from sampling.validate import parse

    context = click.get_current_context()
    used = {name for name in given if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    if form is None:
        if used or scores:
            named = ", ".join(sorted(_flag(name, given) for name in used)) or "--scores"
            raise BadInput(f"export: {named}: only with --format {', '.join(_FORMATS)}")
        return None
    if form in OF_COUNTS and used & _SEEN:
        named = ", ".join(sorted(_flag(name, given) for name in used & _SEEN))
        raise BadInput(f"--format {form}: {named}: its rows are prompts, not samples; leave it out")
    if given["order"] and given["per_problem"] is None and form != "dpo":
        raise BadInput(f"{_flag('order', given)}: says which samples to take; --per-problem N says how many")
    if not _LICENSE.fullmatch(str(given["licence"])):
        raise BadInput(f"--license {given['licence']}: allowed: an id of the hub, as apache-2.0, mit, other, unknown")
    values = {name: given[name] for name in Selection.model_fields if given[name] is not None}
    selection = parse(Selection, values, "export")
    if (selection.min_rate or 0) > (1 if selection.max_rate is None else selection.max_rate):
        raise BadInput(f"--min-rate {selection.min_rate}: above --max-rate {selection.max_rate}; no problem is taken")
    require(selection.dedupe)
    splits = parse_splits(str(given["split"]))
    return with_defaults(DataSet(
        form, selection, splits, given["models"], given["tasks"], bool(given["chat"]), str(given["licence"])
    ))  # fmt: skip


def _flag(name: str, given: dict[str, Any]) -> str:
    """Returns the option as a user writes it."""
    names = {"models": "model", "tasks": "task", "order": str(given["order"]), "licence": "license"}
    return "--" + names.get(name, name).replace("_", "-")


@click.command()
@click.argument("run_a", metavar="A")
@click.argument("run_b", metavar="[B]", required=False)
@click.option("--model-a", metavar="NAME", help="Model of A. Default: models of the same name are compared.")
@click.option(
    "--model-b", metavar="NAME", help="Model of B. Default: as for --model-a; a run's only model needs no name."
)
@click.option("--version-a", metavar="V", help="Version of A's verdicts. Default: the most complete, the newest.")
@click.option("--version-b", metavar="V", help="Version of B's verdicts. Default: the most complete, the newest.")
@click.option(
    "--task", "tasks", multiple=True, metavar="NAME", help="Task to compare; repeatable. Default: all common."
)
@click.option("--k", "ks", metavar="K,…", help="Samples per problem to compare at. Default: 1, 2, 5, 10, … up to all.")
@click.option(
    "--at", type=AT_LEAST_ONE, default=1, show_default=True, metavar="K", help="The k of --margin and --fail-below.",
)  # fmt: skip
@population_option
@click.option(
    "--margin", type=_SHARE, metavar="D", help="Say whether the two are equivalent: the whole interval is within ±D. "
    "Example: 0.02",
)  # fmt: skip
@click.option(
    "--fail-below", type=_DIFFERENCE, metavar="D", help="Exit with 3 where B minus A is below D, for CI of models. "
    "Example: -0.01",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(["value", "low", "high"]), default="value", show_default=True, help="What is "
    "compared with --fail-below: the difference; the interval's lower end (fails without proof of no loss); its upper "
    "end (fails with proof of a loss).",
)  # fmt: skip
@click.option("--out", metavar="FOLDER", type=FILE, help="Folder for compare.html, compare.md and compare.json.")
@json_option()
def compare(
    run_a: str, run_b: str | None, model_a: str | None, model_b: str | None, version_a: str | None,
    version_b: str | None, tasks: tuple[str, ...], ks: str | None, at: int, population: "Population",
    margin: float | None, fail_below: float | None, fail_on: Any, out: "Path | None", as_json: bool,
) -> None:  # fmt: skip
    """Compare run B with run A, or two models or versions of one run.

    Reads verdicts, and the texts of a few samples, on the problems that both have. Prints coverage of both, the paired
    difference B minus A at each k with its 95 % interval, McNemar's exact test at k = 1, and the problems with most
    flips each way. Without B both are in A: give --model-a and --model-b, or --version-a and --version-b. --out writes
    a page, Markdown and JSON with the flipped samples. Exit codes: 0 done, 2 bad input or no common problem, 3 below
    --fail-below.

    \b
    Example: troop compare runs/old runs/new --fail-below -0.02 --out report/compare
    """
    from jobs.compare.build import Wanted, compare_runs
    from jobs.compare.page import write_files
    from jobs.sweep import open_run

    wanted = Wanted(model_a, model_b, tasks, _whole_numbers(ks), population, margin, fail_below, fail_on, at)
    first, second = open_run(run_a, version_a), open_run(run_b or run_a, version_b)
    found = compare_runs(first, second, wanted)
    if out is not None:
        write_files(found, out)
    click.echo(found.model_dump_json(indent=2) if as_json else found.as_text())
    sys.exit(3 if found.failed else 0)


def _whole_numbers(text: str | None) -> tuple[int, ...]:
    """Returns the numbers of ``1,10,100``; raises BadInput."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if wrong := next((part for part in parts if not part.isdecimal() or int(part) < 1), None):
        raise BadInput(f"--k {text}: {wrong!r} is no whole number of at least 1; example: --k 1,10,100")
    return tuple(map(int, parts))


@click.command()
@click.argument("run_uri", metavar="RUN")
@click.option(
    "--catalog", required=True, metavar="CATALOG", help="Iceberg catalog: a name of pyiceberg's configuration, or a "
    "URL, as sqlite:////data/catalog.db, postgresql://… or https://… for REST.",
)  # fmt: skip
@click.option("--warehouse", metavar="URL", help="Folder for the metadata of new tables. Default: the catalog's own.")
@click.option("--namespace", metavar="NAME", help="Namespace of the tables. Default: the name of the run.")
@json_option()
def register(run_uri: str, catalog: str, warehouse: str | None, namespace: str | None, as_json: bool) -> None:
    """Register the compacted files of a RUN as Iceberg tables.

    Adds them to the tables verdicts and samples, where they lie: nothing is copied. Spark, Trino and others then read
    snapshots, with model, task and version as partitions. A later call adds what is new, each file once. Files that are
    not compacted are counted and left out. Needs the package pyiceberg. Exit codes: 0 done, 2 no run, nothing
    compacted, or a catalog that cannot be used.

    \b
    Example: troop register runs/demo --catalog sqlite:////data/catalog.db --warehouse file:///data/warehouse
    """
    from jobs.export.iceberg import CatalogPlace, register_run
    from jobs.sweep import open_run

    done = register_run(open_run(run_uri), CatalogPlace(catalog, warehouse), namespace)
    click.echo(done.model_dump_json(indent=2) if as_json else done.as_text())


COMMANDS = (export, compare, register)
