"""Answers of people at PagerDuty: an acknowledgement there is one here, and stops the escalation.

The payload is PagerDuty's webhook, version 3 (its developer documentation, "Webhooks": Overview, Behavior). It is delivered at
least once, in order for one of its incidents, and tried again for 48 hours. The incident is found by its key, which is the dedup
key of the page's round. Only people count: an automation there, or the echo of an event that we sent, acknowledges nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import InvalidRequest
from app.oncall.paging import changes
from app.oncall.paging.changes import ACKNOWLEDGED, RESOLVED, TRIGGERED
from app.oncall.paging.duty import FindOnCall
from app.oncall.paging.policy import Policy
from app.oncall.paging.tables import page_deliveries, page_events

PAGERDUTY = "pagerduty"
OLDEST = timedelta(hours=49)  # PagerDuty tries for 48 hours: an older event is sent by another hand
AHEAD = timedelta(minutes=5)  # between the two clocks
LONGEST_NAME, MOST_PEOPLE = 200, 10
PERSON = "user_reference"
STORABLE = r"^[^\x00]*$"  # Postgres holds no NUL
IGNORED, REPEATED, UNKNOWN = "ignored", "repeated", "unknown"
SILENT = "answer_ignored"  # the name of an event that changes nothing: its id is kept, so that it cannot be used later
_KINDS = ("acknowledged", "unacknowledged", "resolved", "reassigned", "escalated", "delegated")


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class PagerDutyReference(_Payload):
    """A person or another thing there, by name."""

    type: str = ""
    summary: str | None = None

    @field_validator("*", mode="after")
    @classmethod
    def _short(cls, value: str | None, _: ValidationInfo) -> str:
        return (value or "").replace("\x00", "")[:LONGEST_NAME]


class PagerDutyIncident(_Payload):
    """The incident that an event is about; other data have other fields."""

    type: str = ""
    incident_key: str | None = Field(default=None, max_length=255, pattern=STORABLE)
    assignees: list[PagerDutyReference] | None = None


class PagerDutyEvent(_Payload):
    """One event."""

    id: str = Field(min_length=1, max_length=128, pattern=STORABLE)
    event_type: str
    occurred_at: datetime
    agent: PagerDutyReference | None = None
    data: PagerDutyIncident | None = None

    @field_validator("occurred_at", mode="after")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("the time carries no zone")
        return value


class PagerDutyMessage(_Payload):
    """The body that PagerDuty posts."""

    event: PagerDutyEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An event in our own form. ``by``: the person; empty for an automation. ``people``: who has the incident now."""

    identity: str
    kind: str
    key: str
    by: str
    people: str


def answer_of(message: PagerDutyMessage, *, now: datetime) -> Answer | None:
    """A payload in our own form; None for an event that is of no concern here. Raises InvalidRequest for one out of its time."""
    event = message.event
    if not now - OLDEST < event.occurred_at < now + AHEAD:
        raise InvalidRequest(
            "The event is older than PagerDuty's last attempt, or lies ahead: it is no delivery of PagerDuty's.",
            param="event.occurred_at",
        )
    kind = event.event_type.removeprefix("incident.")
    if not event.event_type.startswith("incident.") or kind not in _KINDS or event.data is None or not event.data.incident_key:
        return None
    by = event.agent.summary or "a person" if event.agent and event.agent.type == PERSON else ""
    people = ", ".join(one.summary or "" for one in (event.data.assignees or [])[:MOST_PEOPLE])
    return Answer(identity=event.id, kind=kind, key=event.data.incident_key, by=by, people=people)


class Answers:
    """Takes answers in. Methods raise what SQLAlchemy raises while Postgres is away: PagerDuty tries again."""

    def __init__(
        self, engine: AsyncEngine, policy: Policy, on_call: FindOnCall, *, on_event: Callable[[str], None] = lambda _: None
    ) -> None:
        """``on_event`` gets the name of each event that changed a page."""
        self._engine = engine
        self._policy = policy
        self._on_call = on_call
        self._on_event = on_event

    async def take(self, answer: Answer) -> str:
        """Apply an answer to its page, once. Returns the event that came of it, or why none did."""
        on_call = await self._on_call(datetime.now(UTC))
        async with self._engine.begin() as connection:
            row = await _page_of(connection, answer.key)
            if row is None:
                return UNKNOWN
            if await _is_known(connection, row, answer):
                return REPEATED
            now = await changes.now_of(connection)
            event = await self._apply(connection, row, answer, now, now + timedelta(seconds=on_call.wait(max(row.level, 1))))
        if event in (ACKNOWLEDGED, RESOLVED, "unacknowledged"):
            self._on_event(event)
        return event

    async def _apply(self, connection: AsyncConnection, row: Row[Any], answer: Answer, now: datetime, due: datetime) -> str:
        """``due``: when the next level is called if the acknowledgement is taken back."""
        detail = {"channel": PAGERDUTY, "answer": answer.identity}
        if answer.kind == "acknowledged" and row.status != RESOLVED and answer.by:
            until = now + timedelta(seconds=self._policy.ack_expires)
            await changes.acknowledge(connection, row, until, now, by=answer.by, **detail)
            return ACKNOWLEDGED
        if answer.kind == "resolved" and row.status != RESOLVED and answer.by:
            await changes.resolve(connection, row, now, by=answer.by, **detail)
            return RESOLVED
        if answer.kind == "unacknowledged" and row.status == ACKNOWLEDGED:
            await changes.release(connection, row, due, by=answer.by, **detail)
            return "unacknowledged"
        if answer.kind in ("reassigned", "escalated", "delegated") and row.status in (TRIGGERED, ACKNOWLEDGED):
            await changes.add_event(connection, row.id, answer.kind, by=answer.by, person=answer.people, **detail)
            return answer.kind
        await changes.add_event(connection, row.id, SILENT, **detail)
        return IGNORED


async def _page_of(connection: AsyncConnection, key: str) -> Row[Any] | None:
    """The page of a round's key, locked."""
    c = page_deliveries.c
    wanted = (
        select(c.page_id)
        .where(c.receiver == PAGERDUTY, c.action == "trigger", c.key == key)
        .order_by(c.created_at.desc())
        .limit(1)
    )
    page_id = await connection.scalar(wanted)
    return await changes.locked(connection, page_id) if page_id else None


async def _is_known(connection: AsyncConnection, row: Row[Any], answer: Answer) -> bool:
    c = page_events.c
    same = select(c.id).where(c.page_id == row.id, c.detail["answer"].astext == answer.identity).limit(1)
    return await connection.scalar(same) is not None
