"""The sandbox: runs programs that strangers wrote and reports, from the kernel, how they ended.

Every tier but ``none`` promises (``docs/sandbox.md`` names the test behind each line, limits, and what is not covered):

- reads: only the interpreter's own files and, in ``isolated``, the scratch folder;
- writes: only the scratch folder, which ``confined`` lacks; modes, times and attributes of files never change;
- network: none, and no socket but a stream pair with itself;
- processes: no other one is seen, traced, signalled or started;
- secrets: none in the environment, in inherited memory or behind a descriptor; nothing of an earlier sample;
- limits: CPU and wall time, memory, output, file size, threads and descriptors; the end comes within a quarter of a
  second of the limit, and nothing survives it;
- verdicts: returned values and output are only data, decoded within bounds and judged in another process; candidate
  code cannot reach ``fault``;
- faults: after the zygote's death another one starts, and the sample runs again.

A sandbox is used by one thread at a time; others wait.
"""

import importlib.util
import marshal
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
# The modules that candidates use most. Each library that is mapped costs every fork about 2 %, so candidates load rarer
# ones themselves. ``random`` is seeded when it is loaded, so here: every candidate meets the same numbers.
_MODULES = """math re string itertools functools collections collections.abc heapq bisect operator copy typing random
time io abc enum types contextlib""".split()  # noqa: SIM905
_NO_MEMORY = re.compile(r"(?:assert \d+ of \d+: )?(?:loading )?(?:raised )?MemoryError\b")
_NUMPY = re.compile(r"^[ \t]*+(?:import|from)[ \t]++numpy\b", re.MULTILINE)  # linear in any text


@dataclass(frozen=True, slots=True)
class Execution:
    """The end of one program, and what it gave. ``status`` is None if it exceeded no limit and did not die."""

    status: Status | None
    reason: str
    wall_s: float
    cpu_s: float
    max_rss_mb: float
    output: str = ""
    answers: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """A candidate's program, and the task's own set-up that runs before it."""

    source: str
    setup: str = ""

    @property
    def needs_numpy(self) -> bool:
        return mentions_numpy(self.source) or mentions_numpy(self.setup)


_NO_CODE = Code("")


class Raised(Exception):
    """Stands for the answer of a call that raised or returned no plain value; the message says which."""


class Sandbox:
    """Runs candidates in zygotes of one tier, which start when first needed and again when they die."""

    def __init__(self, tier: str | None = None) -> None:
        self._lock = threading.RLock()
        self._supervisors: dict[tuple[str, bool], Supervisor] = {}
        self._test_processes: dict[Supervisor, TestProcess] = {}
        self.notes: list[str] = []
        self.tier = self._start_strongest(tier or AUTO)

    def _start_strongest(self, asked: str) -> str:
        """Starts a zygote of the strongest tier that works; returns the tier. ``notes`` say what stronger ones lack."""
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
        """Ends every process. A later call starts new ones."""
        with self._lock:
            while self._test_processes:
                self._test_processes.popitem()[1].close()
            while self._supervisors:
                self._supervisors.popitem()[1].close()

    def run_stdio(self, code: Code, stdin: str, quota: Quota) -> Execution:
        """Runs a whole program with ``stdin`` as a file; its standard output is ``output``."""
        return self._repeat_once(lambda: self._run_stdio(code, stdin, quota))

    def call_cases(self, code: Code, entry_point: str, calls: Sequence[list[Any]], quota: Quota) -> Execution:
        """Calls a function with each list of arguments; ``answers`` end with the first that is a ``Raised``."""
        return self._repeat_once(lambda: self._call_cases(code, entry_point, list(calls), quota))

    def run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Runs the test beside the candidate, each in a process of its own. ``status`` is never None."""
        return self._repeat_once(lambda: self._run_test(code, test, quota))

    def run_shared(self, code: Code, entry_point: str, steps: Sequence[str], quota: Quota) -> Execution:
        """Runs test and candidate in one process: the candidate can forge the answer. ``status`` is never None."""
        return self._repeat_once(lambda: self._run_shared(code, entry_point, list(steps), quota))

    def _repeat_once(self, act: Callable[[], Execution]) -> Execution:
        """Acts, and once more with new zygotes if one died meanwhile; the second death is a fault."""
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
        return _describe_program(ended, quota, *(bytes(stream.data) for stream in streams))

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
                answers = _decode_answers(wire.unpack(stream.data))
            except wire.NotPlain as error:
                problem = (Status.CRASH, f"ended without an answer ({error})")
            else:
                problem = _out_of_memory(answers, ended, quota)
        return _describe(ended, problem, answers=answers)

    def _run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Repeats a bad end with a new test process if the first had met other candidates, which may have caused it.

        Time that ran out before the task's set-up was done is the candidate's fault if the set-up alone ends in time.
        """
        run, meeting = self._meet(code, test, quota)
        if meeting.met_others and run.status in (Status.MEMORY, Status.CRASH, Status.FAULT):
            self._test_process(test.needs_numpy).retire()
            run, meeting = self._meet(code, test, quota)
        if run.status is Status.TIMEOUT and not meeting.said:
            alone, _ = self._meet(_NO_CODE, test, quota)
            return alone if alone.status is Status.FAULT else run
        return run

    def _meet(self, code: Code, test: Checks, quota: Quota) -> tuple[Execution, Meeting]:
        candidate, tester = self._supervisor("candidate", code.needs_numpy), self._test_process(test.needs_numpy)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            candidate.start("serve", (code.source, code.setup, test.wanted), [ours.fileno()], quota)
            ours.close()
            meeting = tester.meet(test, quota, theirs, candidate)
        verdict = _test_verdict(meeting, quota)
        ended = candidate.wait(quota) if verdict is None else candidate.end()
        ended = replace(ended, cpu_s=ended.cpu_s + meeting.cpu_s)
        if verdict is None:
            verdict = ended.problem(quota) or (Status.CRASH, "ended before the test did")
        elif verdict[0] not in (Status.FAULT, Status.TIMEOUT):
            verdict = quota.over_cpu(ended.cpu_s) or verdict
        return _describe(ended, verdict), meeting

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
                problem = (Status.PASS, "") if passed else _name_memory(Status.FAIL, wire.words([said]))
            except (wire.NotPlain, TypeError, ValueError):
                problem = (Status.CRASH, "ended without an answer")
        return _describe(ended, problem)


def _describe(
    ended: Ended, problem: tuple[Status, str] | None, output: str = "", answers: tuple[Any, ...] = ()
) -> Execution:
    status, reason = problem or (None, "")
    return Execution(status, reason, ended.wall_s, ended.cpu_s, ended.max_rss_mb, output, answers)


def _describe_program(ended: Ended, quota: Quota, output: bytes, errors: bytes) -> Execution:
    """Describes a whole program's end; the last line of its standard error says why it failed."""
    problem = ended.problem(quota)
    if problem and problem[0] is Status.CRASH:
        said = errors.decode("utf-8", "replace").strip()[-KEPT_ERRORS:].split("\n")[-1]
        status = Status.MEMORY if said.startswith("MemoryError") else Status.CRASH
        problem = (status, f"{problem[1]}: {said}" if said else problem[1])
    return _describe(ended, problem, output.decode("utf-8", "replace"))


def _decode_answers(data: Any) -> tuple[Any, ...]:
    """Decodes answers: values, and ``Raised`` for a call that gave none. Raises NotPlain for anything else."""
    if type(data) is not list:
        raise wire.NotPlain("no list of answers")
    answers: list[Any] = []
    for item in data:
        if type(item) is not list or len(item) < 2:
            raise wire.NotPlain("no answer")
        answers.append(wire.decode(item[1]) if item[0] == 0 else Raised(wire.words(item[1:])))
    return tuple(answers)


def _out_of_memory(answers: tuple[Any, ...], ended: Ended, quota: Quota) -> tuple[Status, str] | None:
    """Names want of memory, since an interpreter at its limit may raise other errors than MemoryError."""
    last = answers[-1] if answers else None
    if isinstance(last, Raised) and (str(last).startswith("MemoryError") or ended.max_rss_mb >= quota.memory_mb):
        return Status.MEMORY, str(last)
    return None


def _test_verdict(meeting: Meeting, quota: Quota) -> tuple[Status, str] | None:
    """Returns what the test's side decided; None if that depends on how the candidate's process ended.

    Progress comes in letters: s (set-up done), r (candidate loaded), c (candidate called). An end before c is the
    task's fault. An end between s and r is the candidate's, for the test only waits then. Loading may use up most of
    the time, so a test that runs out of it between r and c has hung only if it was busy itself. Before s, only a
    candidate that used time itself can be the cause.
    """
    progress, _, answer = meeting.said.partition(b"\n")
    problem = meeting.ended.problem(quota) if meeting.ended else None
    if problem is None:
        try:
            status, reason = wire.unpack(answer)
        except (wire.NotPlain, TypeError, ValueError):
            problem = (Status.CRASH, "ended without an answer")
        else:
            return None if status == "gone" else _name_memory(Status(status), reason)
    if b"c" in progress or (progress == b"s" and problem[0] is not Status.TIMEOUT):
        return problem
    if progress:
        loading = progress == b"s" or meeting.cpu_s < quota.most_cpu_s / 2
    else:
        loading = meeting.candidate_s >= quota.most_cpu_s / 10
    if problem[0] is Status.TIMEOUT and loading:
        return Status.TIMEOUT, f"still loading: {problem[1]}"
    return Status.FAULT, f"the task's own code: {problem[1]} before it called the candidate"


def _name_memory(status: Status, reason: str) -> tuple[Status, str]:
    """Returns the test's own verdict, except that a fail for want of memory becomes MEMORY."""
    return (Status.MEMORY if status is Status.FAIL and _NO_MEMORY.match(reason) else status), reason


def mentions_numpy(source: str) -> bool:
    return "numpy" in source and _NUMPY.search(source) is not None


def compiled(source: str, name: str) -> bytes:
    """Compiles a task's own code once for all its samples. Raises SyntaxError and what else ``compile`` raises."""
    return marshal.dumps(compile(source, name, "exec", dont_inherit=True))


def _numpy_folders() -> list[str]:
    """Returns NumPy's folders if it is installed: candidates may read no other package."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return []
    home = Path(spec.origin).parent
    return [str(path) for path in (home, home.parent / "numpy.libs") if path.is_dir()]
