"""Rate limits and waits between tries: arithmetic over a clock that the caller reads."""

import random
from email.utils import parsedate_to_datetime

SECONDS_A_MINUTE = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


class Pace:
    """A limit of ``per_minute``, spread evenly over time; None is no limit.

    It is the virtual scheduling form of a leaky bucket without burst (ITU-T I.371, annex A): in any minute less than
    ``per_minute`` leaves, except for the booking that fills it.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_each = SECONDS_A_MINUTE / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def book(self, now: float, amount: float) -> float:
        """Returns the seconds from ``now`` until ``amount`` may leave, and counts it from then on."""
        start = max(now, self._free_at)
        self._free_at = start + amount * self._seconds_each
        return start - now

    def give_back(self, amount: float) -> None:
        """Returns ``amount`` of an earlier booking that was not used."""
        self._free_at -= amount * self._seconds_each


def backoff_s(attempt: int, retry_after_s: float, rng: random.Random) -> float:
    """Returns the seconds to wait after try ``attempt`` (from 1): doubling, half of it random.

    The wait is never shorter than ``retry_after_s``, which the service asked for.
    """
    longest: float = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
    return max(retry_after_s, longest * rng.uniform(0.5, 1.0))


def retry_after_s(header: str | None, now: float) -> float:
    """Returns the seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date minus ``now``."""
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
