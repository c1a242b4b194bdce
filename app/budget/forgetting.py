"""Rename a forgotten user's counters to the pseudonym.

Their spending still counts under the pseudonym, as in the ledger. A user who comes back under the same id begins at zero, within
the tenant's caps.
"""

from pathlib import Path

from redis.asyncio import Redis

from app.budget.scopes import key, shard_of

WINDOWS = (("day", "????-??-??"), ("month", "????-??"))


async def rename_counters(valkey: Redis, tenant: str, user: str, pseudonym: str) -> int:
    """Rename a user's counters. Returns how many were left because a call is under way. Raises RedisError."""
    forget = valkey.register_script((Path(__file__).parent / "forget.lua").read_text())
    left = 0
    for label, window in WINDOWS:
        begin = _escaped(key(shard_of(tenant), tenant, label)) + f":{window}:user:"
        async for found in valkey.scan_iter(match=begin + _escaped(user), count=1000):
            name = str(found)
            left += not await forget(keys=[name, name[: len(name) - len(user)] + pseudonym])
    return left


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
