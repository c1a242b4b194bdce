"""Connections for searches of records, each of which gives up in time; several searches may see one moment."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from psycopg.errors import QueryCanceled
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.errors import InvalidRequest

LONGEST = 5.0  # seconds of one statement, and of one search
Where = AsyncEngine | AsyncConnection


@asynccontextmanager
async def bounded(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection that gives up after `LONGEST` and plans each search for its own values; a page is not worth compiling for."""
    async with engine.connect() as connection:
        await _bound(connection)
        yield connection


@asynccontextmanager
async def one_moment(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """The same, and all searches on it see the records of one moment: rows and their total fit."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await _bound(connection)
        yield connection


@asynccontextmanager
async def connected(where: Where) -> AsyncGenerator[AsyncConnection, None]:
    """A connection as `bounded` gives it, or that of `one_moment`. Raises InvalidRequest for what takes too long."""
    try:
        if isinstance(where, AsyncConnection):
            yield where
        else:
            async with bounded(where) as connection:
                yield connection
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        raise too_long() from error


def too_long() -> InvalidRequest:
    """What takes too long is the caller's mistake."""
    return InvalidRequest(f"The search took more than {LONGEST:g} s. Narrow it: a time range, a tenant, a user, an id.")


async def _bound(connection: AsyncConnection) -> None:
    settings = {"statement_timeout": f"{LONGEST * 1000:.0f}", "plan_cache_mode": "force_custom_plan", "jit": "off"}
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    await connection.execute(text(f"SELECT {calls}"))
