"""The database that the counters in Valkey belong to: two deployments on one would spend each other's caps."""

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Misconfigured
from app.domain.store_errors import is_sentinel

KEY = "octant:database"
# The first action that an operator ever took there: it is never changed, and a dump or a replica has it too.
_OWN = text("SELECT mac FROM actions ORDER BY number LIMIT 1")


async def require_own(engine: AsyncEngine, valkey: Redis) -> None:
    """Raise Misconfigured where Valkey is another database's, or a Sentinel. One that is away is no reason to (ADR 0007)."""
    try:
        async with engine.connect() as connection:
            own = (await connection.execute(_OWN)).scalar()
        if own is not None:  # else there is no tenant either, and no call has spent anything
            await valkey.set(KEY, own, nx=True)
        known = await valkey.get(KEY)
    except ResponseError:
        await _refuse_sentinel(valkey)
        return
    except (SQLAlchemyError, RedisError, OSError):
        return
    if known not in (None, own):  # also for a new one: it would serve until the next worker starts
        raise Misconfigured(
            "OCTANT_VALKEY_URL: the counters there are those of another database than OCTANT_DATABASE_URL's. Two deployments on"
            " one Valkey would spend each other's caps: give each its own, or a number of its own (redis://host/1). If this"
            " database has replaced the other one, empty Valkey first (FLUSHDB)."
        )


async def _refuse_sentinel(valkey: Redis) -> None:
    """Raise Misconfigured for a Sentinel: it answers pings, and will never know a command of ours."""
    try:
        about = await valkey.info("server")
    except (RedisError, OSError):
        return
    if is_sentinel(about):
        raise Misconfigured(
            "OCTANT_VALKEY_URL: this is a Sentinel, which keeps no data: give the address of the primary that it watches, or of a"
            " proxy that follows the primary."
        )
