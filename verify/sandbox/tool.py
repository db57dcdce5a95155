"""The parent's side of ``confine.py``: one lasting program that is not ours, asked over its pipes, within limits.

The program is executed afresh with an environment of its own, never forked from this process. Time and memory of each
request are measured here, of its whole tree; a program over them is killed. What it says is data and nothing else.
"""

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from verify.sandbox.confine import MAX_WRITTEN
from verify.sandbox.limits import Quota
from verify.sandbox.process_tree import Usage, end, has_ended, memory_mb, usage
from verify.sandbox.supervisor import HOME, SCRATCH_MB, base_interpreter
from verify.sandbox.tiers import AUTO, TierUnavailable, candidates
from verify.verdict import Status

START_S = 30.0
_TICK_S = 0.02  # between two looks at the memory
_NEAR_LIMIT = 0.9
_ENDED = (Status.CRASH, "the process ended")
_START = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); from verify.sandbox.confine import main; "
    "main(int(sys.argv[2]), json.loads(sys.argv[3]))"
)


class Stopped(Exception):
    """A request that got no answer, and the program is gone: ``status`` says why."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Tool:
    """One running program. ``spent`` is what its last request took: seconds, and megabytes beyond what it had."""

    def __init__(
        self, command: Sequence[str], readable: Sequence[str], environment: Mapping[str, str], tier: str
    ) -> None:
        self.tier, self.spent, self.wall_s, self._peak_mb = tier, Usage(), 0.0, 0.0
        self._ready_mb = 0.0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
        config = {
            "command": list(command),
            "readable": list(readable),
            "environment": dict(environment),
            "tier": tier,
            "scratch_mb": SCRATCH_MB,
        }
        report, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                [base_interpreter(), "-s", "-S", "-B", "-P", "-c", _START, HOME, str(theirs), json.dumps(config)],
                pass_fds=[theirs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env={},
                cwd="/",
                start_new_session=True,
            )
            os.close(theirs)
            self._await_start(report)
        finally:
            os.close(report)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)

    def _await_start(self, report: int) -> None:
        """Raises TierUnavailable with what the launcher said, or where it says nothing."""
        said, deadline = b"", time.monotonic() + START_S
        while select.select([report], [], [], max(deadline - time.monotonic(), 0))[0]:
            part = os.read(report, 4096)
            if not part and not said:
                return
            if not part:
                break
            said += part
        self.close()
        raise TierUnavailable(f"sandbox tier {self.tier}: {said.decode('utf-8', 'replace') or 'it did not start'}")

    @property
    def alive(self) -> bool:
        return not has_ended(self._process)

    def close(self) -> None:
        """Ends the program and all that it started."""
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe:
                pipe.close()

    def last_error(self) -> str:
        """The last line of its standard error: why it did not start, for a person to read."""
        self._errors.seek(0)
        lines = self._errors.read(MAX_WRITTEN).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def remember_size(self) -> None:
        """What the program holds now is what it needs to be ready: ``grown_mb`` counts from here."""
        self._ready_mb = memory_mb(self._process.pid)

    @property
    def grown_mb(self) -> float:
        return memory_mb(self._process.pid) - self._ready_mb

    def ask(self, request: bytes, quota: Quota) -> bytes:
        """The answer, up to its blank line. Raises Stopped, and then the program is to be closed."""
        pid = self._process.pid
        before, began, self._peak_mb = usage(pid), time.monotonic(), 0.0
        try:
            return self._exchange(memoryview(request), quota, before, began + quota.wall_s)
        finally:
            after = usage(pid)
            self.wall_s = time.monotonic() - began
            cpu_s, waited_s = after.cpu_s - before.cpu_s, after.waited_s - before.waited_s
            self.spent = Usage(max(cpu_s, 0.0), max(waited_s, 0.0), self._peak_mb)  # one that ended has no times left

    def _exchange(self, request: memoryview, quota: Quota, before: Usage, deadline: float) -> bytes:
        """Writes and reads as the pipes allow; time for which no core was free is given back, as much again at most."""
        poll, reply, granted = select.poll(), bytearray(), 0.0
        poll.register(self._stdout, select.POLLIN)
        if poll.poll(0):
            raise Stopped(Status.CRASH, "spoke or ended before it was asked")
        poll.register(self._stdin, select.POLLOUT)
        while not reply.endswith(b"\n\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                more = min(usage(self._process.pid).waited_s - before.waited_s, quota.wall_s) - granted
                if more <= _TICK_S:
                    raise Stopped(Status.TIMEOUT, f"more than {quota.wall_s:.3g} s")
                granted, deadline = granted + more, deadline + more
            for descriptor, _ in poll.poll(max(min(left, _TICK_S), 0) * 1000):
                if descriptor == self._stdin:
                    request = self._write(request)
                    if not request:
                        poll.unregister(self._stdin)
                else:
                    reply += self._read(quota)
            self._watch(quota, before, len(reply))
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

    def _watch(self, quota: Quota, before: Usage, written: int) -> None:
        self._peak_mb = max(self._peak_mb, memory_mb(self._process.pid) - before.memory_mb)
        if self._peak_mb > quota.memory_mb:
            raise Stopped(Status.MEMORY, f"more than {quota.memory_mb} MB")
        if written > quota.output_bytes:
            raise Stopped(Status.OUTPUT, f"more than {quota.output_bytes} bytes of output")


def open_tool(
    command: Sequence[str], readable: Sequence[str], environment: Mapping[str, str], tier: str | None
) -> Tool:
    """The program in the tier that was asked for, or the strongest that works; raises TierUnavailable with reasons."""
    refused = []
    for name in candidates(tier or AUTO):
        try:
            return Tool(command, readable, environment, name)
        except TierUnavailable as error:
            refused.append(str(error))
    raise TierUnavailable("; ".join(refused))
