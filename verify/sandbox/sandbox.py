"""The sandbox: runs programs that strangers wrote and says, from the kernel, how they ended.

Promised, in every tier but ``none``, with an adversarial test behind each line (``tests/attacks``):

- nothing is read outside the interpreter's own files and, in ``isolated``, the scratch folder; nothing is written
  outside scratch (``confined`` has none); modes, times and attributes of files cannot be changed at all;
- no network, no socket but a stream pair with itself; no other process is seen, traced, signalled or started;
- no credential is in the environment, in inherited memory or behind an inherited descriptor; no sample finds
  anything of an earlier one;
- wall and CPU time, memory, output, file size, threads and descriptors are bounded; whatever the program does, its end
  comes within a quarter of a second of the limit and nothing of it survives;
- no forged answer: what a candidate returns or prints is only data, which is decoded within bounds and judged in
  another process, and ``fault`` cannot be reached from candidate code;
- the fork server's death is survived: it is started again, and the sample with it.

Not covered: bugs of the kernel, side channels (timing, caches), the names, sizes and owners of files in ``confined``
(Landlock does not filter ``stat``), reading of other packages installed beside the interpreter's library, using the
processor up to the limit. ``none`` promises limits only. Memory is bounded by address space and data size, not by
cgroups: a candidate is one process and can map nothing shared, so these hold all that it has. What the task's own test
code changes in its process outside of its namespace and ``random`` stays for the next candidates of the problem
(``verify.sandbox.warm``). A sandbox is used by one thread at a time; others wait.
"""

import importlib.util
import marshal
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from verify.sandbox import wire
from verify.sandbox.channels import Stream, memory_file, result_pipe
from verify.sandbox.limits import Ended, Quota
from verify.sandbox.supervisor import Supervisor, ZygoteDied
from verify.sandbox.tiers import AUTO, TierUnavailable, open_tier, tiers_to_try
from verify.sandbox.warm import MAX_ANSWER, Checks, Meeting, TestProcess
from verify.verdict import Status

MAX_ERRORS = 1 << 20  # bytes of standard error; only the end is kept
KEPT_ERRORS = 300
# What candidates use most; each library that is mapped costs every fork about 2 %, so rarer ones are loaded by the few
# that want them. ``random`` belongs here, as it is seeded when it is loaded: so every candidate meets the same numbers.
_MODULES = """math re string itertools functools collections collections.abc heapq bisect operator copy typing random
time io abc enum types contextlib""".split()  # noqa: SIM905
_NO_MEMORY = re.compile(r"(?:assert \d+ of \d+: )?(?:loading )?(?:raised )?MemoryError\b")
_NUMPY = re.compile(r"^[ \t]*+(?:import|from)[ \t]++numpy\b", re.MULTILINE)  # linear in any text


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ended and what it gave. ``status`` is None where nothing was exceeded and nothing died."""

    status: Status | None
    reason: str
    wall_s: float
    cpu_s: float
    max_rss_mb: float
    output: str = ""
    answers: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """A candidate's program, with the task's own set-up that it may count on."""

    source: str
    setup: str = ""

    @property
    def needs_numpy(self) -> bool:
        return mentions_numpy(self.source) or mentions_numpy(self.setup)


class Raised(Exception):
    """An answer that says the candidate raised, or returned what cannot cross: the message says which."""


class Sandbox:
    """Zygotes of one tier, started when first needed and again when they die."""

    def __init__(self, tier: str | None = None) -> None:
        self._lock = threading.RLock()
        self._supervisors: dict[tuple[str, bool], Supervisor] = {}
        self._test_processes: dict[Supervisor, TestProcess] = {}
        self.notes: list[str] = []
        self.tier = self._settle(tier or AUTO)

    def _settle(self, asked: str) -> str:
        """The strongest tier that works here; ``notes`` says why each stronger one does not."""
        for tier in tiers_to_try(asked):
            try:
                self._supervisors["candidate", False] = open_tier(tier, _MODULES)
                return tier
            except TierUnavailable as error:
                self.notes.append(str(error))
        raise TierUnavailable("; ".join(self.notes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process; a later call starts new ones."""
        with self._lock:
            while self._test_processes:
                self._test_processes.popitem()[1].close()
            while self._supervisors:
                self._supervisors.popitem()[1].close()

    def run_stdio(self, code: Code, stdin: str, quota: Quota) -> Execution:
        """Runs a whole program with ``stdin`` as a file; its standard output is ``output``."""
        return self._surely(lambda: self._run_stdio(code, stdin, quota))

    def call_cases(self, code: Code, entry_point: str, calls: Sequence[list[Any]], quota: Quota) -> Execution:
        """Calls a function with each list of arguments; ``answers`` end with the first that is a ``Raised``."""
        return self._surely(lambda: self._call_cases(code, entry_point, list(calls), quota))

    def run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Runs the test beside the candidate, each in a process of its own; ``status`` is pass, fail or worse."""
        return self._surely(lambda: self._run_test(code, test, quota))

    def run_shared(self, code: Code, entry_point: str, steps: Sequence[str], quota: Quota) -> Execution:
        """Runs test and candidate in one process, where the candidate can forge the answer."""
        return self._surely(lambda: self._run_shared(code, entry_point, list(steps), quota))

    def _surely(self, act: Callable[[], Execution]) -> Execution:
        """Once more with new zygotes where one died under it."""
        with self._lock:
            try:
                return act()
            except ZygoteDied:
                self.close()
            try:
                return act()
            except (ZygoteDied, TierUnavailable) as error:
                self.close()
                return Execution(Status.FAULT, f"the sandbox died twice: {error}", 0.0, 0.0, 0.0)

    def _supervisor(self, role: str, needs_numpy: bool) -> Supervisor:
        numpy = _numpy_folders() if needs_numpy else []
        key = (role, bool(numpy))
        if key not in self._supervisors:
            modules = [*_MODULES, "numpy"] if numpy else _MODULES
            self._supervisors[key] = open_tier(self.tier, modules, numpy)
        return self._supervisors[key]

    def _run_stdio(self, code: Code, stdin: str, quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.needs_numpy)
        source = memory_file(stdin.encode("utf-8", "surrogatepass"))
        with result_pipe() as (out_reader, out), result_pipe() as (errors_reader, errors):
            streams = [Stream(out_reader, quota.output_bytes), Stream(errors_reader, MAX_ERRORS)]
            try:
                supervisor.start("stdio", (code.source,), [source, out, errors], quota)
            finally:
                os.close(source)
            out.close()
            errors.close()
            ended = supervisor.wait(quota, streams)
        return _program_run(ended, quota, *(bytes(stream.data) for stream in streams))

    def _call_cases(self, code: Code, entry_point: str, calls: list[list[Any]], quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.needs_numpy)
        with result_pipe() as (reader, writer):
            stream = Stream(reader, quota.output_bytes)
            supervisor.start("cases", (code.source, code.setup, entry_point, calls), [writer], quota)
            writer.close()
            ended = supervisor.wait(quota, [stream])
        problem = ended.problem(quota)
        answers: tuple[Any, ...] = ()
        if problem is None:
            try:
                answers = _answers(wire.unpack(stream.data))
            except wire.NotPlain as error:
                problem = (Status.CRASH, f"ended without an answer ({error})")
            else:
                problem = _out_of_memory(answers, ended, quota)
        return _run(ended, problem, answers=answers)

    def _run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Where a test process fails that has met other candidates, a new one has to say the same."""
        run, met_others = self._meet(code, test, quota)
        if met_others and run.status in (Status.MEMORY, Status.CRASH, Status.FAULT):
            self._test_process(test.needs_numpy).retire()
            run, _ = self._meet(code, test, quota)
        return run

    def _meet(self, code: Code, test: Checks, quota: Quota) -> tuple[Execution, bool]:
        candidate, tester = self._supervisor("candidate", code.needs_numpy), self._test_process(test.needs_numpy)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            candidate.start("serve", (code.source, code.setup, test.wanted), [ours.fileno()], quota)
            ours.close()
            meeting = tester.meet(test, quota, theirs, candidate)
        verdict = _test_verdict(meeting, quota)
        if verdict is None:
            ended = candidate.wait(quota)
            verdict = ended.problem(quota) or (Status.CRASH, "ended before the test did")
            return _run(ended, verdict), meeting.met_others
        return _run(candidate.end(), verdict), meeting.met_others

    def _test_process(self, needs_numpy: bool) -> TestProcess:
        supervisor = self._supervisor("test", needs_numpy)
        if supervisor not in self._test_processes:
            self._test_processes[supervisor] = TestProcess(supervisor)
        return self._test_processes[supervisor]

    def _run_shared(self, code: Code, entry_point: str, steps: list[str], quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.needs_numpy)
        nonce = secrets.token_hex(16)
        with result_pipe() as (reader, writer):
            stream = Stream(reader, MAX_ANSWER)
            supervisor.start("shared", (code.source, code.setup, entry_point, steps, nonce), [writer], quota)
            writer.close()
            ended = supervisor.wait(quota, [stream])
        problem = ended.problem(quota)
        if problem is None:
            try:
                status, said = wire.unpack(stream.data)
                passed = [status, said] == ["pass", nonce]
                problem = (Status.PASS, "") if passed else _told(Status.FAIL, wire.words([said]))
            except (wire.NotPlain, TypeError, ValueError):
                problem = (Status.CRASH, "ended without an answer")
        return _run(ended, problem)


def _run(
    ended: Ended, problem: tuple[Status, str] | None, output: str = "", answers: tuple[Any, ...] = ()
) -> Execution:
    status, reason = problem or (None, "")
    return Execution(status, reason, ended.wall_s, ended.cpu_s, ended.max_rss_mb, output, answers)


def _program_run(ended: Ended, quota: Quota, output: bytes, errors: bytes) -> Execution:
    """A whole program's end; the last line of its standard error says why it failed."""
    problem = ended.problem(quota)
    if problem and problem[0] is Status.CRASH:
        said = errors.decode("utf-8", "replace").strip()[-KEPT_ERRORS:].split("\n")[-1]
        status = Status.MEMORY if said.startswith("MemoryError") else Status.CRASH
        problem = (status, f"{problem[1]}: {said}" if said else problem[1])
    return _run(ended, problem, output.decode("utf-8", "replace"))


def _answers(data: Any) -> tuple[Any, ...]:
    """Values, and ``Raised`` for the call that gave none; raises NotPlain for anything else."""
    if type(data) is not list:
        raise wire.NotPlain("no list of answers")
    answers: list[Any] = []
    for item in data:
        if type(item) is not list or len(item) < 2:
            raise wire.NotPlain("no answer")
        answers.append(wire.decode(item[1]) if item[0] == 0 else Raised(wire.words(item[1:])))
    return tuple(answers)


def _out_of_memory(answers: tuple[Any, ...], ended: Ended, quota: Quota) -> tuple[Status, str] | None:
    """At the limit an interpreter may end in other errors than the one for it."""
    last = answers[-1] if answers else None
    if isinstance(last, Raised) and (str(last).startswith("MemoryError") or ended.max_rss_mb >= quota.memory_mb):
        return Status.MEMORY, str(last)
    return None


def _test_verdict(meeting: Meeting, quota: Quota) -> tuple[Status, str] | None:
    """What the test's side came to; None where that depends on how the candidate's process ended.

    Before the candidate was called (progress ``sr`` at most), nothing that the test does is the candidate's doing. But
    while it waits for the candidate to load (``s``), all that happens is; and as this may have taken most of the time,
    only a test that was busy itself has hung.
    """
    progress, _, answer = meeting.said.partition(b"\n")
    problem = meeting.ended.problem(quota) if meeting.ended else None
    if problem is None:
        try:
            status, reason = wire.unpack(answer)
        except (wire.NotPlain, TypeError, ValueError):
            problem = (Status.CRASH, "ended without an answer")
        else:
            return None if status == "gone" else _told(Status(status), reason)
    if b"c" in progress or (progress == b"s" and problem[0] is not Status.TIMEOUT):
        return problem
    idle = meeting.ended is None or meeting.ended.cpu_s < quota.wall_s / 2
    if problem[0] is Status.TIMEOUT and (progress == b"s" or (progress and idle)):
        return Status.TIMEOUT, f"still loading after {quota.wall_s:.3g} s"
    return Status.FAULT, f"the task's own code: {problem[1]} before it called the candidate"


def _told(status: Status, reason: str) -> tuple[Status, str]:
    """The test's own word, where a fail for want of memory is called by its name."""
    return (Status.MEMORY if status is Status.FAIL and _NO_MEMORY.match(reason) else status), reason


def mentions_numpy(source: str) -> bool:
    return "numpy" in source and _NUMPY.search(source) is not None


def compiled(source: str, name: str) -> bytes:
    """A task's own code, compiled once for all its samples; raises SyntaxError and its like."""
    return marshal.dumps(compile(source, name, "exec", dont_inherit=True))


def _numpy_folders() -> list[str]:
    """NumPy's folders where it is installed: the only packages that candidates may read."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return []
    home = Path(spec.origin).parent
    return [str(path) for path in (home, home.parent / "numpy.libs") if path.is_dir()]
