"""The watchdog of `octant worker` ends a process whose event loop is blocked."""

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest

from app.jobs.jobs import Job
from app.stack import job_worker
from app.stack.job_worker import LONGEST_PAUSE, Runner, _pause
from app.telemetry.metrics import Metrics

WORKER = """
import asyncio, re, time
from app.stack.isolation import watch_ourselves

async def main():
    watching = asyncio.create_task(watch_ourselves(1.0))
    await asyncio.sleep(2.5)  # longer than it may stand still: waiting is not standing still
    print("alive", flush=True)
    {block}
    await asyncio.sleep(0.5)
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "block",
    ["time.sleep(60)", "re.match('(a+)+$', 'a' * 60 + '!')"],
    ids=["a blocking call", "code that never gives the interpreter back"],
)
def test_a_worker_whose_event_loop_stands_still_is_ended_and_says_where(block: str) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER.format(block=block)], capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (1, b"alive\n")
    assert b"main" in done.stderr


def test_a_worker_that_ends_in_order_is_not_ended_by_its_watchdog() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER.format(block="")], capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (0, b"alive\ndone\n")


def a_job(number: int = 1) -> Job:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {f.name: None for f in dataclasses.fields(Job)}
    fields |= {
        "id": "job_1",
        "tenant": "t",
        "key_id": "k",
        "path": "/v1/x",
        "body": b"{}",
        "state": "running",
        "attempts": number,
    }
    return Job(**(fields | {"lost": 0, "created_at": now, "started_at": now, "traceparent": ""}))


class Store:
    """The store of jobs as far as a runner uses it here: it has one job, which is due again and again."""

    def __init__(self) -> None:
        self.passed_over: list[set[str]] = []

    async def start(self, *, but: Collection[str], but_of: Collection[str]) -> Job | None:
        self.passed_over.append(set(but_of))
        return None if "job_1" in but or "t" in but_of else a_job()


def a_runner(store: Store) -> Runner:
    async def unused(*_: object) -> Any:  # noqa: ANN401 - never called
        raise AssertionError

    given: dict[str, Any] = {
        "app": unused,
        "jobs": store,
        "identify": unused,
        "metrics": Metrics(),
        "tracing": None,
        "alone": unused,
    }
    return Runner(**given, attempts=3, losses=3, at_once=8)


async def test_a_job_that_runs_here_is_not_started_again_when_its_lease_ended_meanwhile() -> None:
    """Postgres was away longer than the lease, and the job is due before the runner has renewed."""
    runner = a_runner(Store())
    waiting = asyncio.create_task(asyncio.sleep(60))
    runner.running["job_1"] = (a_job(), waiting)
    assert not await runner._take()
    assert runner.running["job_1"][1] is waiting
    waiting.cancel()


async def test_the_backlog_of_a_tenant_with_its_share_is_not_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_worker, "SEARCH_PAST_EVERY", 3600.0)
    store = Store()
    runner = a_runner(store)
    waiting = asyncio.create_task(asyncio.sleep(60))
    runner.running = {f"job_{n}": (a_job(), waiting) for n in range(2, 8)}  # six of eight places
    for _ in range(5):
        assert not await runner._take()
    assert store.passed_over == [{"t"}]
    assert runner.taking._next is not None, "the runner looks again when the pause is over, not at its next round"
    runner.running.popitem()
    assert await runner._take(), "the tenant's own next job"
    assert store.passed_over == [{"t"}, set()]
    waiting.cancel()


async def test_a_job_that_ends_wakes_a_worker_without_a_free_place(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = a_runner(Store())
    woken: list[bool] = []
    monkeypatch.setattr(runner.taking, "wake", lambda: woken.append(True))
    ended, waiting = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(60))
    runner.running = {f"job_{n}": (a_job(), waiting) for n in range(2, 9)} | {"job_1": (a_job(), ended)}
    runner._done("job_1", ended)
    assert woken
    assert "job_1" not in runner.running
    waiting.cancel()


async def test_an_attempt_that_ends_late_leaves_a_newer_one_of_its_job_alone() -> None:
    runner = a_runner(Store())
    older, newer = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(60))
    runner.running["job_1"] = (a_job(2), newer)
    runner._done("job_1", older)
    assert runner.running["job_1"][1] is newer
    runner._done("job_1", newer)
    assert runner.running == {}
    newer.cancel()


@pytest.mark.parametrize("attempts", [0, 10, 1_024, 100_000])
def test_the_pause_before_the_next_attempt_is_bounded_however_often_a_job_was_tried(attempts: int) -> None:
    assert 0 < _pause(attempts) <= LONGEST_PAUSE
