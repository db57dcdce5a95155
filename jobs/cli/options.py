"""Options that several commands share, and the line on standard error that every command may print."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sampling.places import local_path


class _File(click.Path):
    """A path whose ``~`` is the home folder, also where the shell has left it, as in ``--out=~/x``."""

    def convert(self, value: Any, *_: Any) -> Path:
        return Path(local_path(str(value)))


class _AtLeastOne(click.ParamType[int]):
    """A whole number from 1 on; click's own range shows as "INTEGER RANGE" in help."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r}: a whole number of at least 1 is needed", param, context)
        return int(value)


FILE, AT_LEAST_ONE = _File(), _AtLeastOne()
F = TypeVar("F", bound=Callable[..., Any])


def sweep_argument(function: F) -> F:
    """Adds the argument SWEEP and the option ``--set``."""
    return click.argument("sweep_file", metavar="SWEEP", type=FILE)(set_option(function))


def set_option(function: F) -> F:
    """Adds ``--set``, which overrides keys of the sweep."""
    text = (
        "Set one key of the sweep to a YAML value; repeatable for other keys. Models and tasks go by name or number. "
    )
    return click.option(
        "--set", "assignments", multiple=True, metavar="A.B=C", help=f"{text}Example: --set models.small.k=100"
    )(function)


def if_incomplete_option(function: F) -> F:
    """Adds ``--if-incomplete``, which makes a scheduled command harmless when there is nothing to do."""
    text = "Exit with 0 at once if the run is complete: for cron and other schedulers. Default: off."
    return click.option("--if-incomplete", is_flag=True, help=text)(function)


def surplus_options(function: F) -> F:
    """Adds ``--keep-plan`` and ``--drop``, for a k that is smaller than that of an earlier call."""
    drop = "Give up the samples that an earlier, larger k planned and nobody has drawn. Default: such a k is refused."
    keep = "Draw also the samples that an earlier, larger k planned. Default: such a k is refused."
    function = click.option("--drop", "surplus", flag_value="drop", help=drop)(function)
    return click.option("--keep-plan", "surplus", flag_value="keep", help=keep)(function)


def cluster_options(function: F) -> F:
    """Adds ``--address`` and ``--local``, which name the machines that do the work."""
    text = (
        "Ray cluster: host:port, or auto for the one that runs on this machine. Default: RAY_ADDRESS, "
        "which Ray sets inside a job; without it, a Ray on this machine that ends with the command."
    )
    function = click.option("--address", metavar="ADDRESS", help=text)(function)
    return click.option("--local", is_flag=True, help="Work in this process, without Ray: for debugging.")(function)


def verifiers_option(function: F) -> F:
    """Adds ``--version``, which chooses between several versions of the verdicts."""
    text = "Version of the verifiers whose verdicts are read. Default: the most complete version; on a tie, the newest."
    return click.option("--version", "version", metavar="V", help=text)(function)


def scores_option(function: F) -> F:
    """Adds ``--scores``, which chooses between several versions of the scores."""
    text = (
        "Version of the scores that are read, or `verdicts` for the scores in the verdicts themselves. "
        "Default: the most complete version; on a tie, the newest."
    )
    return click.option("--scores", "scores", metavar="S", help=text)(function)


def columns_option(example: str) -> Callable[[F], F]:
    """Returns a decorator that adds ``--columns``, which names the columns of a file of others."""
    text = f"Columns of the file that have other names. Example: --columns {example}"
    return click.option("--columns", default="", metavar="NAME=COLUMN,…", help=text)


def json_option(what: str = "Print JSON instead of text, for scripts. Default: off.") -> Callable[[F], F]:
    """Returns a decorator that adds ``--json`` with the given help."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def say(line: str) -> None:
    """Prints a line on standard error; standard output is for what a command returns."""
    print(f"troop: {line}", file=sys.stderr, flush=True)


def population_option(function: F) -> F:
    """Adds ``--population``, which says what intervals are about."""
    text = (
        "What the 95 % intervals are about: problems like these, of which the benchmark is a sample, or this very "
        "benchmark, of which only the samples are drawn."
    )
    choice = click.Choice(["problems", "benchmark"])
    return click.option("--population", type=choice, default="problems", show_default=True, help=text)(function)
