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

import marshal
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from verify.sandbox import wire
from verify.sandbox.channels import Stream, memory_file, result_pipe
from verify.sandbox.limits import Ended, Quota
from verify.sandbox.outcomes import (
    NO_PACKAGE,
    Execution,
    decode_answers,
    describe,
    describe_binary,
    describe_program,
    lacking,
    name_lack,
    test_verdict,
)
from verify.sandbox.packages import NUMPY, Names, find_packages, wanted
from verify.sandbox.programs import Program, Runtime
from verify.sandbox.supervisor import Supervisor, ZygoteDied
from verify.sandbox.tiers import AUTO, TierUnavailable, open_tier, tiers_to_try
from verify.sandbox.warm import MAX_ANSWER, Checks, Meeting, TestProcess
from verify.verdict import Status

MAX_ERRORS = 1 << 20  # bytes of standard error; only the end is kept
# The modules that candidates use most. Each library that is mapped costs every fork about 2 %, so candidates load rarer
# ones themselves. ``random`` is seeded when it is loaded, so here: every candidate meets the same numbers.
_MODULES = """math re string itertools functools collections collections.abc heapq bisect operator copy typing random
time io abc enum types contextlib""".split()  # noqa: SIM905
_NO_NUMPY = f"{NO_PACKAGE}No module named 'numpy'"
_MOST_SERVERS = 8  # fork servers of one sandbox, one for each role and set of packages


@dataclass(frozen=True, slots=True)
class Code:
    """A candidate's program, the task's own set-up that runs before it, and the packages that the task declares."""

    source: str
    setup: str = ""
    packages: Names | None = None

    @property
    def wanted(self) -> Names:
        return wanted(self.packages, self.source, self.setup)


_NO_CODE = Code("")


class Sandbox:
    """Runs candidates in zygotes of one tier, which start when first needed and again when they die."""

    def __init__(self, tier: str | None = None) -> None:
        self._lock = threading.RLock()
        self._supervisors: dict[tuple[str, Names | Runtime], Supervisor] = {}  # the one used last is the last
        self._test_processes: dict[Supervisor, TestProcess] = {}
        self.notes: list[str] = []
        self.tier = self._start_strongest(tier or AUTO)

    def _start_strongest(self, asked: str) -> str:
        """Starts a zygote of the strongest tier that works; returns the tier. ``notes`` say what stronger ones lack."""
        for tier in tiers_to_try(asked):
            try:
                self._supervisors["candidate", ()] = open_tier(tier, _MODULES)
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

    def prepare(self, packages: Iterable[Names]) -> None:
        """Finds all these sets of packages, and imports the first ones; raises PackageMissing where that fails."""
        found = [names for names in packages if find_packages(names).places]
        with self._lock:
            for names in found[: _MOST_SERVERS - 1]:
                self._supervisor("candidate", names)

    def run_stdio(self, code: Code, stdin: str, quota: Quota) -> Execution:
        """Runs a whole program with ``stdin`` as a file; its standard output is ``output``."""
        return self._run(code, lambda code: self._run_stdio(code, stdin, quota))

    def run_program(self, program: Program, stdin: str, quota: Quota) -> Execution:
        """Runs a program that is not Python, with ``stdin`` as a file; its standard output is ``output``."""
        return self._repeat_once(lambda: self._run_program(program, stdin, quota))

    def call_cases(self, code: Code, entry_point: str, calls: Sequence[list[Any]], quota: Quota) -> Execution:
        """Calls a function with each list of arguments; ``answers`` end with the first that is a ``Raised``."""
        return self._run(code, lambda code: self._call_cases(code, entry_point, list(calls), quota))

    def run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Runs the test beside the candidate, each in a process of its own. ``status`` is never None."""
        return self._run(code, lambda code: self._run_test(code, test, quota))

    def run_shared(self, code: Code, entry_point: str, steps: Sequence[str], quota: Quota) -> Execution:
        """Runs test and candidate in one process: the candidate can forge the answer. ``status`` is never None."""
        return self._run(code, lambda code: self._run_shared(code, entry_point, list(steps), quota))

    def _run(self, code: Code, act: Callable[[Code], Execution]) -> Execution:
        """Acts; once more with NumPy if a program that does not mention it asked for it and it is installed."""
        execution = self._repeat_once(lambda: act(code))
        if execution.reason.startswith(_NO_NUMPY) and code.packages is None and wanted(None, NUMPY[0]):
            return self._repeat_once(lambda: act(replace(code, packages=NUMPY)))
        return execution

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

    def _supervisor(self, role: str, packages: Names) -> Supervisor:
        """Returns the fork server of this role and these packages; a new one may end the one that was idle longest."""
        return self._keep(role, packages, lambda: open_tier(self.tier, _MODULES, find_packages(packages)))

    def _keep(self, role: str, what: Names | Runtime, make: Callable[[], Supervisor]) -> Supervisor:
        found = self._supervisors.pop((role, what), None) or make()
        self._supervisors[role, what] = found
        while len(self._supervisors) > _MOST_SERVERS:
            oldest = self._supervisors.pop(next(iter(self._supervisors)))
            if oldest in self._test_processes:
                self._test_processes.pop(oldest).close()
            oldest.close()
        return found

    def _run_stdio(self, code: Code, stdin: str, quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.wanted)
        ended, output, errors = self._run_whole(supervisor, "stdio", (code.source,), (), stdin, quota)
        return describe_program(ended, quota, output, errors)

    def _run_program(self, program: Program, stdin: str, quota: Quota) -> Execution:
        runtime = program.runtime
        supervisor = self._keep("program", runtime, lambda: open_tier(self.tier, (), runtime=runtime))
        binary = memory_file(program.binary)
        try:
            ended, output, errors = self._run_whole(
                supervisor, "program", program.payload(quota.memory_mb), (binary,), stdin, quota
            )
        finally:
            os.close(binary)
        return describe_binary(ended, quota, runtime.resident_mb, output, errors)

    def _run_whole(
        self, supervisor: Supervisor, mode: str, payload: Any, more: tuple[int, ...], stdin: str, quota: Quota
    ) -> tuple[Ended, bytes, bytes]:
        """Runs a program with its input as a file; returns its end, its output and its standard error."""
        source = memory_file(stdin.encode("utf-8", "surrogatepass"))
        with result_pipe() as (out_reader, out), result_pipe() as (errors_reader, errors):
            streams = [Stream(out_reader, quota.output_bytes), Stream(errors_reader, MAX_ERRORS)]
            try:
                supervisor.start(mode, payload, [source, out, errors, *more], quota)
            finally:
                os.close(source)
            out.close()
            errors.close()
            ended = supervisor.wait(quota, streams)
        return ended, bytes(streams[0].data), bytes(streams[1].data)

    def _call_cases(self, code: Code, entry_point: str, calls: list[list[Any]], quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.wanted)
        with result_pipe() as (reader, writer):
            stream = Stream(reader, quota.output_bytes)
            supervisor.start("cases", (code.source, code.setup, entry_point, calls), [writer], quota)
            writer.close()
            ended = supervisor.wait(quota, [stream])
        problem = ended.problem(quota)
        answers: tuple[Any, ...] = ()
        if problem is None:
            try:
                answers = decode_answers(wire.unpack(stream.data))
            except wire.NotPlain as error:
                problem = (Status.CRASH, f"ended without an answer ({error})")
            else:
                problem = lacking(answers, ended, quota)
        return describe(ended, problem, answers=answers)

    def _run_test(self, code: Code, test: Checks, quota: Quota) -> Execution:
        """Repeats a bad end with a new test process if the first had met other candidates, which may have caused it.

        Time that ran out before the task's set-up was done is the candidate's fault if the set-up alone ends in time.
        """
        run, meeting = self._meet(code, test, quota)
        if meeting.met_others and run.status in (Status.MEMORY, Status.CRASH, Status.FAULT):
            self._test_process(test.packages).retire()
            run, meeting = self._meet(code, test, quota)
        if run.status is Status.TIMEOUT and not meeting.said:
            alone, _ = self._meet(_NO_CODE, test, quota)
            return alone if alone.status is Status.FAULT else run
        return run

    def _meet(self, code: Code, test: Checks, quota: Quota) -> tuple[Execution, Meeting]:
        candidate, tester = self._supervisor("candidate", code.wanted), self._test_process(test.packages)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            candidate.start("serve", (code.source, code.setup, test.wanted), [ours.fileno()], quota)
            ours.close()
            meeting = tester.meet(test, quota, theirs, candidate)
        verdict = test_verdict(meeting, quota)
        ended = candidate.wait(quota) if verdict is None else candidate.end()
        ended = replace(ended, cpu_s=ended.cpu_s + meeting.cpu_s)
        if verdict is None:
            verdict = ended.problem(quota) or (Status.CRASH, "ended before the test did")
        elif verdict[0] not in (Status.FAULT, Status.TIMEOUT):
            verdict = quota.over_cpu(ended.cpu_s) or ended.over_memory(quota) or verdict
        return describe(ended, verdict), meeting

    def _test_process(self, packages: Names) -> TestProcess:
        supervisor = self._supervisor("test", packages)
        if supervisor not in self._test_processes:
            self._test_processes[supervisor] = TestProcess(supervisor)
        return self._test_processes[supervisor]

    def _run_shared(self, code: Code, entry_point: str, steps: list[str], quota: Quota) -> Execution:
        supervisor = self._supervisor("candidate", code.wanted)
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
                problem = (Status.PASS, "") if passed else name_lack(Status.FAIL, wire.words([said]))
            except (wire.NotPlain, TypeError, ValueError):
                problem = (Status.CRASH, "ended without an answer")
        return describe(ended, problem)


def compiled(source: str, name: str) -> bytes:
    """Compiles a task's own code once for all its samples. Raises SyntaxError and what else ``compile`` raises."""
    return marshal.dumps(compile(source, name, "exec", dont_inherit=True))
