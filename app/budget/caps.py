"""Users' own caps, all kept in memory, so that no call waits for Postgres.

They are a few rows of Postgres. Changes are read every two seconds; while Postgres is away the last known caps stay in force. A
worker that starts then reads a local file; without the file it knows no user's cap and refuses calls.
"""

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.tables import user_caps
from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable
from app.domain.money import MicroUSD
from app.domain.periodic import Periodic
from app.domain.store_errors import why
from app.security.remembered import Remembered

READ_EVERY = 2.0
OVERLAP = timedelta(seconds=30)  # a row may be committed later than its timestamp

Own = tuple[MicroUSD | None, MicroUSD | None]
NONE: Own = (None, None)

log = logging.getLogger(__name__)


class UserCaps:
    """See the module. A cap is ``(day, month)`` in micro-dollars; None where the tenant's default for users applies."""

    def __init__(self, engine: AsyncEngine, *, remembered: Remembered | None = None) -> None:
        """Empty until `read` or `start`. ``remembered`` is the local file."""
        self._engine = engine
        self._remembered = remembered
        self._unknown = False
        self._known: dict[tuple[str, str], Own] = {}
        self._since = datetime(1970, 1, 1, tzinfo=UTC)
        self._reading = Periodic(
            "users' caps",
            self.read,
            every=READ_EVERY,
            at_once=False,
            survives=(SQLAlchemyError, OSError),
            complaint="users' caps not read, the last known hold",
        )

    async def start(self) -> None:
        """Read all caps, then only changes; if Postgres is away, begin with the local file."""
        self._unknown = True
        try:
            await self.read()
        except (SQLAlchemyError, OSError) as error:
            log.warning("users' caps not read at the start", extra=why(error))
            self._recall()
        self._reading.start()

    async def aclose(self) -> None:
        """Stop reading."""
        await self._reading.stop()

    def check(self) -> None:
        """Raise DependencyUnavailable if the caps were never read: no money can be held then."""
        if self._unknown:
            raise DependencyUnavailable("The users' caps cannot be read, so no money can be spent.", retry_after=5.0)

    def of(self, identity: Identity) -> Own:
        """The caps of a call's user, from memory. Raises the errors of `check`."""
        self.check()
        return self._known.get((identity.tenant.id, identity.user), NONE)

    async def read(self) -> None:
        """Read the changes since the last time."""
        wanted = select(user_caps).where(user_caps.c.updated_at >= self._since)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
            count = await connection.scalar(select(func.count()).select_from(user_caps))
            if count != len(self._known.keys() | {(row.tenant, row.user) for row in rows}):  # a user was erased
                rows = (await connection.execute(select(user_caps))).all()
                self._known = {}
        before = dict(self._known)
        for row in rows:
            day = None if row.daily_cap is None else MicroUSD(row.daily_cap)
            month = None if row.monthly_cap is None else MicroUSD(row.monthly_cap)
            self._known[row.tenant, row.user] = (day, month)
            self._since = max(self._since, row.updated_at - OVERLAP)
        self._unknown = False
        if self._remembered and (self._known != before or self._remembered.due):
            self._remembered.write([[tenant, user, *own] for (tenant, user), own in self._known.items() if own != NONE])

    def _recall(self) -> None:
        found = self._remembered.read() if self._remembered else None
        if found is not None:
            self._known = {(tenant, user): (day, month) for tenant, user, day, month in found}
            self._unknown = False

    async def put(self, tenant: str, user: str, own: Own) -> None:
        """Set a user's caps; every worker applies them within two seconds."""
        values = {"daily_cap": own[0], "monthly_cap": own[1], "updated_at": datetime.now(UTC)}
        statement = postgresql.insert(user_caps).values(tenant=tenant, user=user, **values)
        async with self._engine.begin() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "user"], set_=values))
        self._known[tenant, user] = own
