"""The page of a game day: the alert goes the real way through the service's paging, to a receiver of the game's own.

The game posts the alert as Alertmanager would, once the scenario's sign is there: no Prometheus runs beside it. From there on all
is the service's own: page, incident, delivery. The person who acknowledges is the game, by the command that a person types.
"""

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

PATIENCE = 30.0
ZERO = "0001-01-01T00:00:00Z"
_PAGED = text(
    """
    SELECT min(triggered_at) AS page, min(acknowledged_at) AS ack FROM pages WHERE NOT test AND triggered_at >= :since
    """
)


@dataclass(slots=True)
class Pager:
    """A receiver on this machine. ``token`` is Alertmanager's."""

    socket: socket.socket
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    _pages: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    @classmethod
    def bound(cls) -> "Pager":
        """On a free port; it answers within `listening`."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        return cls(sock)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the service that pages here."""
        return {
            "OCTANT_PAGING__RECEIVERS": '["webhook"]',
            "OCTANT_PAGING__WEBHOOK_URL": f"http://127.0.0.1:{self.socket.getsockname()[1]}/page",
            "OCTANT_PAGING__ALERTMANAGER_TOKEN": self.token,
            "OCTANT_PAGING__WATCHDOG_AFTER": "0",
            "OCTANT_WEBHOOK_ALLOWED_HOSTS": '["127.0.0.1"]',
        }

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None, None]:
        """Answer until the end of the block."""
        app = web.Application()
        app.router.add_post("/page", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, self.socket).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def report(self, http: aiohttp.ClientSession, alert: str, summary: str, *, firing: bool) -> bool:
        """Report an alert to the service. Returns whether it took it."""
        status, at = "firing" if firing else "resolved", datetime.now(UTC).isoformat()
        labels = {"alertname": alert, "severity": "page"}
        one = {
            "status": status, "labels": labels, "annotations": {"summary": summary}, "startsAt": at,
            "endsAt": ZERO if firing else at, "fingerprint": "9a7e",
        }  # fmt: skip
        body = {
            "version": "4", "groupKey": f'{{}}:{{alertname="{alert}"}}', "status": status, "receiver": "pager",
            "groupLabels": {"alertname": alert}, "commonLabels": labels, "commonAnnotations": {"summary": summary},
            "alerts": [one],
        }  # fmt: skip
        headers = {"authorization": f"Bearer {self.token}"}
        try:
            async with http.post("/v1/admin/alertmanager", json=body, headers=headers) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def page(self) -> str:
        """The page that came in; empty if none does in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                return await self._pages.get()
        return ""

    async def _take(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if body.get("type") == "page.trigger":
            self._pages.put_nowait(str(body["data"]["page"]))
        return web.Response(status=204)


async def first_page(engine: AsyncEngine, since: datetime) -> tuple[str, float | None, float | None]:
    """The state of paging, and the seconds from a moment until the first page since, and until its acknowledgement."""
    try:
        async with engine.connect() as connection:
            if not (await connection.execute(text("SELECT to_regclass('pages') IS NOT NULL"))).scalar_one():
                return "off", None, None
            row = (await connection.execute(_PAGED, {"since": since})).one()
    except SQLAlchemyError as error:
        return f"not readable: {type(error).__name__}", None, None
    page, ack = ((at - since) / timedelta(seconds=1) if at else None for at in row)
    return "off" if page is None else "on", page, ack
