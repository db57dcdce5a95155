"""Words that several commands share, and how they speak to a person."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


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


def verifiers_option(function: F) -> F:
    """Which of several versions of the verdicts a reader takes."""
    text = "Verdicts of these verifiers; default: the most complete version, the newest of equals."
    return click.option("--version", "version", metavar="V", help=text)(function)


def scores_option(function: F) -> F:
    """Which of several versions of the scores a reader takes."""
    text = "Scores of this version, or `verdicts` for those that verdicts carry; default: the most complete one, the "
    return click.option("--scores", "scores", metavar="S", help=f"{text}newest of equals.")(function)


def say(line: str) -> None:
    """A line on standard error: standard output is for what a command returns."""
    print(f"troop: {line}", file=sys.stderr, flush=True)
