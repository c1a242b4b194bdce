"""Manifests as first activated, and every activation since: the newest row is what is live."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, MetaData, String, Table, Text, func

from app.domain.personal import PersonalData

metadata = MetaData()

manifests = Table(
    "manifests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False, comment="the manifest as first activated"),
    Column("first_activated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

activations = Table(
    "activations",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("release", String(64), ForeignKey("manifests.id"), nullable=False),
    Column("previous", String(64), nullable=True),
    Column("kind", String(16), nullable=False, comment="activate or rollback"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "manifests.text": "a release's manifest",
    "activations.by": "an operator, not a user",
    "activations.reason": "an operator's words",
}
