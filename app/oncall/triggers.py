"""Triggers of a rollback: what was found, the evidence as it was then, and the command to run. A trigger never acts (B4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping, select, true, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from app.oncall.tables import triggers

Kind = Literal["eval_drift", "cost_drift", "escalation"]
SERVICE = "octant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One finding. ``key`` is stored once; ``id`` and ``at`` are the store's."""

    kind: Kind
    subject: str
    key: str
    text: str
    by: str = SERVICE
    release: str
    command: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    at: datetime | None = None


async def known(engine: AsyncEngine, key: str) -> bool:
    """Whether a trigger with this key is stored. Raises SQLAlchemyError or OSError."""
    async with engine.connect() as connection:
        return (await connection.execute(select(triggers.c.id).where(triggers.c.key == key))).first() is not None


async def store(engine: AsyncEngine, trigger: Trigger) -> int | None:
    """Store a trigger. Returns its id, None where its key is stored already. Raises SQLAlchemyError or OSError."""
    values = {c.name: getattr(trigger, c.name) for c in triggers.c if c.name not in ("id", "at")}
    put = postgresql.insert(triggers).values(values).on_conflict_do_nothing(index_elements=["key"]).returning(triggers.c.id)
    async with engine.begin() as connection:
        number: int | None = (await connection.execute(put)).scalar_one_or_none()
    return number


async def add_evidence(engine: AsyncEngine, trigger: int, evidence: Mapping[str, Any]) -> None:
    """Add to a trigger's evidence. Raises SQLAlchemyError or OSError."""
    values = {"evidence": triggers.c.evidence.concat(dict(evidence))}
    async with engine.begin() as connection:
        await connection.execute(update(triggers).where(triggers.c.id == trigger).values(values))


async def newest(engine: AsyncEngine, limit: int, kind: str = "") -> list[Trigger]:
    """Triggers, newest first. Raises SQLAlchemyError or OSError."""
    which = triggers.c.kind == kind if kind else true()
    statement = select(triggers).where(which).order_by(triggers.c.id.desc()).limit(limit)
    async with engine.connect() as connection:
        return [_trigger(row) for row in (await connection.execute(statement)).mappings()]


async def one(engine: AsyncEngine, trigger: int) -> Trigger | None:
    """One trigger. Raises SQLAlchemyError or OSError."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(triggers).where(triggers.c.id == trigger))).mappings().one_or_none()
    return _trigger(row) if row else None


def _trigger(row: RowMapping) -> Trigger:
    return Trigger(**row)
