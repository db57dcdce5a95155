"""What each call of `troop run` did and spent: one small object per call, written by that call alone.

The results say what was sampled; they cannot say how long it took, nor what was paid for answers that never became a
committed unit. A spending cap and a prediction need both.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import Field

from cluster.tally import Tally
from jobs.store.base import Store
from sampling.validate import Plain, parse_json

SESSIONS = "sessions/"


class Session(Plain):
    """Totals of one call. ``usd`` is by model, for services; units in flight count at their worst until they end.

    ``verify_s`` are seconds of one verifier, ``ready_s`` those of ``elapsed_s`` before the first engine was up.
    ``engines`` is how many served each model, ``verifiers`` the size of the pool. Not ``ended``: it was killed, or
    still runs.
    """

    started: str
    ended: bool = False
    elapsed_s: float = 0.0
    ready_s: float = 0.0
    samples: int = 0
    tokens: int = 0
    stored_bytes: int = 0
    verify_s: float = 0.0
    verifiers: int = 1
    engines: dict[str, int] = Field(default_factory=dict)
    usd: dict[str, float] = Field(default_factory=dict)


@dataclass
class SessionLog:
    """The object of one call."""

    store: Store
    session: Session
    key: str

    def spent(self, usd: Mapping[str, float]) -> None:
        """Keeps what is spent or reserved so far."""
        self._put(self.session.model_copy(update={"usd": dict(usd)}))

    def end(self, tally: Tally, samples: int) -> None:
        """Keeps the totals of a call that ends, done or interrupted."""
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
        self.store.put(self.key, session.model_dump_json(indent=1).encode())


def new_session(store: Store) -> SessionLog:
    """A log that writes nothing yet."""
    started = now()
    return SessionLog(store, Session(started=started), f"{SESSIONS}{started}-{uuid.uuid4().hex[:8]}.json")


def read_sessions(store: Store) -> tuple[Session, ...]:
    """All sessions of a run, by their start; raises BadInput for an object that is none."""
    keys = [info.key for info in store.list(SESSIONS)]
    found = (parse_json(Session, store.get(key), f"{store.uri}/{key}") for key in keys)
    return tuple(sorted(found, key=lambda session: session.started))


def spent_before(sessions: Sequence[Session]) -> dict[str, float]:
    """Dollars by model."""
    total: dict[str, float] = {}
    for session in sessions:
        for model, usd in session.usd.items():
            total[model] = total.get(model, 0.0) + usd
    return total


def now() -> str:
    """The time as part of a key: sorts, and holds nothing that a file name could not."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
