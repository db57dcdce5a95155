"""A lasting test process: the test's side of a problem is loaded once and meets one candidate after another.

It runs the task's own code, from a fresh namespace each time. Candidates are in processes of their own, and only plain
values come from them. A test process is kept only after a verdict that it gave itself: any other end is its last.
"""

import contextlib
import socket
from dataclasses import dataclass, replace

from verify.sandbox.channels import Stream, result_pipe
from verify.sandbox.limits import Ended, Quota
from verify.sandbox.packages import Names
from verify.sandbox.supervisor import Supervisor

CANDIDATES = 200  # the most that one test process meets
MAX_ANSWER = 1 << 16


@dataclass(frozen=True, slots=True)
class Checks:
    """The task's side: compiled set-up and steps, the functions they call, whether ``check`` is called, packages."""

    setup: bytes
    wanted: tuple[str, ...]
    steps: tuple[bytes, ...]
    calls_check: bool
    packages: Names = ()


@dataclass(frozen=True, slots=True)
class Meeting:
    """The outcome of one candidate: the test process's end (None if it goes on), its words, others met before.

    ``cpu_s`` is what the test process used for this candidate. ``candidate_s`` is what the candidate had used when the
    test process ended; 0 if it goes on.
    """

    ended: Ended | None
    said: bytes
    met_others: bool
    cpu_s: float
    candidate_s: float


class TestProcess:
    """The test process of one supervisor, for the problem that was asked for last."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._holds: tuple[Checks, Quota] | None = None
        self._host: socket.socket | None = None
        self._left = 0

    def meet(self, test: Checks, quota: Quota, channel: socket.socket, candidate: Supervisor) -> Meeting:
        """Tests the candidate at the other end of ``channel``, and closes it here. Raises ZygoteDied."""
        met_others = self._holds == (test, quota) and self._left > 0 and self._supervisor.running
        if met_others:
            self._supervisor.restart_clock()
        else:
            self._start(test, quota)
        self._left -= 1
        with result_pipe() as (reader, writer):
            stream = Stream(reader, MAX_ANSWER)
            self._send([writer.fileno(), channel.fileno()])
            channel.close()
            writer.close()
            ended = self._supervisor.wait_closed(quota, stream, [candidate])
        cpu_s, candidate_s = (ended.cpu_s, candidate.cpu_s()) if ended else (self._supervisor.cpu_s(), 0.0)
        if ended is not None or b"MemoryError" in stream.data:
            self.retire()
        return Meeting(ended, bytes(stream.data), met_others, cpu_s, candidate_s)

    def retire(self) -> None:
        """Ends the process. The next candidate meets a new one."""
        self.close()
        if self._supervisor.running:
            self._supervisor.end()

    def close(self) -> None:
        """Closes the connection to the process, which ends by itself if it is idle."""
        self._holds = None
        if self._host is not None:
            self._host.close()

    def _start(self, test: Checks, quota: Quota) -> None:
        self.retire()
        self._host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        payload = (test.setup, test.wanted, list(test.steps), test.calls_check)
        with theirs:
            lasting = replace(quota, cpu_s=quota.most_cpu_s * CANDIDATES)
            self._supervisor.start("test", payload, [theirs.fileno()], lasting)
        self._holds, self._left = (test, quota), CANDIDATES

    def _send(self, descriptors: list[int]) -> None:
        assert self._host is not None
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # it has ended, which is heard of next
            socket.send_fds(self._host, [b"t"], descriptors)
