"""What waits for its verdicts: the bound at which generation pauses, and how many verifiers that asks for."""

import asyncio
from dataclasses import dataclass, replace

BATCHES = 64  # at least; with many verifiers, as many as keep them supplied
BATCHES_PER_VERIFIER = 4
BYTES_PER_BATCH = 2**22
GROW_AT, SHRINK_AT = 2.0, 0.5  # batches that wait, for each verifier
GROW_AFTER, SHRINK_AFTER = 2, 30  # looks in a row


class Backlog:
    """Batches that are sampled and not yet judged, bounded in number and in bytes of text."""

    def __init__(self) -> None:
        self.batches = self.bytes = 0
        self._most = BATCHES
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        return self.batches >= self._most or self.bytes >= self._most * BYTES_PER_BATCH

    def set_verifiers(self, count: int) -> None:
        self._most = max(BATCHES, BATCHES_PER_VERIFIER * count)

    async def enter(self, size: int) -> None:
        """Waits until there is room. One batch always has: the bound is passed by no more than the last of them."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        self.batches, self.bytes = self.batches + 1, self.bytes + size

    def leave(self, size: int, _: object = None) -> None:
        """A batch has its verdicts, or never will; also to be called back by its task."""
        self.batches, self.bytes = self.batches - 1, self.bytes - size
        self._room.set()


@dataclass(frozen=True, slots=True)
class PoolSize:
    """The size of the verifier pool, and for how many looks in a row the backlog has been high or low."""

    size: int
    high: int = 0
    low: int = 0

    def after(self, waiting: int, least: int, most: int) -> "PoolSize":
        """The size once ``waiting`` batches have been seen.

        Grows by half soon, shrinks by a quarter late: a verifier that is missing stops engines, one too many costs
        little. Between the two marks nothing changes, and neither step leads beyond the other mark.
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
