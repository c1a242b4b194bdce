"""Send alerts before a cap is used up, and resolve them afterwards (C5).

The script that counts money also notes, in the same step, when a share of a cap is reached, once for each share and window. The
alert reaches Postgres with the ledger's entries and is stored there once. Then it is sent to the webhook, signed, until the
webhook accepts it; and to Alertmanager repeatedly, in Prometheus' way, until the window resets.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from sqlalchemy import FromClause, Row, Select, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.alert_words import DRIFT, summary
from app.budget.drift import Drift, drifts
from app.budget.tables import alerts
from app.domain.periodic import Periodic
from app.domain.store_errors import why
from app.security import webhooks

DELIVER_EVERY, REPEAT_EVERY, DRIFT_EVERY = 2.0, 60.0, 300.0
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 900.0
LOCK = 0x0C7B
DRIFT_HOURS = 1
MOST = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """Addresses for alerts; an empty one sends nothing. ``secret`` signs webhooks; ``runbook_url`` is the runbook's folder."""

    webhook_url: str
    alertmanager_url: str
    secret: str
    allowed_hosts: frozenset[str]
    runbook_url: str = ""


def one_each(rows: FromClause = alerts) -> Select[Any]:
    """Of the thresholds that one subject has passed in a window the newest, and of those at once the highest."""
    c = rows.c
    each = (c.scope, c.tenant, c.subject, c.window)
    return select(rows).ext(postgresql.distinct_on(*each)).order_by(*each, c.at.desc(), c.share.desc())


class Alerts:
    """Sends new alerts, repeats open ones, resolves those that are over. One worker at a time does it."""

    def __init__(
        self,
        engine: AsyncEngine,
        receivers: Receivers,
        *,
        on_alert: Callable[[str], None] = lambda _: None,
        on_drift: Callable[[frozenset[str]], None] = lambda _: None,
        on_rise: Callable[[str, float], Awaitable[object]] | None = None,
        user_stopped: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        """``on_alert`` gets the scope of each delivered alert, ``on_drift`` the features whose cost changed.

        ``on_rise`` gets each feature whose cost rose, with the ratio, as long as it is dearer. ``user_stopped`` of a tenant and
        its user: an operator has stopped it, so nothing is left to do about its caps, and Alertmanager's alert of them is over.
        """
        self._engine = engine
        self._receivers = receivers
        self._on_alert = on_alert
        self._on_drift = on_drift
        self._on_rise = on_rise
        self._user_stopped = user_stopped
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Begin to send."""
        http = await self._stack.enter_async_context(webhooks.session(self._receivers.allowed_hosts))
        inside = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._begin("budget alerts to the webhook", lambda: self.deliver(http), DELIVER_EVERY)
        self._begin("budget alerts to Alertmanager", lambda: self.repeat(inside), REPEAT_EVERY)
        self._begin("cost drift", self.note_drift, DRIFT_EVERY)

    async def aclose(self) -> None:
        """Stop; other workers deliver the rest, or this one after its next start."""
        await self._stack.aclose()

    async def deliver(self, http: webhooks.Sessions) -> int:
        """Deliver waiting alerts to the webhook: firing ones, then resolved ones. Returns how many it took."""
        async with self._engine.begin() as connection:
            if not (await connection.execute(select(func.pg_try_advisory_xact_lock(LOCK)))).scalar_one():
                return 0
            c, now = alerts.c, datetime.now(UTC)
            waiting = or_(c.told_at.is_(None), c.ends_at <= now)
            wanted = select(alerts).where(c.resolved_at.is_(None), c.due_at <= now, waiting).order_by(c.id).limit(MOST)
            taken = 0
            for row in (await connection.execute(wanted)).all():
                firing = row.told_at is None
                if firing:
                    log.warning("budget alert", extra={"scope": row.scope, "tenant": row.tenant, "share": row.share})
                change: dict[str, Any]
                if await self._delivered(http, row, firing=firing):
                    taken += 1
                    change = {"told_at": now, "tries": 0} if firing else {"resolved_at": now}
                    if firing:
                        self._on_alert(row.scope)
                else:
                    pause = min(FIRST_PAUSE * 2**row.tries, LONGEST_PAUSE)
                    change = {"tries": row.tries + 1, "due_at": now + timedelta(seconds=pause)}
                await connection.execute(update(alerts).where(c.id == row.id).values(change))
        return taken

    async def repeat(self, http: aiohttp.ClientSession) -> int:
        """Send Alertmanager the open alerts and those that just ended. Returns how many; 0 if it accepts none."""
        async with self._engine.connect() as connection:
            now = datetime.now(UTC)
            lately = now - timedelta(seconds=5 * REPEAT_EVERY)
            found = (await connection.execute(select(alerts).where(alerts.c.ends_at > lately).limit(1000))).all()
        rows = [(row, min(ends, now) if self._is_stopped(row) else ends) for row, ends in _with_ends(found) if ends > lately]
        if not rows or not self._receivers.alertmanager_url:
            return 0
        url = self._receivers.alertmanager_url.rstrip("/") + "/api/v2/alerts"
        try:
            async with http.post(url, json=_in_force(rows, self._receivers.runbook_url)) as answer:
                return len(rows) if answer.status == 200 else 0
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("Alertmanager took no alerts", extra=why(error))
            return 0

    def _is_stopped(self, row: Row[Any]) -> bool:
        """Whether an alert is of the cap of a user that an operator has stopped. If it is resumed, the alert is again."""
        return row.scope.startswith("user") and self._user_stopped(row.tenant, row.subject)

    async def note_drift(self) -> int:
        """Note features whose cost per call changed. Returns how many; each is reported once an hour."""
        now = datetime.now(UTC)
        found = await drifts(self._engine, now)
        self._on_drift(frozenset(drift.feature for drift in found))
        if found:
            async with self._engine.begin() as connection:
                rows = [_of_drift(drift, now) for drift in found]
                await connection.execute(postgresql.insert(alerts).on_conflict_do_nothing(), rows)
        for drift in found:
            if self._on_rise and drift.ratio > 1:
                await self._on_rise(drift.feature, drift.ratio)
        return len(found)

    async def _delivered(self, http: webhooks.Sessions, row: Row[Any], *, firing: bool) -> bool:
        """Return whether the webhook has it; true if there is no webhook."""
        receivers = self._receivers
        if not receivers.webhook_url:
            return True
        state = "firing" if firing else "resolved"
        body = json.dumps({"type": f"budget.{state}", "data": as_json(row)}).encode()
        message = f"budget-{row.id}-{state}"
        return await webhooks.deliver(
            http,
            receivers.webhook_url,
            body,
            secret=receivers.secret,
            message_id=message,
        )

    def _begin(self, name: str, body: Callable[[], Awaitable[object]], every: float) -> None:
        loop = Periodic(name, body, every=every, survives=(SQLAlchemyError, OSError), complaint="budget alerts wait")
        loop.start()
        self._stack.push_async_callback(loop.stop)


def as_json(row: Row[Any]) -> dict[str, Any]:
    """An alert as receivers and operators see it. Amounts in micro-dollars."""
    return {
        "scope": row.scope,
        "tenant": row.tenant,
        "subject": row.subject,
        "window": row.window,
        "share": row.share,
        "limit": row.limit,
        "spent": row.spent,
        "note": row.note,
        "at": row.at.isoformat(),
        "resets_at": row.ends_at.isoformat(),
    }


def _with_ends(rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], datetime]]:
    """Each alert with its end: the next threshold that the same subject passes ends it, so that one of them is open."""
    found, after = [], dict[Any, datetime]()
    for row in sorted(rows, key=lambda row: (row.at, row.share), reverse=True):
        each = (row.scope, row.tenant, row.subject, row.window)
        found.append((row, min(row.ends_at, after.get(each, row.ends_at))))
        after[each] = row.at
    return found


def _in_force(rows: Sequence[tuple[Row[Any], datetime]], runbook_url: str) -> list[dict[str, Any]]:
    """The alerts in Alertmanager's form. Those with the same labels, as of two users, are one: the one that ends last."""
    alike = defaultdict[tuple[Any, ...], list[tuple[Row[Any], datetime]]](list)
    for row, ends in sorted(rows, key=lambda pair: pair[1]):
        alike[tuple(_labels(row).items())].append((row, ends))
    now = datetime.now(UTC)
    return [
        _for_alertmanager(*pairs[-1], runbook_url, len({row.subject for row, ends in pairs if ends > now}))
        for pairs in alike.values()
    ]


def _labels(row: Row[Any]) -> dict[str, str]:
    """No user's id: it may be personal, and Alertmanager's receivers are many.

    A ticket, as in `deploy/slo/alerts.toml`: a cap that holds harms its own tenant or user alone.
    """
    drift = row.scope == DRIFT
    return {
        "alertname": "OctantCostDrift" if drift else "OctantBudget",
        "severity": "ticket",
        "scope": row.scope,
        "share": str(row.share),
        "window": row.window,
        **({"feature": row.subject} if drift else {"tenant": row.tenant}),
    }


def _for_alertmanager(row: Row[Any], ends: datetime, runbook_url: str, users: int) -> dict[str, Any]:
    page = "cost-spike.md#the-cost-of-a-features-calls-changed" if row.scope == DRIFT else "cost-spike.md#confirm"
    annotations = {"summary": summary(row, users), "runbook_url": runbook_url + page, "alert": str(row.id)}
    return {
        "labels": _labels(row),
        "annotations": annotations,
        "startsAt": min(row.at, ends).isoformat(),  # sent late, or ended at once: it refuses an end before the start
        "endsAt": ends.isoformat(),
    }


def _of_drift(drift: Drift, now: datetime) -> dict[str, Any]:
    return {
        "scope": DRIFT,
        "tenant": "",
        "subject": drift.feature,
        "window": now.strftime("%m-%d %H"),
        "share": 0,
        "limit": 0,
        "spent": 0,
        "note": f"A call of {drift.feature} costs {drift.ratio:.1f} times what it did (median; D = {drift.distance:.2f}).",
        "ends_at": now + timedelta(hours=DRIFT_HOURS),
    }
