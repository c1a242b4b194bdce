"""Answers of shadow releases: what a release that no user gets would have answered (B4).

They are no records of calls: no user saw one. The evals score a sample and throw request and answer of all away; measures stay.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    MetaData,
    String,
    Table,
    Text,
    insert,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit import erasures
from app.audit.rows import storable
from app.domain.personal import PersonalData
from app.domain.records import CallRecord

metadata = MetaData()

shadow_answers = Table(
    "shadow_answers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("shadow", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("user", Text, nullable=False),
    Column("request_id", String(128), nullable=False, comment="of the user's request, which the live release answered"),
    Column("feature", String(64), nullable=False),
    Column("target", String(128), nullable=False),
    Column("release", String(64), nullable=False),
    Column("prompt", String(128), nullable=True),
    Column("outcome", String(64), nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("cost", BigInteger, nullable=False, comment="micro-dollars"),
    Column("degraded", ARRAY(Text), nullable=False),
    Column("request", Text, nullable=True, comment="redacted; null: thrown away"),
    Column("response", Text, nullable=True, comment="the same"),
    Column("passed", Boolean, nullable=True, comment="null: not scored"),
    Index("shadow_answers_shadow", "shadow", "at"),
    Index("shadow_answers_waiting", "at", postgresql_where=text("request IS NOT NULL")),
    Index("shadow_answers_user", "user", "tenant"),
)

PERSONAL = (PersonalData(table="shadow_answers", columns=("user", "request_id", "request", "response")),)
NOT_PERSONAL = {
    "shadow_answers.target": "a model alias or prompt",
    "shadow_answers.prompt": "a prompt's name",
    "shadow_answers.degraded": "codes",
    "shadow_answers.feature": "a product",
}


async def write(engine: AsyncEngine, shadow: int, answers: Sequence[CallRecord], pseudonym: erasures.Pseudonym) -> None:
    """Write redacted answers, but none of erased users. Raises SQLAlchemyError or OSError."""
    async with engine.begin() as connection:
        kept = await erasures.without_erased(connection, answers, pseudonym)
        if kept:
            await connection.execute(insert(shadow_answers), [_row(shadow, record) for record in kept])


def _row(shadow: int, record: CallRecord) -> dict[str, object]:
    names = (
        "id",
        "at",
        "tenant",
        "user",
        "request_id",
        "feature",
        "target",
        "release",
        "prompt",
        "outcome",
        "latency_ms",
        "cost",
    )
    texts = {"request": record.request, "response": record.response, "degraded": list(record.degraded)}
    return {name: storable(value) for name, value in {**{n: getattr(record, n) for n in names}, **texts}.items()} | {
        "shadow": shadow
    }
