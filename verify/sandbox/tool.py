"""A tool: one lasting program that is not ours, in the sandbox, asked over its pipes, within limits.

Its inside is ``tool_process``. Time and memory of each request are measured here, over its whole tree; a program that
exceeds them is killed. What it says is data and nothing else.
"""

import os
import resource
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from verify.sandbox.confinement import Profile
from verify.sandbox.launch import StartFailed, start
from verify.sandbox.limits import Deadline, Quota
from verify.sandbox.namespaces import shown_at
from verify.sandbox.process_tree import Usage, has_ended, kill_tree, memory_mb, tree_cpu_s, usage
from verify.sandbox.supervisor import SCRATCH_MB
from verify.sandbox.tiers import AUTO, TierUnavailable, tiers_to_try
from verify.verdict import Status

SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
MAX_WRITTEN = 1 << 20  # bytes in one file, its standard error among them
MAX_DESCRIPTORS = 4096
TICK_S = 0.02  # between two looks at the memory
_NEAR_LIMIT = 0.9
_ENDED = (Status.CRASH, "the process ended")


class Stopped(Exception):
    """A request got no answer and its program is of no use any more: ``status`` says why."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Tool:
    """One running program. ``spent`` is what its last request took: seconds, and megabytes beyond what it had."""

    def __init__(
        self, command: Sequence[str], readable: Sequence[str], environment: Mapping[str, str], tier: str
    ) -> None:
        """Starts ``command``, which may read the system's libraries and ``readable``; raises TierUnavailable."""
        self.tier, self.spent, self.wall_s, self._peak_mb = tier, Usage(), 0.0, 0.0
        self._ready_mb = 0.0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
        if tier == "isolated":
            command, environment = _as_shown(command, readable, environment)
        profile = _profile(tier, command[0], readable)
        values = (list(command), dict(environment))
        try:
            self._process = start(
                "tool_process", profile, values, success="", environment={},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )  # fmt: skip
        except StartFailed as error:
            self._errors.close()
            raise TierUnavailable(f"sandbox tier {tier}: {error}") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)

    @property
    def alive(self) -> bool:
        return not has_ended(self._process)

    def close(self) -> None:
        """Kills the program and all that it started."""
        kill_tree(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe:
                pipe.close()

    def last_error(self) -> str:
        """Returns the last line of its standard error, for a person to read: why it did not start."""
        self._errors.seek(0)
        lines = self._errors.read(MAX_WRITTEN).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def remember_size(self) -> None:
        """Takes the memory that the program holds now as what it needs to be ready; ``grown_mb`` counts from here."""
        self._ready_mb = memory_mb(self._process.pid)

    @property
    def grown_mb(self) -> float:
        """Megabytes that it holds beyond its size when it was ready."""
        return memory_mb(self._process.pid) - self._ready_mb

    def ask(self, request: bytes, quota: Quota) -> bytes:
        """Returns the answer up to its blank line. Raises Stopped, after which the program has to be closed."""
        pid = self._process.pid
        before, began, self._peak_mb = usage(pid), time.monotonic(), 0.0
        deadline = Deadline(
            began,
            quota.wall_s,
            quota.most_cpu_s,
            lambda: tree_cpu_s(pid) - before.cpu_s,
            lambda: usage(pid).waited_s - before.waited_s,
        )
        try:
            return self._exchange(memoryview(request), quota, before, deadline)
        finally:
            after = usage(pid)
            self.wall_s = time.monotonic() - began
            cpu_s, waited_s = after.cpu_s - before.cpu_s, after.waited_s - before.waited_s
            self.spent = Usage(max(cpu_s, 0.0), max(waited_s, 0.0), self._peak_mb)  # one that ended has no times left

    def _exchange(self, request: memoryview, quota: Quota, before: Usage, deadline: Deadline) -> bytes:
        """Writes and reads as the pipes allow, until the answer is complete. Raises Stopped."""
        poll, reply = select.poll(), bytearray()
        poll.register(self._stdout, select.POLLIN)
        if poll.poll(0):
            raise Stopped(Status.CRASH, "spoke or ended before it was asked")
        poll.register(self._stdin, select.POLLOUT)
        while not reply.endswith(b"\n\n"):
            left = deadline.left_s()
            if not left:
                raise Stopped(Status.TIMEOUT, deadline.exceeded)
            for descriptor, _ in poll.poll(min(left, TICK_S) * 1000):
                if descriptor == self._stdin:
                    request = self._write(request)
                    if not request:
                        poll.unregister(self._stdin)
                else:
                    reply += self._read(quota)
            self._check(quota, before, len(reply))
        return bytes(reply)

    def _write(self, request: memoryview) -> memoryview:
        try:
            return request[os.write(self._stdin, request) :]
        except BlockingIOError:
            return request
        except OSError as error:
            raise Stopped(Status.CRASH, "the process ended") from error

    def _read(self, quota: Quota) -> bytes:
        part = os.read(self._stdout, 1 << 16)
        if not part:
            near = self._peak_mb >= quota.memory_mb * _NEAR_LIMIT
            raise Stopped(*((Status.MEMORY, f"ended near {quota.memory_mb} MB") if near else _ENDED))
        return part

    def _check(self, quota: Quota, before: Usage, written: int) -> None:
        """Raises Stopped where the program has exceeded its memory or output."""
        self._peak_mb = max(self._peak_mb, memory_mb(self._process.pid) - before.memory_mb)
        if self._peak_mb > quota.memory_mb:
            raise Stopped(Status.MEMORY, f"more than {quota.memory_mb} MB")
        if written > quota.output_bytes:
            raise Stopped(Status.OUTPUT, f"more than {quota.output_bytes} bytes of output")


def open_tool(
    command: Sequence[str], readable: Sequence[str], environment: Mapping[str, str], tier: str | None
) -> Tool:
    """Starts the program in the tier that was asked for, or the strongest that works.

    Raises TierUnavailable with the reason of each tier that was tried.
    """
    refused = []
    for name in tiers_to_try(tier or AUTO):
        try:
            return Tool(command, readable, environment, name)
        except TierUnavailable as error:
            refused.append(str(error))
    raise TierUnavailable("; ".join(refused))


def _as_shown(
    command: Sequence[str], readable: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Renames readable paths in command and environment to where they lie in the new namespace."""

    def place(path: str) -> str:
        inside = any(path == tree or path.startswith(f"{tree}/") for tree in readable)
        return shown_at(path) if inside else path

    variables = {name: ":".join(map(place, value.split(":"))) for name, value in environment.items()}
    return [place(word) for word in command], variables


def _profile(tier: str, exe: str, readable: Sequence[str]) -> Profile:
    limits = ((resource.RLIMIT_FSIZE, MAX_WRITTEN), (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS))
    return Profile(tier, "tool", (*SYSTEM, *readable), limits, SCRATCH_MB, executes=True, exe=exe)
