"""Help of the command line: every command says what it does with an example, every option has a text, at once."""

import subprocess
import sys
from inspect import cleandoc

import click
import pytest

from jobs.cli.main import cli
from tests.support.places import ROOT

COMMANDS = sorted(cli.commands.items())


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_command_explains_itself(name: str, command: click.Command) -> None:
    first, paragraph, example = cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    assert "\n" not in first and len(first) <= 65, "longer ones are cut off in `troop --help`"
    assert "Exit codes: " in " ".join(paragraph.split())
    assert example.startswith(f"Example: troop {name}") and "\n" not in example


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_option_has_a_text(name: str, command: click.Command) -> None:
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, jobs.cli.main; print(*{'pydantic', 'numpy', 'pyarrow', 'ray', 'duckdb'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
