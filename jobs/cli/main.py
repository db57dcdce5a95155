"""The command line: each command parses its words, calls one function and prints what it returns.

Heavy packages are imported by the functions that need them, so that ``troop --help`` answers at once.
"""

import sys

import click

from jobs.cli import runs as cli_runs
from jobs.cli import sweeps as cli_sweeps
from jobs.cli.options import say
from sampling.errors import TroopError

INTERRUPTED = 130


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our bug, 2 bad input, 3 units set aside, 130 interrupted."""
    try:
        cli(prog_name="troop", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        print(_one_line(error), file=sys.stderr)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; what was committed stays, the same command continues from there")
        sys.exit(INTERRUPTED)
    except TroopError as error:
        say(str(error))
        sys.exit(error.exit_code)


def _one_line(error: click.ClickException) -> str:
    """What click says of wrong words, without the usage that it prints above."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "troop"
    return f"{command}: {error.format_message().rstrip('.')}; `{command} --help` says what is allowed"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="troop")
def cli() -> None:
    """Sample small language models many times, verify every sample, learn what k beats which baseline."""


for command in (*cli_sweeps.COMMANDS, *cli_runs.COMMANDS):
    cli.add_command(command)
