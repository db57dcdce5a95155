"""Runs shell scripts in a jail: several processes, a tree of files that they may change, nothing left of it afterwards.

For what needs more than the sandbox's one process without files: applying patches, running test suites. Promised, with
a test behind each line (``tests/verify/sandbox/test_commands.py``): nothing is read but the system's programs and what
is named, nothing written outside scratch and a layer over the tree; no network but a loopback of its own; no process
outside is seen or signalled; no tracing, no mounts, no namespaces; wall and CPU time, memory, output, processes and
file sizes are bounded; and all processes are ended by the kernel, with the script, at the limit, or when this process
dies. It needs what the sandbox tier ``isolated`` needs. Memory is measured over all processes, some twenty times a
second; a single one is bounded by its address space. Unlike in the sandbox, time that a busy machine took is not given
back: limits are minutes. There is no ``/proc``.

Not covered, beside what ``verify.sandbox.sandbox`` names: memory that files hold (scratch and the layer are a gigabyte
each at most) and that the kernel holds for pipes and sockets, of 256 processes with 512 descriptors each.
"""

import contextlib
import json
import marshal
import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampling.errors import VerifierFault
from verify.sandbox import namespaces
from verify.sandbox.channels import Stream, memory_file, result_pipe
from verify.sandbox.limits import MEGABYTE, Quota
from verify.sandbox.process_tree import tree
from verify.sandbox.supervisor import HOME, base_interpreter
from verify.verdict import Status

SCRATCH_MB = 1024
MAX_PROCESSES = 256
LOOK_MS = 50
KILL_S = 15.0
HEADROOM = 2 << 30  # address space that interpreters and their libraries map and never touch
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_PAGE, _PSS = os.sysconf("SC_PAGE_SIZE"), re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)
_START = (
    "import marshal, sys; sys.path.insert(0, sys.argv[1]); from verify.sandbox.jail import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), marshal.loads(bytes.fromhex(sys.argv[4])))"
)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a script ended: ``status`` is None where it ended by itself, whatever its exit code.

    ``output`` is all it said. Seconds are the kernel's count over all processes, ``max_rss_mb`` the most that one of
    them held; 0 where a container engine keeps them to itself.
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
    """What scripts see: folders to read, a tree to change (at ``namespaces.TREE``), variables."""

    readable: tuple[str, ...] = ()
    tree: str | None = None
    environment: tuple[tuple[str, str], ...] = field(default=(("PATH", "/usr/bin:/bin"),))

    def run(self, script: str, quota: Quota) -> Finished:
        """Raises VerifierFault where the jail cannot be made here."""
        report, report_in = os.pipe2(os.O_CLOEXEC)
        control, control_in = os.pipe2(os.O_CLOEXEC)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, report)
            keep = stack.enter_context(contextlib.closing(_Descriptor(control_in)))
            words = [base_interpreter(), "-I", "-S", "-B", "-c", _START, HOME, str(control), str(report_in)]
            words.append(marshal.dumps(self._config(quota)).hex())
            try:
                attended = attend(words, script, quota, stop=keep.close, used_mb=tree_mb, pass_fds=(control, report_in))
            finally:
                os.close(control)
                os.close(report_in)
            return self._finished(attended, os.read(report, 1 << 16), quota)

    def _config(self, quota: Quota) -> dict[str, object]:
        readable = [*SYSTEM, *DEVICES, *self.readable]
        variables = {"HOME": "/tmp", "TMPDIR": "/tmp", "USER": "nobody", "LANG": "C.UTF-8", **dict(self.environment)}
        return {
            "readable": readable,
            "shown": [namespaces.shown_at(path) for path in readable],
            "tree": self.tree,
            "environment": variables,
            "scratch_mb": SCRATCH_MB,
            "address_space": quota.memory_mb * MEGABYTE + HEADROOM,
            "cpu_s": quota.cpu_limit_s,
            "processes": MAX_PROCESSES,
        }

    @staticmethod
    def _finished(attended: "Attended", report: bytes, quota: Quota) -> Finished:
        words: dict[str, Any] = json.loads(report) if report else {"failed": "its keeper died"}
        if "failed" in words:
            raise VerifierFault(f"the jail for test suites: {words['failed']}")
        code = os.waitstatus_to_exitcode(words["status"])
        return attended.finished(quota, code, words["cpu_s"], words["max_rss_mb"])


class _Descriptor:
    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        if self._number >= 0:
            os.close(self._number)
        self._number = -1


@dataclass(frozen=True, slots=True)
class Attended:
    """A process that was watched to its end, and why it was ended, if it was."""

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


def attend(
    words: Sequence[str],
    script: str,
    quota: Quota,
    *,
    stop: Callable[[], None],
    used_mb: Callable[[int, float], float] = lambda pid, enough: 0.0,
    pass_fds: Sequence[int] = (),
) -> Attended:
    """Starts ``words`` with the script as standard input and calls ``stop`` when it exceeds ``quota``.

    Raises VerifierFault where it cannot be started, or does not end although it was stopped.
    """
    source = memory_file(script.encode("utf-8", "surrogatepass"))
    with result_pipe() as (reader, writer):
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                words, stdin=source, stdout=writer.fileno(), stderr=subprocess.STDOUT, pass_fds=pass_fds,
                start_new_session=True, cwd="/",
            )  # fmt: skip
        except OSError as error:
            raise VerifierFault(f"{words[0]}: cannot be started ({error})") from error
        finally:
            os.close(source)
            writer.close()
        stream = Stream(reader, quota.output_bytes)
        stopped = _watch(process, stream, quota, began, used_mb)
        if stopped:
            stop()
        code = _ended(process)
        while stream.open and not stopped:
            stopped = None if stream.read() else Status.OUTPUT
        return Attended(stopped, code, bytes(stream.data), time.monotonic() - began)


def _watch(
    process: subprocess.Popen[bytes], stream: Stream, quota: Quota, began: float, used_mb: Callable[[int, float], float]
) -> Status | None:
    """None when the process has ended by itself, else why it has to end."""
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


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(KILL_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise VerifierFault(f"{process.args!s:.80}: did not end within {KILL_S:.0f} s of being stopped") from error


def tree_mb(pid: int, enough_mb: float = 0.0) -> float:
    """Megabytes that all descendants of a process hold now, as the kernel counts them.

    Pages that forks share count once (``Pss``); as this is costly, only where the plain count is over ``enough_mb``.
    """
    resident = {child: _resident_mb(child) for child in tree(pid)[1:]}
    if sum(resident.values()) <= enough_mb:
        return sum(resident.values())
    return sum(_proportional_mb(child, most) for child, most in resident.items())


def _resident_mb(pid: int) -> float:
    """0 for a process that has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / MEGABYTE
    except (OSError, IndexError):
        return 0.0


def _proportional_mb(pid: int, otherwise: float) -> float:
    try:
        return int(_PSS.findall(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))[0]) / 1024
    except PermissionError:  # init, which nobody may look into
        return otherwise
    except (OSError, IndexError):  # it has ended
        return 0.0
