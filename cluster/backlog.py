"""The samples that wait for verdicts: the bound at which generation pauses, and the verifiers that they ask for."""

import asyncio
from dataclasses import dataclass, replace

BATCHES = 64  # the least bound; it grows with the verifiers, so that they stay supplied
BATCHES_PER_VERIFIER = 4
BYTES_PER_BATCH = 2**22
GROW_AT, SHRINK_AT = 2.0, 0.5  # waiting batches for each verifier
GROW_AFTER, SHRINK_AFTER = 2, 30  # looks in a row


class Backlog:
    """The batches that are sampled and not yet verified, bounded in number and in bytes of text."""

    def __init__(self) -> None:
        self.batches = self.bytes = 0
        self._most = BATCHES
        self._freed = asyncio.Event()

    @property
    def full(self) -> bool:
        return self.batches >= self._most or self.bytes >= self._most * BYTES_PER_BATCH

    def set_verifiers(self, count: int) -> None:
        self._most = max(BATCHES, BATCHES_PER_VERIFIER * count)

    async def enter(self, size: int) -> None:
        """Waits until the backlog is below its bound, then adds a batch. Only this last batch may exceed the bound."""
        while self.full:
            self._freed.clear()
            await self._freed.wait()
        self.batches, self.bytes = self.batches + 1, self.bytes + size

    def leave(self, size: int, _: object = None) -> None:
        """Removes a batch that has its verdicts, or never will. Also serves as a callback of the batch's task."""
        self.batches, self.bytes = self.batches - 1, self.bytes - size
        self._freed.set()


@dataclass(frozen=True, slots=True)
class PoolSize:
    """The size of the verifier pool, and how many looks in a row have found the backlog high or low."""

    size: int
    high: int = 0
    low: int = 0

    def after(self, waiting: int, least: int, most: int) -> "PoolSize":
        """Returns the next size, now that ``waiting`` batches have been seen.

        The pool grows by half soon and shrinks by a quarter late: a missing verifier stops engines, a surplus one costs
        little. It stays as it is between GROW_AT and SHRINK_AT, and no step leads past the other of the two.
        """
        high = self.high + 1 if waiting > GROW_AT * self.size else 0
        low = self.low + 1 if waiting < SHRINK_AT * self.size else 0
        if high >= GROW_AFTER:
            return PoolSize(_between(least, self.size + max(1, self.size // 2), most))
        if low >= SHRINK_AFTER:
            return PoolSize(_between(least, self.size - max(1, self.size // 4), most))
        return replace(self, size=_between(least, self.size, most), high=high, low=low)


def _between(least: int, size: int, most: int) -> int:
    return max(least, min(size, most))
