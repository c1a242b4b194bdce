"""When each API key was last used, to the minute: `octant key list` shows which may be revoked without harm.

A request only notes it in memory. Every few seconds the notes go to Postgres in one statement, which leaves a row alone
that was written within the last minute: at most one write a key and minute, however many workers there are.
"""

import logging
import time
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.periodic import Periodic
from app.domain.store_errors import why

WRITE_EVERY = 5.0
PRECISION = 60.0  # seconds
_WRITE = text(
    """
    UPDATE api_keys SET last_used_at = used.at
    FROM unnest(CAST(:ids AS text[]), CAST(:times AS timestamptz[])) AS used (id, at)
    WHERE api_keys.id = used.id
      AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at <= used.at - make_interval(secs => :precision))
    """
)
log = logging.getLogger(__name__)


class LastUsed:
    """Notes uses; `start` begins to store them. Only notes that are not stored yet are lost with the process."""

    def __init__(self, engine: AsyncEngine, *, write_every: float = WRITE_EVERY) -> None:
        """``write_every`` in seconds."""
        self._engine = engine
        self._noted: dict[str, datetime] = {}
        self._quiet_until: dict[str, float] = {}
        self._writing = Periodic("last use of API keys", self._write_and_forget, every=write_every, at_once=False)

    def note(self, key_id: str) -> None:
        """A key was used now. Keys that do not exist are never noted, so memory is bounded by those that do."""
        now = time.monotonic()
        if self._quiet_until.get(key_id, 0.0) <= now:
            self._quiet_until[key_id] = now + PRECISION / 2
            self._noted[key_id] = datetime.now(UTC)

    async def start(self) -> None:
        """Begin to write."""
        self._writing.start()

    async def aclose(self) -> None:
        """Write what is noted, and stop."""
        await self._writing.stop()
        await self.write()

    async def write(self) -> None:
        """Write what was noted. While Postgres is away it stays noted."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        values = {"ids": list(noted), "times": list(noted.values()), "precision": PRECISION}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(_WRITE, values)
        except (SQLAlchemyError, OSError) as error:
            self._noted = {**noted, **self._noted}
            log.warning("last use of API keys not written", extra=why(error))

    async def _write_and_forget(self) -> None:
        await self.write()
        now = time.monotonic()
        self._quiet_until = {key: until for key, until in self._quiet_until.items() if until > now}
