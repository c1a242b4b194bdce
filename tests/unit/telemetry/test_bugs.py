"""Bugs of background work are logged and counted; a store that is away is no bug."""

import asyncio
import gc
import logging

import pytest
from redis.exceptions import ConnectionError as ValkeyAway

from app.domain import periodic
from app.domain.errors import DependencyUnavailable
from app.domain.periodic import Periodic, spawn
from app.telemetry.bugs import watched

AWAY = (ConnectionResetError(), ValkeyAway("Connection refused"), DependencyUnavailable("Postgres does not answer."))


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    return [(r.message.splitlines()[0], getattr(r, "task", None)) for r in caplog.records if r.levelno == logging.ERROR]


async def test_a_round_that_fails_by_a_bug_is_counted_each_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic, "BUG_PAUSE", 0.001)
    counted, twice = list[int](), asyncio.Event()

    async def body() -> None:
        raise KeyError("a value that no one expected")

    def count() -> None:
        counted.append(1)
        if len(counted) == 2:
            twice.set()

    async with watched(count):
        loop = Periodic("ledger", body, every=0.001, survives=(OSError,))
        loop.start()
        await asyncio.wait_for(twice.wait(), 5)
        await loop.stop()
    assert errors(caplog)[:2] == [("background task failed by a bug, will retry", "ledger")] * 2


async def test_a_task_that_ends_by_a_bug_is_counted_also_where_no_code_reads_its_result(caplog: pytest.LogCaptureFixture) -> None:
    counted = list[int]()

    async def fail() -> None:
        raise ZeroDivisionError

    async with watched(lambda: counted.append(1)):
        await asyncio.wait([spawn("watchdog", fail())])
        await asyncio.sleep(0)
        assert counted == [1]
        await asyncio.wait([asyncio.create_task(fail(), name="forgotten")])
        gc.collect()
    assert counted == [1, 1]
    ended, forgotten = "background task ended by an error", "Task exception was never retrieved"
    assert errors(caplog) == [(ended, "watchdog"), (forgotten, "forgotten")]


@pytest.mark.parametrize("away", AWAY, ids=lambda error: type(error).__name__)
async def test_a_store_or_connection_that_is_away_is_logged_and_is_no_bug(
    away: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    counted = list[int]()

    async def fail() -> None:
        raise away

    async with watched(lambda: counted.append(1)):
        await asyncio.wait([spawn("sharing", fail())])
        await asyncio.sleep(0)
    assert errors(caplog) == [("background task ended by an error", "sharing")]
    assert counted == []


async def test_the_loop_has_its_own_handler_again_afterwards() -> None:
    async with watched(lambda: None):
        pass
    assert asyncio.get_running_loop().get_exception_handler() is None
