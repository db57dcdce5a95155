"""What a run will take, from a few of its samples: arithmetic over plain arrays.

A total is the number of samples still to draw times what one costs, measured; its interval resamples the problems that
were measured, as every interval here does. It covers which problems were met, not a machine whose load changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.numbers.estimators import RESAMPLES, Floats, percentile_bounds, resample_weights
from jobs.report.schema import Prediction

SECONDS_AN_HOUR, BYTES_A_MEGABYTE = 3600, 1_000_000


@dataclass(frozen=True)
class Measured:
    """Totals by problem of one model on one task, each of shape (P,): samples that were drawn, completion tokens,
    seconds of one engine, dollars (None without a price). ``stored_bytes`` is what one sample takes in the store."""

    model: str
    task: str
    samples: Floats
    tokens: Floats
    engine_s: Floats
    usd: Floats | None
    stored_bytes: float


@dataclass(frozen=True)
class Place:
    """Where the rest will run: engines by model, seconds until they are up, the size of the verifier pool, and seconds
    of one verifier for a sample."""

    engines: Mapping[str, int]
    ready_s: float
    verifiers: int
    verify_s: float


def predict(
    measured: Sequence[Measured],
    to_do: Mapping[tuple[str, str], int],
    place: Place,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Prediction, ...]:
    """Tokens, hours, dollars, megabytes and verifier cores of ``to_do`` samples by (model, task).

    Each with a 95 % interval, but where a single problem was measured. Hours are the start of the engines, and then
    whatever takes longest: the engine seconds of a model shared by its engines, or the verifiers' by the pool. Cores
    are those that are busy then, and those that would keep up with the engines. Copies of a program are judged once
    and their part grows with k, so verifiers are rather over- than underestimated. Every (model, task) of ``to_do``
    with samples must be measured.
    """
    rest = {cell: count for cell, count in to_do.items() if count}
    cells = {(cell.model, cell.task): cell for cell in measured}
    assert rest.keys() <= cells.keys(), f"not measured: {sorted(rest.keys() - cells.keys())}"
    totals = [_draws(cells[cell], count, resamples, seed) for cell, count in rest.items()]
    models = {cell.model for cell in totals}
    lanes = [_lane(totals, model, place.engines.get(model, 1)) for model in models]
    engines_s = np.max(lanes, axis=0) if lanes else np.zeros(1)
    verify_s = sum(rest.values()) * place.verify_s
    sampling_s = np.maximum(engines_s, verify_s / place.verifiers)
    alone = any(len(cells[cell].samples) == 1 for cell in rest)
    rows = [
        ("tokens", "", _sum(cell.tokens for cell in totals)),
        ("hours", "h", (sampling_s + (place.ready_s if rest else 0.0)) / SECONDS_AN_HOUR),
        ("dollars", "$", _sum(cell.usd for cell in totals)),
        ("stored", "MB", _sum(cell.stored_bytes / BYTES_A_MEGABYTE for cell in totals)),
        ("busy verifiers", "cores", verify_s / np.maximum(sampling_s, 1e-9)),
        ("verifiers that keep up", "cores", verify_s / np.maximum(engines_s, 1e-9)),
    ]
    return tuple(_prediction(what, unit, draws, alone) for what, unit, draws in rows if draws is not None)


@dataclass(frozen=True)
class _Draws:
    """Totals of a cell, each of shape (1 + R,): the estimate, and then one for every resample of the problems."""

    model: str
    tokens: Floats
    engine_s: Floats
    usd: Floats | None
    stored_bytes: Floats


def _draws(cell: Measured, samples: int, resamples: int, seed: int) -> _Draws:
    problems = len(cell.samples)
    weights = np.vstack([np.full(problems, 1 / problems), resample_weights(problems, resamples, seed)])

    def total(values: Floats) -> Floats:
        """The ratio estimate (Cochran 1977, chapter 6): problems may have been given different numbers of samples."""
        return np.asarray(samples * (weights @ values) / (weights @ cell.samples))

    tokens = total(cell.tokens)
    return _Draws(
        model=cell.model,
        tokens=tokens,
        engine_s=total(cell.engine_s),
        usd=None if cell.usd is None else total(cell.usd),
        stored_bytes=samples * cell.stored_bytes * (tokens / tokens[0] if tokens[0] else np.ones_like(tokens)),
    )


def _lane(totals: Sequence[_Draws], model: str, engines: int) -> Floats:
    """Seconds in which the engines of a model do all its work."""
    return np.asarray(sum(cell.engine_s for cell in totals if cell.model == model)) / max(1, engines)


def _sum(parts: Iterable[Floats | None]) -> Floats | None:
    """None where a part is not known."""
    known = list(parts)
    if any(part is None for part in known):
        return None
    return np.asarray(sum(part for part in known if part is not None)) if known else np.zeros(1)


def _prediction(what: str, unit: str, draws: Floats, alone: bool) -> Prediction:
    if alone or len(draws) == 1:
        return Prediction(what=what, unit=unit, predicted=float(draws[0]))
    low, high = percentile_bounds(draws[1:, None])
    return Prediction(what=what, unit=unit, predicted=float(draws[0]), low=float(low[0]), high=float(high[0]))
