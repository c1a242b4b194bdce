"""The hand-over of a shift: one message on everything that the next person must know, sent when the shift changes.

The message is computed from the records, so an outgoing person cannot forget a part. Of all workers one sends it, once for each
change: the row of the change is locked while it is sent, and stays only where the receiver took it.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import Misconfigured
from app.domain.figures import usd
from app.domain.money import MicroUSD
from app.domain.periodic import Periodic
from app.oncall.incidents.duty import INSTANT, Duties, FindDuties
from app.oncall.incidents.handoff_parts import PARTS, Part, utc
from app.oncall.incidents.tables import handoffs

LATE = timedelta(hours=2)  # a message that could not be sent for so long would mislead
HORIZON = timedelta(days=31)
EVERY = 60.0

log = logging.getLogger(__name__)
Send = Callable[[str, str], Awaitable[bool]]  # title and text; whether the receiver took it
Allowed = Callable[[datetime], Awaitable[int | None]]  # what the tenants' caps still allow of a UTC day; None: not known

_SPENT = text("SELECT coalesce(sum(amount), 0) FROM ledger WHERE global_day = :day")
_ALERTS = text("""
    SELECT scope, tenant, share FROM (
        SELECT DISTINCT ON (scope, tenant, subject, "window") scope, tenant, share, at FROM budget_alerts
        WHERE resolved_at IS NULL AND ends_at > :at ORDER BY scope, tenant, subject, "window", at DESC, share DESC
    ) AS each ORDER BY at
""")
_CALLS = text("SELECT count(*), count(*) FILTER (WHERE outcome <> 'ok') FROM calls WHERE at > :since AND at <= :at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """The state at a moment: lines by title. ``spent`` and ``cap``: micro-dollars of this UTC day.

    ``allowed``: what the tenants' caps still let them spend of it; None: not known.
    """

    at: datetime
    people: Sequence[str]
    until: datetime | None
    after: Sequence[str]
    state: Sequence[tuple[str, Sequence[str]]]
    spent: MicroUSD
    cap: MicroUSD
    allowed: int | None
    alerts: Sequence[str]
    calls: int
    failed: int


async def unknown(_: datetime) -> int | None:
    """The tenants' caps are not known."""
    return None


async def handoff(engine: AsyncEngine, duties: Duties, at: datetime, *, cap: MicroUSD, allowed: Allowed = unknown) -> Handoff:
    """Read the state. ``cap`` is the global one of a day."""
    at = at.astimezone(UTC)
    until = next_change(duties, at)
    async with engine.connect() as connection:
        state = [(part.title, await _lines(connection, part, at)) for part in PARTS]
        spent = (await connection.execute(_SPENT, {"day": f"{at:%Y-%m-%d}"})).scalar_one()
        alerts = (await connection.execute(_ALERTS, {"at": at})).all()
        calls, failed = (await connection.execute(_CALLS, {"since": at - timedelta(days=1), "at": at})).one()
    shown = [f"{row.share} % of {row.scope} {row.tenant}".strip() for row in alerts]
    return Handoff(
        at=at, people=duties.people(at), until=until, after=duties.people(until) if until else (), state=state,
        spent=MicroUSD(int(spent)), cap=cap, allowed=await allowed(at), alerts=shown, calls=calls, failed=failed,
    )  # fmt: skip


async def _lines(connection: AsyncConnection, part: Part, at: datetime) -> list[str]:
    """The lines of a part; none where an older schema lacks its table."""
    if (await connection.execute(text("SELECT to_regclass(:table)"), {"table": part.table})).scalar_one() is None:
        return []
    found = await connection.execute(text(part.statement), {"at": at} if ":at" in part.statement else {})
    return [part.line(row) for row in found]


def message(found: Handoff) -> str:
    """The message: a line for each thing, `none` where there is nothing, times in UTC."""
    lines = [
        f"Hand-over at {utc(found.at)}",
        f"On duty: {', then '.join(found.people) or 'no person'}" + (f", until {utc(found.until)}" if found.until else ""),
        f"Next: {', then '.join(found.after)}" if found.after else "Next: no change within a month",
    ]
    share = f" ({found.failed / found.calls:.2%})" if found.calls else ""
    last = [("Budget", [_burn(found), *found.alerts]), ("Calls of 24 hours", [f"{found.calls}, {found.failed} failed{share}"])]
    for title, entries in (*found.state, *last):
        lines += [f"{title}:", *(f"  {' '.join(entry.split())}" for entry in entries)] if entries else [f"{title}: none"]
    return "\n".join(lines)


def _burn(found: Handoff) -> str:
    """Money of this UTC day, and where it would end at this pace."""
    passed = (found.at - found.at.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(days=1)
    spent = f"{usd(found.spent)} of {usd(found.cap)} spent today"
    if not passed or not found.cap:
        return spent
    by = found.spent / passed
    most = by if found.allowed is None else min(found.cap, found.spent + found.allowed)
    capped = ", the most that the caps allow" if by > most else ""
    return f"{spent}, {min(by, most) / found.cap:.0%} of it by midnight at this pace{capped}"


def next_change(duties: Duties, at: datetime) -> datetime | None:
    """When the people on duty change next; None within a month."""
    _, *coming = duties.changes(at, at + HORIZON)
    return coming[0][0] if coming else None


def last_change(duties: Duties, at: datetime) -> datetime | None:
    """When the people on duty changed last, within `LATE`; None for longer ago."""
    _, *past = duties.changes(at - LATE, at + INSTANT)
    return past[-1][0] if past else None


class Handoffs:
    """Sends the message at each change of the shift."""

    def __init__(
        self, engine: AsyncEngine, duties: FindDuties, send: Send, *, cap: MicroUSD,
        clean: Callable[[str], str], now: Callable[[], datetime] = lambda: datetime.now(UTC), allowed: Allowed = unknown,
    ) -> None:  # fmt: skip
        """``duties`` reads rotation and covers at each round; ``send`` hands the message to a receiver; ``clean`` redacts it."""
        self._engine, self._duties, self._send = engine, duties, send
        self._cap, self._clean, self._now, self._allowed = cap, clean, now, allowed
        self._sending = Periodic(
            "hand-over", self.round, every=EVERY, jitter=0.1, survives=(SQLAlchemyError, OSError, Misconfigured),
            complaint="hand-over message not sent, will retry",
        )  # fmt: skip

    async def start(self) -> None:
        """Begin."""
        self._sending.start()

    async def aclose(self) -> None:
        """Stop; another worker sends what is due."""
        await self._sending.stop()

    async def round(self) -> bool:
        """Send the message of a change that no worker has sent. Returns whether this one sent it."""
        at = self._now()
        duties = await self._duties(at - LATE)
        changed = last_change(duties, at)
        if changed is None:
            return False
        row = insert(handoffs).values(changed_at=changed, sent_at=at)
        claim = row.on_conflict_do_nothing().returning(handoffs.c.changed_at)
        async with self._engine.begin() as connection:
            if (await connection.execute(claim)).scalar_one_or_none() is None:
                return False
            words = self._clean(message(await handoff(self._engine, duties, at, cap=self._cap, allowed=self._allowed)))
            sent = await self._send("Hand-over of the shift", words)
            if not sent:
                await connection.rollback()
        if not sent:
            log.warning("hand-over message not taken, will retry")
        return sent
