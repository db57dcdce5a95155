"""Verifies samples from anywhere: no Ray, no GPU, all cores of this machine.

Everything is checked before anything is written. Verdicts collect, in the order of the samples, in ``OUT.partial``;
a job that is stopped leaves it and the next one goes on after it; the finished file appears under its name at once.
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
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from jobs.sample_rows import COLUMNS, SampleRow, VerdictRow, check_samples, read_samples
from sampling.errors import BadInput, TroopError
from sampling.problems import Problem
from sampling.tasks.recipes import KINDS
from sampling.tasks.task import TaskSpec
from sampling.validate import parse
from verify.patch.verifier import check_patches
from verify.processes import VerifierProcesses
from verify.verdict import Status, Verdict
from verify.verifiers import NO_JUDGE, Verifiers

BATCH_ROWS = 64
BATCH_CHARACTERS = 4_000_000
AHEAD = 4  # batches in flight per worker
PARQUET_ROWS = 100_000
FAULTS_KEPT = 10  # problems named in the summary


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the job is. ``kept`` of the ``done`` rows come from an earlier, unfinished job."""

    done: int
    total: int
    kept: int
    passed: int
    faults: int


@dataclass(slots=True)
class Summary:
    """What a finished job says: how many samples ended how, and the seconds it took."""

    samples: int
    kept: int = 0
    status_counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)  # by problem, the first reason for which it has no verdict

    def count(self, row: VerdictRow) -> None:
        self.status_counts[str(row.values["status"])] += 1
        if row.values["status"] == Status.FAULT and len(self.faults) < FAULTS_KEPT:
            self.faults.setdefault(str(row.values["problem"]), str(row.values["reason"]))

    def progress(self) -> Progress:
        done = sum(self.status_counts.values())
        return Progress(done, self.samples, self.kept, self.status_counts["pass"], self.status_counts["fault"])

    def as_json(self) -> str:
        values = {name: getattr(self, name) for name in ("samples", "kept", "status_counts", "seconds", "faults")}
        return json.dumps(values)

    def fault_lines(self) -> list[str]:
        """One line for each problem that could not be judged: whose fault it is stands in the reason."""
        return [f"fault: problem {name!r}: {' '.join(reason.split())}" for name, reason in self.faults.items()]

    def as_text(self) -> str:
        """One line: ``40 samples in 2.1 s: 30 pass, 9 fail, 1 timeout (12 kept from an unfinished job)``."""
        counts = ", ".join(f"{count} {status}" for status, count in self.status_counts.most_common())
        kept = f" ({self.kept} kept from an unfinished job)" if self.kept else ""
        return f"{self.samples} samples in {self.seconds:.1f} s: {counts}{kept}"


def task_option(text: str) -> TaskSpec:
    """The task that ``KIND=PATH`` names on the command line; raises BadInput."""
    kind, equals, path = text.partition("=")
    if not equals or not path or kind not in KINDS:
        raise BadInput(f"--task {text!r}: KIND=PATH is needed, KIND one of {', '.join(KINDS)}")
    return parse(TaskSpec, {"kind": kind, "path": path}, "--task")


def verify_file(
    task: str,
    samples: Path,
    out: Path,
    *,
    tier: str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """What ``troop verify --task KIND=PATH --samples S --out V`` does."""
    problems = task_option(task).load()
    return verify_samples(problems, samples, out, tier=tier, workers=workers, progress=progress)


def verify_samples(
    problems: Sequence[Problem],
    samples: Path,
    out: Path,
    *,
    tier: str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Verifies all ``samples`` and writes ``out`` (.jsonl or .parquet); raises BadInput before anything is written."""
    started = time.monotonic()
    if any(problem.verifier == "judge" for problem in problems):
        raise BadInput(f"--task: {NO_JUDGE}")
    _check_out(samples, out)
    check_patches(problems)
    by_id = {problem.id: problem for problem in problems}
    summary = Summary(check_samples(samples, by_id))
    partial = out.with_name(out.name + ".partial")
    rows = read_samples(samples, by_id)
    with _writing(partial), _partial_file(partial, rows, summary) as file:
        for row in _verdicts(rows, by_id, tier, workers or os.cpu_count() or 1):
            file.write(row.line())
            summary.count(row)
            if progress:
                progress(summary.progress())
    with _writing(out):
        _publish(partial, out)
    summary.seconds = time.monotonic() - started
    return summary


def _check_out(samples: Path, out: Path) -> None:
    if out.suffix not in (".jsonl", ".parquet"):
        raise BadInput(f"{out}: the name of the output must end in .jsonl or .parquet")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise BadInput(f"{out}: cannot be written; a file in an existing, writable folder is needed")
    if samples.exists() and out.exists() and samples.samefile(out):
        raise BadInput(f"{out}: is the samples file itself")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _partial_file(partial: Path, rows: Iterator[SampleRow], summary: Summary) -> Iterator[IO[str]]:
    """The unfinished job's file, open behind its last whole row; ``rows`` are moved past what it holds."""
    with partial.open("a+", encoding="ascii", newline="\n", buffering=1) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(f"{partial}: another job is writing it") from error
        try:
            _skip_kept(file, partial, rows, summary)
            yield file
        finally:
            if file.tell() == 0:
                partial.unlink()


def _skip_kept(file: IO[str], partial: Path, rows: Iterator[SampleRow], summary: Summary) -> None:
    file.seek(0)
    end = 0
    for number, line in enumerate(iter(file.readline, ""), start=1):
        if not line.endswith("\n"):
            break  # the job was killed while it wrote
        kept, sample = VerdictRow.from_line(line, f"{partial}:{number}"), next(rows, None)
        if sample is None or sample.digest != kept.digest:
            raise BadInput(f"{partial}:{number}: belongs to other samples than these; remove the file to start anew")
        summary.count(kept)
        summary.kept, end = number, end + len(line)
    file.seek(end)
    file.truncate()


def _verdicts(
    rows: Iterable[SampleRow], problems: dict[str, Problem], tier: str | None, workers: int
) -> Iterator[VerdictRow]:
    """The verdict of every row, in order, from worker processes that each own verifiers."""
    with VerifierProcesses(problems, tier, workers) as processes:
        try:
            yield from _in_order(processes, rows, workers * AHEAD)
            processes.finish()
        except BrokenProcessPool as error:
            raise TroopError(
                "a verifying process died (out of memory?); run again to go on where it stopped"
            ) from error


def _in_order(processes: VerifierProcesses, rows: Iterable[SampleRow], ahead: int) -> Iterator[VerdictRow]:
    waiting: deque[tuple[list[SampleRow], Future[list[Verdict]]]] = deque()
    batches = _batches(rows)
    while True:
        for batch in islice(batches, ahead - len(waiting)):
            waiting.append((batch, processes.submit(_verify, [(row.problem, row.text) for row in batch])))
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


def _verify(verifiers: Verifiers, problems: Mapping[str, Problem], batch: list[tuple[str, str]]) -> list[Verdict]:
    return [verifiers.verify(problems[problem], text) for problem, text in batch]


def _publish(partial: Path, out: Path) -> None:
    """Makes the finished file from the collected rows, under its name only when it is whole."""
    unfinished = out.with_name(out.name + ".writing")
    with partial.open(encoding="ascii") as lines:
        rows = (VerdictRow.from_line(line, f"{partial}:{number}") for number, line in enumerate(lines, start=1))
        if out.suffix == ".jsonl":
            _write_jsonl(rows, unfinished)
        else:
            _write_parquet(rows, unfinished)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(out)
    partial.unlink()


def _write_jsonl(rows: Iterable[VerdictRow], path: Path) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(json.dumps(row.values) + "\n" for row in rows)


def _write_parquet(rows: Iterator[VerdictRow], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, numbers = ("model", "problem", "status", "reason", "answer", "tier"), ("wall_s", "cpu_s", "max_rss_mb")
    types = {name: pa.string() for name in texts} | {name: pa.float64() for name in numbers}
    types |= {"sample": pa.int64(), "passed": pa.bool_()}
    schema = pa.schema([(name, types[name]) for name in ("model", *COLUMNS)])
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        while chunk := [row.values for row in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
