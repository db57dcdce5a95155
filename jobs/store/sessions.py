"""Sessions: what each call of `troop run` did and spent, in one small object that this call alone writes.

The results say what was sampled. They cannot say how long it took, nor what was paid for answers that never became a
committed unit. A spending cap and a prediction need both. Predictions are stored beside them and compared with them;
jobs/calibrate.py makes predictions, and is apart so that a report loads nothing that runs a sweep.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import Field, NonNegativeFloat

from cluster.tally import Tally
from jobs.numbers.costs import SECONDS_AN_HOUR
from jobs.numbers.prediction import Prediction
from jobs.store.base import Store
from sampling.validate import Plain, parse_json

SESSIONS, PREDICTIONS = "sessions/", "predictions/"


class Session(Plain):
    """Totals of one call, stored as ``sessions/TIME-ID.json``."""

    started: str
    """Start of the call, in UTC, as 20260131T235959.000000Z."""

    ended: bool = False
    """True once the call has ended, done or interrupted. False while it runs, and for ever if it was killed."""

    elapsed_s: float = 0.0
    """Seconds that the call took."""

    ready_s: float = 0.0
    """Seconds before the first engine was up."""

    samples: int = 0
    """Samples that the call committed."""

    tokens: int = 0
    """Completion tokens of those samples."""

    stored_bytes: int = 0
    """Bytes that the call committed."""

    verify_s: float = 0.0
    """Busy seconds, summed over all verifiers."""

    verifiers: int = 1
    """Size of the verifier pool."""

    engines: dict[str, int] = Field(default_factory=dict)
    """Number of engines that served each model; those that several models share count for the first of them."""

    usd: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """Dollars by model, for services. Units in flight count with the most that they may cost, until they end."""


@dataclass
class SessionLog:
    """Writes the session of one call."""

    store: Store
    session: Session
    name: str

    def begin(self) -> None:
        """Stores that the call is under way, for other calls on the run."""
        self._put(self.session)

    def record_spending(self, usd: Mapping[str, float]) -> None:
        """Stores the dollars that are spent or reserved so far, by model."""
        self._put(self.session.model_copy(update={"usd": dict(usd)}))

    def end(self, tally: Tally, samples: int) -> None:
        """Stores the totals of a call that ends, done or interrupted."""
        engines: dict[str, int] = {}
        for engine in tally.engines:
            model = engine.name.rpartition("/")[0]
            engines[model] = engines.get(model, 0) + 1
        update = {
            "ended": True,
            "elapsed_s": tally.elapsed_s,
            "ready_s": tally.ready_s,
            "samples": samples,
            "tokens": tally.tokens,
            "stored_bytes": tally.stored_bytes,
            "verify_s": tally.verifier_busy_s,
            "verifiers": tally.verifiers,
            "engines": engines,
        }
        self._put(self.session.model_copy(update=update))

    def _put(self, session: Session) -> None:
        self.session = session
        self.store.put(f"{SESSIONS}{self.name}.json", session.model_dump_json(indent=1).encode())


def new_session(store: Store) -> SessionLog:
    """Returns a log that has written nothing yet."""
    started = timestamp()
    return SessionLog(store, Session(started=started), f"{started}-{uuid.uuid4().hex[:8]}")


def read_sessions(store: Store) -> tuple[Session, ...]:
    """Returns all sessions of a run, sorted by start; raises BadInput for an object that is no session."""
    return tuple(sorted(named_sessions(store).values(), key=lambda session: session.started))


def named_sessions(store: Store) -> dict[str, Session]:
    """Returns all sessions of a run by name; raises BadInput for an object that is no session."""
    keys = [info.key for info in store.list(SESSIONS)]
    read = {key: parse_json(Session, store.get(key), f"{store.uri}/{key}") for key in keys}
    return {key.removeprefix(SESSIONS).removesuffix(".json"): session for key, session in read.items()}


def spent_before(sessions: Iterable[Session]) -> dict[str, float]:
    """Returns the dollars of all sessions, by model."""
    total: dict[str, float] = {}
    for session in sessions:
        for model, usd in session.usd.items():
            total[model] = total.get(model, 0.0) + usd
    return total


def timestamp() -> str:
    """Returns the time in UTC in a form that sorts and that a file name may hold."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


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
