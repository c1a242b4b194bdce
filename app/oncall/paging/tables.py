"""Pages with their events, timers and deliveries; maintenance windows; and the state of the dead-man's switch."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

pages = Table(
    "pages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dedup_key", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("status", Text, nullable=False, comment="triggered, acknowledged or resolved"),
    Column("triggered_at", DateTime(timezone=True), nullable=False),
    Column("acknowledged_at", DateTime(timezone=True), nullable=True),
    Column("acknowledged_by", Text, nullable=True),
    Column("ack_expires_at", DateTime(timezone=True), nullable=True),
    Column("resolved_at", DateTime(timezone=True), nullable=True),
    Column("level", Integer, nullable=False),
    Column("person", Text, nullable=True),
    Column("incident_id", Uuid, nullable=True),
    Column("test", Boolean, nullable=False),
    Index("pages_by_key", "dedup_key", "triggered_at"),
    Index("pages_open", "dedup_key", unique=True, postgresql_where=text("status <> 'resolved'")),
)

page_events = Table(
    "page_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("page_id", Uuid, ForeignKey("pages.id"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Index("page_events_of", "page_id", "id"),
)

page_timers = Table(
    "page_timers",
    metadata,
    Column("page_id", Uuid, ForeignKey("pages.id"), primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=True, comment="the page goes out again then; null: not again"),
    Column("round", Integer, nullable=False, comment="how often it went out"),
    Column("links", JSONB, nullable=False, comment="addresses of runbook, dashboard and source"),
    Index("page_timers_due", "due_at"),
)

page_deliveries = Table(
    "page_deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("page_id", Uuid, ForeignKey("pages.id"), nullable=False),
    Column("receiver", String(32), nullable=False),
    Column("action", String(16), nullable=False, comment="trigger, acknowledge or resolve"),
    Column("key", String(64), nullable=False, comment="the receiver's dedup key: of the page and its round"),
    Column("message", JSONB, nullable=False, comment="what is sent, in our own form"),
    Column("state", String(16), nullable=False, comment="waiting, sent or cancelled"),
    Column("tries", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False, comment="not before; while it is being sent: end of the lease"),
    Column("sent_at", DateTime(timezone=True), nullable=True),
    Column("last_error", String(64), nullable=True, comment="a status or the type of an error"),
    UniqueConstraint("page_id", "receiver", "action", "key", name="page_deliveries_once"),
    Index("page_deliveries_due", "due_at", postgresql_where=text("state = 'waiting'")),
)

maintenance_windows = Table(
    "maintenance_windows",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("matchers", JSONB, nullable=False, comment="labels and their values; empty for every alert"),
    Column("begins_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

paging_marks = Table(
    "paging_marks",
    metadata,
    Column("name", String(16), primary_key=True, comment="watchdog or heartbeat"),
    Column("at", DateTime(timezone=True), nullable=False, comment="the last one"),
)

PERSONAL: tuple[PersonalData, ...] = ()
_OF_AN_ALERT = "of an alert: our rules have no label with a user's id"
NOT_PERSONAL = {
    "pages.dedup_key": _OF_AN_ALERT,
    "pages.alert": "the name of a rule",
    "pages.severity": "a word of ours",
    "pages.summary": _OF_AN_ALERT,
    "pages.labels": _OF_AN_ALERT,
    "pages.status": "a word of ours",
    "pages.acknowledged_by": "an operator, not a user",
    "pages.person": "an operator, not a user",
    "page_events.event": "a word of ours",
    "page_events.detail": "levels, operators, receivers and times; an alert's words",
    "page_timers.links": "addresses of ours",
    "page_deliveries.message": _OF_AN_ALERT,
    "maintenance_windows.matchers": _OF_AN_ALERT,
    "maintenance_windows.by": "an operator, not a user",
    "maintenance_windows.reason": "an operator's words",
}
