"""Starts the sandbox's processes: fresh interpreters that confine themselves and report how far they came.

A new process is executed, never forked from this one, whose memory may hold keys and answers. It gets no environment
but the one it is given, no descriptor but the ones it is given, and a pipe for its report (``confinement.READY``).
"""

import marshal
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from verify.sandbox.channels import result_pipe
from verify.sandbox.confinement import Profile
from verify.sandbox.process_tree import kill_tree

START_S = 30.0
ROOT = str(Path(__file__).resolve().parents[2])
_START = (
    "import marshal, sys; sys.path.insert(0, sys.argv[1]); from verify.sandbox.{} import main; "
    "main(*map(int, sys.argv[3:]), *marshal.loads(bytes.fromhex(sys.argv[2])))"
)


class StartFailed(Exception):
    """A process of the sandbox could not start; the message says which step failed and why."""


def base_interpreter() -> str:
    """Returns the interpreter behind a virtual environment: what it needs lies in one tree."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def command_line(module: str, profile: Profile, values: Sequence[Any], descriptors: Sequence[int]) -> list[str]:
    """Returns the words that run ``main(*descriptors, profile, *values)`` of a module in a fresh interpreter.

    The first descriptor is for the report. ``values`` are plain built-in values.
    """
    data = marshal.dumps((tuple(profile), *values)).hex()
    words = [base_interpreter(), "-s", "-S", "-B", "-P", "-c", _START.format(module)]
    return [*words, ROOT, data, *map(str, descriptors)]


def start(
    module: str,
    profile: Profile,
    values: Sequence[Any],
    descriptors: Sequence[int] = (),
    *,
    success: str,
    environment: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts a process and waits until its report is ``success``; raises StartFailed with any other report.

    It leads a session of its own: an interrupt from the terminal is for this process to handle.
    """
    with result_pipe() as (reader, writer):
        given = [writer.fileno(), *descriptors]
        process = subprocess.Popen(
            command_line(module, profile, values, given), pass_fds=given, env=environment, cwd="/", bufsize=0,
            stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        writer.close()
        report = read_report(reader)
    if report != success:
        report = report or _how_it_ended(process)
        kill_tree(process)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        raise StartFailed(report)
    return process


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """Describes the end of a process that closed its report without a word."""
    try:
        return f"it ended with {process.wait(timeout=1)} before it was ready"  # negative: the signal that killed it
    except subprocess.TimeoutExpired:
        return "it said nothing before it was ready"


def read_report(reader: int) -> str:
    """Returns all that was written to a report, waiting START_S seconds at most."""
    said, deadline = b"", time.monotonic() + START_S
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
        part = os.read(reader, 4096)
        if not part:
            return said.decode("utf-8", "replace")
        said += part
    return f"it was not ready within {START_S:.0f} s"
