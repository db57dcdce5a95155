"""The backlog: the size of the verifier pool that it asks for, and the bound at which generation pauses."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cluster import backlog
from cluster.backlog import SHRINK_AFTER, Backlog, PoolSize

WAITING = st.lists(st.integers(0, 200), max_size=100)


@given(WAITING, st.integers(1, 4), st.integers(4, 50))
def test_the_pool_stays_within_its_bounds(waiting: list[int], least: int, most: int) -> None:
    pool = PoolSize(least)
    for count in waiting:
        pool = pool.after(count, least, most)
        assert least <= pool.size <= most


@given(st.integers(0, 400), st.integers(1, 50))
def test_a_steady_backlog_is_followed_and_then_left_alone(waiting: int, size: int) -> None:
    """The size does not swing: once it has followed a steady backlog, it no longer changes."""
    pool, sizes = PoolSize(size), []
    for _ in range(60 * SHRINK_AFTER):
        pool = pool.after(waiting, 1, 400)
        sizes.append(pool.size)
    assert sizes in (sorted(sizes), sorted(sizes, reverse=True))
    assert set(sizes[-2 * SHRINK_AFTER :]) == {pool.size}


def test_a_short_lull_takes_no_verifier() -> None:
    pool = PoolSize(8)
    for waiting in [0] * (SHRINK_AFTER - 1) + [8]:
        pool = pool.after(waiting, 1, 16)
    assert pool == PoolSize(8)


def test_generation_pauses_at_the_bound_in_bytes_as_at_that_in_batches() -> None:
    async def fill(size: int) -> int:
        entered, waiting_batches = 0, Backlog()
        while not waiting_batches.full:
            await waiting_batches.enter(size)
            entered += 1
        waiting = asyncio.create_task(waiting_batches.enter(size))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting_batches.leave(size)
        await waiting
        return entered

    assert asyncio.run(fill(1)) == backlog.BATCHES
    assert asyncio.run(fill(backlog.BATCHES * backlog.BYTES_PER_BATCH // 4)) == 4
