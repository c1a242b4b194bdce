"""Pages and the events of each page."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Identity, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

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
)

page_events = Table(
    "page_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("page_id", Uuid, ForeignKey("pages.id"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
)
