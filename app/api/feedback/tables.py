"""One row for each answer and user: the last rating counts. Comments and ids are redacted like records."""

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table, Text, func, text

from app.domain.personal import OWN, PersonalData

metadata = MetaData()

feedback = Table(
    "feedback",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("request_id", String(128), primary_key=True, comment="of the answer; its record may come later, or be gone"),
    Column("user", Text, primary_key=True, comment="empty where the tenant named nobody"),
    Column("rating", String(8), nullable=False, comment="good or bad"),
    Column("comment", Text, nullable=False, comment="redacted"),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("looked_at", DateTime(timezone=True), nullable=True, comment="when the evals made of it what could be made"),
    Column("reviewed_at", DateTime(timezone=True), nullable=True, comment="when the evals took it up"),
    Index("feedback_at", "at"),
    Index("feedback_tenant_at", "tenant", "at"),
    Index("feedback_unreviewed", "at", postgresql_where=text("reviewed_at IS NULL AND rating::text = 'bad'::text")),
)

# A rating without a user may be of an answer to this user. Another user's rating is that user's.
PERSONAL = (
    PersonalData(
        table="feedback",
        columns=("user", "request_id", "comment"),
        where=f"({OWN}) OR (tenant = :tenant AND \"user\" = '' AND request_id = ANY(:requests))",
    ),
)
NOT_PERSONAL: dict[str, str] = {}
