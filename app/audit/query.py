"""Asking for records: any field, free text, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import SEARCH_VECTOR, attempts, calls

EXACT = ("id", "request_id", "trace_id", "tenant", "user", "key_id", "feature", "release", "provider", "model", "outcome")

# The left side is the index's expression, letter by letter, or the index is not used.
_HAS_WORDS = text(SEARCH_VECTOR.replace(":", r"\:") + r" @@ websearch_to_tsquery('simple', translate(:words, '<>', '  '))")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """What to look for; None does not restrict. ``text`` is searched in request and response.

    It reads as in a web search: all words must occur, ``"quoted words"`` together, ``-word`` not at all; case does not matter.
    """

    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    tenant: str | None = None
    user: str | None = None
    key_id: str | None = None
    feature: str | None = None
    release: str | None = None
    provider: str | None = None
    model: str | None = None
    outcome: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


async def find_calls(engine: AsyncEngine, wanted: CallFilter) -> list[dict[str, Any]]:
    """Return matching calls, newest first."""
    statement = select(calls).order_by(calls.c.at.desc()).limit(wanted.limit)
    for name in EXACT:
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(calls.c[name] == value)
    if wanted.since:
        statement = statement.where(calls.c.at >= wanted.since)
    if wanted.until:
        statement = statement.where(calls.c.at < wanted.until)
    if wanted.text:
        statement = statement.where(_HAS_WORDS.bindparams(words=wanted.text))
    async with engine.connect() as connection:
        return [dict(row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - SQLAlchemy's documented name


async def get_call(engine: AsyncEngine, call_id: str) -> dict[str, Any] | None:
    """Return one call with its attempts under ``attempts``, or None."""
    found = await find_calls(engine, CallFilter(id=call_id, limit=1))
    if not found:
        return None
    statement = select(attempts).where(attempts.c.call_id == call_id).order_by(attempts.c.number)
    async with engine.connect() as connection:
        rows = [dict(row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - as above
    return {**found[0], "attempts": rows}
