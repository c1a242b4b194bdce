"""Paging as one process has it, on a real Postgres and the test's receivers."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pager import ROUTING_KEY, TOKEN, WEBHOOK_SECRET
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.oncall.paging.answers import Answers
from app.oncall.paging.deadman import Heartbeat, Watchdog
from app.oncall.paging.deliveries import Deliveries
from app.oncall.paging.duty import OnCall
from app.oncall.paging.message import Receiver
from app.oncall.paging.pages import Pages
from app.oncall.paging.paging import Paging, PagingParts
from app.oncall.paging.policy import Diagnose, IncidentForPage, Policy, no_diagnosis, no_incident
from app.oncall.paging.receivers import IncidentIo, PagerDuty, SignedWebhook
from app.oncall.paging.relay import Relay
from app.oncall.paging.spool import Spool
from app.security import webhooks

PEOPLE = ("Ada", "Grace", "Edsger")


@dataclass
class Events:
    """What the parts report."""

    events: list[str]
    outcomes: list[tuple[str, str]]


@asynccontextmanager
async def paging(
    engine: AsyncEngine,
    base: str,
    state: Path,
    policy: Policy,
    *,
    escalate_after: float = 600.0,
    watchdog_after: float = 0.0,
    every: float = 0.05,
    incident_for: IncidentForPage = no_incident,
    diagnose: Diagnose = no_diagnosis,
    reported: Events | None = None,
) -> AsyncIterator[Paging]:
    """Paging, not started, that sends to the receivers at ``base``."""
    seen = reported or Events([], [])

    async def on_call(_: datetime) -> OnCall:
        return OnCall(PEOPLE, (escalate_after,) * len(PEOPLE))

    async def first_person() -> str:
        return PEOPLE[0]

    async with webhooks.session(frozenset({"127.0.0.1"})) as http:
        receivers: dict[str, Receiver] = {
            "pagerduty": PagerDuty(http, base + "/v2/enqueue", lambda: ROUTING_KEY),
            "incident_io": IncidentIo(http, base + "/v2/alert_events/http/SOURCE", lambda: TOKEN),
            "webhook": SignedWebhook(http, base + "/hook", WEBHOOK_SECRET),
        }
        pages = Pages(engine, policy, on_call, incident_for=incident_for, diagnose=diagnose, on_event=seen.events.append)
        outcome = lambda receiver, how: seen.outcomes.append((receiver, how))  # noqa: E731 - a list's method takes one
        deliveries = Deliveries(engine, policy, receivers, on_outcome=outcome, on_event=seen.events.append)
        spool = Spool(state / "pages")

        async def healthy() -> bool:
            return (await deliveries.unsent())[0] == 0

        beat = Heartbeat(engine, http, url=lambda: base + "/beat", method="GET", every=60.0, healthy=healthy)
        made = PagingParts(
            pages=pages,
            answers=Answers(engine, policy, on_call, on_event=seen.events.append),
            deliveries=deliveries,
            spool=spool,
            relay=Relay(spool, pages, policy, receivers, first_person=first_person, on_outcome=outcome),
            watchdog=Watchdog(engine, pages, after=watchdog_after),
            heartbeat=beat,
        )
        yield Paging(made, every=every, on_event=seen.events.append)


async def _run(database_url: str, base: str, state: str, policy: dict[str, Any], more: dict[str, Any]) -> None:
    engine = create_async_engine(database_url)
    async with paging(engine, base, Path(state), Policy(**policy), **more) as made:
        await made.start()
        print("started", flush=True)  # noqa: T201 - for the test that waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":  # a process of its own, for tests that kill it
    asyncio.run(_run(*json.loads(sys.argv[1])))
