"""A few problems of a sweep for real, and what the rest will take by them.

The few are the sweep itself made small (problems spread over each task, a small k) under its own name: a run only ever
grows, so they are its first samples and nothing is thrown away.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import MILLION, SECONDS_AN_HOUR
from jobs.numbers.estimators import Floats
from jobs.numbers.predict import Measured, Place, predict
from jobs.report.schema import Prediction
from jobs.resolve import Resolved
from jobs.store.catalogue import result_files
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.layout import FINAL, SAMPLES, VERDICTS
from jobs.store.open_cells import retry_on_compaction
from jobs.store.sessions import read_sessions
from jobs.store.stored_run import StoredRun
from jobs.sweep import Sweep
from sampling.settings import ModelSpec

PROBLEMS, ROWS, PAID_K = (
    16,
    2048,
    4,
)  # of each task; of each (model, task), at most; a model that bills tokens has fewer


def small_part(resolved: Resolved) -> Resolved:
    """The sweep with PROBLEMS problems of each task, evenly spread, and a k that makes at most ROWS samples a cell."""
    problems = {task: _spread(given) for task, given in resolved.problems.items()}
    most = max(1, ROWS // max(len(given) for given in problems.values()))
    sweep = resolved.sweep
    models = [
        m.model_copy(update={"k": min(least_k(sweep, m), PAID_K if _bills_tokens(m) else most)}) for m in sweep.models
    ]
    return replace(resolved, sweep=sweep.model_copy(update={"models": tuple(models)}), problems=problems)


def least_k(sweep: Sweep, model: ModelSpec) -> int:
    """Of all its tasks: more must not be drawn on any."""
    return min(sweep.k_of(model, task) for task in sweep.tasks_of(model))


def _spread(given: Sequence[Any]) -> tuple[Any, ...]:
    count = min(PROBLEMS, len(given))
    return tuple(given[i * len(given) // count] for i in range(count))


def _bills_tokens(model: ModelSpec) -> bool:
    return bool(model.prices.per_million_tokens or model.prices.per_million_prompt_tokens)


@dataclass(frozen=True)
class Evidence:
    """What a run has shown so far."""

    measured: tuple[Measured, ...]
    place: Place

    @property
    def samples(self) -> int:
        return sum(int(cell.samples.sum()) for cell in self.measured)


def evidence(stored: StoredRun, facts: Mapping[str, ModelFacts]) -> Evidence | None:
    """None where no call of `troop run` has ended yet, or nothing was drawn."""
    ended = [session for session in read_sessions(stored.store) if session.ended and session.samples]
    measured = _measure(stored, facts)
    if not ended or not measured:
        return None
    engines = {model: count for session in ended for model, count in session.engines.items()}
    verify_s = sum(session.verify_s for session in ended) / sum(session.samples for session in ended)
    return Evidence(measured, Place(engines, ended[-1].ready_s, ended[-1].verifiers, verify_s))


def predict_rest(found: Evidence, to_do: Mapping[tuple[str, str], int]) -> tuple[Prediction, ...]:
    """Empty where a (model, task) has nothing to predict it from."""
    known = {(cell.model, cell.task) for cell in found.measured}
    if any(count and cell not in known for cell, count in to_do.items()):
        return ()
    return predict(found.measured, to_do, found.place)


def _measure(stored: StoredRun, facts: Mapping[str, ModelFacts]) -> tuple[Measured, ...]:
    """From verdicts alone, which are narrow: an engine's seconds belong to its samples by their tokens anyway."""
    cells, sizes = read_cells(stored.store, stored.version), _sizes(stored)
    query = """SELECT count(*), sum(tokens), sum(prompt_tokens)
        FROM verdicts WHERE model = ? AND task = ? GROUP BY problem_idx ORDER BY problem_idx"""

    def read() -> list[Any]:
        with open_database(stored.store, stored.version) as db:
            return [db.execute(query, [cell.model, cell.task]).fetchall() for cell in cells]

    sums = [np.array(rows, dtype=np.float64).T for rows in retry_on_compaction(read)]
    return tuple(
        _measured(cell, each, facts[cell.model], sizes[cell.model, cell.task])
        for cell, each in zip(cells, sums, strict=True)
    )


def _measured(cell: CellCounts, sums: Any, facts: ModelFacts, stored_bytes: int) -> Measured:
    samples, tokens, prompts = sums
    engine_s = tokens * cell.engine_s / max(1, cell.tokens)
    usd = _usd(facts, tokens, prompts, engine_s)
    return Measured(cell.model, cell.task, samples, tokens, engine_s, usd, stored_bytes / samples.sum())


def _usd(facts: ModelFacts, tokens: Floats, prompts: Floats, engine_s: Floats) -> Floats | None:
    prices = (facts.usd_per_engine_hour, facts.usd_per_million_tokens, facts.usd_per_million_prompt_tokens)
    if prices == (None, None, None):
        return None
    by_hour, by_token, by_prompt = (price or 0.0 for price in prices)
    return by_hour * engine_s / SECONDS_AN_HOUR + (by_token * tokens + by_prompt * prompts) / MILLION


def _sizes(stored: StoredRun) -> dict[tuple[str, str], int]:
    """Bytes in the store by (model, task)."""
    sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
    for start in (VERDICTS, SAMPLES, FINAL):
        for file in result_files(stored.store, start):
            sizes[file.key.model, file.key.task] += file.info.size
    return dict(sizes)
