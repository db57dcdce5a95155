"""The supervisor's end of a zygote: starts it, hands it children to run, collects their bounded output, ends them.

The zygote is executed afresh with an empty environment, never forked from this process, whose memory may hold keys and
answers. If it dies, whoever used it hears ``ZygoteDied`` and starts another.
"""

import contextlib
import marshal
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.sandbox.channels import Stream, Writer, memory_file
from verify.sandbox.limits import MEGABYTE, Ended, Quota
from verify.sandbox.zygote import CONFINED, KILL_ORDER, MAX_REQUEST, READY, RESULT
from verify.verdict import Status

START_S = 30.0
KILL_S = 10.0  # how long the kernel may take to end a killed process
PATIENCE_MS = 5
SCRATCH_MB = 16
MAX_PROCESSES_ISOLATED = 256
HOME = str(Path(__file__).resolve().parents[2])
_INLINE = MAX_REQUEST - 1024  # larger requests travel in a memfd
_START = (
    "import marshal, sys; sys.path.insert(0, sys.argv[1]); from verify.sandbox.zygote import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), marshal.loads(bytes.fromhex(sys.argv[4])))"
)
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # repeatable verdicts: the order of sets is the same every time
    "PYTHONUTF8": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TOP_PAD_": "1048576",  # grow the heap seldom, and serve the compiler's arenas from it
    "MALLOC_MMAP_THRESHOLD_": "1048576",
}


class ZygoteDied(Exception):
    """The fork server has ended, and with it the child that it ran."""


class ZygoteRefused(Exception):
    """The fork server could not start: the message says which step failed and why."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a process ran, and that it waited for a core."""

    ran_s: float = 0.0
    waited_s: float = 0.0


class Supervisor:
    """One zygote and, at most, one running child of it."""

    def __init__(self, tier: str, modules: Sequence[str], extra: Sequence[str] = ()) -> None:
        self.tier = tier
        self._serial = 0
        self._began = 0.0
        self._before = Times()
        self.running = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kill_reader, self._kill = os.pipe2(os.O_CLOEXEC)
        config = {
            "tier": tier,
            "modules": list(modules),
            "extra": list(extra),
            "scratch_mb": SCRATCH_MB,
            "max_processes": _max_processes(tier),
        }
        arguments = [HOME, str(theirs.fileno()), str(kill_reader), marshal.dumps(config).hex()]
        self._process = subprocess.Popen(
            [base_interpreter(), "-s", "-S", "-B", "-P", "-c", _START, *arguments],
            pass_fds=[theirs.fileno(), kill_reader],
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the terminal is the supervisor's to handle
        )
        theirs.close()
        os.close(kill_reader)
        self._patience = select.poll()
        self._patience.register(self._control, select.POLLIN)
        self._await_ready()

    def _await_ready(self) -> None:
        self._control.settimeout(START_S)
        try:
            hello = self._control.recv(4096)
        except OSError:
            hello = b""
        if hello != READY:
            self.close()
            raise ZygoteRefused(hello[1:].decode("utf-8", "replace") or "the fork server ended before it was ready")
        self._control.settimeout(None)

    def close(self) -> None:
        """Ends the zygote and whatever it runs."""
        self._control.close()
        with contextlib.suppress(OSError):
            os.close(self._kill)
        self._kill = -1
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start(self, mode: str, payload: Any, descriptors: Sequence["int | Writer"], quota: Quota) -> None:
        """Forks a child that runs ``payload`` in ``mode``; its descriptors are sent along."""
        limits = (quota.memory_mb * MEGABYTE, quota.cpu_limit_s)
        request = marshal.dumps((mode, limits, payload))
        sent = [item if isinstance(item, int) else item.fileno() for item in descriptors]
        with contextlib.ExitStack() as stack:
            if len(request) > _INLINE:
                large = memory_file(marshal.dumps(payload))
                stack.callback(os.close, large)
                request = marshal.dumps((mode, limits, None))
                sent.append(large)
            self._serial += 1
            self._began, self._before = time.monotonic(), Times()
            try:
                socket.send_fds(self._control, [request], sent)
            except OSError as error:
                raise ZygoteDied from error
        self.running = True

    def go_on(self) -> None:
        """The running child is given more to do: its times count from now."""
        self._began, self._before = time.monotonic(), self._times()

    def wait(self, quota: Quota, streams: Iterable[Stream] = (), partners: Sequence["Supervisor"] = ()) -> Ended:
        """The child's end: by itself, or for having used up its time or its output.

        Time in which the child could have run but no core was free is not its own, up to as much again; ``partners``
        run for it.
        """
        readers = {stream.descriptor: stream for stream in streams}
        if self._patience.poll(PATIENCE_MS):  # most are done by then, and what they wrote still lies in the pipe
            return self._ended(readers.values(), None)
        ended = self._watch(quota, readers, partners, None)
        assert ended is not None
        return ended

    def wait_closed(self, quota: Quota, stream: Stream, partners: Sequence["Supervisor"] = ()) -> Ended | None:
        """None as soon as the child, which goes on, has closed ``stream``; its end, as for ``wait``, if that comes."""
        return self._watch(quota, {stream.descriptor: stream}, partners, stream)

    def _watch(
        self, quota: Quota, readers: dict[int, Stream], partners: Sequence["Supervisor"], until: Stream | None
    ) -> Ended | None:
        poll = select.poll()
        for descriptor in (self._control.fileno(), *readers):
            poll.register(descriptor, select.POLLIN)
        deadline, granted, stopped = self._began + quota.wall_s, 0.0, None
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                if stopped:
                    raise ZygoteDied("the fork server does not answer")
                more = min(sum(one.waited_s() for one in (self, *partners)), quota.wall_s) - granted
                if more > 0.02:
                    granted, deadline = granted + more, deadline + more
                    continue
                stopped, deadline = Status.TIMEOUT, self._stop()
            for descriptor, _ in poll.poll(max(left, 0.0) * 1000 + 1):
                if descriptor not in readers:
                    return self._ended(readers.values(), stopped)
                if not readers[descriptor].read() and not stopped:
                    stopped, deadline = Status.OUTPUT, self._stop()
                if stopped or not readers[descriptor].open:
                    if until is not None and not stopped:
                        return None
                    poll.unregister(descriptor)

    def end(self) -> Ended:
        """Ends the running child whatever it does."""
        deadline = self._stop()
        self._control.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            return self._ended((), None)
        except TimeoutError as error:
            raise ZygoteDied("the fork server does not answer") from error
        finally:
            self._control.settimeout(None)

    def _stop(self) -> float:
        """Orders the child's end; the time by which it has to have come."""
        with contextlib.suppress(OSError):
            os.write(self._kill, KILL_ORDER.pack(self._serial))
        return time.monotonic() + KILL_S

    def _ended(self, streams: Iterable[Stream], stopped: Status | None) -> Ended:
        try:
            report = self._control.recv(64)
        except ConnectionError as error:
            raise ZygoteDied from error
        if len(report) != RESULT.size:
            raise ZygoteDied
        self.running = False
        for stream in streams:  # the child has ended: all that it wrote is there
            while stream.open and not stopped:
                if not stream.read():
                    stopped = Status.OUTPUT
        status, user_s, system_s, peak_kib, stage = RESULT.unpack(report)
        wall_s = time.monotonic() - self._began
        cpu_s = user_s + system_s - self._before.ran_s
        return Ended(status, cpu_s, peak_kib / 1024, wall_s, stage == CONFINED, stopped)

    def waited_s(self) -> float:
        """Seconds for which the running child, in its present piece of work, was ready to run but had no core."""
        return self._times().waited_s - self._before.waited_s

    def _times(self) -> "Times":
        """The running child's, where the kernel tells."""
        try:
            words = Path(f"/proc/{self.child_pid()}/schedstat").read_text(encoding="ascii").split()
            return Times(int(words[0]) / 1e9, int(words[1]) / 1e9)
        except (OSError, IndexError, ValueError):
            return Times()

    def child_pid(self) -> int:
        """The running child's process id as this process sees it; raises OSError or IndexError where there is none."""
        pid = self._process.pid
        return _children(_children(pid)[0] if self.tier == "isolated" else pid)[0]


def base_interpreter() -> str:
    """The interpreter behind a virtual environment: what it needs lies in one tree."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


def _max_processes(tier: str) -> int:
    """Threads count as processes of the user: those that a namespace has, or all that run on this machine and some."""
    if tier == "isolated":
        return MAX_PROCESSES_ISOLATED
    running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3].split("/")[1]
    return int(running) + 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
