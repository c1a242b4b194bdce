"""Background loops outlive the failures that they name, and end when stopped."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import periodic
from app.domain.periodic import Periodic, end, spawn

SOON = 30.0  # seconds: a limit for a busy machine, never a measure
LONG = 3600.0
pytestmark = pytest.mark.usefixtures("_quick")


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "CANCEL_EVERY", 0.002)


class Rounds:
    """A body that counts its rounds. ``loses``: how many cancellations each round swallows, as redis-py may."""

    def __init__(self, *, lasts: float = 0.0, loses: int = 0, fails: type[BaseException] | None = None) -> None:
        self.begun = self.ended = self.lost = 0
        self.running = asyncio.Event()
        self._lasts, self._loses, self._fails = lasts, loses, fails

    async def __call__(self) -> None:
        self.begun += 1
        self.running.set()
        left = self._loses
        while True:
            try:
                await asyncio.sleep(self._lasts)
            except asyncio.CancelledError:
                if not left:
                    raise
                left -= 1
                self.lost += 1
            else:
                break
        self.ended += 1
        if self._fails:
            raise self._fails

    async def until(self, rounds: int) -> None:
        async with asyncio.timeout(SOON):
            while self.begun < rounds:  # noqa: ASYNC110 - the body sets no event for each round
                await asyncio.sleep(0.001)


@asynccontextmanager
async def started(loop: Periodic) -> AsyncGenerator[asyncio.Task[None]]:
    task = loop.start()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=SOON)


async def test_the_first_round_runs_at_once_and_the_next_after_the_pause() -> None:
    rounds, many = Rounds(), Rounds()
    async with started(Periodic("slow", rounds, every=LONG)), started(Periodic("quick", many, every=0.001)) as task:
        await many.until(3)
        assert rounds.begun == 1
        assert task.get_name() == "quick"


async def test_a_loop_that_does_not_begin_at_once_pauses_first() -> None:
    rounds = Rounds()
    async with started(Periodic("later", rounds, every=LONG, at_once=False)):
        await asyncio.sleep(0.01)
        assert rounds.begun == 0


async def test_a_named_failure_is_counted_and_logged_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[str] = []
    rounds = Rounds(fails=ConnectionError)
    loop = Periodic(
        "failing", rounds, every=0.001, survives=(OSError,), complaint="not read", on_failure=lambda: failures.append("x")
    )
    async with started(loop) as task:
        await rounds.until(4)
        assert not task.done()
    assert len(failures) >= 3
    logged = [record for record in caplog.records if record.message == "not read"]
    assert len(logged) == len(failures)
    assert (logged[0].error_type, logged[0].task) == ("ConnectionError", "failing")  # type: ignore[attr-defined]


async def test_an_error_that_is_not_named_is_logged_and_the_loop_goes_on_after_a_pause(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic, "BUG_PAUSE", 0.05)
    failures, rounds = list[int](), Rounds(fails=KeyError)
    loop = Periodic("buggy", rounds, every=0.001, survives=(OSError,), on_failure=lambda: failures.append(1))
    began = time.monotonic()
    async with started(loop) as task:
        while rounds.begun < 3:
            loop.wake()  # as each call may
            await asyncio.sleep(0.001)
        assert not task.done()
    assert time.monotonic() - began >= 2 * 0.05
    assert len(failures) >= 2
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {record.message.splitlines()[0] for record in logged} == {"background task failed by a bug, will retry"}
    assert all(record.exc_info for record in logged)


async def test_a_bug_ends_a_loop_whose_process_is_to_end_with_it(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(fails=KeyError)
    loop = Periodic("leases", rounds, every=0.001, survives=(OSError,), ends_on_bug=True)
    async with started(loop) as task:
        with contextlib.suppress(KeyError):
            await asyncio.wait_for(task, LONG)
        assert task.done()
    assert rounds.begun == 1
    assert any(record.levelno == logging.ERROR for record in caplog.records)


async def test_a_stop_in_the_pause_after_a_bug_is_not_cancelled() -> None:
    rounds = Rounds(fails=KeyError)
    loop = Periodic("buggy", rounds, every=0.001)
    async with started(loop) as task:
        await rounds.until(1)
        await loop.stop(grace=LONG)
        assert task.done()
        assert not task.cancelled()


async def test_a_stop_while_the_loop_sleeps_ends_it_without_another_round() -> None:
    rounds = Rounds()
    loop = Periodic("asleep", rounds, every=LONG)
    async with started(loop) as task:
        await rounds.until(1)
        await loop.stop()
        assert task.done()
        assert not task.cancelled(), "the stop wakes it"
    assert (rounds.begun, rounds.ended) == (1, 1)


async def test_a_stop_while_a_round_runs_cancels_it() -> None:
    rounds = Rounds(lasts=LONG)
    loop = Periodic("running", rounds, every=0.001)
    async with started(loop) as task:
        await rounds.until(1)
        await loop.stop()
        assert task.cancelled()
    assert (rounds.begun, rounds.ended) == (1, 0)


async def test_a_round_under_way_may_end_within_its_grace() -> None:
    rounds = Rounds(lasts=0.02, loses=0)
    loop = Periodic("patient", rounds, every=LONG)
    async with started(loop) as task:
        await rounds.until(1)
        await loop.stop(grace=SOON)
        assert task.done()
        assert not task.cancelled()
    assert rounds.ended == 1


@pytest.mark.parametrize("loses", [1, 2, 5])
async def test_a_lost_cancellation_is_repeated_until_the_loop_ends(loses: int) -> None:
    """A single cancellation would leave the body waiting for an hour: redis-py 8.1 swallows one now and then."""
    rounds = Rounds(lasts=LONG, loses=loses)
    loop = Periodic("deaf", rounds, every=0.001)
    async with started(loop) as task:
        await rounds.until(1)
        await loop.stop()
        assert task.done()
    assert (rounds.begun, rounds.lost) == (1, loses)


async def test_a_cancellation_that_is_lost_as_the_round_ends_begins_no_other_round() -> None:
    """The client may answer a cancellation with a result: the loop then ends by its flag."""
    begun = 0

    async def answers() -> None:
        nonlocal begun
        begun += 1
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            return

    loop = Periodic("answering", answers, every=0.0)
    async with started(loop) as task:
        await asyncio.sleep(0.005)
        await loop.stop()
        assert task.done()
    assert begun == 1


async def test_a_task_that_never_ends_does_not_hold_up_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    released = False

    async def deaf() -> None:
        while not released:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue

    task = spawn("never", deaf())
    await asyncio.sleep(0)
    assert await end(task, within=0.05) == {task}
    assert [record.task for record in caplog.records] == ["never"]  # type: ignore[attr-defined]
    released = True
    await asyncio.wait([task], timeout=SOON)
    assert await end(task) == set()


async def test_a_stop_before_the_start_and_a_second_stop_do_nothing() -> None:
    rounds = Rounds()
    loop = Periodic("idle", rounds, every=LONG)
    await loop.stop()
    async with started(loop):
        await rounds.until(1)
        await asyncio.gather(loop.stop(), loop.stop())
        await loop.stop()
    assert rounds.begun == 1


async def test_a_loop_that_was_stopped_can_start_again_but_not_twice() -> None:
    rounds = Rounds()
    loop = Periodic("again", rounds, every=LONG)
    async with started(loop):
        await rounds.until(1)
        with pytest.raises(RuntimeError, match="again runs already"):
            loop.start()
        await loop.stop()
    async with started(loop):
        await rounds.until(2)
        await loop.stop()


async def test_a_stop_in_the_turn_of_the_start_runs_nothing() -> None:
    rounds = Rounds()
    loop = Periodic("stillborn", rounds, every=0.001)
    task = loop.start()
    await loop.stop()
    assert task.done()
    assert rounds.begun <= 1


async def test_a_wake_ends_the_pause_also_when_it_comes_during_a_round() -> None:
    rounds = Rounds(lasts=0.005)
    loop = Periodic("woken", rounds, every=LONG)
    async with started(loop):
        await rounds.until(1)
        loop.wake()  # the round is under way: what it read may be old
        await rounds.until(2)
        async with asyncio.timeout(SOON):
            while rounds.ended < 2:  # noqa: ASYNC110 - as in `until`
                await asyncio.sleep(0.001)
        loop.wake()
        await rounds.until(3)


async def test_a_body_can_ask_for_its_next_round_sooner_this_once() -> None:
    begun: list[int] = []

    async def body() -> None:
        begun.append(1)
        if len(begun) == 1:
            loop.retry_in(0.001)

    loop = Periodic("sooner", body, every=LONG)
    async with started(loop):
        async with asyncio.timeout(SOON):
            while len(begun) < 2:  # noqa: ASYNC110 - as in `until`
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert len(begun) == 2


async def test_jitter_only_lengthens_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    rounds = Rounds()
    async with started(Periodic("spread", rounds, every=0.001, jitter=0.5)):
        await rounds.until(2)
    assert drawn[0] == (1, 1.5)


@settings(max_examples=60, deadline=None)
@given(
    every=st.sampled_from([0.0, 0.001, LONG]),
    lasts=st.sampled_from([0.0, 0.001, LONG]),
    loses=st.integers(0, 3),
    at_once=st.booleans(),
    fails=st.sampled_from([None, OSError, ValueError]),
    grace=st.sampled_from([0.0, 0.001]),
    turns=st.integers(0, 12),
)
def test_a_stop_at_any_moment_ends_the_loop_and_no_round_begins_after_it(
    every: float, lasts: float, loses: int, at_once: bool, fails: type[BaseException] | None, grace: float, turns: int
) -> None:
    async def case() -> None:
        rounds = Rounds(lasts=lasts, loses=loses, fails=fails)
        loop = Periodic("any", rounds, every=every, at_once=at_once, survives=(OSError,))
        task = loop.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(loop.stop(grace=grace), SOON)
        assert task.done()
        begun = rounds.begun
        await asyncio.sleep(0.003)
        assert rounds.begun == begun

    asyncio.run(case())
