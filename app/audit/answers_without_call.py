"""The list of failed answers of a time, with those that have some words: requests that no call knows are found here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import bounded

MOST = 200
_LISTED = text("""
    SELECT at, tenant, path, status, code, answers, request_id, key_id, message FROM failed_answers
    WHERE at >= date_trunc('minute', CAST(:since AS timestamptz)) AND at < :until
      AND (:words = '' OR :words IN (request_id, code, tenant, key_id, CAST(status AS text))
           OR position(lower(:words) IN lower(message)) > 0)
    ORDER BY at DESC, answers DESC, tenant, path, status, code LIMIT :most
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Answers of one kind in one minute, ``at``, with the last one's request, key and words."""

    at: datetime
    tenant: str
    path: str
    status: int
    code: str
    answers: int
    request_id: str
    key_id: str
    message: str


async def listed(engine: AsyncEngine, since: datetime, until: datetime, words: str = "", *, most: int = MOST) -> Sequence[Listed]:
    """The newest first. ``words``: an id, a code, a status, a tenant or a key as it is written, or a part of the message.

    Raises SQLAlchemyError, also where it takes longer than a search may.
    """
    wanted = {"since": since, "until": until, "words": words.strip(), "most": most}
    async with bounded(engine) as connection:
        return [Listed(**row) for row in (await connection.execute(_LISTED, wanted)).mappings()]
