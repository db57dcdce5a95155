"""Compares two runs: finds what belongs together, computes, and collects the flips both ways with their samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jobs.compare.pairs import differences, mcnemar
from jobs.compare.read import Joined, join_pairs, read_texts
from jobs.compare.result import SHOWN, Compared, Comparison, Flip, Side
from jobs.numbers.cells import CellCounts
from jobs.numbers.crossover import common_problems
from jobs.numbers.estimators import Ints
from jobs.numbers.intervals import Population
from jobs.numbers.tally import tally_of
from jobs.store.counts import read_cells
from jobs.store.stored_run import StoredRun
from sampling.errors import BadInput


@dataclass(frozen=True)
class Wanted:
    """Options of a comparison."""

    model_a: str | None = None
    model_b: str | None = None
    tasks: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()
    population: Population = "problems"
    margin: float | None = None
    fail_below: float | None = None
    fail_on: Literal["value", "low", "high"] = "value"
    at: int = 1


Pair = tuple[CellCounts, CellCounts]


def compare_runs(a: StoredRun, b: StoredRun, wanted: Wanted) -> Compared:
    """Compares what both runs have in common; raises BadInput where that is nothing."""
    sides = [read_cells(side.store, side.version) for side in (a, b)]
    pairs, notes = _pairs(sides[0], sides[1], a, b, wanted)
    found = [(pair, list(_compare(pair, a, b, wanted))) for pair in pairs]
    notes += [
        f"not compared, no common problem: {x.model} and {y.model} on {x.task}" for (x, y), ones in found if not ones
    ]
    comparisons = tuple(one for _, ones in found for one in ones)
    if not comparisons:
        tasks = ", ".join(dict.fromkeys(pair[0].task for pair in pairs))
        raise BadInput(
            f"compare: no common problem: {a.store.uri} and {b.store.uri} have no problem of {tasks} that both have "
            "decided samples of; problems are the same where task and id are"
        )
    return Compared(population=wanted.population, k=wanted.at, margin=wanted.margin, fail_below=wanted.fail_below,
                    fail_on=wanted.fail_on, comparisons=comparisons, notes=tuple(notes))  # fmt: skip


def _pairs(
    a_cells: Sequence[CellCounts], b_cells: Sequence[CellCounts], a: StoredRun, b: StoredRun, wanted: Wanted
) -> tuple[list[Pair], list[str]]:
    """Returns the cells that belong together, by task and model, and notes on those that have no partner."""
    first = _of(a_cells, wanted.model_a, "a", a, wanted.tasks)
    second = _of(b_cells, wanted.model_b, "b", b, wanted.tasks)
    names = [{cell.model for cell in side} for side in (first, second)]
    by_place = {(c.task, c.model): c for c in second}
    if all(len(side) == 1 for side in names):
        (other,) = names[1]
        pairs = [(cell, by_place[cell.task, other]) for cell in first if (cell.task, other) in by_place]
    elif names[0] & names[1]:
        pairs = [(cell, by_place[cell.task, cell.model]) for cell in first if (cell.task, cell.model) in by_place]
    else:
        listed = "; ".join(f"{name}: {', '.join(sorted(side))}" for name, side in zip("AB", names, strict=True))
        raise BadInput(
            f"compare: no model has the same name in both ({listed}); --model-a and --model-b choose one each"
        )
    if not pairs:
        tasks = [", ".join(sorted({c.task for c in side})) for side in (first, second)]
        raise BadInput(f"compare: no common problem: A has the tasks {tasks[0]}, B has {tasks[1]}, of these models")
    if any(_same(pair, a, b) for pair in pairs):
        raise BadInput("compare: A and B are the same samples with the same verdicts; give another run, or choose by "
                       "--model-a, --model-b, --version-a, --version-b")  # fmt: skip
    used = [{(c.task, c.model) for c in side} for side in zip(*pairs, strict=True)]
    left = [f"not compared, no partner: {c.model} on {c.task} ({name})" for name, side, taken in
            zip("AB", (first, second), used, strict=True) for c in side if (c.task, c.model) not in taken]  # fmt: skip
    return pairs, left


def _of(
    cells: Sequence[CellCounts], model: str | None, name: str, run: StoredRun, tasks: tuple[str, ...]
) -> list[CellCounts]:
    if not cells:
        raise BadInput(f"compare: {run.store.uri} has no verdict yet")
    models, known = {cell.model for cell in cells}, {cell.task for cell in cells}
    if model is not None and model not in models:
        raise BadInput(f"--model-{name} {model}: not in {run.store.uri}; allowed: {', '.join(sorted(models))}")
    if unknown := next((task for task in tasks if task not in known), None):
        raise BadInput(f"--task {unknown}: not in {run.store.uri}; allowed: {', '.join(sorted(known))}")
    return [cell for cell in cells if model in (None, cell.model) and cell.task in (tasks or (cell.task,))]


def _same(pair: Pair, a: StoredRun, b: StoredRun) -> bool:
    first, second = pair
    return a.store == b.store and (first.model, first.version) == (second.model, second.version)


def _compare(pair: Pair, a: StoredRun, b: StoredRun, wanted: Wanted) -> Iterator[Comparison]:
    first, second = pair
    at = common_problems(first, second)
    if not len(at[0]):
        return
    joined = join_pairs(a, b, pair, at)
    rows = differences(first, second, at, wanted.population, (*wanted.ks, wanted.at) if wanted.ks else ())
    if wanted.at not in {row.k for row in rows}:
        extra = differences(first, second, at, wanted.population, (wanted.at,))
        rows = tuple(sorted((*rows, *extra), key=lambda row: row.k))
    chosen = next(row for row in rows if row.k == wanted.at)
    counts = joined.counts
    all_equal = counts.hashed > 0 and counts.equal == counts.hashed
    same_samples = all_equal or (a.store == b.store and first.model == second.model)
    solved = [cell.c[places] > 0 for cell, places in zip(pair, at, strict=True)]
    yield Comparison(
        task=first.task, a=_side(a, first, at[0]), b=_side(b, second, at[1]), problems=len(at[0]),
        only_a=int((first.n > 0).sum()) - len(at[0]), only_b=int((second.n > 0).sum()) - len(at[1]),
        differences=rows, mcnemar=mcnemar(first, second, at, counts, same_samples),
        equal_texts=counts.equal, comparable_texts=counts.hashed,
        solved_by_a_alone=int((solved[0] & ~solved[1]).sum()), solved_by_b_alone=int((solved[1] & ~solved[0]).sum()),
        lost=_flips(pair, at, joined, a, b, lost=True), gained=_flips(pair, at, joined, a, b, lost=False),
        equivalent=None if wanted.margin is None else -wanted.margin <= chosen.low and chosen.high <= wanted.margin,
        failed=wanted.fail_below is not None and getattr(chosen, wanted.fail_on) < wanted.fail_below,
    )  # fmt: skip


def _side(run: StoredRun, cell: CellCounts, at: Ints) -> Side:
    rate = float(tally_of(cell, at).values([1]).mean())
    return Side(run=run.store.uri, model=cell.model, version=cell.version, samples=int(cell.n[at].sum()),
                pass_at_1=rate, duplicate_rate=cell.duplicate_rate)  # fmt: skip


def _flips(
    pair: Pair, at: tuple[Ints, Ints], joined: Joined, a: StoredRun, b: StoredRun, *, lost: bool
) -> tuple[Flip, ...]:
    """Returns the problems with most flips one way, with the two completions of the first of them."""
    (first, second), counts = pair, joined.counts
    many, shown = (counts.a_only, joined.first_lost) if lost else (counts.b_only, joined.first_gained)
    order = [int(i) for i in np.argsort(-many, kind="stable")[:SHOWN] if many[i] > 0]
    keys = [(first.problem_ids[at[0][i]], int(shown[i])) for i in order]
    texts = [read_texts(run, cell, keys) for run, cell in zip((a, b), pair, strict=True)]
    return tuple(
        Flip(
            problem=key[0], a_passed=int(first.c[at[0][i]]), a_samples=int(first.n[at[0][i]]),
            b_passed=int(second.c[at[1][i]]), b_samples=int(second.n[at[1][i]]),
            lost=int(counts.a_only[i]), gained=int(counts.b_only[i]),
            sample=key[1], a_text=texts[0].get(key), b_text=texts[1].get(key),
        )
        for i, key in zip(order, keys, strict=True)
    )  # fmt: skip
