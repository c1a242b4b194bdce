"""A job's life on real Postgres: started once, never lost, never another tenant's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.calls import Identity, Tenant
from app.domain.errors import DependencyUnavailable, JobFinished, NotFound
from app.domain.money import MicroUSD
from app.jobs import webhooks
from app.jobs.jobs import GRACE, Done, Job, Jobs
from app.jobs.tables import jobs as table
from app.security import webhooks as signing

DONE = Done("succeeded", 200, {"octant-model": "m"}, b'{"answer": 1}')


def identity(tenant: str | None = None, user: str = "") -> Identity:
    name = tenant or f"t{uuid4().hex[:10]}"
    return Identity(tenant=Tenant(name, name, MicroUSD(1), MicroUSD(1)), key_id="k", user=user)


@pytest_asyncio.fixture
async def room(engine: AsyncEngine) -> AsyncIterator[Jobs]:
    async with engine.begin() as connection:
        await connection.execute(table.delete())
    yield Jobs(engine, lease=15, keep=60)
    async with engine.begin() as connection:
        await connection.execute(table.delete())


async def submitted(room: Jobs, who: Identity, **wanted: str) -> Job:
    return await room.submit(who, "/v1/messages", b'{"x": 1}', **wanted)  # type: ignore[arg-type]


async def begun(room: Jobs, who: Identity, **wanted: str) -> Job:
    """A job that was submitted and started."""
    submitted_id = (await submitted(room, who, **wanted)).id
    job = await room.start()
    assert job
    assert job.id == submitted_id
    return job


async def later(engine: AsyncEngine, job: Job, seconds: float) -> None:
    """Let time pass for one job."""
    async with engine.begin() as connection:
        values = {"due_at": table.c.due_at - timedelta(seconds=seconds)}
        await connection.execute(update(table).where(table.c.id == job.id).values(values))


async def test_of_many_workers_one_starts_a_job(room: Jobs, engine: AsyncEngine) -> None:
    job = await submitted(room, identity())
    others = create_async_engine(engine.url)
    rooms = [room, Jobs(others, lease=15, keep=60)]
    started = await asyncio.gather(*(rooms[n % 2].start() for n in range(20)))
    await others.dispose()
    (mine,) = [s for s in started if s]
    assert mine.id == job.id
    assert (mine.state, mine.attempts, mine.body) == ("running", 1, b'{"x": 1}')


async def test_a_job_that_is_done_has_its_answer_and_no_longer_its_request(room: Jobs) -> None:
    who = identity()
    job = await begun(room, who)
    assert await room.finish(job, DONE)
    found = await room.get(who, job.id)
    assert (found.state, found.status, found.response, found.body) == ("succeeded", 200, b'{"answer": 1}', None)
    assert found.finished_at is not None
    assert await room.start() is None


async def test_a_silent_worker_s_job_is_another_s_and_its_own_word_comes_too_late(room: Jobs, engine: AsyncEngine) -> None:
    who = identity()
    first = await begun(room, who)
    assert await room.start() is None
    await later(engine, first, 15 + GRACE.total_seconds() + 1)
    assert await room.start(but={first.id}) is None, "a worker passes over what it runs itself"
    second = await room.start()
    assert second
    assert (second.id, second.attempts, second.lost) == (first.id, 2, 1)
    assert await room.renew([first, second]) == {second.id: False}
    assert not await room.finish(first, Done("failed", 500, {}, b"late"))
    assert not await room.put_back(first, 0)
    assert await room.finish(second, DONE)


async def test_a_worker_that_is_late_in_renewing_keeps_its_job(room: Jobs, engine: AsyncEngine) -> None:
    job = await begun(room, identity())
    await later(engine, job, 15.5)
    assert await room.start() is None
    assert await room.renew([job]) == {job.id: False}


async def test_the_job_that_is_due_longest_starts_first_and_one_that_waits_does_not(room: Jobs, engine: AsyncEngine) -> None:
    waits, older, newer = await begun(room, identity()), await submitted(room, identity()), await submitted(room, identity())
    assert await room.put_back(waits, 60)
    await later(engine, older, 1)
    assert [job.id for job in [await room.start(), await room.start()] if job] == [older.id, newer.id]
    assert await room.start() is None


async def test_jobs_of_tenants_that_have_their_share_are_passed_over(room: Jobs) -> None:
    many, few = identity(), identity()
    await submitted(room, many)
    expected = await submitted(room, few)
    started = await room.start(but_of={many.tenant.id})
    assert started
    assert started.id == expected.id
    assert await room.start(but_of={many.tenant.id}) is None


async def test_a_listener_is_notified_of_stored_jobs_and_of_its_connections_end(room: Jobs, engine: AsyncEngine) -> None:
    notified = asyncio.Event()
    listening = asyncio.create_task(room.listen(notified.set))
    async with asyncio.timeout(120):
        while not notified.is_set():  # it may not listen yet
            await submitted(room, identity())
            await asyncio.sleep(0.05)
        async with engine.begin() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN octant_jobs'"
            await connection.execute(text(ended))
        with pytest.raises(DependencyUnavailable):
            await listening


async def test_cancelling_ends_queued_jobs_asks_running_ones_and_refuses_finished_ones(room: Jobs) -> None:
    who = identity()
    running, queued = await begun(room, who), await submitted(room, who)
    assert (await room.cancel(who, queued.id)).state == "cancelled"
    assert await room.start() is None
    assert (await room.cancel(who, running.id)).state == "running"
    assert await room.renew([running]) == {running.id: True}
    await room.finish(running, Done("cancelled", 499, {}, b"{}"))
    for job in (queued, running):
        with pytest.raises(JobFinished):
            await room.cancel(who, job.id)


async def test_a_running_job_that_was_to_be_cancelled_when_its_worker_died_is_cancelled(room: Jobs, engine: AsyncEngine) -> None:
    who = identity()
    started = await begun(room, who)
    await room.cancel(who, started.id)
    await later(engine, started, 60)
    assert await room.start() is None
    assert await room.end_cancelled() == 1
    assert (await room.get(who, started.id)).state == "cancelled"


async def test_a_job_does_not_exist_for_another_caller(room: Jobs) -> None:
    """Another tenant's, and for a key that is bound to a user another user's."""
    tenant = f"t{uuid4().hex[:10]}"
    job = await submitted(room, identity(tenant, "ada"))
    for stranger in (identity(), identity(tenant, "grace")):
        for ask in (room.get, room.cancel):
            with pytest.raises(NotFound):
                await ask(stranger, job.id)
        assert await room.list(stranger, limit=10, after=None) == []
        await submitted(room, stranger)
        later = await submitted(room, identity(tenant, "ada"))
        assert await room.list(stranger, limit=10, after=later.id) == [], "its id tells no more than one that never was"
    assert (await room.get(identity(tenant), job.id)).id == job.id


async def test_jobs_are_listed_newest_first_page_by_page(room: Jobs) -> None:
    who = identity()
    ids = [(await submitted(room, who)).id for _ in range(5)]
    first = await room.list(who, limit=3, after=None)
    rest = await room.list(who, limit=3, after=first[-1].id)
    assert [job.id for job in [*first, *rest]] == ids[::-1]


async def test_a_webhook_is_taken_by_one_sender_and_is_due_again_unless_it_was_sent(room: Jobs) -> None:
    who = identity()
    started = await begun(room, who, webhook_url="https://example.com/hook")
    assert await room.take_webhook(timedelta(seconds=20)) is None
    await room.finish(started, DONE)
    taken = await asyncio.gather(*(room.take_webhook(timedelta(seconds=20)) for _ in range(5)))
    (job,) = [t for t in taken if t]
    assert job.webhook_attempts == 1
    await room.plan_webhook(job, 0)
    again = await room.take_webhook(timedelta(seconds=20))
    assert again
    assert again.webhook_attempts == 2
    await room.plan_webhook(again, None)
    assert await room.take_webhook(timedelta(seconds=20)) is None


async def test_a_sender_that_stood_still_plans_nothing_that_another_has_delivered(room: Jobs) -> None:
    """It would be sent again, and to what is left of its address: the origin."""
    await room.finish(await begun(room, identity(), webhook_url="https://example.com/hook?secret=1"), DONE)
    still, next_one = [await room.take_webhook(timedelta(seconds=0)) for _ in range(2)]
    assert still
    assert next_one
    await room.plan_webhook(next_one, None)
    await room.plan_webhook(still, 0)
    assert await room.take_webhook(timedelta(seconds=20)) is None


async def test_receivers_that_hang_keep_no_webhook_of_another_tenant_waiting(room: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of one tenant are due first; each keeps its sender until the timeout."""
    monkeypatch.setattr(signing, "SECONDS", 60.0)
    delivered = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/hangs" not in await reader.readuntil(b"\r\n\r\n"):
            delivered.set()
            writer.write(b"HTTP/1.1 204 Thanks\r\n\r\n")
        await reader.read()  # until the other side leaves
        writer.close()

    receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}"
    silent = identity()
    for who, path in [*[(silent, "hangs")] * 3, (identity(), "answers")]:
        await room.finish(await begun(room, who, webhook_url=f"{address}/{path}"), DONE)
    outcomes: list[str] = []
    hosts = frozenset({"127.0.0.1"})
    sender = webhooks.Webhooks(room, master=b"m", allowed_hosts=hosts, render=lambda _: b"{}", on_outcome=outcomes.append)
    await sender.start()
    async with asyncio.timeout(30):
        await delivered.wait()
    assert "failed" not in outcomes  # it waited for no timeout
    await sender.aclose()
    receiver.close()


async def test_old_results_are_forgotten_and_what_is_not_done_never_is(room: Jobs, engine: AsyncEngine) -> None:
    who = identity()
    started, waiting = await begun(room, who), await submitted(room, who)
    await room.finish(started, DONE)
    async with engine.begin() as connection:
        long_ago = func.now() - timedelta(days=365)
        await connection.execute(update(table).where(table.c.finished_at.is_not(None)).values(finished_at=long_ago))
        await connection.execute(update(table).values(created_at=long_ago))
    assert await room.forget_old() == 1
    with pytest.raises(NotFound):
        await room.get(who, started.id)
    assert (await room.get(who, waiting.id)).state == "queued"


async def test_without_postgres_a_job_is_refused() -> None:
    nowhere = create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none", connect_args={"connect_timeout": 1})
    with pytest.raises(DependencyUnavailable):
        await Jobs(nowhere, lease=15, keep=60).submit(identity(), "/v1/messages", b"{}")
    await nowhere.dispose()


@pytest.mark.parametrize("scope", ["all", "tenant or user"])
async def test_webhooks_of_what_is_stopped_wait_and_the_waiting_does_not_count(
    room: Jobs, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """P5: what a stop holds back leaves after the release, with all its tries."""
    monkeypatch.setattr(webhooks, "SEND_EVERY", 0.01)
    monkeypatch.setattr(webhooks, "STOPPED_PAUSE", 0.01)
    who, holds, outcomes = identity(), [True], list[str]()
    held = ("", "") if scope == "all" else (who.tenant.id, who.user)

    def stopped(tenant: str, user: str) -> bool:
        return holds[0] and (tenant, user) == held

    job = await begun(room, who, webhook_url="http://127.0.0.1:1/hook")
    await room.finish(job, DONE)
    tried = asyncio.Event()

    def noted(outcome: str) -> None:
        outcomes.append(outcome)
        tried.set()

    sender = webhooks.Webhooks(
        room,
        master=b"m",
        allowed_hosts=frozenset({"127.0.0.1"}),
        render=lambda _: b"{}",
        on_outcome=noted,
        stopped=stopped,
    )
    await sender.start()
    await asyncio.sleep(0.5)
    assert outcomes == []
    holds[0] = False
    async with asyncio.timeout(120):
        await tried.wait()
    await sender.aclose()
    assert outcomes == ["failed"]  # no server is there: the try was made
    assert (await room.get(who, job.id)).webhook_attempts == 1
