"""The inside of a tool: confines itself, tries whether that holds, and becomes a program that is not ours.

The kernel closes the report when the program is executed, so an empty report says that the program runs, confined. The
program may start threads but no processes: there is nothing else to kill.
"""

import os
import signal
from typing import Any, NoReturn

from verify.sandbox import escapes
from verify.sandbox.confinement import Confinement, Profile


def main(report: int, profile: tuple[Any, ...], command: list[str], environment: dict[str, str]) -> NoReturn:
    """Executes ``command`` in the profile, or reports the step that failed."""
    with Confinement(Profile._make(profile), report) as confinement:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if confinement.profile.sealed:  # without a sandbox the program may lie where only this user can enter
            confinement.enter()
        confinement.seal()
        if confinement.profile.sealed and (worked := escapes.try_all(allowed=("execute a program",))):
            raise RuntimeError(f"it does not hold: a program inside could {', '.join(worked)}")
        confinement.step = f"executing {command[0]}"
        os.execve(command[0], command, environment)
