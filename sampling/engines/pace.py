"""Rate limits, waits between tries, and the choice among a service's addresses, over a clock that the caller reads."""

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

SECONDS_A_MINUTE = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
MOST_DOUBLINGS = 30


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


@dataclass(eq=False)
class Endpoint:
    """One address of a service: how much is under way there, and whether it answers.

    After a failure it is left out until ``back_at``, then tried with one request. ``is_down`` says that the failure was
    one that no further try mends. ``not_before`` is the time until which it has asked to be left alone.
    """

    url: str
    in_flight: int = 0
    failures: int = 0
    said: str = ""
    is_down: bool = False
    back_at: float = float("-inf")
    not_before: float = float("-inf")
    chosen: int = 0  # grows with every choice, so that equals take turns
    is_known: bool = False  # its list of models has been asked for
    all_tokens: int | None = None  # what stands for top_k 0 there
    unreachable: str = ""  # why it could not be asked
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def may_take(self, now: float) -> bool:
        """Tells whether it may get a request now: it is well, or due to be tried with a single one."""
        is_due = self.failures == 0 or (self.back_at <= now and self.in_flight == 0)
        return is_due and self.not_before <= now


class Endpoints:
    """The addresses of one service, each with the same model."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self.all = [Endpoint(url.rstrip("/")) for url in urls]
        self._rng, self._choices = rng, 0

    def choose(self, now: float, tried: Collection[Endpoint] = ()) -> Endpoint:
        """Returns the address with the least in flight, not one of ``tried`` if there is another.

        Where none may take a request, it is the one that is due first.
        """
        ready = [each for each in self.all if each.may_take(now)]
        ready = [each for each in ready if each not in tried] or ready
        if ready:
            found = min(ready, key=lambda each: (each.in_flight, each.chosen))
        else:
            found = min(self.all, key=lambda each: (max(each.back_at, each.not_before), each.in_flight, each.chosen))
        self._choices += 1
        found.chosen = self._choices
        return found

    def has_another(self, now: float, tried: Collection[Endpoint]) -> bool:
        """Tells whether an address that is not one of ``tried`` may take a request now."""
        return any(each not in tried and each.may_take(now) for each in self.all)

    def worked(self, endpoint: Endpoint) -> None:
        endpoint.failures, endpoint.said, endpoint.is_down = 0, "", False
        endpoint.back_at = float("-inf")

    def failed(self, endpoint: Endpoint, said: str, now: float, wait_s: float = 0.0, *, is_down: bool = False) -> None:
        """Leaves an address out for a while, doubling with each failure in a row, and for ``wait_s`` at the least."""
        endpoint.failures += 1
        endpoint.said, endpoint.is_down = said, is_down
        endpoint.back_at = now + backoff_s(min(endpoint.failures, MOST_DOUBLINGS), wait_s, self._rng)

    @property
    def are_down(self) -> bool:
        """True where no address can answer any request."""
        return all(each.is_down for each in self.all)

    @property
    def trouble(self) -> str:
        """The last failure of each address that is failing, with the address."""
        return "; ".join(f"{each.url}: {each.said}" for each in self.all if each.said)
