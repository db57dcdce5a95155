"""The inside of a jail: a fresh interpreter that confines itself and runs one shell script as its child.

Three processes: the *keeper* (outside of the new process namespace) waits for the script or for the order to end it;
*init* is process 1 of the namespace, so the kernel ends everything in it with init; the script is init's child. Only
the keeper holds the descriptor for the result, so the script cannot write one.
"""

import os
import resource
import select
import signal
import struct
from functools import partial
from typing import Any, NoReturn

from verify.sandbox.confinement import Confinement, Profile

SHELL = ("/bin/sh", "-s")  # reads the script from standard input
RESULT = struct.Struct("<idd")  # wait status, CPU seconds of all processes, megabytes that the largest one held


def main(report: int, control: int, result: int, profile: tuple[Any, ...], environment: dict[str, str]) -> NoReturn:
    """Runs the script on standard input, after a byte from ``control``, and ends it when that is closed."""
    os.read(control, 1)
    with Confinement(Profile._make(profile), report) as confinement:
        confinement.enter(keep=partial(_keep, control, result))
        os.close(control)
        os.close(result)
        confinement.seal()
        confinement.step = f"executing {SHELL[0]}"
        script = os.fork()
        if script == 0:
            os.execve(SHELL[0], SHELL, environment)
    _be_init(script)


def _keep(control: int, result: int, init: int) -> NoReturn:
    """Waits until init has ended, by itself or on the order, and sends how the script ended."""
    _close_streams()
    ended = os.pidfd_open(init)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(control, select.POLLIN)
    if not any(descriptor == ended for descriptor, _ in poll.poll()):
        os.kill(init, signal.SIGKILL)
    _, status = os.waitpid(init, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.write(result, RESULT.pack(status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
    os._exit(0)


def _be_init(script: int) -> NoReturn:
    """Waits for the script and for every orphan; ends with the script's exit code, as a shell would say it."""
    _close_streams()
    while True:
        pid, status = os.wait()
        if pid == script:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _close_streams() -> None:
    """Leaves the standard streams to the script alone: they end with it."""
    for descriptor in range(3):
        os.close(descriptor)
