"""Rounds of adaptive sampling: what a plan says of them, and the counts by rounds that estimates are made of.

A problem gets samples round by round, and retires at the first end of a round at which it has enough passes. Estimates
are made of the last complete round of each problem. The rule is applied again to the verdicts that are read: where they
are of another version than the ones that the plan was made by, they decide, and what the plan did otherwise is counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sampling.validate import Plain

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Ranges = tuple[tuple[int, int], ...]  # half-open, of problems


class Round(Plain):
    """Decisions on one model and task: which problems get samples up to a round's end, and which retired there."""

    model: str
    """Name of the model."""

    task: str
    """Name of the task."""

    version: str
    """Version of the verifiers by whose verdicts the decisions were made."""

    k: int = Field(ge=1)
    """Samples at which the last round ends."""

    first: int = Field(ge=1)
    """Samples at which the first round ends."""

    grow: float = Field(gt=1)
    """Factor from one round's end to the next."""

    retire_at: int = Field(ge=1)
    """Passes at which a problem retires."""

    end: int = Field(ge=0)
    """Decided samples that a problem has at the end of this round; 0 where the entry only raises `k`."""

    problems: Ranges = ()
    """Problems that get samples up to this round's end, as half-open ranges of problem_idx."""

    retired: Ranges = ()
    """Problems that had enough passes at this round's end and get no further sample, as half-open ranges."""

    @property
    def policy(self) -> tuple[int, float, int]:
        """The keys that a run never changes: first, grow, retire_at."""
        return self.first, self.grow, self.retire_at


class StopRule(Plain):
    """A rule by which imported samples of a model on a task ended because of their outcome, as the importer said."""

    model: str
    """Name of the model."""

    task: str
    """Name of the task."""

    at: int = Field(ge=1)
    """Passes at which the sampling of a problem ended."""

    cap: int = Field(ge=1)
    """Samples at which a problem ended without them."""

    rounds: tuple[int, ...] = ()
    """Samples of a problem at each end of a round, where passes were counted; empty for after every sample."""


def next_end(end: int, first: int, grow: float, k: int) -> int:
    """Returns the end of the round after the one that ends at ``end``; 0 stands for none yet."""
    return min(max(ceil(end * grow), end + 1) if end else first, k)


def round_ends(first: int, grow: float, k: int) -> tuple[int, ...]:
    """Returns the ends of all rounds up to k."""
    ends = [next_end(0, first, grow, k)]
    while ends[-1] < k:
        ends.append(next_end(ends[-1], first, grow, k))
    return tuple(ends)


def to_ranges(places: Iterable[int]) -> Ranges:
    """Returns whole numbers, given in order, as half-open ranges."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1][1] = int(place) + 1
        else:
            found.append([int(place), int(place) + 1])
    return tuple((first, last) for first, last in found)


def in_ranges(ranges: Ranges) -> list[int]:
    """Returns the whole numbers in half-open ranges."""
    return [place for first, last in ranges for place in range(first, last)]


@dataclass(frozen=True)
class RoundTable:
    """The planned rounds of one model and task: one row for each problem and round, by problem and round.

    ``retired`` has an entry for each problem of the task: True where the plan says that it retired.
    """

    last: Round
    """The newest entry of the plan, which has the policy and k."""
    problem: Ints
    number: Ints
    """Number of the round, from 0."""
    end: Ints
    """Decided samples that the round ends at."""
    first_sample: Ints
    """First sample_idx of the round."""
    planned: Ints
    """Samples of the round, drawn again ones included."""
    retired: Flags

    @property
    def shape(self) -> tuple[int, int]:
        """Problems of the task, and the most rounds of one."""
        return len(self.retired), int(self.number.max(initial=0)) + 1

    @property
    def first(self) -> int:
        """Samples of the first round, the fewest of a problem."""
        return int(self.end[self.number == 0].min(initial=self.last.k))

    def spread(self, values: Ints) -> Ints:
        """Returns the values of the rows as an array (P, J) of problems and rounds; 0 where there is no such round."""
        table = np.zeros(self.shape, dtype=np.int64)
        table[self.problem, self.number] = values
        return table


@dataclass(frozen=True)
class FirstRound:
    """Verdicts on the samples that every problem gets at first; arrays of shape (P,)."""

    n: Ints
    """Decided verdicts."""
    c: Ints
    """Passes."""
    faults: Ints
    timeouts: Ints

    def part(self, indices: Ints) -> "FirstRound":
        """Returns the counts of some problems."""
        return FirstRound(self.n[indices], self.c[indices], self.faults[indices], self.timeouts[indices])


@dataclass(frozen=True)
class RoundCounts:
    """Counts of adaptive sampling up to each problem's last complete round, arrays of shape (P,).

    A problem in its first round has the samples so far; a later round counts once it is complete.
    """

    n: Ints
    """Decided verdicts up to the end of the last complete round."""
    c: Ints
    """Passes among them."""
    before: Ints
    """Decided verdicts up to the end of the round before; 0 in the first round."""
    retired: Flags
    """True where the problem has enough passes at the end of that round."""
    ended: Flags
    """True where the problem has retired or has all k samples."""
    complete: Ints
    """Number of complete rounds that count."""
    first: FirstRound
    """Counts of the first round alone."""
    last: Round
    """The newest entry of the plan, which has the policy and k."""
    sizes: tuple[int, ...] = ()
    """Ends of the rounds that the plan has so far."""
    otherwise: int = 0
    """Problems that these verdicts would have let go on, or retire, otherwise than the plan did."""

    def part(self, indices: Ints) -> "RoundCounts":
        """Returns the counts of some problems."""
        return RoundCounts(
            self.n[indices], self.c[indices], self.before[indices], self.retired[indices], self.ended[indices],
            self.complete[indices], self.first.part(indices), self.last, self.sizes, self.otherwise,
        )  # fmt: skip


def replay(table: RoundTable, rows: Ints, decided: Ints, passed: Ints, first: FirstRound) -> RoundCounts:
    """Applies the rule of the plan to verdicts; arrays (P, J) hold the committed rows of each problem and round."""
    problems, retire_at = np.arange(len(rows)), table.last.retire_at
    planned = table.spread(table.planned)
    whole = np.logical_and.accumulate((planned > 0) & (rows >= planned), axis=1)
    n, c = decided.cumsum(axis=1), passed.cumsum(axis=1)
    enough = whole & (c >= retire_at)
    retired: Flags = np.asarray(enough.any(axis=1))
    known = (planned > 0).sum(axis=1)
    complete = np.where(retired, enough.argmax(axis=1) + 1, whole.sum(axis=1))
    at = np.maximum(complete - 1, 0)
    end = table.spread(table.end).max(axis=1)
    on = complete < known  # the plan has a later round
    other = (retired & on) | (table.retired & ~retired & ~on)
    return RoundCounts(
        n=n[problems, at],
        c=c[problems, at],
        before=np.where(at > 0, n[problems, at - 1], 0),
        retired=retired,
        ended=retired | (~on & (end >= table.last.k)),
        complete=complete,
        first=first,
        last=table.last,
        sizes=tuple(int(size) for size in np.unique(table.end)),
        otherwise=int(other.sum()),
    )
