"""Finds a pooler before Postgres that gives each transaction another session: the service cannot work behind one.

A statement that psycopg has prepared in one session is then run in another, where its name is of another statement: the wrong one
runs, or none (psycopg/psycopg#280, pgbouncer/pgbouncer#1067). Limits of statements and locks reach other clients.
"""

import asyncio
from typing import TYPE_CHECKING

from app.domain.errors import Misconfigured

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.settings import Settings

SHARED = (
    "a pooler before Postgres gives each transaction another session, so statements meet those of other clients:"
    " use the pooler's session mode, or Postgres' own port"
)
ROUNDS = 3  # other clients may hold, for a moment, the session that both connections would be given
SECONDS = 5.0
BY_STATEMENT = "statement pooling mode"  # PgBouncer's own words: it takes no transactions then
# Two servers behind one address may number their sessions alike.
_SESSION = "SELECT pg_backend_pid(), pg_postmaster_start_time()"


def refuse_shared_sessions(settings: "Settings") -> None:
    """Raise Misconfigured behind such a pooler. A Postgres that does not answer is no reason to refuse (ADR 0007)."""
    if asyncio.run(_found(settings)):
        raise Misconfigured(f"OCTANT_DATABASE_URL: {SHARED} (docs/operations.md).")


async def _found(settings: "Settings") -> bool:
    from sqlalchemy.exc import SQLAlchemyError

    from app.stores import build_engine

    engine = build_engine(settings, pooled=False)
    try:
        async with asyncio.timeout(SECONDS):
            return await sessions_are_shared(engine)
    except (SQLAlchemyError, OSError):  # TimeoutError is one
        return False
    finally:
        await engine.dispose()


async def sessions_are_shared(engine: "AsyncEngine") -> bool:
    """Whether two connections are given the same session, or one of them several. Raises SQLAlchemy's errors.

    ``engine`` opens a connection for each use.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    seen: tuple[set[object], set[object]] = set(), set()
    try:
        async with engine.connect() as one, engine.connect() as other:
            for _ in range(ROUNDS):
                for connection, sessions in zip((one, other), seen, strict=True):
                    sessions.add(tuple((await connection.execute(text(_SESSION))).one()))
                    await connection.commit()
    except DBAPIError as error:
        if BY_STATEMENT in str(error.orig):
            return True
        raise
    return not seen[0].isdisjoint(seen[1]) or max(map(len, seen)) > 1
