"""``troop import``: writes verdicts, counts or samples made elsewhere into a run, new or existing.

The protocol is that of ``troop run``: the plan first names the units, then each unit's verdicts are created once. An
import that was killed therefore continues when called again, a second import of the same table writes nothing, and
report, sql, status, check and compact read an imported run like any other. The plan keeps a digest of each model's
rows: other rows for a known model and task are refused, never mixed.

A problem's samples are numbered from 0, in the order of the table's own numbers. A table of counts gives only n and c:
the first c samples pass, and every row's ``reason`` says that it stands for a count. Samples without verdicts are
committed as faults, which count neither way, until ``troop verify`` has verified them.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.import_plan import SAID_NOTHING, UNIT_ROWS, Cell, Content, next_layer, places_of, read_content
from jobs.import_read import COUNTS, NAMES, SAMPLES, Table, open_table
from jobs.numbers.cells import Counts
from jobs.numbers.stop_rules import Said
from jobs.planning import UNKNOWN
from jobs.resolve import code_version
from jobs.store.base import Store
from jobs.store.catalogue import read_problems, write_problem_ids, write_problems
from jobs.store.commit import RunSink
from jobs.store.compact import map_ahead
from jobs.store.encode import NO_VERIFIER
from jobs.store.layers import Layer, planned_units, problem_ids, time_limits
from jobs.store.open import open_store, probe_store
from jobs.store.sealed_parquet import Footer
from jobs.store.stored_run import IMPORTED, extend_plan, list_imported, read_layers_to_extend
from sampling.errors import BadInput
from sampling.problems import left_out_note
from sampling.samples import ProblemIds, Provenance, Sample, Unit
from sampling.tasks.task import TaskSpec
from sampling.validate import Plain
from verify.verdict import Status, Verdict

NOT_VERIFIED = "not verified yet: `troop verify` does that"  # stored as the reason of a fault
A_COUNT = "stands for an imported count"  # stored as the reason
WRITERS = 8
Indices = NDArray[np.int32]


class ImportedCell(Plain):
    """One model on one task of the table."""

    model: str
    """Name of the model."""
    task: str
    """Name of the task."""
    problems: int
    """Problems in the table."""
    samples: int
    """Samples in the table, or for which its counts stand."""


class Imported(Plain):
    """Result of an import, as `troop import --json` prints it."""

    run: str
    """Place of the run: a folder or an `s3://` prefix."""
    cells: tuple[ImportedCell, ...]
    """Content of the table, by model and task."""
    written: int
    """Samples that this call wrote; the others were in the run already."""
    unverified: bool = False
    """True when the samples have no verdicts yet: `troop verify RUN` verifies them."""

    def as_text(self) -> str:
        held = sum(cell.samples for cell in self.cells)
        lines = [
            f"  {cell.model} on {cell.task}: {cell.samples:,} samples of {cell.problems:,} problems"
            for cell in self.cells
        ]
        there = f", {held - self.written:,} were there" if held > self.written else ""
        lines.append(f"{self.run}: {self.written:,} samples imported{there}")
        if self.unverified:
            lines.append(f"the samples have no verdicts yet: run `troop verify {self.run}`")
        return "\n".join(lines)


def import_table(
    uri: str,
    table: Table,
    *,
    task: TaskSpec | None,
    baselines: Iterable[str],
    show: Callable[[int, int], None],
    say: Callable[[str], None] | None = None,
    stopped: Said = SAID_NOTHING,
) -> Imported:
    """Imports a table into the run at ``uri``; raises BadInput before anything is written.

    ``task`` has the problems of the table's task with their references; samples need them to be verified. ``say`` is
    told of keys of the problems that are left out. ``stopped`` is the rule that ended the sampling, if any.
    """
    problems = {task.title: task.load(all_rows=True)} if task else {}
    table = replace(table, ids=ProblemIds(p.id for given in problems.values() for p in given)) if problems else table
    for note in filter(None, (left_out_note(title, given) for title, given in problems.items())):
        if say:
            say(note)
    store = open_store(uri)
    store.check()
    with tempfile.TemporaryDirectory(prefix="troop-import-") as folder, open_table(table, Path(folder)) as db:
        content = read_content(db, table, problems, frozenset(baselines), stopped)
        layers = read_layers_to_extend(store)
        next_layer(layers, content)  # raises BadInput for rows that the run cannot take
        _check_references(store, content)
        probe_store(store)
        layers = _write_plan(store, content)
        written = _write_units(db, store, layers, content, show)
    cells = (
        ImportedCell(model=cell.model, task=cell.task, problems=len(cell.ids), samples=int(cell.n.sum()))
        for cell in content.cells
    )
    return Imported(run=store.uri, cells=tuple(cells), written=written, unverified=content.unverified)


def _check_references(store: Store, content: Content) -> None:
    """Raises BadInput for samples of a problem without a reference: they could never be verified."""
    if content.table.kind is not SAMPLES:
        return
    rows = read_problems(store).to_pylist()
    full = {(row["task"], row["problem_id"]) for row in rows if row["verifier"] != NO_VERIFIER}
    full |= {(task, problem.id) for task, problems in content.problems.items() for problem in problems}
    for cell in content.cells:
        for name in cell.ids:
            if (cell.task, name) not in full:
                raise BadInput(
                    f"problem {name!r} of {cell.task}: has no reference here; give its file with --task KIND=PATH"
                )


def _write_plan(store: Store, content: Content) -> tuple[Layer, ...]:
    layers = extend_plan(store, read_layers_to_extend, lambda known: next_layer(known, content))
    _write_problems(store, layers, content)
    return layers


def _write_problems(store: Store, layers: Sequence[Layer], content: Content) -> None:
    """Stores the problems of every layer, or their ids. Runs at every start: an earlier import may have died before."""
    for number, layer in enumerate(layers):
        for part in layer.problems:
            by_id = {problem.id: problem for problem in content.problems.get(part.task, ())}
            first = len(problem_ids(layers[:number], part.task))
            if by_id.keys() >= set(part.ids):
                planned = zip(part.ids, time_limits([layer], part.task), strict=True)
                write_problems(store, part.task, first, [by_id[name].with_time_limit(limit) for name, limit in planned])
            elif UNKNOWN in part.prompt_digests:
                write_problem_ids(store, part.task, first, part.ids)


@dataclass(frozen=True)
class _Writer:
    """Commits one unit of a table."""

    sink: RunSink
    content: Content

    def write(self, item: tuple[Unit, pa.Table]) -> tuple[int, int]:
        """Commits a unit; returns its rows, and how many of them this call wrote."""
        unit, rows = item
        if self.content.table.kind is not SAMPLES:
            won, _ = self.sink.put_verdicts(unit, rows, Footer(uuid.uuid4().hex))
            return unit.rows, unit.rows if won else 0
        revision = self.content.digests[unit.model]
        provenance = Provenance(unit.model, revision, IMPORTED, "", "", code_version(), "", "none")
        receipt = self.sink.commit(unit, *_samples_and_verdicts(rows), provenance)
        return unit.rows, unit.rows if receipt.won else 0


def _write_units(
    db: duckdb.DuckDBPyConnection, store: Store, layers: Sequence[Layer], content: Content,
    show: Callable[[int, int], None],
) -> int:  # fmt: skip
    """Commits the missing units; returns the number of rows that this call wrote."""
    done = list_imported(store)
    cells = [(cell.model, cell.task) for cell in content.cells]
    units = [unit for cell in cells for unit in planned_units(layers).of(*cell)]
    missing = [unit for unit in units if unit.number not in done.get((unit.model, unit.task), ())]
    total, seen, written = sum(unit.rows for unit in missing), 0, 0
    writer = _Writer(RunSink(store, IMPORTED), content)
    with ThreadPoolExecutor(WRITERS) as pool:
        for rows, mine in map_ahead(pool, writer.write, _unit_rows(db, layers, content, units, set(missing))):
            seen, written = seen + rows, written + mine
            show(seen, total)
    return written


def _unit_rows(
    db: duckdb.DuckDBPyConnection, layers: Sequence[Layer], content: Content, units: Sequence[Unit], missing: set[Unit]
) -> Iterator[tuple[Unit, pa.Table]]:
    """Yields every missing unit with its rows, in planned order: by problem and sample within a model and task."""
    if not missing:
        return
    places = {cell.task: places_of(layers, (), cell.task) for cell in content.cells}
    if content.table.kind is COUNTS:
        passes = {(cell.model, cell.task): _by_place(cell, places[cell.task]) for cell in content.cells}
        yield from ((unit, _counted(unit, passes[unit.model, unit.task])) for unit in units if unit in missing)
        return
    rows = _slices(_sorted_rows(db, content, places), [unit.rows for unit in units])
    for unit, table in zip(units, rows, strict=True):
        if unit in missing:
            problem, sample = _keys(unit)
            assert np.array_equal(table.column("problem_idx").to_numpy(), problem), f"{unit}: rows out of order"
            yield unit, _with_passed(table.append_column("sample_idx", pa.array(sample)))


def _sorted_rows(
    db: duckdb.DuckDBPyConnection, content: Content, places: Mapping[str, Mapping[str, int]]
) -> pa.RecordBatchReader:
    """Streams all rows, sorted by cell, problem_idx and sample."""
    placed = [
        (number, cell.model, cell.task, name, places[cell.task][name])
        for number, cell in enumerate(content.cells)
        for name in cell.ids
    ]
    names = ("cell", *NAMES, "problem", "problem_idx")
    db.register("placed", pa.table(dict(zip(names, map(list, zip(*placed, strict=True)), strict=True))))
    kept = ", ".join(sorted(content.columns - {*NAMES, "problem", "sample"}))
    return db.sql(
        f"SELECT problem_idx::INTEGER AS problem_idx, {kept} FROM rows JOIN placed USING (model, task, problem) "
        "ORDER BY cell, placed.problem_idx, sample"
    ).to_arrow_reader(UNIT_ROWS)


def _slices(reader: Iterable[pa.RecordBatch], sizes: Iterable[int]) -> Iterator[pa.Table]:
    """Cuts the rows of a stream into tables of the given sizes."""
    batches = iter(reader)
    held: list[pa.RecordBatch] = []
    for size in sizes:
        while sum(map(len, held)) < size:
            held.append(next(batches))
        together = pa.Table.from_batches(held)
        yield together.slice(0, size)
        held = together.slice(size).to_batches()


def _keys(unit: Unit) -> tuple[Indices, Indices]:
    """Returns problem_idx and sample_idx of a unit's rows."""
    samples = np.arange(unit.first_sample, unit.last_sample, dtype=np.int32)
    problems = np.arange(unit.first_problem, unit.last_problem, dtype=np.int32)
    return np.repeat(problems, len(samples)), np.tile(samples, len(problems))


def _with_passed(table: pa.Table) -> pa.Table:
    """Adds the column ``passed``: true for a pass, null for a fault, which counts neither way, else false."""
    if "status" not in table.column_names:
        return table
    status = table.column("status")
    passed = pc.if_else(pc.equal(status, Status.FAULT.value), None, pc.equal(status, Status.PASS.value))
    return table.append_column("passed", passed)


def _by_place(cell: Cell, places: Mapping[str, int]) -> Counts:
    """Returns the number of samples that passed, by problem_idx."""
    assert cell.c is not None
    passes = np.zeros(max(places.values()) + 1, dtype=np.int64)
    passes[[places[name] for name in cell.ids]] = cell.c
    return passes


def _counted(unit: Unit, passes: Counts) -> pa.Table:
    """Returns a unit's rows so that they add up to the counts."""
    problem, sample = _keys(unit)
    passed = sample < passes[problem]
    return pa.table({
        "problem_idx": problem, "sample_idx": sample, "passed": passed,
        "status": pa.array(["fail", "pass"]).take(pa.array(passed.astype(np.int8))),
        "reason": pa.repeat(A_COUNT, len(problem)),
    })  # fmt: skip


def _samples_and_verdicts(table: pa.Table) -> tuple[list[Sample], list[Verdict]]:
    """Returns samples with their text, and their verdicts: the table's, or a fault where it has none."""
    samples, verdicts = [], []
    for row in table.to_pylist():
        tokens, prompt = row.get("tokens") or 0, row.get("prompt_tokens") or 0
        samples.append(Sample(row["problem_idx"], row["sample_idx"], row["text"], "stop", prompt, tokens, 0, 0.0))
        given = Status(row["status"]) if row.get("status") else Status.FAULT
        reason = "" if row.get("status") else NOT_VERIFIED
        verdicts.append(Verdict(given, reason, answer=row.get("answer"), score=row.get("score")))
    return samples, verdicts
