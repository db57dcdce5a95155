"""The command line: each command parses its arguments, calls one function and prints its result.

Heavy packages are imported by the functions that need them, so that ``troop --help`` answers at once.
"""

import sys

import click

from cluster.address import use_token
from jobs.cli import outputs as cli_outputs
from jobs.cli import runs as cli_runs
from jobs.cli import schema as cli_schema
from jobs.cli import sweeps as cli_sweeps
from jobs.cli import verdicts as cli_verdicts
from jobs.cli.options import say
from sampling.errors import TroopError
from sampling.words import printable

INTERRUPTED = 130


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our bug, 2 bad input, 3 units set aside, 130 interrupted."""
    use_token()
    try:
        cli(prog_name="troop", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        print(printable(_one_line(error)), file=sys.stderr)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; committed units are safe, run the same command to continue")
        sys.exit(INTERRUPTED)
    except TroopError as error:
        say(printable(error))
        sys.exit(error.exit_code)


def _one_line(error: click.ClickException) -> str:
    """Returns click's message about wrong words in one line, without the usage that click prints above it."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "troop"
    return f"{command}: {error.format_message().rstrip('.')}; `{command} --help` says what is allowed"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="troop", help="Show the version of Troop and exit.")
def cli() -> None:
    """Sample small language models many times, verify every sample, learn what k beats which baseline.

    SWEEP is a YAML file (docs/sweep.md). RUN is a folder, an s3:// prefix, or a sweep file, which means its run.
    Results go to standard output, progress and messages to standard error.

    Exit codes: 0 done, 1 an error in Troop itself, 2 wrong input or an unusable store, 3 done in part (the command's
    own help says which part), 130 interrupted. After 3 and 130, run the same command to continue.

    \b
    Example: troop demo
    """


rooms = (cli_sweeps, cli_verdicts, cli_runs, cli_outputs, cli_schema)
for command in (command for room in rooms for command in room.COMMANDS):
    cli.add_command(command)
