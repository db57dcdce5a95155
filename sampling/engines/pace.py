"""When the next request may leave: rate limits as arithmetic over a clock that the caller reads."""

import random
from email.utils import parsedate_to_datetime

SECONDS_A_MINUTE = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


class Pace:
    """At most ``per_minute`` of something, spread evenly; None is no limit.

    The virtual scheduling form of a leaky bucket without burst (ITU-T I.371, annex A): in any minute less than
    ``per_minute`` leaves, but for the one that fills it.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_each = SECONDS_A_MINUTE / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def book(self, now: float, amount: float) -> float:
        """Seconds from ``now`` until ``amount`` may leave; it counts from then on."""
        start = max(now, self._free_at)
        self._free_at = start + amount * self._seconds_each
        return start - now

    def give_back(self, amount: float) -> None:
        """Of what was booked, this much was not used."""
        self._free_at -= amount * self._seconds_each


def backoff_s(attempt: int, retry_after_s: float, rng: random.Random) -> float:
    """Seconds to wait after the ``attempt``-th try (from 1): doubling, jittered by half, never less than was asked."""
    longest: float = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
    return max(retry_after_s, longest * rng.uniform(0.5, 1.0))


def retry_after_s(header: str | None, now: float) -> float:
    """The seconds a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date against the time ``now``."""
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return 0.0
