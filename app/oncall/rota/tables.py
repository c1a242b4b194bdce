"""Covers in Postgres: overrides that an operator entered by command. Rows stay, because reports count past hours."""

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table, Text, Uuid, func

from app.domain.personal import PersonalData

metadata = MetaData()

covers = Table(
    "covers",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("instead_of", String(64), nullable=False, comment="a key of the rotation's people"),
    Column("by", String(64), nullable=False, comment="the same: takes the duties"),
    Column("begins_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("entered_by", String(128), nullable=False, comment="an operator"),
    Column("reason", Text, nullable=False),
    Column("entered_at", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="a later one is stronger"),
    Index("covers_ends_at", "ends_at"),
)

PERSONAL: tuple[PersonalData, ...] = ()
NOT_PERSONAL = {
    "covers.instead_of": "a member of the rotation, not a user",
    "covers.by": "a member of the rotation, not a user",
    "covers.entered_by": "an operator, not a user",
    "covers.reason": "an operator's words",
}
