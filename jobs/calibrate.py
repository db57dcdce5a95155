"""Calibration: a small part of a sweep is sampled for real, and predicts what the rest will take.

The small part is the sweep itself with fewer problems (spread over each task) and a small k, in the same run. A run
only ever grows, so these samples are its first ones and nothing is thrown away.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import MILLION, SECONDS_AN_HOUR
from jobs.numbers.estimators import Floats
from jobs.numbers.predict import Capacity, MeasuredCell, predict
from jobs.numbers.prediction import Prediction
from jobs.numbers.unit_size import Pace, add_paces
from jobs.resolve import Resolved
from jobs.store.base import Store
from jobs.store.catalogue import CellFiles, choose_cells, read_versions, result_files
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.layout import FINAL, SAMPLES, VERDICTS
from jobs.store.open_cells import retry_on_compaction
from jobs.store.sealed_parquet import open_parquet, read_footer, read_rows
from jobs.store.sessions import read_sessions
from jobs.store.stored_run import StoredRun
from jobs.sweep import Sweep
from sampling.errors import StoreError
from sampling.settings import ModelSpec

PROBLEMS = 16  # of each task
ROWS = 2048  # samples of each (model, task), at most
FILES = 16  # of each (model, task), read to size its next units
PAID_K = 4  # samples per problem of a model that is paid per token


def small_part(resolved: Resolved) -> Resolved:
    """Returns the sweep with PROBLEMS evenly spread problems per task and at most ROWS samples per (model, task).

    Of an adaptive sweep it is the first round of fewer problems: a smaller one would be a round of its own.
    """
    sweep, rounds = resolved.sweep, resolved.sweep.adaptive
    count = PROBLEMS if rounds is None else max(1, min(PROBLEMS, ROWS // rounds.first))
    problems = {task: _evenly_spread(given, count) for task, given in resolved.problems.items()}
    most = max(1, ROWS // max(len(given) for given in problems.values()))

    def k_of(model: ModelSpec) -> int:
        return rounds.first if rounds else PAID_K if _bills_tokens(model) else most

    models = [m.model_copy(update={"k": min(_smallest_k(sweep, m), k_of(m))}) for m in sweep.models]
    return replace(resolved, sweep=sweep.model_copy(update={"models": tuple(models)}), problems=problems)


def _smallest_k(sweep: Sweep, model: ModelSpec) -> int:
    """Returns the smallest k of the model's tasks: no task may get more samples than the sweep asks for."""
    return min(sweep.k_of(model, task) for task in sweep.tasks_of(model))


def _evenly_spread(given: Sequence[Any], most: int) -> tuple[Any, ...]:
    count = min(most, len(given))
    return tuple(given[i * len(given) // count] for i in range(count))


def _bills_tokens(model: ModelSpec) -> bool:
    return bool(model.prices.per_million_tokens or model.prices.per_million_prompt_tokens)


@dataclass(frozen=True)
class Evidence:
    """Measurements of a run: the costs of its samples, and the engines and verifiers of its sessions."""

    measured: tuple[MeasuredCell, ...]
    capacity: Capacity

    @property
    def samples(self) -> int:
        """The samples that were measured, over all cells."""
        return sum(int(cell.samples.sum()) for cell in self.measured)


def read_evidence(stored: StoredRun, facts: Mapping[str, ModelFacts]) -> Evidence | None:
    """Reads the measurements of a run; None where no session of `troop run` has ended, or none drew a sample."""
    ended = [session for session in read_sessions(stored.store) if session.ended and session.samples]
    measured = _read_measured(stored, facts)
    if not ended or not measured:
        return None
    engines = {model: count for session in ended for model, count in session.engines.items()}
    verify_s = sum(session.verify_s for session in ended) / sum(session.samples for session in ended)
    return Evidence(measured, Capacity(engines, ended[-1].ready_s, ended[-1].verifiers, verify_s))


def predict_rest(found: Evidence, to_do: Mapping[tuple[str, str], int]) -> tuple[Prediction, ...]:
    """Predicts ``to_do``, samples by (model, task); empty where one of them has no sample to predict it from."""
    known = {(cell.model, cell.task) for cell in found.measured}
    if any(count and cell not in known for cell, count in to_do.items()):
        return ()
    return predict(found.measured, to_do, found.capacity)


def read_paces(store: Store) -> dict[tuple[str, str], Pace]:
    """Reads how fast engines have drawn how long samples, by (model, task): from a few files of each."""
    paces = {(cell.model, cell.task): _read_pace(store, cell) for cell in choose_cells(read_versions(store))}
    return {cell: pace for cell, pace in paces.items() if pace.tokens}


def _read_pace(store: Store, cell: CellFiles) -> Pace:
    """Reads some files of a cell; one that was compacted meanwhile, or is damaged, counts nothing."""
    files = _evenly_spread([file for file in cell.files if not file.compacted] or cell.files, FILES)
    parts = []
    for file in files:
        with suppress(StoreError):
            data = store.get(file.info.key)
            footer = read_footer(data, file.info.key)
            if footer.engine_s:
                tokens = read_rows(open_parquet(data), columns=["tokens"])["tokens"]
                parts.append(Pace(len(tokens), int(pc.sum(tokens).as_py() or 0), footer.engine_s))
    return add_paces(parts)


def _read_measured(stored: StoredRun, facts: Mapping[str, ModelFacts]) -> tuple[MeasuredCell, ...]:
    """Reads each cell's totals by problem from verdicts alone, which are narrow.

    The samples files are not needed: an engine's seconds are divided among its samples by their tokens.
    """
    cells, sizes = read_cells(stored.store, stored.version, texts=False), _stored_bytes(stored)
    query = """SELECT count(*), sum(tokens), sum(prompt_tokens)
        FROM verdicts WHERE model = ? AND task = ? GROUP BY problem_idx ORDER BY problem_idx"""

    def read() -> list[Any]:
        with open_database(stored.store, stored.version) as db:
            return [db.execute(query, [cell.model, cell.task]).fetchall() for cell in cells]

    sums = [np.array(rows, dtype=np.float64).T for rows in retry_on_compaction(read)]
    return tuple(
        _measured_cell(cell, each, facts[cell.model], sizes[cell.model, cell.task])
        for cell, each in zip(cells, sums, strict=True)
    )


def _measured_cell(cell: CellCounts, sums: Any, facts: ModelFacts, stored_bytes: int) -> MeasuredCell:
    samples, tokens, prompts = sums
    engine_s = tokens * cell.engine_s / max(1, cell.tokens)
    usd = _usd(facts, tokens, prompts, engine_s)
    return MeasuredCell(cell.model, cell.task, samples, tokens, engine_s, usd, stored_bytes / samples.sum())


def _usd(facts: ModelFacts, tokens: Floats, prompts: Floats, engine_s: Floats) -> Floats | None:
    prices = (facts.usd_per_engine_hour, facts.usd_per_million_tokens, facts.usd_per_million_prompt_tokens)
    if prices == (None, None, None):
        return None
    by_hour, by_token, by_prompt = (price or 0.0 for price in prices)
    return by_hour * engine_s / SECONDS_AN_HOUR + (by_token * tokens + by_prompt * prompts) / MILLION


def _stored_bytes(stored: StoredRun) -> dict[tuple[str, str], int]:
    """Lists the run's result files and returns their bytes by (model, task)."""
    sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
    for start in (VERDICTS, SAMPLES, FINAL):
        for file in result_files(stored.store, start):
            sizes[file.key.model, file.key.task] += file.info.size
    return dict(sizes)
