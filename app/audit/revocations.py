"""Which operator revoked an API key, from the operators' log: the key's own row has the moment alone."""

import re
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import actions

_KEY = re.compile(r"\bkey(?:_id)?=(\w+)")  # the command writes `key_id`, the console `key`


async def revoked_by(engine: AsyncEngine) -> Mapping[str, str]:
    """The actor by the key's id; a key that was revoked before there was a log is not in it. Raises SQLAlchemyError."""
    c = actions.c
    wanted = select(c.subject, c.actor).where(c.action == "key revoke", c.outcome == "ok").order_by(c.number)
    async with engine.connect() as connection:
        rows = (await connection.execute(wanted)).all()
    return {found[1]: row.actor for row in rows if (found := _KEY.search(row.subject))}
