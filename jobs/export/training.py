"""Writes a run as a data set for training: Parquet files by split, ``README.md`` (its card), ``_export.json`` last.

As every export: files are created, never replaced; what a call has written before it failed, it takes away again; equal
rows make equal bytes.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from jobs.export.card import card
from jobs.export.data_set import DataSet, TrainingReport
from jobs.export.files import INDEX, TRIES, Target, check_target, create, finish, take_away
from jobs.export.formats import (
    OF_BOTH,
    OF_COUNTS,
    Asked,
    Cell,
    asked,
    check_prompts,
    count_row,
    sample_rows,
    schema_of,
)
from jobs.export.parts import PART_BYTES, Parts, TrainingFile
from jobs.export.rows import bare_rows
from jobs.export.selection import NEEDED, LeftOut, Rates, Taken, choose, ranking, read_rates
from jobs.store.catalogue import read_problems
from jobs.store.merge import MERGE_LIMITS, MergeLimits
from jobs.store.open_cells import OpenCell, open_cells
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput, NoSuchObject, StoreError


def export_training(
    stored: StoredRun, target: Target, wanted: DataSet, limits: MergeLimits = MERGE_LIMITS, part: int = PART_BYTES
) -> TrainingReport:
    """Writes a data set of a run to an empty ``target``; raises BadInput and StoreError.

    Starts again where files were compacted while it read them.
    """
    check_target(stored.store, target)
    for left in reversed(range(TRIES)):
        try:
            return _write(stored, target, wanted, limits, part)
        except NoSuchObject as error:
            if not left:
                raise StoreError(f"{error}; the run changes while it is read, export it when it is at rest") from error
    raise AssertionError("the loop returns or raises")


def _write(stored: StoredRun, target: Target, wanted: DataSet, limits: MergeLimits, part: int) -> TrainingReport:
    with contextlib.ExitStack() as on_failure:

        def put(name: str, data: bytes) -> None:
            create(target, name, data)
            on_failure.callback(take_away, target, name)

        done = _Export(stored, wanted, limits, part, lambda file, data: put(file.name, data)).run(target.uri)
        put("README.md", card(done, wanted, stored).encode("utf-8", "replace"))
        index = {"format": 1, **done.model_dump(exclude={"run", "out"})}
        put(INDEX, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())
        finish(target, f"troop export --format {wanted.form}")
        on_failure.pop_all()
    return done


@dataclass
class _Export:
    stored: StoredRun
    wanted: DataSet
    limits: MergeLimits
    part: int
    put: Callable[[TrainingFile, bytes], None]

    def run(self, out: str) -> TrainingReport:
        """Writes the files of all cells; raises BadInput where they have no row."""
        problems, left_out, with_rows = read_problems(self.stored.store), LeftOut(), 0
        with open_cells(self.stored.store, self.stored.version, self.stored.scores) as (db, cells):
            chosen = chosen_cells(cells, self.wanted, self.stored.store.uri)
            by_task = {task: self._asked(problems, task) for task in {cell.cell.task for cell in chosen}}
            chat = self._are_chats(by_task)
            parts = Parts(
                self.wanted.splits, schema_of(self.wanted.form, chat), self.put, self.wanted.selection.seed, self.part
            )
            for cell in chosen:
                with_rows += _CellExport(self, db, cell, by_task[cell.cell.task], parts, left_out).write()
            if not parts.rows:
                raise BadInput(f"{self.stored.store.uri}: nothing to export as {self.wanted.form}: {self._why(chosen)}")
            parts.close()
        rows = {name: parts.rows.get(name, 0) for name, _ in self.wanted.splits}
        return TrainingReport(
            run=self.stored.store.uri, out=out, form=self.wanted.form, rows=rows, problems=with_rows,
            left_out=asdict(left_out), selection=self.wanted.selection, files=tuple(parts.files),
        )  # fmt: skip

    def _asked(self, problems: pa.Table, task: str) -> dict[int, Asked]:
        rows = problems.filter(pa.array(problems["task"].to_numpy(zero_copy_only=False) == task)).to_pylist()
        found = {row["problem_idx"]: asked(row, self.wanted.chat) for row in rows}
        if not found and self.wanted.form != "pass-rate":
            raise BadInput(f"{self.stored.store.uri}: no problems of {task} are stored, so their prompts are unknown")
        return found

    def _are_chats(self, by_task: Mapping[str, Mapping[int, Asked]]) -> bool:
        chats = {check_prompts(self.wanted.form, task, problems) for task, problems in sorted(by_task.items())}
        if len(chats) > 1 and self.wanted.form != "pass-rate":
            raise BadInput(
                f"--format {self.wanted.form}: some tasks have texts as prompts and some chats; --task takes one, "
                "--chat makes a user's turn of each text"
            )
        return chats == {True}

    def _why(self, chosen: Sequence[OpenCell]) -> str:
        need = {"dpo": "a right and a wrong sample with text", "sft": "a right sample with text",
                "kto": "a decided sample with text"}.get(self.wanted.form, "a decided sample")  # fmt: skip
        return f"no problem of {', '.join(sorted({c.cell.task for c in chosen}))} has {need} within the filters"


@dataclass
class _CellExport:
    """One model on one task."""

    export: _Export
    db: duckdb.DuckDBPyConnection
    cell: OpenCell
    problems: Mapping[int, Asked]
    parts: Parts
    left_out: LeftOut

    def write(self) -> int:
        """Writes the rows of a cell; returns the number of problems that have one."""
        rates = read_rates(self.db, self.cell, self.export.stored.layers)
        if self.export.wanted.form in OF_COUNTS:
            return self._write_counts(rates)
        selection, form = self.export.wanted.selection, self.export.wanted.form
        rank = ranking(selection, self.db, self.cell, {at: one.problem_id for at, one in self.problems.items()})
        tables = bare_rows(self.export.stored.store, self.db, self.cell, self.export.limits, NEEDED)
        found = choose(tables, rates, rank, selection, wrong=form in OF_BOTH, left_out=self.left_out)
        return len({taken.problem for taken in found if self._write_samples(taken)})

    def _write_samples(self, taken: Taken) -> bool:
        problem, wrote = self._problem(taken.problem), False
        split, size = self.parts.split_of(problem.text), len(problem.text)
        for row in sample_rows(self.export.wanted.form, self._names, problem, taken):
            self.parts.add(split, row, size + _characters(row))
            wrote = True
        return wrote

    def _write_counts(self, rates: Rates) -> int:
        taken = rates.taken(self.export.wanted.selection).nonzero()[0]
        for at in map(int, taken):
            problem = self._problem(at)
            split = self.parts.split_of(problem.text or problem.problem_id)
            number = self.parts.rows.get(split, 0)
            row = count_row(self.export.wanted.form, self._names, problem, rates, at, split, number)
            self.parts.add(split, row, len(problem.text) + len(problem.reference))
        return len(taken)

    def _problem(self, at: int) -> Asked:
        if at not in self.problems and self.export.wanted.form != "pass-rate":
            raise BadInput(f"{self.export.stored.store.uri}: problem {at} of {self.cell.cell.task} is not stored")
        return self.problems.get(at) or Asked(str(at), "", "none", "{}")

    @property
    def _names(self) -> Cell:
        return Cell(self.cell.cell.model, self.cell.cell.task)


def _characters(row: Mapping[str, Any]) -> int:
    """Returns about how many characters the completions of a row have."""
    replies = [row[name] for name in ("completion", "chosen", "rejected") if name in row] or [row["messages"][-1:]]
    return sum(len(one) if isinstance(one, str) else sum(len(turn["content"]) for turn in one) for one in replies)


def chosen_cells(cells: Sequence[OpenCell], wanted: DataSet, where: str) -> list[OpenCell]:
    """Returns the cells of the models and tasks that are asked for; raises BadInput for an unknown one."""
    for given, kind, known in ((wanted.models, "model", {c.cell.model for c in cells}),
                               (wanted.tasks, "task", {c.cell.task for c in cells})):  # fmt: skip
        if unknown := next((name for name in given if name not in known), None):
            raise BadInput(
                f"--{kind} {unknown}: {where} has no samples of it; allowed: {', '.join(sorted(known)) or '-'}"
            )
    found = [c for c in cells if c.cell.model in (wanted.models or (c.cell.model,))
             and c.cell.task in (wanted.tasks or (c.cell.task,))]  # fmt: skip
    if not found:
        raise BadInput(f"{where}: nothing to export, no sample is committed")
    models = sorted({cell.cell.model for cell in found})
    if wanted.form == "rl" and len(models) > 1:
        raise BadInput(f"--format rl: a row is a prompt, and {where} has {len(models)} models whose pass rates it may "
                       f"have; --model NAME takes one: {', '.join(models)}")  # fmt: skip
    return sorted(found, key=lambda cell: (cell.cell.model, cell.cell.task))
