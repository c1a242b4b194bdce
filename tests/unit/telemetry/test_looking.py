"""Figures that are looked up: one that cannot be stops no other."""

import asyncio

from app.telemetry.gauge_sampler import GaugeSampler


async def test_a_look_that_fails_is_counted_and_the_others_go_on() -> None:
    seen: list[str] = []
    failed: list[str] = []

    async def fails() -> None:
        raise OSError("away")

    async def works() -> None:
        seen.append("works")

    looking = GaugeSampler({"first": fails, "second": works}, on_failure=failed.append)
    await looking.look()
    assert (failed, seen) == (["first"], ["works"])


async def test_it_looks_again_and_again_until_it_is_closed() -> None:
    twice = asyncio.Event()
    count = 0

    async def works() -> None:
        nonlocal count
        count += 1
        if count == 2:
            twice.set()

    looking = GaugeSampler({"only": works}, on_failure=lambda _: None, every=0.001)
    await looking.start()
    await asyncio.wait_for(twice.wait(), 10)
    await looking.aclose()
    before = count
    await asyncio.sleep(0.01)
    assert count == before
