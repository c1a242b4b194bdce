"""The kill switch's memory in Postgres: the newest entry of each scope and name."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, MetaData, String, Table, Text

from app.domain.personal import PersonalData

metadata = MetaData()

stops = Table(
    "stops",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("name", String(128), primary_key=True, comment="empty for everything"),
    Column("stopped", Boolean, nullable=False, comment="false: released"),
    Column("in_flight", Boolean, nullable=False, comment="calls under way are ended, too"),
    Column("by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False, comment="the highest wins where two memories differ"),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "stops.scope": "all, provider, model, prompt, feature, tool or tenant",
    "stops.name": "of a provider, a model, a prompt, a feature, a tool or a tenant, not of a user",
    "stops.by": "an operator, not a user",
    "stops.reason": "an operator's words",
}
