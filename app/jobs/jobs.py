"""A job's life: queued → running → succeeded, failed or cancelled. Every step is one statement, on Postgres' own clock.

`start` takes the job that has been due longest and leases it, `renew` keeps the lease, and the number of the attempt fences what
a worker that was thought dead may still write. `listen` reports new jobs; a worker that misses one finds it by `start`.
"""

import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Row, and_, case, delete, func, insert, or_, select, text, tuple_, update
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, JobFinished, NotFound
from app.jobs.tables import jobs
from app.security.webhooks import origin_of

GRACE = timedelta(seconds=2)  # between the end of a lease and the job's next attempt: its worker may be late in renewing
BATCH = 500
CHANNEL = "octant_jobs"
LISTEN_SECONDS = 1.0  # one wait for notifications; shorter than a silence after which `stores` suspects Postgres


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it is now. ``body`` is there until it is done, ``status``, ``headers`` and ``response`` from then on."""

    id: str
    tenant: str
    user: str
    key_id: str
    path: str
    body: bytes | None
    deadline_ms: int | None
    state: str
    cancel_requested: bool
    attempts: int
    lost: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    status: int | None
    headers: Mapping[str, str] | None
    response: bytes | None
    webhook_url: str | None
    webhook_attempts: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """A job's end: the answer that its caller would have had."""

    state: str
    status: int
    headers: Mapping[str, str]
    response: bytes


class Jobs:
    """See the module. Every method raises DependencyUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, *, lease: float, keep: float) -> None:
        """``lease``: seconds until a silent worker's job is another's. ``keep``: seconds that results are kept."""
        self._engine = engine
        self._lease = timedelta(seconds=lease)
        self._keep = timedelta(seconds=keep)

    async def submit(
        self,
        identity: Identity,
        path: str,
        body: bytes,
        *,
        deadline_ms: int | None = None,
        webhook_url: str | None = None,
        traceparent: str | None = None,
    ) -> Job:
        """Queue a request to ``path``. Once this returns, it will be run; workers that listen begin at once.

        ``traceparent``: the trace that its run belongs to.
        """
        values = {
            "id": f"job_{uuid.uuid4().hex}",
            "tenant": identity.tenant.id,
            "user": identity.user,
            "key_id": identity.key_id,
            "path": path,
            "body": body,
            "deadline_ms": deadline_ms,
            "state": "queued",
            "due_at": func.now(),
            "webhook_url": webhook_url,
            "traceparent": traceparent,
        }
        async with self._transaction() as connection:
            stored = insert(jobs).values(values).returning(*jobs.c, func.pg_notify(CHANNEL, "").label("notified"))
            row = (await connection.execute(stored)).one()
        return _job(row)

    async def get(self, identity: Identity, job_id: str) -> Job:
        """One of the caller's jobs. Raises NotFound for any other."""
        async with self._transaction() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.id == job_id, _own(identity)))).one_or_none()
        if row is None:
            raise NotFound("No such job.")
        return _job(row)

    async def list(self, identity: Identity, *, limit: int, after: str | None) -> Sequence[Job]:
        """The caller's jobs, newest first, ``after`` the one of that id. Another's id tells no more than one that never was."""
        order = (jobs.c.created_at, jobs.c.id)
        statement = select(jobs).where(_own(identity)).order_by(*(c.desc() for c in order)).limit(limit)
        if after:
            before = select(*order).where(jobs.c.id == after, _own(identity))
            statement = statement.where(tuple_(*order) < before.scalar_subquery())
        async with self._transaction() as connection:
            return [_job(row) for row in await connection.execute(statement)]

    async def cancel(self, identity: Identity, job_id: str) -> Job:
        """Cancel a job: a queued one at once, a running one as soon as its worker looks. Raises NotFound or JobFinished."""
        queued = jobs.c.state == "queued"
        statement = (
            update(jobs)
            .where(jobs.c.id == job_id, _own(identity), jobs.c.finished_at.is_(None))
            .values(
                cancel_requested=True,
                state=case((queued, "cancelled"), else_=jobs.c.state),
                finished_at=case((queued, func.now()), else_=None),
                body=case((queued, None), else_=jobs.c.body),
                webhook_due_at=case((and_(queued, jobs.c.webhook_url.is_not(None)), func.now()), else_=None),
            )
            .returning(jobs)
        )
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            job = await self.get(identity, job_id)
            raise JobFinished(f"The job has {job.state} already.")
        return _job(row)

    async def start(self, *, but: Collection[str] = (), but_of: Collection[str] = ()) -> Job | None:
        """Take the job due longest, or None. If its worker went silent, that attempt counts as lost.

        ``but``: jobs, and ``but_of``: tenants, that are passed over.
        """
        queued = and_(jobs.c.state == "queued", jobs.c.due_at <= func.now())
        silent = and_(jobs.c.state == "running", jobs.c.due_at <= func.now() - GRACE)
        first = (
            select(jobs.c.id)
            .where(jobs.c.finished_at.is_(None), jobs.c.due_at <= func.now(), or_(queued, silent), ~jobs.c.cancel_requested)
            .where(jobs.c.id.not_in(but), jobs.c.tenant.not_in(but_of))
            .order_by(jobs.c.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        lost = jobs.c.lost + case((jobs.c.state == "running", 1), else_=0)
        lease = func.now() + self._lease
        values = {"state": "running", "attempts": jobs.c.attempts + 1, "lost": lost, "started_at": func.now(), "due_at": lease}
        async with self._transaction() as connection:
            row = (await connection.execute(update(jobs).where(jobs.c.id == first).values(values).returning(jobs))).one_or_none()
        return _job(row) if row else None

    async def listen(self, on_job: Callable[[], None]) -> None:
        """Call ``on_job`` whenever a job is submitted. Ends only by DependencyUnavailable: its connection is gone."""
        try:
            async with self._engine.connect() as pooled:
                connection = await pooled.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(text(f"LISTEN {CHANNEL}"))
                driver: Any = (await connection.get_raw_connection()).driver_connection
                try:
                    while True:
                        async for _ in driver.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                            on_job()
                finally:
                    await connection.invalidate()  # it listens: it must not return to the pool
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            raise DependencyUnavailable("Postgres sends no notifications right now.", retry_after=5.0) from error

    async def renew(self, running: Sequence[Job]) -> dict[str, bool]:
        """Renew the leases of jobs that run here. Returns those still ours, and which to cancel."""
        mine = tuple_(jobs.c.id, jobs.c.attempts).in_([(job.id, job.attempts) for job in running])
        statement = (
            update(jobs)
            .where(mine, jobs.c.state == "running")
            .values(due_at=func.now() + self._lease)
            .returning(jobs.c.id, jobs.c.cancel_requested)
        )
        async with self._transaction() as connection:
            return {row.id: row.cancel_requested for row in await connection.execute(statement)}

    async def finish(self, job: Job, done: Done) -> bool:
        """Store an attempt's end. False if the job is another worker's by now: then nothing is written."""
        values: dict[str, Any] = {
            "state": done.state,
            "finished_at": func.now(),
            "body": None,
            "status": done.status,
            "headers": dict(done.headers),
            "response": done.response,
            "webhook_due_at": func.now() if job.webhook_url else None,
        }
        return await self._end(job, values)

    async def put_back(self, job: Job, seconds: float, *, counts: bool = True) -> bool:
        """Have an attempt's job run again, not before ``seconds`` from now. False as `finish`. ``counts``: as an attempt."""
        attempts = {} if counts else {"attempts": job.attempts - 1}
        return await self._end(job, {"state": "queued", "due_at": func.now() + timedelta(seconds=seconds), **attempts})

    async def lose(self, job: Job) -> bool:
        """End the lease of an attempt whose process died: the next start of the job counts it as lost. False as `finish`."""
        return await self._end(job, {"due_at": func.now()})

    async def attempt(self, job_id: str, number: int) -> Job | None:
        """The job while its attempt of that number runs."""
        mine = and_(jobs.c.id == job_id, jobs.c.attempts == number, jobs.c.state == "running")
        async with self._transaction() as connection:
            row = (await connection.execute(select(jobs).where(mine))).one_or_none()
        return _job(row) if row else None

    async def end_cancelled(self) -> int:
        """End jobs that were to be cancelled when their worker died. Returns how many."""
        abandoned = and_(jobs.c.finished_at.is_(None), jobs.c.due_at < func.now() - GRACE, jobs.c.cancel_requested)
        values = {"state": "cancelled", "finished_at": func.now(), "body": None, "webhook_due_at": _now_if_wanted()}
        async with self._transaction() as connection:
            return (await connection.execute(update(jobs).where(abandoned).values(values))).rowcount

    async def waiting(self) -> tuple[int, float]:
        """The number of jobs due and not begun, and the seconds that the first has waited."""
        since = func.extract("epoch", func.now() - func.min(jobs.c.due_at))
        due = select(func.count(), func.coalesce(since, 0)).where(jobs.c.state == "queued", jobs.c.due_at <= func.now())
        async with self._transaction() as connection:
            count, seconds = (await connection.execute(due)).one()
        return int(count), float(seconds)

    async def forget_old(self) -> int:
        """Delete jobs that were done longer ago than they are kept, some at a time. Returns how many."""
        old = select(jobs.c.id).where(jobs.c.finished_at < func.now() - self._keep).limit(BATCH)
        async with self._transaction() as connection:
            return (await connection.execute(delete(jobs).where(jobs.c.id.in_(old)))).rowcount

    async def take_webhook(self, pause: timedelta, *, but_of: Collection[str] = ()) -> Job | None:
        """Take one job whose webhook is due; it is due again after ``pause``, unless `plan_webhook` plans otherwise.

        ``but_of``: tenants that are passed over.
        """
        due = (
            select(jobs.c.id)
            .where(jobs.c.webhook_due_at <= func.now(), jobs.c.tenant.not_in(but_of))
            .order_by(jobs.c.webhook_due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(jobs)
            .where(jobs.c.id == due)
            .values(webhook_attempts=jobs.c.webhook_attempts + 1, webhook_due_at=func.now() + pause)
            .returning(jobs)
        )
        async with self._transaction() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _job(row) if row else None

    async def plan_webhook(self, job: Job, seconds: float | None, *, again: bool = False) -> None:
        """Send it again after ``seconds``; None: delivered or abandoned, so only the address's origin is kept.

        ``again``: this time does not count. Nothing is written if it was taken again since: a sender that stood still must not
        plan what another one has delivered.
        """
        values: dict[str, Any] = {"webhook_due_at": None, "webhook_url": origin_of(job.webhook_url or "")}
        if seconds is not None:
            values = {"webhook_due_at": func.now() + timedelta(seconds=seconds)}
        if again:
            values |= {"webhook_attempts": job.webhook_attempts - 1}
        async with self._transaction() as connection:
            mine = and_(jobs.c.id == job.id, jobs.c.webhook_attempts == job.webhook_attempts)
            await connection.execute(update(jobs).where(mine).values(values))

    async def _end(self, job: Job, values: Mapping[str, Any]) -> bool:
        mine = and_(jobs.c.id == job.id, jobs.c.attempts == job.attempts, jobs.c.state == "running")
        async with self._transaction() as connection:
            return (await connection.execute(update(jobs).where(mine).values(**values))).rowcount > 0

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncConnection, None]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except DataError:
            raise  # the store is there: a value cannot be held
        except (SQLAlchemyError, OSError) as error:
            raise DependencyUnavailable("Jobs cannot be stored or read right now.", retry_after=5.0) from error


def _own(identity: Identity) -> ColumnElement[bool]:
    """A tenant sees its own jobs; a key that is bound to a user, that user's."""
    mine = jobs.c.tenant == identity.tenant.id
    return and_(mine, jobs.c.user == identity.user) if identity.user else mine


def _now_if_wanted() -> ColumnElement[datetime]:
    return case((jobs.c.webhook_url.is_not(None), func.now()), else_=None)


def _job(row: Row[Any]) -> Job:
    return Job(**{name: value for name, value in row._mapping.items() if name in Job.__dataclass_fields__})  # noqa: SLF001 - documented
