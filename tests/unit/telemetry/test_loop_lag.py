"""A worker whose event loop is held shows it (O3)."""

import asyncio
import time

from app.telemetry.loop_lag import LoopLag


async def test_a_step_that_holds_the_loop_is_seen_as_lag() -> None:
    seen: list[float] = []
    held = asyncio.Event()

    def note(late: float) -> None:
        seen.append(late)
        if late > 0.2:
            held.set()

    lag = LoopLag(note, every=0.01)
    await lag.start()
    await asyncio.sleep(0.03)
    time.sleep(0.3)  # noqa: ASYNC251 - the step that holds the loop
    await held.wait()
    await lag.aclose()
    looked = len(seen)
    await asyncio.sleep(0.05)
    assert len(seen) == looked, "a closed watch looks no more"
