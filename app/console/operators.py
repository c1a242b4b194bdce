"""Names of operators on pages: logs know an actor by a key's id or a person's redacted subject, which no reader knows.

The logs keep their words; a page puts the key's name, or the person's, in front of the id. A person has one name on all pages,
wherever the act was done.
"""

import re
from collections.abc import Mapping

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.console.tables import console_sessions
from app.security.tables import api_keys

MOST = 1000
_ACTOR = re.compile(r"\b(?:key:(?P<key>\w+) of [\w-]+|person:(?P<person>[^\s,()]+))(?: in the console)?")


async def names(engine: AsyncEngine) -> Mapping[str, str]:
    """Names by key id and by subject: of keys that open the console, and of people who did. Raises SQLAlchemyError."""
    k, s = api_keys.c, console_sessions.c
    keys = select(k.id, k.name).where(or_(k.scopes.contains(["admin"]), k.scopes.contains(["view"])), k.name != "")
    people = select(s.subject, s.person).where(s.subject.is_not(None), s.person.is_not(None)).order_by(s.began_at)
    async with engine.connect() as connection:
        found = (await connection.execute(keys.order_by(k.created_at.desc()).limit(MOST))).all()
        found = [*found, *(await connection.execute(people.limit(MOST))).all()]
    return {str(row[0]): str(row[1]) for row in found}


def named(text: str, known: Mapping[str, str]) -> str:
    """A text whose actors have their names: ``key:1a2b3c4d of acme`` becomes ``night shift (key 1a2b3c4d)``."""

    def name(found: re.Match[str]) -> str:
        key, person = found["key"], found["person"]
        its = known.get(key or person)
        if not its:
            return found[0]
        return f"{its} (key {key})" if key else its

    return _ACTOR.sub(name, text)
