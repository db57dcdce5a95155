"""Units whose samples are stored, and those samples read where they lie: in files of their own or in a compacted shard.

Whoever judges or scores stored samples goes through these, unit by unit, while others may be compacting the run.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa

from jobs.store.base import Store
from jobs.store.catalogue import Cell, VerdictFile
from jobs.store.encode import samples_of
from jobs.store.layers import Layer, planned_units
from jobs.store.layout import final_verdicts_key, samples_prefixes
from jobs.store.rows import Keys, SamplesReader, row_keys
from jobs.store.schema import Footer, read_footer
from jobs.store.stored_run import IMPORTED
from jobs.store.whole import read_table
from sampling.errors import BadInput, StoreError
from sampling.samples import Sample, Unit


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """One unit: the key of a file with verdicts on its samples, and where those are once compacted."""

    unit: Unit
    verdicts: str
    final: str


def stored_units(
    store: Store, layers: Sequence[Layer], cells: Iterable[Cell], done: Mapping[tuple[str, str], Set[int]]
) -> list[StoredUnit]:
    """The units with text that ``cells`` have verdicts of and that are not ``done``, in the order of their keys."""
    files = [file for cell in cells if _has_text(store, cell) for file in cell.files]
    present: dict[tuple[str, str, int], VerdictFile] = {}
    for file in sorted(files, key=lambda file: file.compacted):  # a unit's own samples may be gone, a shard's are not
        present |= {(file.key.model, file.key.task, number): file for number in file.key.units}
    units = {(unit.model, unit.task, unit.number): unit for unit in planned_units(layers)}
    found = []
    for place in sorted(place for place in present if place[2] not in done.get(place[:2], ())):
        if place not in units:
            raise BadInput(f"{present[place].info.key}: holds unit {place[2]}, which the run's plan does not know")
        found.append(_stored(store, units[place], present[place]))
    return found


def _stored(store: Store, unit: Unit, file: VerdictFile) -> StoredUnit:
    final = final_verdicts_key(file.version, unit.model, unit.task, unit.shard)
    return StoredUnit(unit, file.info.key, final)


def _has_text(store: Store, cell: Cell) -> bool:
    """Imported outcomes have none, so there is nothing to read."""
    places = (start for start in samples_prefixes(cell.model, cell.task))
    return cell.version != IMPORTED or any(True for place in places for _ in store.list(place))


@dataclass(frozen=True)
class UnitReader:
    """Reads one unit after another; neighbours that lie in one compacted file cost one request."""

    store: Store
    _samples: SamplesReader = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_samples", SamplesReader(self.store))

    def read(self, item: StoredUnit) -> tuple[list[str], list[Sample], Footer]:
        """The statuses that its verdicts gave a unit, its samples, and the footer that names those; StoreError."""
        try:
            return self._read(item.verdicts, item.unit)
        except StoreError:
            if item.final == item.verdicts or self.store.head(item.final) is None:
                raise
            return self._read(item.final, item.unit)  # compacted since it was listed

    def _read(self, key: str, unit: Unit) -> tuple[list[str], list[Sample], Footer]:
        keys, statuses, footer = _verdicts(self.store, key)
        if not footer.samples:
            raise BadInput(f"{key}: verdicts without stored text; there is nothing to read")
        places = np.flatnonzero(_inside(unit, keys))
        samples = samples_of(self._samples.rows(footer, keys[places]))
        return statuses.take(places).to_pylist(), samples, footer


@lru_cache(maxsize=1)
def _verdicts(store: Store, key: str) -> tuple[Keys, pa.ChunkedArray, Footer]:
    data = store.get(key)
    table = read_table(data, "verdicts", key)
    return row_keys(table), table.column("status"), read_footer(data, key)


def _inside(unit: Unit, keys: Keys) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    problem, sample = keys >> 32, keys & 0xFFFFFFFF
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        (problem >= unit.first_problem)
        & (problem < unit.last_problem)
        & (sample >= unit.first_sample)
        & (sample < unit.last_sample)
    )
    return inside
