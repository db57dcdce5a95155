"""Predictions of what a run will take, stored in the run and compared later with what it took.

jobs/calibrate.py makes predictions. This module is apart from it, so that a report loads nothing that runs a sweep.
"""

from collections.abc import Sequence

from jobs.numbers.costs import SECONDS_AN_HOUR
from jobs.numbers.predict import Prediction
from jobs.store.base import Store
from jobs.store.sessions import Session, read_sessions, timestamp
from sampling.validate import Plain, parse_json

PREDICTIONS = "predictions/"


class StoredPrediction(Plain):
    """One prediction, stored as ``predictions/TIME.json``."""

    created: str
    """Time of the prediction, in UTC, as 20260131T235959.000000Z."""

    samples: int
    """Number of samples that were missing then, which the prediction is about."""

    usd_before: float | None
    """Dollars that the run had cost until then. None without prices."""

    rows: tuple[Prediction, ...]
    """Predicted quantities, each with its unit and interval."""


def store_prediction(store: Store, samples: int, usd_before: float | None, rows: Sequence[Prediction]) -> None:
    """Stores a prediction as an object of its own, which never changes."""
    kept = StoredPrediction(created=timestamp(), samples=samples, usd_before=usd_before, rows=tuple(rows))
    store.put_new(f"{PREDICTIONS}{kept.created}.json", kept.model_dump_json(indent=1).encode())


def read_prediction(store: Store, usd: float | None) -> tuple[tuple[Prediction, ...], str | None]:
    """Returns the newest prediction with the actual values, and a sentence if these cannot be compared.

    ``usd`` is the cost of the run in dollars so far, or None without prices.
    """
    keys = sorted(info.key for info in store.list(PREDICTIONS))
    if not keys:
        return (), None
    kept = parse_json(StoredPrediction, store.get(keys[-1]), f"{store.uri}/{keys[-1]}")
    later = [session for session in read_sessions(store) if session.started > kept.created]
    drawn = sum(session.samples for session in later)
    if drawn != kept.samples or not all(session.ended for session in later):
        drawn_since = (
            f"{drawn:,} of the {kept.samples:,} predicted samples were drawn by calls of `troop run` that ended"
        )
        return kept.rows, f"Predicted and actual cannot be compared: {drawn_since} since."
    actual = _actual(later)
    if usd is not None and kept.usd_before is not None:
        actual["dollars"] = usd - kept.usd_before
    return tuple(row.model_copy(update={"actual": actual.get(row.what)}) for row in kept.rows), None


def _actual(sessions: Sequence[Session]) -> dict[str, float]:
    elapsed = sum(session.elapsed_s for session in sessions)
    sampling = elapsed - sum(session.ready_s for session in sessions)
    return {
        "tokens": float(sum(session.tokens for session in sessions)),
        "hours": elapsed / SECONDS_AN_HOUR,
        "stored": sum(session.stored_bytes for session in sessions) / 1e6,
        "busy verifiers": sum(session.verify_s for session in sessions) / max(sampling, 1e-9),
    }
