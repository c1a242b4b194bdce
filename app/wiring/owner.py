"""The database that the counters in Valkey belong to: two deployments on one would spend each other's caps."""

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured

KEY = "octant:database"
# The first action that an operator ever took there: it is never changed, and a dump or a replica has it too.
_OWN = text("SELECT mac FROM actions ORDER BY number LIMIT 1")


async def require_own(engine: AsyncEngine, valkey: Redis) -> None:
    """Raise Misconfigured where Valkey is another database's. A store that is away is no reason to refuse (ADR 0007)."""
    try:
        async with engine.connect() as connection:
            own = (await connection.execute(_OWN)).scalar()
        if own is not None:  # else there is no tenant either, and no call has spent anything
            await valkey.set(KEY, own, nx=True)
        known = await valkey.get(KEY)
    except (SQLAlchemyError, RedisError, OSError):
        return
    if known not in (None, own):  # also for a new one: it would serve until the next worker starts
        raise Misconfigured(
            "OCTANT_VALKEY_URL: the counters there are those of another database than OCTANT_DATABASE_URL's. Two deployments on"
            " one Valkey would spend each other's caps: give each its own, or a number of its own (redis://host/1). If this"
            " database has replaced the other one, empty Valkey first (FLUSHDB)."
        )
