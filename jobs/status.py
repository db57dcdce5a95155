"""Progress of a run, read from what is committed: no cluster, no lock, from any machine that can read the store."""

import numpy as np
from pydantic import Field

from jobs.messages import set_aside_lines
from jobs.numbers.cells import CellCounts
from jobs.numbers.common import on_common_problems
from jobs.numbers.doubts import cut_warnings
from jobs.numbers.intervals import Population
from jobs.numbers.tally import coverage_curve, tally_of
from jobs.report.points import CoveragePoint, RoundsReport
from jobs.report.rounds import rounds_in_words, rounds_of
from jobs.report.text import point, share
from jobs.store.counts import read_planned_cells
from jobs.store.stored_run import SET_ASIDE, StoredRun
from jobs.sweep import open_run
from sampling.errors import BadInput
from sampling.problems import load_json
from sampling.validate import Plain, parse
from sampling.words import many


class CellStatus(Plain):
    """Progress of one model on one task."""

    model: str
    """Name of the model in the sweep."""
    task: str
    """Name of the task in the sweep."""
    problems: int
    """Problems of the task in the plan."""
    planned: int
    """Samples planned."""
    committed: int
    """Samples committed, with or without a verdict."""
    passed: int
    """Samples committed whose verdict is `pass`."""
    solved: int
    """Problems with at least one sample that passed."""
    faults: int
    """Samples committed without a verdict, because the verifier failed; they count neither as right nor as wrong."""
    finish_counts: dict[str, int] = Field(default_factory=dict)
    """Samples committed by finish reason: `stop`, `length` (cut at `max_tokens`), `prompt_too_long`, `error`, ….

    Empty for imports without text; samples that an older Troop committed are not counted.
    """
    nothing_extracted: float | None = None
    """Share of verdicts with status `invalid`, where the completion had no answer or code. None without a verdict."""
    version: str = ""
    """Version of the verifiers whose verdicts are counted. Empty while none are committed."""
    met: int = 0
    """Problems that every model of the task has a decided sample of: estimates are over these."""
    rounds: RoundsReport | None = None
    """Rounds of adaptive sampling and what they save so far. None for any other sampling."""
    so_far: CoveragePoint | None = None
    """Coverage over the `met` problems, at the largest k for which each has k verdicts. None while there are none."""

    def as_line(self) -> str:
        """Returns ``small on sums: 12 of 40 samples (30%), 8 passed, 2 of 3 problems solved, coverage …``."""
        if not self.committed:
            return f"{self.model} on {self.task}: no samples yet (0 of {self.planned:,})"
        done = self.committed / self.planned if self.planned else 1.0
        return (
            f"{self.model} on {self.task}: {self.committed:,} of {self.planned:,} samples ({done:.0%}), "
            f"{self.passed:,} passed, {self.solved:,} of {many(self.problems, 'problem')} solved"
            + self._coverage()
            + (f", {self.finish_counts['length']:,} cut at max_tokens" if "length" in self.finish_counts else "")
            + (f", nothing extracted from {share(self.nothing_extracted)}" if self.nothing_extracted else "")
            + (f", {self.faults:,} without a verdict" if self.faults else "")
            + (f", verifiers {self.version}" if self.version else "")
            + (f"; {rounds_in_words(self.rounds)}" if self.rounds else "")
        )

    @property
    def open(self) -> bool:
        """True where adaptive sampling may call for another round."""
        return self.rounds is not None and self.rounds.open > 0

    def _coverage(self) -> str:
        if self.so_far is None:
            return ""
        over = "" if self.met == self.problems else f" over the {many(self.met, 'problem')} with verdicts"
        return f", coverage {point(self.so_far)} at k={self.so_far.k:,}{over}"


class SetAsideUnit(Plain):
    """A unit that the last call of `troop run` gave up on; the next call tries it again."""

    model: str
    """Name of the model in the sweep."""
    task: str
    """Name of the task in the sweep."""
    unit: int
    """Number of the unit within its model and task."""
    rows: int
    """Samples in the unit."""
    error: str
    """Error of the last attempt, in one line."""


class RunStatus(Plain):
    """Progress of a run, as `troop status --json` prints it."""

    run: str
    """Place of the run: a folder or an `s3://` prefix."""
    complete: bool
    """True when every planned sample is committed."""
    cells: tuple[CellStatus, ...]
    """Progress of each model on each task, in the order of the plan."""
    set_aside: tuple[SetAsideUnit, ...]
    """Units that the last call gave up on. Empty when the run is complete."""
    warnings: tuple[str, ...] = ()
    """One line for each task that had more than 5 % of a model's samples cut at `max_tokens`."""

    def as_text(self) -> str:
        """Returns what `troop status` prints: a line for the run, one for each cell, then the units set aside."""
        lines = [f"{self.run}: {'complete' if self.complete else 'not complete: `troop run` continues it'}"]
        lines += [f"  {cell.as_line()}" for cell in self.cells]
        lines += [f"  warning: {line}" for line in self.warnings]
        items = [(unit.model, unit.task, unit.unit, unit.error) for unit in self.set_aside]
        lines += [f"  {line}" for line in set_aside_lines(items)]
        return "\n".join(lines)


def read_status(uri: str, version: str | None = None, population: Population = "problems") -> RunStatus:
    """Reads the status of a run. Raises BadInput where there is no run, or no verdicts of the given version."""
    return status_of(open_run(uri, version), population)


def status_of(stored: StoredRun, population: Population = "problems") -> RunStatus:
    """Reads the status of a run that is open; raises BadInput where it has no verdicts of its version."""
    found = read_planned_cells(stored, texts=False)
    cells = [_cell_status(*pair, population) for pair in zip(found, on_common_problems(found), strict=True)]
    complete = all(cell.committed == cell.planned and not cell.open for cell in cells)
    left = () if complete else _set_aside(stored)
    warnings = tuple(cut_warnings(found))
    return RunStatus(run=stored.store.uri, complete=complete, cells=tuple(cells), set_aside=left, warnings=warnings)


def _cell_status(cell: CellCounts, compared: CellCounts, population: Population) -> CellStatus:
    return CellStatus(
        model=cell.model,
        task=cell.task,
        problems=cell.planned_problems,
        planned=cell.planned_samples,
        committed=int(cell.n.sum() + cell.faults.sum()),
        passed=int(cell.c.sum()),
        solved=int((cell.c > 0).sum()),
        faults=int(cell.faults.sum()),
        finish_counts=dict(cell.finish_counts),
        nothing_extracted=cell.nothing_extracted,
        version=cell.version,
        rounds=rounds_of(cell),
        met=int((compared.n > 0).sum()),
        so_far=coverage_so_far(compared, population),
    )


def coverage_so_far(cell: CellCounts, population: Population = "problems") -> CoveragePoint | None:
    """Returns coverage over the problems that have verdicts, at the largest k for which each has k, or None."""
    decided = np.flatnonzero(cell.n > 0)
    if not len(decided):
        return None
    tally = tally_of(cell, decided)
    curve = coverage_curve(tally, population=population)
    alone = len(decided) == 1 and population == "problems"
    low, high = (None if alone else float(end[-1]) for end in (curve.low, curve.high))
    return CoveragePoint(k=tally.largest, value=float(curve.value[-1]), low=low, high=high)


def _set_aside(stored: StoredRun) -> tuple[SetAsideUnit, ...]:
    if stored.store.head(SET_ASIDE) is None:
        return ()
    where = f"{stored.store.uri}/{SET_ASIDE}"
    rows = load_json(stored.store.get(SET_ASIDE).decode("utf-8", "replace"), where)
    if not isinstance(rows, list):
        raise BadInput(f"{where}: not a list of units")
    return tuple(parse(SetAsideUnit, row, where) for row in rows)
