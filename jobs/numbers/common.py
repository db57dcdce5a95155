"""The problems that all models of a task have: models are compared on the same problems, or not at all."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import Ints


def on_common_problems(cells: Sequence[CellCounts]) -> list[CellCounts]:
    """Returns each cell with only the problems that every model of its task has decided samples of.

    A model without any decided sample does not count. Where no problem is common, cells stay as they are.
    """
    tasks = {cell.task: _common([other for other in cells if other.task == cell.task]) for cell in cells}
    return [_part(cell, tasks[cell.task]) for cell in cells]


def _common(cells: Iterable[CellCounts]) -> frozenset[str]:
    """Returns the ids of the problems that all cells with decided samples have them of."""
    decided = [frozenset(np.array(cell.problem_ids, dtype=object)[cell.n > 0]) for cell in cells if cell.n.any()]
    return reduce(frozenset.intersection, decided) if decided else frozenset()


def _part(cell: CellCounts, common: frozenset[str]) -> CellCounts:
    kept = np.array([i for i, name in enumerate(cell.problem_ids) if name in common], dtype=np.int64)
    return cell if not len(kept) or len(kept) == len(cell.problem_ids) else part_of(cell, kept)


def part_of(cell: CellCounts, indices: Ints) -> CellCounts:
    """Returns a cell's counts of some problems. Totals over samples, such as tokens, stay those of the whole cell."""
    return replace(
        cell,
        problem_ids=tuple(cell.problem_ids[i] for i in indices),
        n=cell.n[indices],
        c=cell.c[indices],
        faults=cell.faults[indices],
        timeouts=cell.timeouts[indices],
        answers=tuple(cell.answers[i] for i in indices) if cell.answers else (),
        scored=tuple(cell.scored[i] for i in indices) if cell.scored else (),
        rounds=cell.rounds and cell.rounds.part(indices),
    )
