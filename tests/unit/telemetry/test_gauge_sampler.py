"""Sampled gauges: one that cannot be sampled stops no other."""

import asyncio

from app.telemetry.gauge_sampler import GaugeSampler


async def test_a_gauge_that_cannot_be_sampled_is_counted_and_the_others_go_on() -> None:
    seen: list[str] = []
    failed: list[str] = []

    async def fails() -> None:
        raise OSError("away")

    async def works() -> None:
        seen.append("works")

    sampler = GaugeSampler({"first": fails, "second": works}, on_failure=failed.append)
    await sampler.sample()
    assert (failed, seen) == (["first"], ["works"])


async def test_gauges_are_sampled_again_and_again_until_the_close() -> None:
    twice = asyncio.Event()
    count = 0

    async def works() -> None:
        nonlocal count
        count += 1
        if count == 2:
            twice.set()

    sampler = GaugeSampler({"only": works}, on_failure=lambda _: None, every=0.001)
    await sampler.start()
    await asyncio.wait_for(twice.wait(), 120)
    await sampler.aclose()
    before = count
    await asyncio.sleep(0.01)
    assert count == before
