"""Tenants, their users and their API keys."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.domain.personal import PersonalData

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("daily_cap", BigInteger, nullable=False, comment="micro-dollars per UTC day"),
    Column("user_daily_cap", BigInteger, nullable=False, comment="micro-dollars per user and UTC day"),
    Column("monthly_cap", BigInteger, nullable=True),
    Column("user_monthly_cap", BigInteger, nullable=True),
    Column("request_cap", BigInteger, nullable=True),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("requests_per_minute", Integer, nullable=True),
    Column("tokens_per_minute", Integer, nullable=True),
    Column("concurrency", Integer, nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

users = Table(
    "users",
    metadata,
    Column("tenant_id", String(64), ForeignKey("tenants.id"), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True, comment="the public part of the key"),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("user_id", String(128), nullable=True, comment="set where the key may act for this user only"),
    Column("name", String(200), nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="HMAC-SHA256 of the secret part; the key itself is not kept"),
    Column("scopes", ARRAY(String(32)), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=True),
    Column("requests_per_minute", Integer, nullable=True),
    Column("tokens_per_minute", Integer, nullable=True),
    Column("concurrency", Integer, nullable=True),
    Column("revoked_at", DateTime(timezone=True), nullable=True),
    Column("last_used_at", DateTime(timezone=True), nullable=True, comment="to the minute"),
    Column("replaced_by", String(16), nullable=True, comment="the key that a rotation made of this one"),
    Index("api_keys_tenant", "tenant_id"),
    Index("api_keys_revoked_at", "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")),
    Index("api_keys_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
)

redaction_patterns = Table(
    "redaction_patterns",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("name", String(20), nullable=False, comment="the kind that tokens show"),
    Column("pattern", String(200), nullable=False, comment="RE2"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("removed_at", DateTime(timezone=True), nullable=True, comment="since when it is in force no more"),
    Index("redaction_patterns_in_force", "tenant_id", "name", unique=True, postgresql_where=text("removed_at IS NULL")),
)

_OF_TENANT = "tenant_id = :tenant AND {} = ANY(:users)"
PERSONAL = (
    PersonalData(table="users", columns=("id",), where=_OF_TENANT.format("id")),
    PersonalData(
        table="api_keys",
        columns=("user_id",),
        where=_OF_TENANT.format("user_id"),
        change={"user_id": ":person", "revoked_at": "coalesce(revoked_at, now())"},
        hidden=("digest",),
    ),
)
NOT_PERSONAL = {
    "tenants.name": "a customer firm's name",
    "api_keys.name": "an operator's word for what the key is for",
    "api_keys.digest": "keyed digest of a key",
    "redaction_patterns.name": "a kind's name",
    "redaction_patterns.pattern": "a pattern that a tenant added",
}
