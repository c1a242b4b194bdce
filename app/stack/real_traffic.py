"""Others than a rehearsal: it must not stop their calls, nor take back the release that they chose."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import InvalidRequest
from app.releases.history import Activation
from app.releases.rehearsals import REASON
from app.releases.releases import Releases

TENANT = "rehearsal"  # of its own calls
QUIET = timedelta(minutes=10)
_REAL = text("SELECT count(*) FROM calls WHERE at > :since AND tenant <> :tenant")


async def real_calls(engine: AsyncEngine, since: datetime) -> int:
    """How many there were since then. Raises SQLAlchemyError."""
    async with engine.connect() as connection:
        return int((await connection.execute(_REAL, {"tenant": TENANT, "since": since})).scalar_one())


async def refuse(engine: AsyncEngine) -> None:
    """Raise InvalidRequest where there were any in the last minutes."""
    if calls := await real_calls(engine, datetime.now(UTC) - QUIET):
        last = f"the last {QUIET // timedelta(minutes=1)} minutes"
        raise InvalidRequest(f"{calls} calls of other tenants in {last}: a rehearsal would stop real traffic.")


async def of_an_operator(releases: Releases, live: str) -> Activation | None:
    """The newest activation, where it is none of the rehearsal's and is of another release than was ``live`` before it."""
    newest = next(iter(await releases.history(1)), None)
    return newest if newest and newest.release != live and newest.reason != REASON else None
