"""Sessions of the console."""

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table, Text, Uuid

metadata = MetaData()

console_sessions = Table(
    "console_sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True, comment="HMAC-SHA256 of the cookie's token"),
    Column("key_id", String(16), nullable=False, comment="of the API key that signed in; empty for a person"),
    Column("tenant", String(64), nullable=False, comment="whose key it is; empty for a person"),
    Column("role", String(16), nullable=False, comment="viewer or operator"),
    Column("browser", Text, nullable=False, comment="as it names itself, redacted"),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True), nullable=False, comment="to the minute"),
    Column("ends_at", DateTime(timezone=True), nullable=False, comment="however much it is used"),
    Column("revoked_at", DateTime(timezone=True), nullable=True),
    Column("revoked_by", Text, nullable=True),
    Column("issuer", Text, nullable=True, comment="of the person who signed in, where no key did"),
    Column("subject", Text, nullable=True, comment="the person there, redacted"),
    Column("person", Text, nullable=True, comment="the name that the issuer gives"),
    Column("login", String(64), nullable=True, unique=True, comment="SHA-256 of the sign-in's state: one session each"),
    Index("console_sessions_ends", "ends_at"),
)

PERSONAL = ()
NOT_PERSONAL = {
    "console_sessions.browser": "an operator's browser, not a user's",
    "console_sessions.revoked_by": "an operator, not a user",
    "console_sessions.issuer": "an address of the operators' provider",
    "console_sessions.subject": "an operator, not a user",
    "console_sessions.person": "an operator, not a user",
}
