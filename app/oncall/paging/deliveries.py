"""Sends what is due: each delivery is a row, taken with a lease, sent without a transaction, and marked.

A process that dies while it sends leaves the row to the next one after the lease: so an event is sent once more, and no more
often. A trigger is tried as long as its page is open, with growing pauses and never before ``Retry-After``; when the receiver
refuses it, or has not taken it in time, the page goes to the fallback receivers too.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.paging import outbox
from app.oncall.paging.message import Action, Message, Receiver, Result, attempt
from app.oncall.paging.outbox import CANCELLED, SENT, WAITING
from app.oncall.paging.policy import Policy
from app.oncall.paging.tables import page_deliveries, page_events, page_timers, pages

AT_ONCE = 16
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LATE = 15.0  # seconds after which a delivery that no process tried counts as unsent
OnOutcome = Callable[[str, str], None]
c = page_deliveries.c

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery that this process has taken. ``tries``: this one included; it fences what a late process may write."""

    id: uuid.UUID
    page_id: uuid.UUID
    receiver: str
    action: str
    key: str
    message: Message
    tries: int
    created_at: datetime


class Deliveries:
    """See the module. Methods raise what SQLAlchemy raises while Postgres is away."""

    def __init__(
        self,
        engine: AsyncEngine,
        policy: Policy,
        receivers: Mapping[str, Receiver],
        *,
        on_outcome: OnOutcome = lambda _receiver, _outcome: None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``on_outcome`` gets the receiver and ``sent``, ``failed`` or ``refused``; ``on_event`` the event ``fallback``."""
        self._engine = engine
        self._policy = policy
        self._receivers = receivers
        self._on_outcome = on_outcome
        self._on_event = on_event

    async def send_due(self) -> int:
        """Send everything that is due, several at a time. Returns how many were taken by their receivers."""
        sent = 0
        while taken := await self._take():
            sent += sum(await asyncio.gather(*(self._send(delivery) for delivery in taken)))
        return sent

    async def unsent(self) -> tuple[int, float]:
        """The triggers that failed or that no process tried, and the seconds that the oldest has waited."""
        stuck = or_(c.last_error.is_not(None), c.created_at < func.now() - timedelta(seconds=LATE))
        waited = func.coalesce(func.extract("epoch", func.now() - func.min(c.created_at)), 0)
        wanted = select(func.count(), waited).where(c.state == WAITING, c.action == "trigger", stuck)
        async with self._engine.connect() as connection:
            count, seconds = (await connection.execute(wanted)).one()
        return int(count), float(seconds)

    async def _take(self) -> list[Delivery]:
        due = (
            select(c.id)
            .where(c.state == WAITING, c.due_at <= func.now(), c.receiver.in_(list(self._receivers)))
            .order_by(c.due_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        lease = func.now() + timedelta(seconds=self._policy.lease)
        taking = update(page_deliveries).where(c.id.in_(due)).values(tries=c.tries + 1, due_at=lease).returning(page_deliveries)
        async with self._engine.begin() as connection:
            rows = (await connection.execute(taking)).all()
        return [Delivery(r.id, r.page_id, r.receiver, r.action, r.key, Message(**r.message), r.tries, r.created_at) for r in rows]

    async def _send(self, delivery: Delivery) -> bool:
        to, within = self._receivers[delivery.receiver], self._policy.lease * 0.8
        result = await attempt(to, delivery.message, delivery.key, within=within)
        self._on_outcome(delivery.receiver, "sent" if result.sent else "refused" if result.refused else "failed")
        await (self._sent(delivery) if result.sent else self._failed(delivery, result))
        return result.sent

    async def _sent(self, delivery: Delivery) -> None:
        """Mark it; a page that was acknowledged or resolved meanwhile is so at this receiver too."""
        async with self._engine.begin() as connection:
            page = (await connection.execute(select(pages).where(pages.c.id == delivery.page_id).with_for_update())).one()
            links = await connection.scalar(select(page_timers.c.links).where(page_timers.c.page_id == page.id))
            marked = update(page_deliveries).where(c.id == delivery.id, c.state.in_((WAITING, CANCELLED)))
            await connection.execute(marked.values(state=SENT, sent_at=func.clock_timestamp(), last_error=None))
            detail = {"receiver": delivery.receiver, "action": delivery.action, "tries": delivery.tries}
            event = {"page_id": page.id, "at": func.clock_timestamp(), "event": "sent", "detail": detail}
            await connection.execute(insert(page_events).values(event))
            if delivery.action == "trigger" and page.status != "triggered":
                action: Action = "resolve" if page.status == "resolved" else "acknowledge"
                await outbox.follow_up(connection, page, action, links or {}, by=page.acknowledged_by or "")

    async def _failed(self, delivery: Delivery, result: Result) -> None:
        pause = min(FIRST_PAUSE * 2 ** (delivery.tries - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        due = func.clock_timestamp() + timedelta(seconds=max(pause, result.retry_after or 0.0))
        ours = and_(c.id == delivery.id, c.state == WAITING, c.tries == delivery.tries)
        log.warning(
            "a page is not sent yet",
            extra={"page": str(delivery.page_id), "receiver": delivery.receiver, "why": result.reason, "tries": delivery.tries},
        )
        async with self._engine.begin() as connection:
            page = (await connection.execute(select(pages).where(pages.c.id == delivery.page_id).with_for_update())).one()
            failed = update(page_deliveries).where(ours).values(due_at=due, last_error=result.reason[:64])
            waited = func.extract("epoch", func.now() - c.created_at)
            still = (await connection.execute(failed.returning(waited))).scalar_one_or_none()
            if still is None or delivery.action != "trigger" or delivery.receiver not in self._policy.receivers:
                return
            late = float(still) >= self._policy.fallback_after
            if not (result.refused or late) or not self._policy.fallback:
                return
            links = await connection.scalar(select(page_timers.c.links).where(page_timers.c.page_id == page.id))
            new = await outbox.trigger(connection, page, self._policy.fallback, delivery.key, links or {})
            if new:
                detail = {"receiver": delivery.receiver, "why": result.reason, "to": list(self._policy.fallback)}
                event = {"page_id": page.id, "at": func.clock_timestamp(), "event": "fallback", "detail": detail}
                await connection.execute(insert(page_events).values(event))
        if new:
            self._on_event("fallback")
