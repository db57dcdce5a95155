"""Selection of samples for a data set: which are right or wrong ones to take, how many of each problem, in which order.

A cell is read once, problem by problem, and of each problem no more is held than what may still be written. What is
decided by counts, such as pass rates, is counted by DuckDB before.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.export.duplicates import Dedupe, Seen, new_index
from jobs.numbers.cells import Stopping
from jobs.numbers.tally import Tally
from jobs.store.counts import read_rounds
from jobs.store.layers import Layer
from jobs.store.open_cells import OpenCell
from jobs.store.stored_run import round_table
from sampling.errors import BadInput
from sampling.validate import Plain

Order = Literal["random", "shortest", "best"]
ORDERS: tuple[Order, ...] = get_args(Order)
NEEDED = ("passed", "text", "reasoning", "finish_reason")  # columns of the rows that are chosen from
_TRIM_AT = 1024  # samples that a problem holds beyond what is asked, before the last ones are dropped
Floats = NDArray[np.float64]


class Selection(Plain):
    """The samples that an export takes; ``_export.json`` and the card repeat it."""

    per_problem: int | None = None
    """Most samples of each prompt; pairs for dpo, and as many right as wrong ones for kto. None: no limit."""

    order: Order = "random"
    """Which samples come first: ``random``, ``shortest`` (characters) or ``best`` (score)."""

    dedupe: Dedupe | None = None
    """How equal completions of one prompt are found. None: all stay."""

    min_rate: float | None = None
    """Least pass rate of a problem that is taken. None: 0."""

    max_rate: float | None = None
    """Largest pass rate of a problem that is taken. None: 1."""

    drop_truncated: bool = False
    """True where completions that the token limit cut are left out."""

    thoughts: bool = False
    """True where a completion begins with its thought, between <think> and </think>."""

    seed: int = 0
    """Seed of the random order and of the split."""


class Row(NamedTuple):
    """One sample that may be written; of two with an equal ``rank`` the earlier sample comes first."""

    rank: float
    sample: int
    text: str


@dataclass(frozen=True)
class Rates:
    """Decided and passed samples of a cell's problems, arrays by problem_idx.

    ``share`` is the unbiased pass rate where adaptive sampling made the counts depend on the outcome; None elsewhere.
    """

    n: NDArray[np.int64]
    c: NDArray[np.int64]
    share: NDArray[np.float64] | None = None

    def rate(self, problem: int) -> float:
        return float(self.rates[problem])

    @property
    def rates(self) -> NDArray[np.float64]:
        """The pass rate of each problem."""
        shares: NDArray[np.float64] = self.c / np.maximum(self.n, 1)
        return shares if self.share is None else self.share

    def taken(self, selection: Selection) -> NDArray[np.bool_]:
        """Returns the problems with a decided sample whose pass rate is asked for."""
        rate = self.rates
        low, high = selection.min_rate or 0.0, 1.0 if selection.max_rate is None else selection.max_rate
        taken: NDArray[np.bool_] = (self.n > 0) & (rate >= low) & (rate <= high)
        return taken


@dataclass
class LeftOut:
    """Counts of samples that were not taken, by reason."""

    truncated: int = 0
    empty: int = 0
    duplicates: int = 0
    beyond: int = 0


def read_rates(db: duckdb.DuckDBPyConnection, cell: OpenCell, layers: Sequence[Layer] = ()) -> Rates:
    """Counts the decided and the passed samples of each problem; ``layers`` have the rounds of adaptive sampling."""
    found = db.execute(f"""SELECT problem_idx, count(*) FILTER (status <> 'fault') AS n, count(*) FILTER (passed) AS c
        FROM {cell.verdicts} GROUP BY problem_idx""").fetchnumpy()
    size = int(max(found["problem_idx"], default=-1)) + 1
    counts = [np.zeros(size, dtype=np.int64) for _ in range(2)]
    for array, name in zip(counts, ("n", "c"), strict=True):
        array[found["problem_idx"]] = found[name]
    table = round_table(layers, cell.cell.model, cell.cell.task)
    if table is None:
        return Rates(counts[0], counts[1])
    rounds = read_rounds(db, cell.verdicts, table).part(np.arange(size))
    rule = Stopping(table.last.retire_at, table.last.k)
    tally = Tally(rounds.n, rounds.c, rule, rounds.before, rounds.retired)
    return Rates(counts[0], counts[1], tally.values([1])[:, 0])


Rank = Callable[[int, pa.Table], Floats]


def ranking(selection: Selection, db: duckdb.DuckDBPyConnection, cell: OpenCell, names: Mapping[int, str]) -> Rank:
    """Returns what ranks the rows of one problem, the first to take lowest; ``names`` has ids of problems."""
    if selection.order == "shortest":
        return lambda _, table: np.asarray(pc.utf8_length(table["text"]), dtype=np.float64)
    if selection.order == "best":
        return _by_score(db, cell)
    salt = f"{selection.seed}\0{cell.cell.model}\0{cell.cell.task}\0"
    return lambda problem, table: _shuffled(f"{salt}{names.get(problem, problem)}", table["sample_idx"].to_numpy())


def _shuffled(salt: str, samples: NDArray[Any]) -> Floats:
    """Returns a number in [0, 1) for each sample, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    start = np.uint64(int.from_bytes(hashlib.blake2b(salt.encode("utf-8", "replace"), digest_size=8).digest(), "big"))
    x = start + samples.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value: Floats = ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
    return value


def _by_score(db: duckdb.DuckDBPyConnection, cell: OpenCell) -> Rank:
    """Returns the ranking by score, the highest first; samples without one come last."""
    rows = cell.score_rows
    source = None if rows is None else (rows.scores or rows.verdicts)
    if source is None or not db.execute(f"SELECT count(*) FROM {source} WHERE isfinite(score)").fetchall()[0][0]:
        name = f"{cell.cell.model} on {cell.cell.task}"
        raise BadInput(f"--best: the samples of {name} have no scores; `troop score RUN --model RM` makes them")
    held: dict[int, tuple[NDArray[Any], Floats]] = {}

    def rank(problem: int, table: pa.Table) -> Floats:
        if problem not in held:
            held.clear()  # rows come problem by problem
            query = f"SELECT sample_idx, score::DOUBLE AS score FROM {source} WHERE problem_idx = {problem} ORDER BY 1"
            found = db.execute(query).fetchnumpy()
            held[problem] = found["sample_idx"], np.ma.filled(found["score"], np.nan)
        samples, scores = held[problem]
        wanted = table["sample_idx"].to_numpy()
        if not len(samples):
            return np.full(len(wanted), np.inf)
        at = np.minimum(np.searchsorted(samples, wanted), len(samples) - 1)
        known = (samples[at] == wanted) & np.isfinite(scores[at])
        return np.where(known, -scores[at], np.inf)

    return rank


@dataclass
class _Best:
    """The first samples of one problem by rank: those asked for, or what has not been written yet."""

    most: int | None
    rows: list[Row] = field(default_factory=list)
    dropped: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += rows
        if self.most is not None and len(self.rows) > self.most + _TRIM_AT:
            self._trim()

    def take(self) -> list[Row]:
        """Returns the rows in their order and forgets them; in the order of samples where all are taken."""
        if self.most is not None:
            self._trim()
        found, self.rows = self.rows, []
        return found

    @property
    def bound(self) -> float:
        """The rank beyond which no row can be among the first."""
        full = self.most is not None and len(self.rows) >= self.most
        return max(row.rank for row in self.rows) if full else np.inf

    def _trim(self) -> None:
        self.rows.sort(key=lambda row: row[:2])
        self.dropped += max(0, len(self.rows) - (self.most or 0))
        del self.rows[self.most :]


class Taken(NamedTuple):
    """Samples of one problem; without a limit per problem, one of several parts."""

    problem: int
    right: list[Row]
    wrong: list[Row]


def choose(
    tables: Iterator[pa.Table], rates: Rates, rank: Rank, selection: Selection, *, wrong: bool, left_out: LeftOut
) -> Iterator[Taken]:
    """Yields the samples to write, problem by problem; wrong ones too if asked for. Counts what it leaves out."""
    wanted, held = rates.taken(selection), None
    for table in tables:
        rows = _eligible(table, wanted, selection, wrong, left_out)
        for problem, part in _by_problem(rows):
            if held is None or held.problem != problem:
                if held:
                    yield held.take()
                held = _Problem.new(problem, selection, left_out)
            held.add(part, rank(problem, part))
            if selection.per_problem is None:
                yield held.take()
    if held:
        yield held.take()


@dataclass
class _Problem:
    problem: int
    right: _Best
    wrong: _Best
    seen: Seen | None
    left_out: LeftOut

    @classmethod
    def new(cls, problem: int, selection: Selection, left_out: LeftOut) -> "_Problem":
        most = selection.per_problem
        return cls(problem, _Best(most), _Best(most), new_index(selection.dedupe), left_out)

    def add(self, part: pa.Table, ranks: Floats) -> None:
        passed = part["passed"].to_numpy(zero_copy_only=False).astype(bool)
        if self.seen is None:  # what cannot be among the first need not be looked at
            bounds = np.where(passed, self.right.bound, self.wrong.bound)
            near = ranks <= bounds
            self.left_out.beyond += int((~near).sum())
            part, ranks, passed = part.filter(pa.array(near)), ranks[near], passed[near]
        rows = list(map(Row, ranks.tolist(), part["sample_idx"].to_pylist(), _strings(part["text"])))
        if self.seen is not None:
            new = np.fromiter((not self.seen.had(row.text) for row in rows), dtype=bool, count=len(rows))
            self.left_out.duplicates += int((~new).sum())
            rows, passed = [row for row, fresh in zip(rows, new, strict=True) if fresh], passed[new]
        self.right.add([row for row, good in zip(rows, passed, strict=True) if good])
        self.wrong.add([row for row, good in zip(rows, passed, strict=True) if not good])

    def take(self) -> Taken:
        taken = Taken(self.problem, self.right.take(), self.wrong.take())
        self.left_out.beyond += self.right.dropped + self.wrong.dropped
        self.right.dropped = self.wrong.dropped = 0
        return taken


def _eligible(
    table: pa.Table, wanted: NDArray[np.bool_], selection: Selection, wrong: bool, left_out: LeftOut
) -> pa.Table:
    """Returns the decided rows of the problems that are taken, with their whole texts."""
    decided = pc.is_valid(table["passed"]) if wrong else pc.fill_null(table["passed"], False)
    rows = table.filter(pc.and_(decided, pa.array(wanted[table["problem_idx"].to_numpy()])))
    if selection.drop_truncated:
        whole = pc.fill_null(pc.not_equal(rows["finish_reason"], "length"), True)
        left_out.truncated += len(rows) - pc.sum(whole).as_py() if len(rows) else 0
        rows = rows.filter(whole)
    text = pc.fill_null(rows["text"], "")
    if selection.thoughts:
        text = _with_thoughts(text, rows["reasoning"])
    rows = rows.set_column(rows.column_names.index("text"), "text", text)
    some = pc.not_equal(text, "")
    left_out.empty += len(rows) - (pc.sum(some).as_py() or 0)
    return rows.filter(some)


def _with_thoughts(text: pa.ChunkedArray, reasoning: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns each text behind its thought; an empty one, which ended inside a thought, stays empty."""
    wide = pa.large_string()
    start, end, none = (pa.scalar(word, wide) for word in ("<think>\n", "\n</think>\n\n", ""))
    before = pc.fill_null(pc.binary_join_element_wise(start, reasoning.cast(wide), end, none), none)
    whole = pc.binary_join_element_wise(before, text.cast(wide), none)
    return pc.if_else(pc.equal(text, ""), none, whole)


def _by_problem(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    if len(table):
        problems = table["problem_idx"].to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(problems)) + 1).tolist(), len(table)]
        for start, end in pairwise(starts):
            yield int(problems[start]), table.slice(start, end - start)


def _strings(column: pa.ChunkedArray) -> Sequence[str]:
    values: Sequence[str] = column.to_numpy(zero_copy_only=False)
    return values
