"""Byte credit: given in the order of asking, never more than there is, never lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.log.credit import CreditPool


async def turns() -> None:
    """Let everybody run who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_credit_is_given_in_the_order_in_which_it_was_asked_for() -> None:
    """A small request does not overtake a large one that waits, or the large one starves."""
    pool, served = CreditPool(100), list[int]()

    async def ask(size: int) -> None:
        await pool.acquire(size)
        served.append(size)

    assert pool.acquire_nowait(80)
    asking = [asyncio.create_task(ask(size)) for size in (90, 10, 5)]
    await turns()
    assert ([], 3, 0) == (served, pool.waiting, pool.free_bytes)
    assert not pool.acquire_nowait(1), "whoever comes later does not overtake"

    pool.release(80)
    await asyncio.gather(asking[0], asking[1])
    assert [90, 10] == served
    pool.release(90)
    await asking[2]
    assert (85, 0) == (pool.free_bytes, pool.waiting)


async def test_what_is_larger_than_the_pool_is_given_the_whole_pool() -> None:
    pool = CreditPool(100)
    assert pool.acquire_nowait(1)
    asking = asyncio.create_task(pool.acquire(1_000))
    await turns()
    assert not asking.done()

    pool.release(1)
    await asking
    assert 0 == pool.free_bytes
    pool.release(1_000)
    assert 100 == pool.free_bytes


async def test_a_request_that_is_cancelled_while_it_waits_lets_the_next_one_through() -> None:
    pool = CreditPool(100)
    assert pool.acquire_nowait(60)
    large, small = (asyncio.create_task(pool.acquire(size)) for size in (100, 30))
    await turns()

    large.cancel()
    await asyncio.gather(large, small, return_exceptions=True)
    assert large.cancelled()
    assert 10 == pool.free_bytes


async def test_a_request_that_is_cancelled_when_it_has_just_been_granted_gives_it_back() -> None:
    """The credit was taken for it, and it ends before it could know."""
    pool = CreditPool(100)
    assert pool.acquire_nowait(100)
    asking, behind = (asyncio.create_task(pool.acquire(size)) for size in (70, 90))
    await turns()

    pool.release(100)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(behind, 10)
    assert (10, 0) == (pool.free_bytes, pool.waiting)


async def test_a_door_that_waits_for_a_quarter_takes_nothing() -> None:
    pool = CreditPool(100)
    assert pool.acquire_nowait(80)
    door = asyncio.create_task(pool.wait_free())
    await turns()
    assert not door.done()

    pool.release(5)
    await door
    assert 25 == pool.free_bytes


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "give", "cancel", "turn"]), st.integers(1, 150)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whoever_asks_cancels_and_gives_back_in_any_order_the_pool_is_whole_at_the_end(
    script: list[tuple[str, int]],
) -> None:
    asyncio.run(play(script))


async def play(script: list[tuple[str, int]]) -> None:
    pool, held, asking = CreditPool(100), list[int](), list[asyncio.Task[None]]()

    async def ask(size: int) -> None:
        await pool.acquire(size)
        held.append(size)

    for step, number in script:
        if step == "ask":
            asking.append(asyncio.create_task(ask(number)))
        elif step == "give" and held:
            pool.release(held.pop(number % len(held)))
        elif step == "cancel" and (open_ := [task for task in asking if not task.done()]):
            open_[number % len(open_)].cancel()
        else:
            await turns()
        assert sum(min(size, 100) for size in held) <= 100
    for _ in range(len(asking) + 1):
        await turns()
        while held:
            pool.release(held.pop())
    assert all(task.done() for task in asking), "whoever asks is served when all was given back"
    assert (100, 0) == (pool.free_bytes, pool.waiting)
