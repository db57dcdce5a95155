"""Prediction of what the rest of a run will take, from the samples that it already has.

A total is the number of samples still to draw times the measured cost of one. Its interval resamples the problems that
were measured, as every interval here does. It covers the choice of problems, not a machine whose load changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from jobs.numbers.costs import SECONDS_AN_HOUR
from jobs.numbers.estimators import LEVEL, RESAMPLES, Floats, percentile_bounds, resample_weights
from jobs.numbers.prediction import Prediction

BYTES_A_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class MeasuredCell:
    """Totals of the samples that one (model, task) already has; arrays of shape (P,), one entry per problem."""

    model: str
    task: str
    samples: Floats
    tokens: Floats
    """Completion tokens."""
    engine_s: Floats
    """Seconds of one engine."""
    usd: Floats | None
    """Dollars; None without a price."""
    stored_bytes: float
    """Bytes in the store per sample."""


@dataclass(frozen=True)
class Capacity:
    """The engines and verifiers that will draw and verify the rest of the run."""

    engines: Mapping[str, int]
    """Engines by model."""
    ready_s: float
    """Seconds until the engines are ready."""
    verifiers: int
    """Verifiers in the pool."""
    verify_s: float
    """Seconds of one verifier per sample."""


def predict(
    measured: Sequence[MeasuredCell],
    to_do: Mapping[tuple[str, str], int],
    capacity: Capacity,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Prediction, ...]:
    """Predicts tokens, hours, dollars, megabytes and verifier cores of ``to_do``, samples by (model, task).

    Each has a 95 % interval, except where one problem alone was measured. Hours are the start of the engines plus the
    slowest part: a model's engine seconds divided by its engines, or the verifiers' seconds divided by the pool. A
    candidate that repeats is verified once, and the share of repeats grows with k, so verifiers are rather over- than
    underestimated. Every (model, task) that has samples in ``to_do`` must be in ``measured``.
    """
    rest = {cell: count for cell, count in to_do.items() if count}
    cells = {(cell.model, cell.task): cell for cell in measured}
    assert rest.keys() <= cells.keys(), f"not measured: {sorted(rest.keys() - cells.keys())}"
    totals = [_draws(cells[cell], count, resamples, seed) for cell, count in rest.items()]
    models = {cell.model for cell in totals}
    each_model_s = [_model_s(totals, model, capacity.engines.get(model, 1)) for model in models]
    engines_s = np.max(each_model_s, axis=0) if each_model_s else np.zeros(1)
    verify_s = sum(rest.values()) * capacity.verify_s
    sampling_s = np.maximum(engines_s, verify_s / capacity.verifiers)
    alone = any(len(cells[cell].samples) == 1 for cell in rest)
    rows = [
        ("tokens", "", _sum_if_known(cell.tokens for cell in totals)),
        ("hours", "h", (sampling_s + (capacity.ready_s if rest else 0.0)) / SECONDS_AN_HOUR),
        ("dollars", "$", _sum_if_known(cell.usd for cell in totals)),
        ("stored", "MB", _sum_if_known(cell.stored_bytes / BYTES_A_MEGABYTE for cell in totals)),
        ("busy verifiers", "cores", verify_s / np.maximum(sampling_s, 1e-9)),
        ("verifiers that keep up", "cores", verify_s / np.maximum(engines_s, 1e-9)),
    ]
    fewest = min((len(cells[cell].samples) for cell in rest), default=2)
    stretch = 1.0 if alone or not rest else few_problems(fewest)
    return tuple(_prediction(what, unit, draws, stretch, alone) for what, unit, draws in rows if draws is not None)


def few_problems(problems: int) -> float:
    """Returns by how much a bootstrap interval over so few problems is too short: 1.9 for 4, 1.06 for 16.

    Student's t instead of the normal, and the variance of P - 1 instead of P (Hesterberg 2015, arXiv 1411.5279).
    """
    tail = (1 + LEVEL) / 2
    return float(stdtrit(problems - 1, tail) / stdtrit(1e9, tail) * np.sqrt(problems / (problems - 1)))


@dataclass(frozen=True)
class _Draws:
    """Predicted totals of a cell, arrays of shape (1 + R,): the estimate, then one entry per resample of problems."""

    model: str
    tokens: Floats
    engine_s: Floats
    usd: Floats | None
    stored_bytes: Floats


def _draws(cell: MeasuredCell, samples: int, resamples: int, seed: int) -> _Draws:
    problems = len(cell.samples)
    weights = np.vstack([np.full(problems, 1 / problems), resample_weights(problems, resamples, seed)])

    def total(values: Floats) -> Floats:
        """Returns the ratio estimate (Cochran 1977, chapter 6): problems may have different numbers of samples."""
        return np.asarray(samples * (weights @ values) / (weights @ cell.samples))

    tokens = total(cell.tokens)
    return _Draws(
        model=cell.model,
        tokens=tokens,
        engine_s=total(cell.engine_s),
        usd=None if cell.usd is None else total(cell.usd),
        stored_bytes=samples * cell.stored_bytes * (tokens / tokens[0] if tokens[0] else np.ones_like(tokens)),
    )


def _model_s(totals: Sequence[_Draws], model: str, engines: int) -> Floats:
    """Returns the seconds in which a model's engines do all of its work."""
    return np.asarray(sum(cell.engine_s for cell in totals if cell.model == model)) / max(1, engines)


def _sum_if_known(parts: Iterable[Floats | None]) -> Floats | None:
    """Returns the sum of all parts, or None where one of them is None."""
    known = list(parts)
    if any(part is None for part in known):
        return None
    return np.asarray(sum(part for part in known if part is not None)) if known else np.zeros(1)


def _prediction(what: str, unit: str, draws: Floats, stretch: float, alone: bool) -> Prediction:
    if alone or len(draws) == 1:
        return Prediction(what=what, unit=unit, predicted=float(draws[0]))
    value = float(draws[0])
    low, high = (max(value + stretch * (float(end[0]) - value), 0.0) for end in percentile_bounds(draws[1:, None]))
    return Prediction(what=what, unit=unit, predicted=value, low=low, high=high)
