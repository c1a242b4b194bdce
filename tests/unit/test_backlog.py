"""Work is taken in its order, in batches, and is over only when its taker says so."""

import asyncio

import pytest

from app.domain.backlog import Backlog


async def test_work_is_taken_in_its_order_and_no_more_than_asked_for() -> None:
    backlog = Backlog[int]()
    for number in range(5):
        backlog.put(number)
    assert len(backlog) == 5
    assert [backlog.take(3), backlog.take(3), backlog.take(3)] == [[0, 1, 2], [3, 4], []]
    assert len(backlog) == 0


async def test_every_taker_waits_until_there_is_work_for_it() -> None:
    backlog, taken = Backlog[str](), list[list[str]]()

    async def taker() -> None:
        await backlog.some()
        taken.append(backlog.take(1))

    takers = [asyncio.create_task(taker()) for _ in range(2)]
    await asyncio.sleep(0)
    assert taken == []
    for number, work in enumerate(("one", "another"), start=1):
        backlog.put(work)
        await asyncio.wait(takers, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert len(taken) == number
    assert sorted(taken) == [["another"], ["one"]]
    await asyncio.gather(*takers)


async def test_it_is_joined_when_nothing_waits_and_nothing_is_under_way() -> None:
    backlog = Backlog[int]()
    await backlog.join()  # nothing came yet
    for number in range(3):
        backlog.put(number)
    joined = asyncio.create_task(backlog.join())

    async def is_joined() -> bool:
        for _ in range(3):
            await asyncio.sleep(0)
        return joined.done()

    assert len(backlog.take(2)) == 2
    backlog.done(2)
    assert not await is_joined(), "one waits"
    assert backlog.take(2) == [2]
    backlog.put(3)
    backlog.done(1)
    assert not await is_joined(), "one came meanwhile"
    assert backlog.take(2) == [3]
    assert not await is_joined(), "one is under way"
    backlog.done(1)
    assert await is_joined()


async def test_a_taker_that_is_cancelled_takes_nothing_along() -> None:
    backlog = Backlog[int]()
    waiting = asyncio.create_task(backlog.some())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    backlog.put(1)
    await backlog.some()
    assert backlog.take(1) == [1]
