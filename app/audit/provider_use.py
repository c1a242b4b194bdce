"""First use, last acceptance and last denial of each of our keys by its provider, from the records of attempts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.searching import bounded
from app.audit.tables import attempts
from app.domain.errors import ProviderDenied

LOOK_BACK = text("interval '7 days'")


@dataclass(frozen=True, slots=True)
class Use:
    """Times of the newest attempts of either kind; None where there is none within seven days."""

    accepted_at: datetime | None
    denied_at: datetime | None


async def last_uses(engine: AsyncEngine) -> dict[tuple[str, str], Use]:
    """Each key's, by provider and fingerprint.

    A denial (401, 402, 403, 404, or an error that says so) is of the key, the account, or the model's name.
    """
    accepted = func.max(attempts.c.at).filter(attempts.c.outcome == "ok")
    denied = func.max(attempts.c.at).filter(attempts.c.outcome == ProviderDenied.code)
    key = (attempts.c.provider, attempts.c.provider_key)
    known = attempts.c.at > func.now() - LOOK_BACK, attempts.c.provider_key.is_not(None)
    statement = select(*key, accepted, denied).where(*known).group_by(*key)
    async with engine.connect() as connection:
        return {(provider, print_): Use(ok, no) for provider, print_, ok, no in (await connection.execute(statement)).all()}


async def first_uses(engine: AsyncEngine, fingerprints: Collection[str]) -> dict[tuple[str, str], datetime]:
    """The first attempt on record with each of these keys, by provider and fingerprint: a key is as old as that, or older.

    It reads all records that are kept, so the caller remembers the answer. Raises SQLAlchemyError, also for
    what takes longer than a search may.
    """
    if not fingerprints:
        return {}
    key = (attempts.c.provider, attempts.c.provider_key)
    statement = select(*key, func.min(attempts.c.at)).where(attempts.c.provider_key.in_(fingerprints)).group_by(*key)
    async with bounded(engine) as connection:
        return {(provider, print_): at for provider, print_, at in (await connection.execute(statement)).all()}
