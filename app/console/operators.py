"""Names of operators on pages: logs know an actor by a key's id or a person's redacted subject, which no reader knows.

The logs keep their words; a page puts the key's name, or the person's, in front of the id. A person has one name on all pages,
wherever the act was done. At most providers people choose their names: one that reads as another's, or as a key, has its subject
behind it, as a key has its id.
"""

import re
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.console.tables import console_sessions
from app.security.guard.overrides import folded
from app.security.tables import api_keys

MOST = 1000
_POSES = re.compile(r"\bkey\b|[()]|^(?:os|person):", re.IGNORECASE)  # as actors of another kind are written
_ACTOR = re.compile(r"\b(?:key:(?P<key>\w+) of [\w-]+|person:(?P<person>[^\s,()]+))(?: in the console)?")


async def names(engine: AsyncEngine) -> Mapping[str, str]:
    """Names by key id and by subject: of keys that open the console, and of people who did. Raises SQLAlchemyError."""
    k, s = api_keys.c, console_sessions.c
    keys = select(k.id, k.name).where(or_(k.scopes.contains(["admin"]), k.scopes.contains(["view"])), k.name != "")
    signed_in = select(s.subject, s.person).where(s.subject.is_not(None), s.person.is_not(None)).order_by(s.began_at.desc())
    async with engine.connect() as connection:
        found = (await connection.execute(keys.order_by(k.created_at.desc()).limit(MOST))).all()
        newest = (await connection.execute(signed_in.limit(MOST))).all()
    return distinct({str(row[0]): str(row[1]) for row in found}, {str(row[0]): str(row[1]) for row in reversed(newest)})


def distinct(keys: Mapping[str, str], people: Mapping[str, str]) -> dict[str, str]:
    """The names of both. ``keys``: by id; ``people``: by subject."""
    alike = Counter(map(_read, (*keys.values(), *people.values())))

    def of_person(subject: str, name: str) -> str:
        return f"{name} ({subject})" if alike[_read(name)] > 1 or _POSES.search(name) else name

    return {**{subject: of_person(subject, name) for subject, name in people.items()}, **keys}


def _read(name: str) -> str:
    """A name as a reader takes it: letters that look alike, case and blanks tell no two apart."""
    return " ".join(folded(name).split())


def named(text: str, known: Mapping[str, str]) -> str:
    """A text whose actors have their names: ``key:1a2b3c4d of acme`` becomes ``night shift (key 1a2b3c4d)``."""

    def name(found: re.Match[str]) -> str:
        key, person = found["key"], found["person"]
        its = known.get(key or person)
        if not its:
            return found[0]
        return f"{its} (key {key})" if key else its

    return _ACTOR.sub(name, text)
