"""The rounds of one model on one task: what is planned and committed of each problem, and what follows from it.

A problem is decided once all its planned samples are committed, by its own verdicts alone. So every driver, whenever it
starts and whatever died before, decides the same. A sample whose verdict is a fault is drawn again, TRIES times in all;
then the round ends with fewer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from jobs.numbers.rounds import Flags, Ints, Round, in_ranges, next_end, to_ranges
from jobs.planning import UNIT_ROWS, make_block, runs_of_equal, unit_rows
from jobs.store.layers import Block, Layer
from sampling.samples import Unit
from sampling.settings import Adaptive

TRIES = 3  # times that a round is drawn until its faults are left out
T = TypeVar("T", Block, Round)
Passes = Iterable[tuple[int, int, int]]  # problem_idx, decided verdicts, passes


@dataclass(frozen=True)
class Counts:
    """Committed verdicts of a cell by problem, arrays of shape (C,), and the numbers of the units that hold them."""

    problem: Ints
    rows: Ints
    decided: Ints
    passed: Ints
    units: frozenset[int]


@dataclass(frozen=True)
class Tried:
    """Committed verdicts of one version, by (model, task)."""

    version: str
    cells: Mapping[tuple[str, str], Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A cell's policy with its k, the most samples in a unit, and the version of the verdicts that decide."""

    policy: Adaptive
    k: int
    version: str
    most_rows: int = UNIT_ROWS


class CellRounds:
    """The state of a cell. Arrays have one entry for each problem of the task, by problem_idx."""

    def __init__(self, model: str, task: str, problems: int) -> None:
        self.model, self.task, self._next_unit = model, task, 0
        self.last: Round | None = None
        self._end, self._tries, self._planned, self._start = (np.zeros(problems, dtype=np.int64) for _ in range(4))
        self._rows, self._decided, self._passed = (np.zeros(problems, dtype=np.int64) for _ in range(3))
        self._retired = np.zeros(problems, dtype=np.bool_)

    def _make_room(self, problems: int) -> None:
        """Adds entries for problems that another driver has planned since."""
        if (more := problems - len(self._end)) > 0:
            for name in ("_end", "_tries", "_planned", "_start", "_rows", "_decided", "_passed", "_retired"):
                setattr(self, name, np.pad(getattr(self, name), (0, more)))

    def add_layer(self, layer: Layer) -> None:
        """Takes in a layer of the plan."""
        for block in self._mine(layer.blocks):
            self._make_room(block.last_problem)
            places = slice(block.first_problem, block.last_problem)
            self._planned[places] += block.last_sample - block.first_sample
            self._start[places] = np.maximum(self._start[places], block.last_sample)
            self._next_unit = max(self._next_unit, block.first_unit + block.unit_count)
        for entry in self._mine(layer.rounds):
            self.last = entry
            on, off = in_ranges(entry.problems), in_ranges(entry.retired)
            self._tries[on] = np.where(self._end[on] == entry.end, self._tries[on] + 1, 1)
            self._end[on], self._retired[on], self._retired[off] = entry.end, False, True

    def add_counts(self, counts: Counts) -> None:
        """Takes in the verdicts that were committed before."""
        self._rows[counts.problem] += counts.rows
        self._decided[counts.problem] += counts.decided
        self._passed[counts.problem] += counts.passed

    def add_unit(self, unit: Unit, passes: Passes) -> None:
        """Takes in a committed unit."""
        self._rows[unit.first_problem : unit.last_problem] += unit.last_sample - unit.first_sample
        for idx, decided, passed in passes:
            self._decided[idx] += decided
            self._passed[idx] += passed

    def decide(self, rule: Rule, asked: Flags) -> tuple[list[Round], list[Block]]:
        """Returns what the plan lacks for the problems that are asked for: decisions, and the samples to draw."""
        retire, draws, ends = self._steps(rule, self._padded(asked))
        places = np.flatnonzero(draws)
        targets = sorted({*ends[places].tolist(), *self._end[retire].tolist()})
        rounds = [self._round(rule, end, places[ends[places] == end], retire[self._end[retire] == end])
                  for end in targets]  # fmt: skip
        if not rounds and self.last is not None and self.last.k < rule.k:
            rounds.append(self._round(rule, 0, places, retire))
        return rounds, list(self._blocks(draws, rule))

    def _steps(self, rule: Rule, asked: Flags) -> tuple[Ints, Ints, Ints]:
        """Returns the problems that retire now; then, by problem, samples to draw and the end of their round."""
        new = asked & (self._end == 0)
        whole = asked & ~new & (self._rows >= self._planned)
        again = whole & (self._decided < self._end) & (self._tries < TRIES)
        enough = self._passed >= rule.policy.retire_at
        on = new | (whole & ~again & ~enough & (self._end < rule.k))
        ends = np.where(on, 0, self._end)
        for idx in np.flatnonzero(on):
            ends[idx] = self._next_end(int(idx), rule)
        draws = np.where(again | on, np.maximum(ends - self._decided, 0), 0)
        return np.flatnonzero(whole & ~again & enough & ~self._retired), draws, ends

    def _next_end(self, idx: int, rule: Rule) -> int:
        """Returns the first end of a round that a problem has not reached: verdicts may have been faults before."""
        policy, end = rule.policy, int(self._end[idx])
        while (end := next_end(end, policy.first, policy.grow, rule.k)) < rule.k and end <= self._decided[idx]:
            pass
        return end

    def _round(self, rule: Rule, end: int, on: Ints, retired: Ints) -> Round:
        policy = rule.policy
        return Round(
            model=self.model, task=self.task, version=rule.version, k=rule.k, first=policy.first, grow=policy.grow,
            retire_at=policy.retire_at, end=end, problems=to_ranges(on), retired=to_ranges(retired),
        )  # fmt: skip

    def _blocks(self, draws: Ints, rule: Rule) -> Iterable[Block]:
        number = self._next_unit
        starts, missing = self._start.tolist(), draws.tolist()
        for first, last in runs_of_equal(starts, missing):
            rows = unit_rows((last - first) * missing[first], rule.most_rows)
            samples = (starts[first], starts[first] + missing[first])
            block = make_block(self.model, self.task, number, (first, last), samples, rows)
            number += block.unit_count
            yield block

    def open(self, k: int, asked: Flags) -> int:
        """Returns how many problems neither have retired nor have all k samples."""
        return int((self._padded(asked) & ~self._retired & ((self._end < k) | (self._rows < self._planned))).sum())

    def _padded(self, asked: Flags) -> Flags:
        return np.pad(asked, (0, max(0, len(self._end) - len(asked))))

    def retired(self) -> int:
        """Returns how many problems have retired."""
        return int(self._retired.sum())

    def saved(self, k: int) -> int:
        """Returns how many samples fewer the retired problems have than uniform sampling gives them."""
        return int(np.maximum(k - self._planned[self._retired], 0).sum())

    def _mine(self, items: Sequence[T]) -> list[T]:
        return [item for item in items if (item.model, item.task) == (self.model, self.task)]
