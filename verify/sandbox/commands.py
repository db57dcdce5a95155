"""Runs shell scripts in a jail: several processes, a folder of files that they may change, nothing left afterwards.

Patches and test suites need it, since the sandbox's candidates are one process without files. Promised, with a test
behind each line (``tests/verify/sandbox/test_commands.py``):

- nothing is read but the system's programs and what is named; nothing is written but scratch and a layer over the tree;
- no network but a loopback of its own; no process outside is seen or signalled; no tracing, mounts or namespaces;
- wall and CPU time, memory, output, processes and file sizes are bounded;
- the kernel ends all processes with the script, at the limit, or when this process dies.

A jail needs what the sandbox tier ``isolated`` needs. Memory is measured over all processes, twenty times a second; a
single process is bounded by its address space. Time that a busy machine took is not given back, unlike in the
sandbox: limits are minutes. There is no ``/proc``.

Not covered, beside what ``verify.sandbox.sandbox`` names: memory that files hold (scratch and the layer are a gigabyte
each at most) and, where no control group can be made (``groups``), memory that the kernel holds for pipes and sockets
of 256 processes with 512 descriptors each.
"""

import contextlib
import os
import resource
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampling.errors import VerifierFault
from verify.sandbox.channels import Stream, Writer, memory_file, result_pipe
from verify.sandbox.confinement import READY, Profile
from verify.sandbox.groups import Group, borrowed
from verify.sandbox.jail import RESULT
from verify.sandbox.launch import command_line, read_report
from verify.sandbox.limits import MEGABYTE, Quota
from verify.sandbox.process_tree import resident_mb
from verify.verdict import Status

SCRATCH_MB = 1024
MAX_PROCESSES, MAX_DESCRIPTORS = 256, 512
_OURS = 8  # the keeper, init and the shell
_FILES_MB = 2 * SCRATCH_MB  # scratch, and the layer over the tree
LOOK_MS = 50
KILL_S = 15.0
HEADROOM = 2 << 30  # address space that interpreters and their libraries map and never touch
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
VARIABLES = {"HOME": "/tmp", "TMPDIR": "/tmp", "USER": "nobody", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a script. ``status`` is None if it ended by itself, with any exit code.

    ``output`` is all it said. ``cpu_s`` is the kernel's count over all processes and ``max_rss_mb`` the most that one
    of them held, in megabytes; both are 0 for a container, whose engine does not tell.
    """

    status: Status | None
    reason: str
    code: int
    output: str
    wall_s: float
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Jail:
    """The surroundings of scripts: folders to read, a folder to change (at ``namespaces.TREE``), variables."""

    readable: tuple[str, ...] = ()
    tree: str | None = None
    environment: tuple[tuple[str, str], ...] = field(default=(("PATH", "/usr/bin:/bin"),))

    def run(self, script: str, quota: Quota) -> Finished:
        """Runs a script to its end or its limit; raises VerifierFault if the jail cannot be made here."""
        control, control_in = os.pipe2(os.O_CLOEXEC)
        with (
            contextlib.closing(Writer(control_in)) as keep,
            borrowed(quota.memory_mb + _FILES_MB, MAX_PROCESSES + _OURS) as group,
            result_pipe() as (report, report_in),
            result_pipe() as (result, result_in),
        ):
            descriptors = (report_in.fileno(), control, result_in.fileno())
            killed_before = group.killed() if group else 0
            words = command_line("jail", self._profile(quota), (VARIABLES | dict(self.environment),), descriptors)
            try:
                watched = run_watched(
                    words, script, quota, stop=keep.close, used_mb=resident_mb, pass_fds=descriptors, environment={},
                    started=lambda pid: _let_go(pid, group, keep),
                )  # fmt: skip
            finally:
                os.close(control)
            report_in.close()
            result_in.close()
            if group and group.killed() > killed_before:
                watched = replace(watched, stopped=watched.stopped or Status.MEMORY)
            return _finish(watched, quota, read_report(report), result)

    def _profile(self, quota: Quota) -> Profile:
        limits = (
            (resource.RLIMIT_AS, quota.memory_mb * MEGABYTE + HEADROOM),
            (resource.RLIMIT_CPU, quota.cpu_limit_s),
            (resource.RLIMIT_FSIZE, SCRATCH_MB * MEGABYTE),
            (resource.RLIMIT_NPROC, MAX_PROCESSES),
            (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        )
        readable = (*SYSTEM, *DEVICES, *self.readable)
        return Profile("isolated", "commands", readable, limits, SCRATCH_MB, commands=True, tree=self.tree)


def _let_go(pid: int, group: Group | None, control: Writer) -> None:
    """Moves a jail into its group, then lets it start: it waits for a first byte."""
    with contextlib.suppress(OSError):
        if group:
            group.add(pid)
    os.write(control.fileno(), b"+")


@dataclass(frozen=True, slots=True)
class Watched:
    """The end of a watched process, and why it was stopped, if it was."""

    stopped: Status | None
    code: int
    output: bytes
    wall_s: float

    def finished(self, quota: Quota, code: int, cpu_s: float = 0.0, max_rss_mb: float = 0.0) -> Finished:
        status, reason = self.stopped, _reason(self.stopped, quota)
        if status is None and code > 128:
            status, reason = Status.CRASH, f"killed by signal {code - 128}"
        output = self.output.decode("utf-8", "replace")
        return Finished(status, reason, code, output, self.wall_s, cpu_s, max_rss_mb)


def _reason(stopped: Status | None, quota: Quota) -> str:
    return {
        None: "",
        Status.TIMEOUT: f"more than {quota.wall_s:.3g} s",
        Status.MEMORY: f"more than {quota.memory_mb} MB in all processes together",
        Status.OUTPUT: f"more than {quota.output_bytes} bytes of output",
    }[stopped]


def run_watched(
    words: Sequence[str],
    script: str,
    quota: Quota,
    *,
    stop: Callable[[], None],
    used_mb: Callable[[int, float], float] = lambda pid, enough: 0.0,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    started: Callable[[int], None] = lambda pid: None,
) -> Watched:
    """Runs ``words`` with the script as standard input, and calls ``stop`` when they exceed ``quota``.

    ``used_mb`` measures memory, given a pid and what is enough to know; ``environment`` is this process's by default;
    ``started`` is told the pid.
    Raises VerifierFault if the program cannot be started, or does not end although it was stopped.
    """
    with result_pipe() as (reader, writer):
        began = time.monotonic()
        process = _start(words, script, writer, pass_fds, environment)
        started(process.pid)
        stream = Stream(reader, quota.output_bytes)
        stopped = _watch(process, stream, quota, began, used_mb)
        if stopped:
            stop()
        code = _wait_or_kill(process)
        while stream.open and not stopped:
            stopped = None if stream.read() else Status.OUTPUT
        return Watched(stopped, code, bytes(stream.data), time.monotonic() - began)


def _start(
    words: Sequence[str], script: str, output: Writer, pass_fds: Sequence[int], environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    source = memory_file(script.encode("utf-8", "surrogatepass"))
    try:
        return subprocess.Popen(
            words, stdin=source, stdout=output.fileno(), stderr=subprocess.STDOUT, pass_fds=pass_fds,
            env=environment, start_new_session=True, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise VerifierFault(f"{words[0]}: cannot be started ({error})") from error
    finally:
        os.close(source)
        output.close()


def _watch(
    process: subprocess.Popen[bytes], stream: Stream, quota: Quota, began: float, used_mb: Callable[[int, float], float]
) -> Status | None:
    """Waits until the process has ended by itself (None), or returns why it has to end."""
    poll, ended, looks_over = select.poll(), os.pidfd_open(process.pid), 0
    try:
        poll.register(ended, select.POLLIN)
        poll.register(stream.descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(LOOK_MS)}
            if ended in ready:
                return None
            if stream.descriptor in ready:
                if not stream.read():
                    return Status.OUTPUT
                if not stream.open:
                    poll.unregister(stream.descriptor)
            if time.monotonic() - began > quota.wall_s:
                return Status.TIMEOUT
            looks_over = looks_over + 1 if used_mb(process.pid, quota.memory_mb) > quota.memory_mb else 0
            if looks_over > 1:  # processes come and go while they are counted: one look may be wrong
                return Status.MEMORY
    finally:
        os.close(ended)


def _wait_or_kill(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(KILL_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise VerifierFault(f"{process.args!s:.80}: did not end within {KILL_S:.0f} s of being stopped") from error


def _finish(watched: Watched, quota: Quota, report: str, result: int) -> Finished:
    """Joins what the keeper measured; raises VerifierFault if it has nothing to tell."""
    if report not in (READY, ""):
        raise VerifierFault(f"the jail for test suites: {report}")
    measured = os.read(result, RESULT.size)
    if len(measured) != RESULT.size and watched.stopped is Status.MEMORY:  # the kernel chose the keeper
        return watched.finished(quota, watched.code)
    if len(measured) != RESULT.size:
        raise VerifierFault("the jail for test suites: its keeper died")
    status, cpu_s, max_rss_mb = RESULT.unpack(measured)
    return watched.finished(quota, os.waitstatus_to_exitcode(status), cpu_s, max_rss_mb)
