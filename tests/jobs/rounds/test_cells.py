"""Decisions of rounds as plain data: they follow from the outcomes, whatever the order in which units are committed."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers.rounds import FirstRound, replay, round_ends, to_ranges
from jobs.rounds.cells import TRIES, CellRounds, Rule
from jobs.store.layers import Layer, PlannedProblems
from jobs.store.stored_run import round_table
from sampling.samples import Unit
from sampling.settings import Adaptive

POLICY = Adaptive(first=4, grow=2.0, retire_at=2)
Outcomes = list[list[int]]  # by problem and sample: 1 passes, 0 fails, -1 is a fault


class Run:
    """A run of one model on one task, without a store: its plan, and units that are committed in any order."""

    def __init__(self, outcomes: Outcomes, k: int) -> None:
        self.outcomes, self.k, size = outcomes, k, len(outcomes)
        ids = tuple(map(str, range(size)))
        problems = PlannedProblems(task="t", ids=ids, prompt_digests=ids, reference_digests=ids)
        self.layers = [_layer(0, problems=(problems,))]
        self.state, self.asked = CellRounds("m", "t", size), np.ones(size, dtype=np.bool_)
        self.waiting: list[Unit] = []
        self.committed: list[Unit] = []

    def decide(self) -> bool:
        """Adds a layer; returns False where nothing is to decide."""
        rounds, blocks = self.state.decide(Rule(POLICY, self.k, "v", 8), self.asked)
        if not rounds:
            return False
        layer = _layer(len(self.layers), rounds=tuple(rounds), blocks=tuple(blocks))
        self.state.add_layer(layer)
        self.layers.append(layer)
        self.waiting += [block.unit(number) for block in blocks for number in block.numbers]
        return True

    def commit(self, at: int) -> None:
        unit = self.waiting.pop(at)
        self.committed.append(unit)
        rows = (self.outcomes[idx][unit.first_sample : unit.last_sample]
                for idx in range(unit.first_problem, unit.last_problem))  # fmt: skip
        passes = [(idx, sum(o >= 0 for o in row), row.count(1)) for idx, row in enumerate(rows, unit.first_problem)]
        self.state.add_unit(unit, passes)

    def drawn(self) -> list[int]:
        """Returns the samples of each problem."""
        return [sum(u.last_sample - u.first_sample for u in self.committed if u.first_problem <= idx < u.last_problem)
                for idx in range(len(self.outcomes))]  # fmt: skip


def _layer(number: int, **parts: object) -> Layer:
    given = {"models": (), "problems": (), "blocks": (), **parts}
    return Layer.model_validate({"number": number, "created": "", "code_version": "", "sweep": {}, **given})


def by_hand(row: list[int], k: int) -> tuple[int, int]:
    """Returns the samples that a problem gets, and its passes, by the policy."""
    at = decided = passed = 0
    for end in round_ends(POLICY.first, POLICY.grow, k):
        for _ in range(TRIES):
            take = row[at : at + end - decided]
            at, decided, passed = at + len(take), decided + sum(o >= 0 for o in take), passed + take.count(1)
        if passed >= POLICY.retire_at:
            break
    return at, passed


@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 5), st.sampled_from([4, 10, 32]))
def test_any_order_of_commits_and_decisions_comes_to_the_same(data: st.DataObject, problems: int, k: int) -> None:
    rate = data.draw(st.sampled_from([0.0, 0.1, 0.5]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    outcomes = np.where(rng.random((problems, 8 * k)) < 0.1, -1, rng.random((problems, 8 * k)) < rate).tolist()
    run = Run(outcomes, k)
    run.decide()
    while run.waiting or run.decide():
        if run.waiting:
            run.commit(data.draw(st.integers(0, len(run.waiting) - 1)))
        if data.draw(st.booleans()):
            run.decide()
    assert run.drawn() == [by_hand(row, k)[0] for row in outcomes]
    assert run.state.open(k, run.asked) == 0
    numbers = [unit.number for unit in run.committed]
    assert sorted(numbers) == list(range(len(numbers)))
    _check_replay(run)


def _check_replay(run: Run) -> None:
    """The report's replay of the plan comes to the same ends, and finds no decision that it would not make."""
    table = round_table(run.layers, "m", "t")
    assert table is not None
    rows, decided, passed = (np.zeros(table.shape, dtype=np.int64) for _ in range(3))
    for problem, number, first, planned in zip(
        table.problem, table.number, table.first_sample, table.planned, strict=True
    ):
        part = run.outcomes[problem][first : first + planned]
        rows[problem, number], passed[problem, number] = planned, part.count(1)
        decided[problem, number] = sum(o >= 0 for o in part)
    none = np.zeros(len(rows), dtype=np.int64)
    found = replay(table, rows, decided, passed, FirstRound(none, none, none, none))
    assert found.otherwise == 0 and found.ended.all()
    assert found.c.tolist() == [by_hand(row, run.k)[1] for row in run.outcomes]
    assert (found.before < np.maximum(found.n, 1)).all()


def test_a_larger_k_goes_on_from_where_each_problem_is() -> None:
    outcomes = [[0] * 100, [1] * 100]
    run = Run(outcomes, 10)
    for k, drawn in ((10, [10, 4]), (10, [10, 4]), (32, [32, 4])):
        run.k = k
        while run.decide() or run.waiting:
            if run.waiting:
                run.commit(0)
        assert run.drawn() == drawn
    assert [entry.end for layer in run.layers for entry in layer.rounds if entry.problems] == [4, 8, 10, 20, 32]
    assert run.state.last is not None and run.state.last.k == 32


def test_a_larger_k_is_in_the_plan_though_every_problem_has_retired() -> None:
    run = Run([[1] * 50], 10)
    while run.decide() or run.waiting:
        if run.waiting:
            run.commit(0)
    run.k = 20
    assert run.decide() and not run.decide()
    table = round_table(run.layers, "m", "t")
    assert table is not None and table.last.k == 20 and table.retired.all() and table.first == 4


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_exactly_the_numbers(numbers: set[int]) -> None:
    ranges = to_ranges(sorted(numbers))
    assert {n for first, last in ranges for n in range(first, last)} == numbers
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
