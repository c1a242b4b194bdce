"""Webhooks that report the end of jobs. Due ones are in Postgres; `app.security.webhooks` signs and posts them."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

from app.domain.errors import OctantError
from app.domain.periodic import Periodic
from app.jobs.jobs import Job, Jobs
from app.security import webhooks

MOST_ATTEMPTS = 8
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
SEND_EVERY = 1.0
STOPPED_PAUSE = 5.0

OnOutcome = Callable[[str], None]

log = logging.getLogger(__name__)


class Webhooks:
    """Send due webhooks, one after the other. Durable: they are kept in Postgres."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        master: bytes,
        allowed_hosts: frozenset[str],
        render: Callable[[Job], bytes],
        on_outcome: OnOutcome,
        stopped: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """``render`` makes a job's body; ``on_outcome`` gets ``delivered``, ``failed`` or ``given_up``.

        ``stopped`` says whether an operator has stopped a tenant, or with an empty name everything: then webhooks wait.
        """
        self._stopped = stopped
        self._jobs = jobs
        self._master = master
        self._allowed_hosts = allowed_hosts
        self._render = render
        self._on_outcome = on_outcome
        self._stack = AsyncExitStack()

    async def start(self) -> asyncio.Task[None]:
        """Begin to send. Returns the task that does."""
        http = await self._stack.enter_async_context(webhooks.session(self._allowed_hosts))
        sending = Periodic(
            "webhooks", lambda: self._send_due(http), every=SEND_EVERY, survives=(OctantError,), complaint="webhooks wait"
        )
        self._stack.push_async_callback(sending.stop)
        return sending.start()

    async def aclose(self) -> None:
        """Stop; what is due is sent by others, or after the next start."""
        await self._stack.aclose()

    async def _send_due(self, http: webhooks.Sessions) -> None:
        while not self._stopped("") and (job := await self._jobs.take_webhook(timedelta(seconds=2 * webhooks.SECONDS))):
            await self._send(http, job)

    async def _send(self, http: webhooks.Sessions, job: Job) -> None:
        if self._stopped(job.tenant):
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
