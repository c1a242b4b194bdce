"""Incidents, and the events that people and the service added to them."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, MetaData, String, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False, unique=True, comment="what people call it"),
    Column("title", Text, nullable=False),
    Column("severity", String(8), nullable=False, comment="sev1 to sev4"),
    Column("status", String(8), nullable=False, comment="open or closed"),
    Column("commander", Text, nullable=True),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", DateTime(timezone=True), nullable=True),
    Column("closed_by", Text, nullable=True),
    Column("dedup_key", Text, nullable=True, comment="of the page that opened it"),
    Column("runbook_page", Text, nullable=True, comment="the page that the incident changed; null: none, or still open"),
    Column("runbook_change", Text, nullable=True, comment="the change in one sentence, or why there is none"),
    Index("incidents_open_key", "dedup_key", unique=True, postgresql_where=text("status::text = 'open'::text")),
    Index("incidents_opened", "opened_at"),
)

incident_events = Table(
    "incident_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("incident_id", Uuid, ForeignKey("incidents.id"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it happened, which may be before it was noted"),
    Column("kind", String(16), nullable=False, comment="opened, note, commander, severity, link or closed"),
    Column("actor", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Index("incident_events_of", "incident_id", "at"),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("changed_at", DateTime(timezone=True), primary_key=True, comment="when the shift changed"),
    Column("sent_at", DateTime(timezone=True), nullable=False),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "incidents.title": "an operator's or an alert's words, redacted; never erased",
    "incidents.commander": "an operator, not a user",
    "incidents.opened_by": "an operator, or the service",
    "incidents.closed_by": "an operator, not a user",
    "incidents.dedup_key": "an alert's labels, redacted",
    "incidents.runbook_page": "a file of the runbook",
    "incidents.runbook_change": "an operator's words, redacted; never erased",
    "incident_events.actor": "an operator, or the service",
    "incident_events.text": "an operator's words, redacted; never erased",
    "incident_events.detail": "ids of our own: of a call, a trace or a page",
}
