"""``troop verify --samples FILE``: verifies a file of samples from anywhere. No Ray, no GPU, all cores of this machine.

Everything is checked before anything is written. Verdicts are appended, in the order of the samples, to
``OUT.partial``. A job that is stopped leaves that file, and the next job continues after it. The finished file appears
under its name in one step.
"""

import fcntl
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import IO

from jobs.verify_rows import SampleFile, SampleRow, VerdictRow, check_samples, write_verdicts
from sampling.errors import BadInput, TroopError
from sampling.problems import Problem, left_out_note
from sampling.samples import ProblemIds
from sampling.tasks.recipes import KINDS
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from verify.needs import check_languages, check_packages
from verify.patch.verifier import check_patches
from verify.processes import VerifierProcesses
from verify.trials import with_limits
from verify.verdict import Status, Verdict
from verify.verifiers import NO_JUDGE, Verifiers, verdict_digest

BATCH_ROWS = 64
BATCH_CHARACTERS = 4_000_000
AHEAD = 4  # batches in flight per worker
FAULTS_KEPT = 10  # problems named in the summary


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a job, in samples. ``kept`` of the ``done`` ones come from an earlier, unfinished job."""

    done: int
    total: int
    kept: int
    passed: int
    faults: int


@dataclass(slots=True)
class Summary:
    """Summary of a finished job, as `troop verify --samples FILE --json` prints it."""

    samples: int
    """Samples in the file."""
    kept: int = 0
    """Samples whose verdicts come from an earlier, unfinished job."""
    status_counts: Counter[str] = field(default_factory=Counter)
    """Samples by status: `{"pass": 30, "fail": 9, "timeout": 1}`."""
    seconds: float = 0.0
    """Wall time of this job in seconds."""
    faults: dict[str, str] = field(default_factory=dict)
    """Problems whose samples have no verdict, at most ten, each with its first reason."""

    def count(self, row: VerdictRow) -> None:
        """Adds the verdict of one sample."""
        self.status_counts[str(row.values["status"])] += 1
        if row.values["status"] == Status.FAULT and len(self.faults) < FAULTS_KEPT:
            self.faults.setdefault(str(row.values["problem"]), str(row.values["reason"]))

    def progress(self) -> Progress:
        done = sum(self.status_counts.values())
        return Progress(done, self.samples, self.kept, self.status_counts["pass"], self.status_counts["fault"])

    def as_json(self) -> str:
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    def fault_lines(self) -> list[str]:
        """Returns one line for each problem whose samples have no verdict, with the reason."""
        return [f"fault: problem {name!r}: {' '.join(reason.split())}" for name, reason in self.faults.items()]

    def as_text(self) -> str:
        """Returns ``40 samples in 2.1 s: 30 pass, 9 fail, 1 timeout (12 kept from an unfinished job)``."""
        counts = ", ".join(f"{count} {status}" for status, count in self.status_counts.most_common())
        kept = f" ({self.kept} kept from an unfinished job)" if self.kept else ""
        return f"{self.samples} samples in {self.seconds:.1f} s: {counts}{kept}"


def parse_task(text: str) -> TaskSpec:
    """Returns the task that ``KIND=PATH`` names on the command line; raises BadInput."""
    kind, equals, path = text.partition("=")
    kinds = [each for each in KINDS if each != "table"]  # which needs the columns of a sweep
    if not equals or not path or kind not in kinds:
        raise BadInput(f"--task {text!r}: write it as KIND=PATH; allowed kinds: {', '.join(kinds)}")
    return parse(TaskSpec, {"kind": kind, "path": path}, "--task").under(Path())


def verify_file(
    task: str,
    samples: Path,
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
    tier: str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Summary:
    """Loads the task ``KIND=PATH`` and verifies ``samples`` of its problems; raises as ``verify_samples``.

    ``columns`` maps Troop's names of columns to the file's. ``say`` is told of keys of the problems that are left out.
    """
    spec = parse_task(task)
    problems = spec.load(all_rows=True)
    if say and (note := left_out_note(spec.title, problems)):
        say(note)
    return verify_samples(problems, samples, out, columns=columns, tier=tier, workers=workers, progress=progress)


def verify_samples(
    problems: Sequence[Problem],
    samples: Path,
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
    tier: str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Verifies all ``samples`` and writes ``out`` (.jsonl or .parquet).

    Raises BadInput before anything is written, and TroopError where a process died; the next call then continues.
    """
    started = time.monotonic()
    _check_judge("--task", problems)
    _check_out(samples, out)
    _check_machine(problems, tier)
    by_id = {problem.id: problem for problem in problems}
    digests = {name: verdict_digest(problem) for name, problem in by_id.items()}
    file = SampleFile(samples, ProblemIds(by_id), columns or {}, digests)
    summary = Summary(check_samples(file))
    by_id = with_limits(by_id, tier)
    partial = out.with_name(out.name + ".partial")
    rows = file.rows()
    with _translated(partial), _open_partial(partial, rows, summary) as verdicts:
        for row in _verdicts(rows, by_id, tier, workers or os.cpu_count() or 1):
            verdicts.write(row.line())
            summary.count(row)
            if progress:
                progress(summary.progress())
    with _translated(out):
        _publish(partial, out)
    summary.seconds = time.monotonic() - started
    return summary


def verify_texts(problem: Problem, texts: Iterable[str], *, tier: str | None = None) -> list[Verdict]:
    """Verifies completions of one problem in this process; raises BadInput where this machine cannot."""
    _check_judge(f"problem {problem.id!r}", [problem])
    _check_machine([problem], tier)
    by_id = with_limits({problem.id: problem}, tier)
    with Verifiers(tier) as verifiers:
        return _verify_batch(verifiers, by_id, [(problem.id, text) for text in texts])


def _check_judge(where: str, problems: Iterable[Problem]) -> None:
    if any(problem.verifier == "judge" for problem in problems):
        raise BadInput(f"{where}: {NO_JUDGE}")


def _check_machine(problems: Sequence[Problem], tier: str | None) -> None:
    """Raises BadInput for packages, compilers and tools that the problems need and this machine lacks."""
    check_packages(problems)
    check_languages({"": problems}, tier)
    check_patches(problems)


def _check_out(samples: Path, out: Path) -> None:
    if out.suffix not in (".jsonl", ".parquet"):
        raise BadInput(f"{out}: the name of the output must end in .jsonl or .parquet")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise BadInput(f"{out}: cannot be written; give --out a file in an existing, writable folder")
    if samples.exists() and out.exists() and samples.samefile(out):
        raise BadInput(f"{out}: is the samples file itself; give --out another name")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translates an OSError of writing ``path`` into BadInput."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _open_partial(partial: Path, rows: Iterator[SampleRow], summary: Summary) -> Iterator[IO[str]]:
    """Opens and locks the unfinished job's file behind its last whole row, and advances ``rows`` to the same place."""
    with partial.open("a+", encoding="ascii", newline="\n", buffering=1) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(f"{partial}: another job is writing it; wait for that job, or give another --out") from error
        try:
            _skip_kept(file, partial, rows, summary)
            yield file
        finally:
            if file.tell() == 0:
                partial.unlink()


def _skip_kept(file: IO[str], partial: Path, rows: Iterator[SampleRow], summary: Summary) -> None:
    """Counts the whole rows of the file, each matched with its sample, and cuts off a torn last row."""
    file.seek(0)
    end = 0
    for number, line in enumerate(iter(file.readline, ""), start=1):
        if not line.endswith("\n"):
            break  # the job was killed while it wrote
        kept, sample = VerdictRow.from_line(line, f"{partial}:{number}"), next(rows, None)
        if sample is None or sample.digest != kept.digest:
            other = "belongs to other samples or problems than these"
            raise BadInput(f"{partial}:{number}: {other}; delete the file to start again")
        summary.count(kept)
        summary.kept, end = number, end + len(line)
    file.seek(end)
    file.truncate()


def _verdicts(
    rows: Iterable[SampleRow], problems: dict[str, Problem], tier: str | None, workers: int
) -> Iterator[VerdictRow]:
    """Yields the verdict of every row, in order, from worker processes that each own their verifiers."""
    with VerifierProcesses(problems, tier, workers) as processes:
        try:
            yield from _in_order(processes, rows, workers * AHEAD)
            processes.finish()
        except BrokenProcessPool as error:
            raise TroopError(
                "a verifier process died (out of memory?); run the same command again to continue"
            ) from error


def _in_order(processes: VerifierProcesses, rows: Iterable[SampleRow], ahead: int) -> Iterator[VerdictRow]:
    waiting: deque[tuple[list[SampleRow], Future[list[Verdict]]]] = deque()
    batches = _batches(rows)
    while True:
        for batch in islice(batches, ahead - len(waiting)):
            waiting.append((batch, processes.submit(_verify_batch, [(row.problem, row.text) for row in batch])))
        if not waiting:
            return
        batch, future = waiting.popleft()
        yield from map(VerdictRow.of, batch, future.result())


def _batches(rows: Iterable[SampleRow]) -> Iterator[list[SampleRow]]:
    batch: list[SampleRow] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.text)
        if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _verify_batch(verifiers: Verifiers, problems: Mapping[str, Problem], batch: list[tuple[str, str]]) -> list[Verdict]:
    return [verifiers.verify(problems[problem], text) for problem, text in batch]


def _publish(partial: Path, out: Path) -> None:
    """Makes the finished file from the partial one; it gets its name only when it is whole."""
    unfinished = out.with_name(out.name + ".writing")
    with partial.open(encoding="ascii") as lines:
        rows = (VerdictRow.from_line(line, f"{partial}:{number}") for number, line in enumerate(lines, start=1))
        write_verdicts(rows, unfinished, parquet=out.suffix == ".parquet")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(out)
    partial.unlink()
