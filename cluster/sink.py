"""Where the pipeline hands its results: jobs/ gives it a sink, so nothing here imports upwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sampling.samples import Provenance, Sample, Shard, Unit
from verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the driver learns of a committed unit.

    ``won`` is False where another attempt had committed this unit first (then ours is dropped, and the counts are what
    we would have written). ``usd`` is what a service asked for its samples, ``judge_usd`` what the judge did for its
    verdicts. ``passed`` holds (problem_idx, decided, passed) for every problem of the unit.
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


class Sink(Protocol):
    """Commits units, compacts shards. Picklable: it travels to the task that writes."""

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        """Writes one whole unit, exactly once whatever dies; ``verdicts[i]`` judges ``samples[i]``."""

    def compact(self, shard: Shard) -> None:
        """Makes few large files of the many small ones of a full shard; may die, and may be called again, anywhere."""
