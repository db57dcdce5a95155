"""How far a run is, read from what is committed: no cluster, no lock, from any machine that can read the store."""

import json
from collections import defaultdict

from jobs.messages import set_aside_lines
from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import coverage_curve
from jobs.report.schema import CoveragePoint
from jobs.report.text import point
from jobs.runs import open_run
from jobs.store.counts import read_cells
from jobs.store.layers import planned_units, problem_ids
from jobs.store.stored_run import SET_ASIDE, StoredRun
from sampling.validate import Plain

SO_FAR_RESAMPLES = 500  # a glance, not a report


class CellStatus(Plain):
    """One (model, task): rows planned and committed, problems ``met`` and solved, and coverage over those met."""

    model: str
    task: str
    problems: int
    planned: int
    committed: int
    passed: int
    solved: int
    faults: int
    version: str = ""
    met: int = 0
    so_far: CoveragePoint | None = None


class SetAsideUnit(Plain):
    """A unit that the last run gave up on; the next one tries it again."""

    model: str
    task: str
    unit: int
    rows: int
    error: str


class RunStatus(Plain):
    """What ``troop status`` prints."""

    run: str
    complete: bool
    cells: tuple[CellStatus, ...]
    set_aside: tuple[SetAsideUnit, ...]

    def as_text(self) -> str:
        lines = [f"{self.run}: {'complete' if self.complete else 'not complete: `troop run` continues it'}"]
        for cell in self.cells:
            share = cell.committed / cell.planned if cell.planned else 1.0
            lines.append(
                f"  {cell.model} on {cell.task}: {cell.committed:,} of {cell.planned:,} samples ({share:.0%}), "
                f"{cell.passed:,} passed, {cell.solved} of {cell.problems} problems solved"
                + _so_far(cell)
                + (f", {cell.faults:,} without a verdict" if cell.faults else "")
                + (f", verifiers {cell.version}" if cell.version else "")
            )
        items = [(unit.model, unit.task, unit.unit, unit.error) for unit in self.set_aside]
        lines += [f"  {line}" for line in set_aside_lines(items)]
        return "\n".join(lines)


def read_status(uri: str, version: str | None = None) -> RunStatus:
    """Raises BadInput where there is no run, or no verdicts of the version of the verifiers that was asked for."""
    stored = open_run(uri, version)
    planned: dict[tuple[str, str], int] = defaultdict(int)
    for block, _ in planned_units(stored.layers).parts:
        planned[block.model, block.task] += block.rows
    found = {(cell.model, cell.task): cell for cell in read_cells(stored.store, stored.version)}
    cells = []
    for (model, task), rows in planned.items():
        cell = found.get((model, task))
        cells.append(
            CellStatus(
                model=model,
                task=task,
                problems=len(problem_ids(stored.layers, task)),
                planned=rows,
                committed=int(cell.n.sum() + cell.faults.sum()) if cell else 0,
                passed=int(cell.c.sum()) if cell else 0,
                solved=int((cell.c > 0).sum()) if cell else 0,
                faults=int(cell.faults.sum()) if cell else 0,
                version=cell.version if cell else "",
                met=int((cell.n > 0).sum()) if cell else 0,
                so_far=coverage_so_far(cell) if cell else None,
            )
        )
    complete = all(cell.committed == cell.planned for cell in cells)
    left = () if complete else _set_aside(stored)
    return RunStatus(run=stored.store.uri, complete=complete, cells=tuple(cells), set_aside=left)


def coverage_so_far(cell: CellCounts) -> CoveragePoint | None:
    """Coverage at the largest k that every problem met so far allows, over those problems, with its interval."""
    held = cell.n > 0
    if not held.any():
        return None
    n, c = cell.n[held], cell.c[held]
    curve = coverage_curve(n, c, [n.min()], resamples=SO_FAR_RESAMPLES)
    low, high = (float(end[0]) if len(n) > 1 else None for end in (curve.low, curve.high))
    return CoveragePoint(k=int(n.min()), value=float(curve.value[0]), low=low, high=high)


def _so_far(cell: CellStatus) -> str:
    if cell.so_far is None:
        return ""
    some = "" if cell.met == cell.problems else f" over the {cell.met:,} problems met so far"
    return f", coverage {point(cell.so_far)} at k={cell.so_far.k:,}{some}"


def _set_aside(stored: StoredRun) -> tuple[SetAsideUnit, ...]:
    if stored.store.head(SET_ASIDE) is None:
        return ()
    return tuple(SetAsideUnit.model_validate(row) for row in json.loads(stored.store.get(SET_ASIDE)))
