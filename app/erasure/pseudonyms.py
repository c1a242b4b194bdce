"""Puts users under pseudonyms that an earlier version counted by ids that redaction would change."""

from redis.asyncio import Redis
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import forgetting
from app.budget.tables import alerts, ledger
from app.security.redaction.redactor import Redactor

_ALERTS = text(
    "UPDATE budget_alerts SET subject = :name WHERE tenant = :tenant AND scope LIKE 'user%' AND subject = :user"
    " AND NOT EXISTS (SELECT FROM budget_alerts AS other WHERE other.tenant = :tenant AND other.subject = :name)"
)
_LEDGER = text("SELECT ledger_forget(:tenant, ARRAY[CAST(:user AS text)], :name)")


async def put_under_pseudonyms(engine: AsyncEngine, valkey: Redis, redactor: Redactor) -> int:
    """Rename them in the ledger, in its alerts and in the counters. Returns how many there were. May be repeated.

    Raises what the stores raise. Counters that a call holds money in are left for the next time.
    """
    async with engine.connect() as connection:
        found = {(row.tenant, row.user) for row in await connection.execute(select(ledger.c.tenant, ledger.c.user).distinct())}
        subjects = select(alerts.c.tenant, alerts.c.subject).where(alerts.c.scope.startswith("user"))
        found |= {(row.tenant, row.subject) for row in await connection.execute(subjects)}
    named = {(tenant, user): redactor.ledger_name(user, tenant=tenant) for tenant, user in found if not user.startswith("user#")}
    changed = {who: name for who, name in named.items() if name != who[1]}
    done = 0
    for (tenant, user), name in changed.items():
        if await forgetting.rename_counters(valkey, tenant, user, name):
            continue  # first, and all of it: once the ledger knows the pseudonym alone, nothing finds these counters
        values = {"tenant": tenant, "user": user, "name": name}
        async with engine.begin() as connection:
            await connection.execute(_LEDGER, values)
            await connection.execute(_ALERTS, values)
        done += 1
    return done
