"""Entries of a run for a tracker: plain data, made from a report or from a snapshot of the pipeline."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cluster.tally import Progress
from jobs.progress import tokens_per_second
from jobs.store.stored_run import StoredRun

if TYPE_CHECKING:  # a run without trackers starts without what reports load
    from jobs.report.schema import Cell, Report


@dataclass(frozen=True)
class TrackedRun:
    """Name and id of a run, which are the same in every call and on every machine, as its first plan decides them."""

    id: str
    name: str

    @classmethod
    def of(cls, stored: StoredRun) -> "TrackedRun":
        first = stored.layers[0]
        name = str(first.sweep.get("name", "run"))
        return cls(hashlib.sha256(f"{name}\n{first.created}".encode()).hexdigest()[:16], name)


@dataclass(frozen=True)
class CurvePoint:
    """Coverage of one model on one task at one k, with its interval."""

    model: str
    task: str
    k: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Entries:
    """Everything that is logged at the end of a run: where it comes from, its numbers by name, its curves."""

    provenance: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: tuple[CurvePoint, ...]

    @property
    def digest(self) -> str:
        """Hash by which a tracker knows that it has these entries already."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def entries_of(report: "Report") -> Entries:
    """Returns the entries of a report."""
    metrics = {name: value for cell in report.cells for name, value in _numbers(cell) if value is not None}
    for cross in report.crossovers:
        if cross.k is not None:
            metrics[f"{cross.model}/{cross.task}/crossover_k/{cross.baseline}"] = float(cross.k)
    curves = tuple(
        CurvePoint(cell.model, cell.task, point.k, point.value, point.low, point.high)
        for cell in report.cells
        for point in cell.coverage
    )
    return Entries(dict(report.provenance), metrics, curves)


def _numbers(cell: "Cell") -> Iterator[tuple[str, float | None]]:
    named = ("samples", "planned_samples", "problems", "tokens", "flops", "gpu_hours", "usd")
    shares = ("duplicate_rate", "cut", "nothing_extracted")
    for name in (*named, *shares):
        yield f"{cell.model}/{cell.task}/{name}", getattr(cell, name)
    if cell.coverage:
        yield f"{cell.model}/{cell.task}/coverage_at_1", cell.coverage[0].value
        yield f"{cell.model}/{cell.task}/coverage_at_{cell.coverage[-1].k}", cell.coverage[-1].value


def progress_values(progress: Progress) -> dict[str, float]:
    """Returns the numbers of a snapshot by name."""
    names = ("committed", "planned", "sampled", "verified", "backlog", "elapsed_s", "idle", "set_aside")
    values = {f"progress/{name}": float(getattr(progress, name)) for name in names}
    values["progress/tokens_per_s"] = tokens_per_second(progress)
    for cell in progress.cells:
        if cell.coverage is not None:
            values[f"progress/{cell.model}/{cell.task}/coverage"] = cell.coverage
    return values
