"""Starts ``math_worker.py`` as one lasting process, asks it over pipes, and kills and replaces it when it hangs."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sampling.errors import VerifierFault

WORKER = Path(__file__).with_name("math_worker.py")
START_S = 120.0  # to import sympy on a busy machine
MAX_REPLY = 10_000  # bytes


class TimedOut(Exception):
    """Raised where a comparison did not end within its limit; its process was killed."""


class OutOfMemory(Exception):
    """Raised where a comparison needed more memory than allowed."""


class Died(Exception):
    """Raised where the process ended without an answer."""


class MathProcess:
    """Asks a process that can be killed if two answers are equal. One request at a time; the first one starts it."""

    def __init__(self, *, limit_s: float, memory_mb: int) -> None:
        self.limit_s = limit_s
        self.memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None

    def equal(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Returns True if any (gold, answer) pair matches; raises TimedOut, OutOfMemory, Died or VerifierFault."""
        process = self._ensure_running()
        try:
            self._send(process, {"pairs": list(pairs), "limit_s": self.limit_s})
            reply = json.loads(self._receive(process, self.limit_s))
        except (TimedOut, Died):
            self.close()
            raise
        if reply.get("error") == "memory":
            self.close()  # memory that it still holds would count against the next request
            raise OutOfMemory
        return bool(reply["equal"])

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def _ensure_running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = process = self._start()
        try:
            self._send(process, [str(Path(entry).absolute()) for entry in sys.path])
            ready = json.loads(self._receive(process, START_S))["ready"]
        except (TimedOut, Died, ValueError) as error:
            self.close()
            raise VerifierFault(
                f"the math worker did not start ({type(error).__name__}); is math-verify installed?"
            ) from error
        if not ready:
            raise VerifierFault("the math worker finds 1/2 unequal to 0.5")
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-B", str(WORKER), str(self.memory_mb)]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise VerifierFault(f"the math worker cannot be started ({error})") from error

    @staticmethod
    def _send(process: subprocess.Popen[bytes], message: object) -> None:
        assert process.stdin is not None
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[process.stdin.write(data) :]
        except OSError as error:
            raise Died from error

    @staticmethod
    def _receive(process: subprocess.Popen[bytes], limit_s: float) -> bytes:
        assert process.stdout is not None
        descriptor, deadline, line = process.stdout.fileno(), time.monotonic() + limit_s, b""
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                raise TimedOut
            chunk = os.read(descriptor, MAX_REPLY)
            if not chunk or len(line) > MAX_REPLY:
                raise Died
            line += chunk
        return line
