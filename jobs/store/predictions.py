"""What was predicted of a run, kept in it, and afterwards what it took.

Apart from jobs/calibrate.py, which makes predictions: a report reads them, and has no use for what can run a sweep.
"""

from collections.abc import Sequence

from jobs.numbers.costs import SECONDS_AN_HOUR
from jobs.numbers.predict import Prediction
from jobs.store.base import Store
from jobs.store.sessions import Session, now, read_sessions
from sampling.validate import Plain, parse_json

PREDICTIONS = "predictions/"


class StoredPrediction(Plain):
    """What was expected of the ``samples`` that were missing at ``created``; ``usd_before`` is what the others cost."""

    created: str
    samples: int
    usd_before: float | None
    rows: tuple[Prediction, ...]


def keep_prediction(store: Store, samples: int, usd_before: float | None, rows: Sequence[Prediction]) -> None:
    """One object of its own for every prediction, never changed."""
    kept = StoredPrediction(created=now(), samples=samples, usd_before=usd_before, rows=tuple(rows))
    store.put_new(f"{PREDICTIONS}{kept.created}.json", kept.model_dump_json(indent=1).encode())


def predicted_and_actual(store: Store, usd: float | None) -> tuple[tuple[Prediction, ...], str | None]:
    """The newest prediction with what it came to, and what cannot be said of it. ``usd`` is what the run has cost."""
    keys = sorted(info.key for info in store.list(PREDICTIONS))
    if not keys:
        return (), None
    kept = parse_json(StoredPrediction, store.get(keys[-1]), f"{store.uri}/{keys[-1]}")
    later = [session for session in read_sessions(store) if session.started > kept.created]
    drawn = sum(session.samples for session in later)
    if drawn != kept.samples or not all(session.ended for session in later):
        said = f"{drawn:,} of the {kept.samples:,} predicted samples were drawn by calls of `troop run` that ended"
        return kept.rows, f"Predicted and actual cannot be compared: {said} since."
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
