"""The rounds of a running sweep: counts what is committed, and adds the next round of each problem to the plan.

Layers are created under the next free number. Where another driver was first, its layer is read, and the decisions are
made again: they are the same, so that what it has planned is not planned twice.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from cluster.sink import Receipt, RoundNews
from jobs.planning import Wanted
from jobs.rounds.cells import Tried
from jobs.rounds.plan import asked_problems, decide, open_cells, rules_of
from jobs.store.base import Store
from jobs.store.commit import RunSink
from jobs.store.layers import Layer, Units
from jobs.store.stored_run import extend_plan, read_layers
from sampling.samples import Unit


class RoundKeeper:
    """Implements cluster.sink.Rounds. ``committed`` are the units that this driver will not draw, by (model, task).

    The ones among them that ``tried`` does not count are read. ``places`` are the problems of the sweep, by task.
    """

    def __init__(
        self,
        sink: RunSink,
        layers: Sequence[Layer],
        wanted: Wanted,
        tried: Tried,
        committed: Mapping[tuple[str, str], Collection[int]],
        places: Mapping[str, set[int]],
    ) -> None:
        self._sink, self._store, self._layers, self._places = sink, sink.store, tuple(layers), places
        self._cells, self._rules = open_cells(layers, wanted), rules_of(wanted, sink.version)
        self._asked, self._code_version = asked_problems(layers, wanted), layers[-1].code_version
        self._models = {model for model, _ in wanted.k}
        self._inbox: list[Receipt] = []
        self._counted: dict[tuple[str, str], set[int]] = {cell: set() for cell in self._cells}
        for cell, counts in tried.cells.items():
            if cell in self._cells:
                self._cells[cell].add_counts(counts)
                self._counted[cell] |= counts.units
        self._unread = [
            unit
            for layer in layers
            for block in layer.blocks
            if (cell := (block.model, block.task)) in self._cells
            for number in set(block.numbers) & (set(committed.get(cell, ())) - self._counted[cell])
            for unit in [block.unit(number)]
        ]
        self._again = bool(self._unread)

    @property
    def due(self) -> bool:
        """True where units were committed since the last look."""
        return self._again or bool(self._inbox)

    @property
    def open(self) -> int:
        """Problems that neither have retired nor have all their samples, over all models."""
        return sum(state.open(self._rules[cell].k, self._asked[cell[1]]) for cell, state in self._cells.items())

    def count(self, receipt: Receipt) -> None:
        """Notes a committed unit; it is read by ``extend``."""
        self._inbox.append(receipt)

    def extend(self) -> RoundNews:
        """Adds to the plan what the committed units call for; returns the units that are new. Raises StoreError."""
        self._again = True  # until all of this has worked
        while self._inbox:
            receipt = self._inbox.pop()
            if receipt.won:
                self._add(receipt.unit, receipt.passed)
            else:  # another attempt's verdicts count
                self._unread.append(receipt.unit)
        while self._unread:
            self._add(self._unread[-1], self._sink.read_passes(self._unread[-1]))
            self._unread.pop()
        units = self._extend_plan()
        self._again = False
        return RoundNews(units, self._standing())

    def _add(self, unit: Unit, passes: Sequence[tuple[int, int, int]]) -> None:
        cell = unit.model, unit.task
        if unit.number not in self._counted.get(cell, {unit.number}):
            self._counted[cell].add(unit.number)
            self._cells[cell].add_unit(unit, passes)

    def _extend_plan(self) -> tuple[Units, ...]:
        """Returns the units of the layers that are new, this driver's and others'."""
        known, found = len(self._layers), iter([self._layers])
        new: list[Units] = []

        def read(store: Store) -> tuple[Layer, ...]:
            return next(found, None) or read_layers(store)

        def lacking(layers: tuple[Layer, ...]) -> Layer | None:
            new.extend(self._learn(layers[len(self._layers) :]))
            return self._layer()

        layers = extend_plan(self._store, read, lacking)
        new.extend(self._learn(layers[len(self._layers) :]))
        assert len(self._layers) >= known
        return tuple(new)

    def _learn(self, layers: Sequence[Layer]) -> list[Units]:
        for layer in layers:
            for state in self._cells.values():
                state.add_layer(layer)
        self._layers = (*self._layers, *layers)
        parts = [Units(((block, block.numbers),)) for layer in layers for block in layer.blocks]
        return [part for part in (part.among(self._models, self._places) for part in parts) if len(part)]

    def _layer(self) -> Layer | None:
        rounds, blocks = decide(self._cells, self._rules, self._asked)
        if not rounds:
            return None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Layer(
            number=len(self._layers), created=now, code_version=self._code_version, sweep={}, models=(), problems=(),
            blocks=blocks, rounds=rounds,
        )  # fmt: skip

    def _standing(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {cell: (state.retired(), state.saved(self._rules[cell].k)) for cell, state in self._cells.items()}
