"""Jobs: the request, its lease and its result."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("user", String(128), nullable=False, comment="whom the API key is bound to; empty where it is not"),
    Column("key_id", String(16), nullable=False),
    Column("path", String(128), nullable=False),
    Column("body", LargeBinary, nullable=True, comment="as sent; null once the job is done"),
    Column("deadline_ms", Integer, nullable=True),
    Column("state", String(16), nullable=False, comment="queued, running, succeeded, failed or cancelled"),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("lost", SmallInteger, nullable=False, server_default=text("0"), comment="attempts whose worker died or hung"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("started_at", DateTime(timezone=True), nullable=True, comment="of the last attempt"),
    Column("finished_at", DateTime(timezone=True), nullable=True),
    Column("due_at", DateTime(timezone=True), nullable=False, comment="queued: not before; running: end of the lease"),
    Column("status", SmallInteger, nullable=True, comment="HTTP status of the answer"),
    Column("headers", JSONB, nullable=True, comment="the answer's octant-* headers"),
    Column("response", LargeBinary, nullable=True, comment="the answer's body"),
    Column("webhook_url", Text, nullable=True),
    Column("webhook_due_at", DateTime(timezone=True), nullable=True, comment="null: none to send, sent, or given up"),
    Column("webhook_attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("traceparent", String(55), nullable=True, comment="of the request that submitted it (W3C Trace Context)"),
    Index("jobs_tenant_created", "tenant", "created_at"),
    Index("jobs_due", "due_at", postgresql_where=text("finished_at IS NULL")),
    Index("jobs_webhooks_due", "webhook_due_at", postgresql_where=text("webhook_due_at IS NOT NULL")),
    Index("jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
)

# Most keys are bound to no user: then the body says whose it is, or the call that was recorded for it. A body with an escaped
# NUL is one that Postgres cannot look into.
_BODY = r"CASE WHEN position('\u0000' in encode(body, 'escape')) = 0 THEN convert_from(body, 'UTF8')::json END"
_NAMES = f"(({_BODY}) ->> 'user' = ANY(:users) OR ({_BODY}) #>> '{{metadata,user_id}}' = ANY(:users))"
PERSONAL = (
    PersonalData(
        table="jobs",
        columns=("user", "body", "response", "headers", "webhook_url"),
        where=f'tenant = :tenant AND ("user" = ANY(:users) OR id = ANY(:requests) OR {_NAMES})',
    ),
)
NOT_PERSONAL = {"jobs.path": "one of our endpoints"}
