"""Claimed keys, and the answers that they give again."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, MetaData, SmallInteger, String, Table, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.personal import PersonalData

metadata = MetaData()

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("user", String(128), primary_key=True, comment="whom the API key is bound to; empty where it is not"),
    Column("key", String(255), primary_key=True, comment="h1: and HMAC-SHA256 of tenant, user and key as sent"),
    Column("fingerprint", LargeBinary, nullable=False, comment="HMAC-SHA256 of method, target and body"),
    Column("token", Uuid, nullable=False, unique=True, comment="of the one request that does the work"),
    Column("status", SmallInteger, nullable=True, comment="null while the work runs"),
    Column("headers", JSONB, nullable=True, comment="[[name, value], …]"),
    Column("body", LargeBinary, nullable=True, comment="as sent; null while the work runs, or if it was too large to keep"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "expires_at", DateTime(timezone=True), nullable=False, comment="end of the lease while the work runs, then of the answer"
    ),
    Column("challenged_at", DateTime(timezone=True), nullable=True, comment="since when the owner of an ended lease may object"),
    Index("idempotency_keys_expiry", "expires_at"),
)

_OF_TRACE = (
    "EXISTS (SELECT FROM jsonb_array_elements(coalesce(headers, '[]'::jsonb)) AS header"
    " WHERE header ->> 0 = 'octant-trace-id' AND header ->> 1 = ANY(:traces))"
)
PERSONAL = (
    PersonalData(
        table="idempotency_keys",
        columns=("user", "body", "headers"),
        where=f'tenant = :tenant AND ("user" = ANY(:users) OR {_OF_TRACE})',
        hidden=("key", "fingerprint", "token"),
    ),
)
NOT_PERSONAL = {
    "idempotency_keys.key": "keyed hash of what the caller sent",
    "idempotency_keys.fingerprint": "keyed digest of a request",
}
