"""Rounds in the plan of a run: the layer that an adaptive sweep lacks, and the policy that a run keeps."""

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.numbers.rounds import Flags, Round
from jobs.planning import UNIT_ROWS, Wanted
from jobs.rounds.cells import CellRounds, Rule, Tried
from jobs.store.layers import Block, Layer, problem_ids
from sampling.errors import BadInput
from sampling.settings import Adaptive

Cell = tuple[str, str]


def check_policy(layers: Sequence[Layer], wanted: Wanted) -> None:
    """Raises BadInput, with the difference, where the plan's samples were drawn by another policy."""
    for cell in wanted.k:
        before = [entry for layer in layers for entry in layer.rounds if (entry.model, entry.task) == cell]
        planned = any((block.model, block.task) == cell for layer in layers for block in layer.blocks)
        then, now = _policy_of(before), wanted.adaptive
        if planned and then != now:
            raise BadInput(
                f"adaptive: {cell[0]} on {cell[1]} was {_difference(then, now)}; one run keeps one policy: give the "
                "sweep a new name"
            )


def _policy_of(entries: Sequence[Round]) -> Adaptive | None:
    if not entries:
        return None
    first, grow, retire_at = entries[-1].policy
    return Adaptive(first=first, grow=grow, retire_at=retire_at)


def _difference(then: Adaptive | None, now: Adaptive | None) -> str:
    """Says what differs: ``retire_at 5, is 3``."""
    if then is None or now is None:
        return f"{then.words if then else 'uniform'}, is {now.words if now else 'uniform'}"
    pairs = ((name, getattr(then, name), getattr(now, name)) for name in Adaptive.model_fields)
    return "; ".join(f"{name} {a:g}, is {b:g}" for name, a, b in pairs if a != b)


def open_cells(layers: Sequence[Layer], wanted: Wanted) -> dict[Cell, CellRounds]:
    """Returns the state of every cell that the sweep samples, as the plan has it, without any verdict."""
    cells = {cell: CellRounds(*cell, len(problem_ids(layers, cell[1]))) for cell in wanted.k}
    for state in cells.values():
        for layer in layers:
            state.add_layer(layer)
    return cells


def rules_of(wanted: Wanted, version: str) -> dict[Cell, Rule]:
    """Returns the rule of every cell that the sweep samples."""
    policy = wanted.adaptive
    assert policy is not None
    return {cell: Rule(policy, k, version, wanted.most_unit_rows.get(cell, UNIT_ROWS)) for cell, k in wanted.k.items()}


def asked_problems(layers: Sequence[Layer], wanted: Wanted) -> dict[str, Flags]:
    """Returns which problems of each task the sweep names, by problem_idx."""
    found = {}
    for task, given in wanted.problems.items():
        named = {problem.id for problem in given}
        found[task] = np.array([name in named for name in problem_ids(layers, task)], dtype=np.bool_)
    return found


def decide(
    cells: Mapping[Cell, CellRounds], rules: Mapping[Cell, Rule], asked: Mapping[str, Flags]
) -> tuple[tuple[Round, ...], tuple[Block, ...]]:
    """Returns the decisions that the plan lacks, and the samples that follow from them."""
    found = [state.decide(rules[cell], asked[cell[1]]) for cell, state in cells.items()]
    rounds = tuple(entry for entries, _ in found for entry in entries)
    return rounds, tuple(block for _, blocks in found for block in blocks)


def with_rounds(layers: Sequence[Layer], layer: Layer, wanted: Wanted, tried: Tried) -> Layer | None:
    """Returns the layer with the rounds that the plan lacks after it; None where it adds nothing."""
    every = (*layers, layer)
    cells = open_cells(every, wanted)
    for cell, counts in tried.cells.items():
        if cell in cells:
            cells[cell].add_counts(counts)
    rounds, blocks = decide(cells, rules_of(wanted, tried.version), asked_problems(every, wanted))
    if not (rounds or layer.models or layer.problems or layer.retracted):
        return None
    return layer.model_copy(update={"rounds": rounds, "blocks": (*layer.blocks, *blocks)})
