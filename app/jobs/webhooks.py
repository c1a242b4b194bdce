"""Webhooks that report the end of jobs. Due ones are in Postgres; `app.security.webhooks` signs and posts them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from app.domain.errors import OctantError
from app.domain.periodic import Periodic, end, spawn
from app.domain.store_errors import why
from app.jobs.jobs import Job, Jobs
from app.security import webhooks

MOST_ATTEMPTS = 8
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
SEND_EVERY = 1.0
AT_ONCE, MOST_OF_A_TENANT = 8, 2  # a receiver that hangs keeps a place for seconds: it must not be another tenant's
STOPPED_PAUSE = 5.0
WAIT = "webhooks wait"

OnOutcome = Callable[[str], None]

log = logging.getLogger(__name__)


class Webhooks:
    """Send due webhooks, a few at a time. Durable: they are kept in Postgres."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        master: bytes,
        allowed_hosts: frozenset[str],
        render: Callable[[Job], bytes],
        on_outcome: OnOutcome,
        stopped: Callable[[str, str], bool] = lambda _tenant, _user: False,
    ) -> None:
        """``render`` makes a job's body; ``on_outcome`` gets ``delivered``, ``failed`` or ``given_up``.

        ``stopped`` says whether an operator has stopped a tenant or its user, or with empty names everything: then webhooks wait.
        """
        self._stopped = stopped
        self._jobs = jobs
        self._master = master
        self._allowed_hosts = allowed_hosts
        self._render = render
        self._on_outcome = on_outcome
        self._stack = AsyncExitStack()
        self._sending: dict[asyncio.Task[None], str] = {}  # each with its tenant

    async def start(self) -> asyncio.Task[None]:
        """Begin to send. Returns the task that does."""
        http = await self._stack.enter_async_context(webhooks.session(self._allowed_hosts))
        due = Periodic("webhooks", lambda: self._send_due(http, due), every=SEND_EVERY, survives=(OctantError,), complaint=WAIT)
        self._stack.push_async_callback(self._end_sending)
        self._stack.push_async_callback(due.stop)
        return due.start()

    async def aclose(self) -> None:
        """Stop; what is due is sent by others, or after the next start."""
        await self._stack.aclose()

    async def _send_due(self, http: webhooks.Sessions, due: Periodic) -> None:
        """Begin to send while places are free; each place that becomes free begins the next round."""
        while len(self._sending) < AT_ONCE and not self._stopped("", "") and not due.stopping:
            counts = Counter(self._sending.values())
            full = [tenant for tenant, count in counts.items() if count >= MOST_OF_A_TENANT]
            job = await self._jobs.take_webhook(timedelta(seconds=2 * webhooks.SECONDS), but_of=full)
            if job is None:
                return
            task = spawn("webhook", self._send_one(http, job))
            self._sending[task] = job.tenant
            task.add_done_callback(partial(self._sent, due))

    def _sent(self, due: Periodic, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        due.wake()

    async def _end_sending(self) -> None:
        await end(*self._sending)

    async def _send_one(self, http: webhooks.Sessions, job: Job) -> None:
        """Send one. While Postgres is away its outcome is not written: it is due again after its pause."""
        try:
            await self._send(http, job)
        except OctantError as error:
            log.warning(WAIT, extra={"job": job.id, **why(error)})

    async def _send(self, http: webhooks.Sessions, job: Job) -> None:
        if self._stopped(job.tenant, job.user):
            await self._jobs.plan_webhook(job, STOPPED_PAUSE, again=True)
        elif await self._delivered(http, job):
            await self._jobs.plan_webhook(job, None)
            self._on_outcome("delivered")
        elif job.webhook_attempts >= MOST_ATTEMPTS:
            await self._jobs.plan_webhook(job, None)
            log.error("webhook given up", extra={"job": job.id, "attempts": job.webhook_attempts})
            self._on_outcome("given_up")
        else:
            await self._jobs.plan_webhook(job, min(FIRST_PAUSE * 4 ** (job.webhook_attempts - 1), LONGEST_PAUSE))
            self._on_outcome("failed")

    async def _delivered(self, http: webhooks.Sessions, job: Job) -> bool:
        secret = webhooks.secret_of(self._master, job.tenant)
        body, url = self._render(job), job.webhook_url or ""
        return await webhooks.deliver(http, url, body, secret=secret, message_id=job.id)
