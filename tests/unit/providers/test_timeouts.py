"""Which timeout ends which attempt (R1): silence ends a stream, its length does not."""

import asyncio

import pytest
import uvloop

from app.domain.calls import Deadline
from app.domain.errors import ProviderTimeout
from app.gateway.providers.base import Timeouts
from app.gateway.providers.timeouts import AttemptTimeouts

SHORT, LONG = 0.05, 60.0


def limits(*, streamed: bool, **seconds: float) -> AttemptTimeouts:
    chosen = {"connect": LONG, "first_token": LONG, "idle": LONG, "total": LONG, **seconds}
    return AttemptTimeouts(Timeouts(**chosen), provider="p", model="m", streamed=streamed)


async def wait(attempt: AttemptTimeouts, seconds: float = LONG) -> None:
    with attempt:
        await asyncio.sleep(seconds)


async def test_a_stream_that_flows_outlives_the_total_of_an_attempt() -> None:
    attempt = limits(streamed=True, total=SHORT)
    for _ in range(4):
        attempt.token()
        await wait(attempt, SHORT)


@pytest.mark.parametrize(
    ("streamed", "token", "seconds", "phase"),
    [
        (False, False, {"total": SHORT, "idle": 0.01}, "total"),
        (True, False, {"total": SHORT}, "total"),
        (True, False, {"first_token": SHORT}, "first_token"),
        (True, True, {"idle": SHORT, "first_token": 0.01}, "idle"),
        (True, True, {"stream": SHORT}, "total"),
    ],
    ids=["whole", "start", "first token", "idle", "stream"],
)
async def test_each_phase_is_ended_by_its_own_timeout(streamed: bool, token: bool, seconds: dict[str, float], phase: str) -> None:
    attempt = limits(streamed=streamed, **seconds)
    if token:
        attempt.token()
    with pytest.raises(ProviderTimeout) as raised:
        await wait(attempt)
    assert raised.value.phase == phase


async def test_silence_after_many_events_is_ended_within_the_time_of_one() -> None:
    """All waits of a stream share a timer, which is set anew only where it goes off."""
    attempt = limits(streamed=True, idle=0.2, first_token=LONG)
    for _ in range(10):
        attempt.token()
        await wait(attempt, 0.01)
    began = asyncio.get_running_loop().time()
    with pytest.raises(ProviderTimeout):
        await wait(attempt, 3.0)
    assert asyncio.get_running_loop().time() - began > 0.15
    attempt.token()
    await wait(attempt, 0.0)
    attempt.close()


async def test_a_callers_own_cancellation_is_no_timeout() -> None:
    attempt = limits(streamed=True, idle=LONG)
    waiting = asyncio.create_task(wait(attempt))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    attempt.close()


def test_a_limit_that_has_passed_before_its_wait_is_a_timeout_on_the_services_loop() -> None:
    """On an overloaded worker: uvloop gives a timer that is due already no time of its own."""

    async def waits() -> None:
        attempt = limits(streamed=True, first_token=0.0)
        with attempt:
            pass  # what was waited for is there already
        await wait(attempt)

    with pytest.raises(ProviderTimeout) as ended:
        uvloop.run(waits())
    assert ended.value.phase == "first_token"


async def test_a_consumer_that_takes_its_time_is_not_cancelled() -> None:
    attempt = limits(streamed=True, idle=SHORT)
    attempt.token()
    await wait(attempt, 0.0)
    await asyncio.sleep(3 * SHORT)
    attempt.token()
    await wait(attempt, 0.0)
    attempt.close()


@pytest.mark.parametrize(
    ("ours", "chosen", "longest", "total"),
    [(60, None, 600, 600), (60, None, 10, 60), (30, 30, 600, 30), (60, 300, 600, 300), (60, 900, 600, 600)],
)
def test_a_streams_deadline_is_the_routes_or_the_callers_own(
    ours: float, chosen: float | None, longest: float, total: float
) -> None:
    deadline = Deadline.after(ours, chosen)
    stream = deadline.of_stream(longest)
    assert stream.total == total
    assert stream.at - deadline.at == pytest.approx(total - ours)
