"""Settings and one connection for every command on Postgres; an error is one sentence."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.settings import Settings


@asynccontextmanager
async def database() -> "AsyncGenerator[tuple[AsyncEngine, Settings], None]":
    """Yield engine and settings.

    Raises Misconfigured where Postgres is not set, does not answer, is not migrated, or cannot hold a value.
    """
    from psycopg import Error as PostgresError
    from psycopg.errors import UndefinedColumn, UndefinedTable
    from sqlalchemy.exc import DataError, DBAPIError

    from app.cli.stores import settings_with_stores
    from app.domain.errors import Misconfigured
    from app.domain.store_errors import POSTGRES, away, reason
    from app.stores import build_engine

    settings = settings_with_stores()
    engine = build_engine(settings, pooled=False)
    try:
        yield engine, settings
    except DataError as error:  # the store is there
        raise Misconfigured(f"Postgres can hold no such value: {reason(error)}.") from error
    except (DBAPIError, PostgresError) as error:
        if isinstance(getattr(error, "orig", error), (UndefinedTable, UndefinedColumn)):
            raise Misconfigured(f"The database has no such table: run `octant migrate`. ({reason(error)})") from error
        raise Misconfigured(away(POSTGRES, error)) from error
    finally:
        await engine.dispose()
