"""Units whose samples are stored, and readers of those samples: from files of a unit or from a compacted shard.

Verifying again and scoring read stored samples this way, unit by unit, while others may be compacting the run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa

from jobs.store.base import Store
from jobs.store.catalogue import CellFiles, ResultFile
from jobs.store.encode import decode_samples
from jobs.store.keyed_rows import SamplesReader
from jobs.store.layers import Block, Layer
from jobs.store.layout import final_verdicts_key, samples_prefixes
from jobs.store.merge import Keys, row_keys
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from jobs.store.stored_run import IMPORTED
from sampling.errors import BadInput, StoreError
from sampling.samples import Sample, Unit


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """One unit whose samples are stored."""

    unit: Unit

    verdicts: str
    """Key of a file with verdicts on its samples."""

    final: str
    """Key of those verdicts once their shard is compacted."""


def find_stored_units(
    store: Store, layers: Sequence[Layer], cells: Iterable[CellFiles], done: Mapping[tuple[str, str], Set[int]]
) -> list[StoredUnit]:
    """Returns the units of ``cells`` that have text and are not ``done``, sorted by model, task and number."""
    files = [file for cell in cells if _has_text(store, cell) for file in cell.files]
    present: dict[tuple[str, str, int], ResultFile] = {}
    for file in sorted(files, key=lambda file: file.compacted):  # compacted files win: a unit's own samples may be gone
        present |= {(file.key.model, file.key.task, number): file for number in file.key.units}
    places = sorted(place for place in present if place[2] not in done.get(place[:2], ()))
    units = _planned(layers, places)
    found = []
    for place in places:
        if place not in units:
            raise BadInput(f"{present[place].info.key}: holds unit {place[2]}, which the run's plan does not know")
        found.append(_locate(units[place], present[place]))
    return found


def _planned(layers: Sequence[Layer], places: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str, int], Unit]:
    """Returns the planned units among ``places``; makes no other unit of a plan, which may have millions."""
    blocks: defaultdict[tuple[str, str], list[Block]] = defaultdict(list)
    for layer in layers:
        for block in layer.blocks:
            blocks[block.model, block.task].append(block)
    found = ((place, block) for place in places for block in blocks[place[:2]] if place[2] in block.numbers)
    return {place: block.unit(place[2]) for place, block in found}


def _locate(unit: Unit, file: ResultFile) -> StoredUnit:
    final = final_verdicts_key(file.version, unit.model, unit.task, unit.shard)
    return StoredUnit(unit, file.info.key, final)


def _has_text(store: Store, cell: CellFiles) -> bool:
    """Returns False for imported outcomes, which have no samples."""
    places = (start for start in samples_prefixes(cell.model, cell.task))
    return cell.version != IMPORTED or any(True for place in places for _ in store.list(place))


@dataclass(frozen=True)
class UnitReader:
    """Reads one unit after another; neighbours in one compacted file cost one request together."""

    store: Store
    _samples: SamplesReader = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_samples", SamplesReader(self.store))

    def read(self, item: StoredUnit) -> tuple[list[str], list[Sample], Footer]:
        """Returns the statuses in a unit's verdicts, its samples, and the verdicts' footer; raises StoreError."""
        try:
            return self._read(item.verdicts, item.unit)
        except StoreError:
            if item.final == item.verdicts or self.store.head(item.final) is None:
                raise
            return self._read(item.final, item.unit)  # compacted since it was listed

    def _read(self, key: str, unit: Unit) -> tuple[list[str], list[Sample], Footer]:
        keys, statuses, footer = _read_verdicts(self.store, key)
        if not footer.samples:
            raise BadInput(f"{key}: verdicts without stored text; there is nothing to read")
        places = np.flatnonzero(_inside(unit, keys))
        samples = decode_samples(self._samples.read(footer, keys[places]))
        return statuses.take(places).to_pylist(), samples, footer


@lru_cache(maxsize=1)
def _read_verdicts(store: Store, key: str) -> tuple[Keys, pa.ChunkedArray, Footer]:
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
