"""The sink that takes the pipeline's results: jobs/ implements it, so nothing here imports upwards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from sampling.samples import Provenance, Sample, Shard, Unit
from verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Receipt:
    """The driver's view of a committed unit.

    ``won`` is False when another attempt committed the unit first; then ours is dropped, and the counts are the ones
    that it would have written. ``usd`` is what a service charged for the samples, ``judge_usd`` what the judge charged
    for the verdicts. ``passed`` holds (problem_idx, decided, passed) for every problem of the unit, ``finish`` the
    samples by their finish reason.
    """

    unit: Unit
    won: bool
    rows: int
    tokens: int
    stored_bytes: int
    passed: tuple[tuple[int, int, int], ...]
    status_counts: tuple[tuple[str, int], ...]
    usd: float = 0.0
    judge_usd: float = 0.0
    finish: tuple[tuple[str, int], ...] = ()


def committed_elsewhere(unit: Unit) -> Receipt:
    """Returns the receipt of a unit that another driver has committed, of which this one knows no count."""
    return Receipt(unit, won=False, rows=unit.rows, tokens=0, stored_bytes=0, passed=(), status_counts=())


class Sink(Protocol):
    """Commits units and compacts shards. Picklable: it travels to the task that writes."""

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        """Writes one whole unit, exactly once whatever dies; ``verdicts[i]`` belongs to ``samples[i]``."""

    def compact(self, shard: Shard) -> None:
        """Merges a full shard's many small files into few large ones. It may die and be called again, on any node."""


@dataclass(frozen=True, slots=True)
class RoundNews:
    """Units that were added to the plan; and by (model, task) how many problems retired, and the samples saved so."""

    units: Sequence[Collection[Unit]] = ()
    standing: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


class Rounds(Protocol):
    """Plans samples while others are drawn: by the verdicts of a unit, its problems get more of them, or none."""

    @property
    def due(self) -> bool:
        """True where units were committed since the last call of ``extend`` that worked."""

    def count(self, receipt: Receipt) -> None:
        """Notes a committed unit; reads and writes nothing."""

    def extend(self) -> RoundNews:
        """Plans what the noted units call for; may run in a thread. Raises StoreError."""


class AllPlanned:
    """The rounds of a run whose samples are all planned before it starts."""

    due = False

    def count(self, receipt: Receipt) -> None:
        """Does nothing."""

    def extend(self) -> RoundNews:
        return RoundNews()


class Claim(Enum):
    """Answer to a driver that wants to start a unit."""

    MINE = "mine"  # start it
    COMMITTED = "committed"  # another driver has committed it
    HELD = "held"  # another driver that lives works on it


class Leases(Protocol):
    """Shares the units of a run among its drivers. It saves work only: the commit decides what counts."""

    def claim(self, unit: Unit | Shard) -> Claim:
        """Asks for a unit before it is started, or for a shard before it is compacted; raises StoreError."""

    def release(self, unit: Unit) -> None:
        """Gives back a claimed unit that this driver has set aside, so that others may try it; raises StoreError."""


class Alone:
    """The leases of a run that has one driver."""

    def claim(self, _: Unit | Shard) -> Claim:
        return Claim.MINE

    def release(self, _: Unit) -> None:
        """Does nothing."""
