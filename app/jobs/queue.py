"""The queue over Valkey, by taskiq: it carries ids and nothing else. What it loses, the sweep finds in Postgres."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from taskiq.api import run_receiver_task
from taskiq.exceptions import TaskiqError
from taskiq.kicker import AsyncKicker
from taskiq_redis import ListQueueBroker

NAME = "octant:jobs"
TASK = "run"
PUT_SECONDS = 1.0
CONNECTIONS = 8
KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}

log = logging.getLogger(__name__)


class ValkeyQueue:
    """See the module; `jobs.Queue` for who submits, `listen` for who works."""

    def __init__(self, url: str) -> None:
        """Nothing connects before the first message. A Valkey that is away is asked again with growing pauses.

        Who listens waits for messages without an end: a connection whose other side is gone is found out by keepalives.
        """
        retry = Retry(ExponentialBackoff(cap=2.0, base=0.1), 5)
        tcp = not url.startswith("unix:")
        keepalive: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE} if tcp else {}
        self._broker = ListQueueBroker(
            url,
            queue_name=NAME,
            max_connection_pool_size=CONNECTIONS,
            retry=retry,
            socket_connect_timeout=PUT_SECONDS,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),  # they hide that a connection was closed
            **keepalive,
        )

    async def put(self, job_id: str) -> None:
        """See `jobs.Queue`."""
        try:
            async with asyncio.timeout(PUT_SECONDS):
                await AsyncKicker[[str], None](task_name=TASK, broker=self._broker, labels={}).kiq(job_id)
        except (TaskiqError, RedisError, OSError) as error:
            log.warning("job not queued, the sweep will find it", extra={"job": job_id, "error_type": type(error).__name__})

    async def listen(self, run: Callable[[str], Awaitable[None]], *, at_once: int) -> None:
        """Call ``run`` for each message, ``at_once`` at most, until cancelled."""

        async def handle(job_id: str) -> None:  # taskiq notes things on what it registers, so a method would not do
            await run(job_id)

        self._broker.register_task(handle, task_name=TASK)
        await run_receiver_task(self._broker, max_async_tasks=at_once, validate_params=False, run_startup=True)

    async def aclose(self) -> None:
        """Close all connections."""
        with contextlib.suppress(RedisError, OSError):
            await self._broker.shutdown()
