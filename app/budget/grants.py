"""Split the global cap over a cluster's shards.

Each shard spends within its grants, and all grants together stay within the cap. A shard's counters and the day's grants live in
different slots, so no script sees both. A shard that lacks room gets a 256th of the rest, or a few worst cases if that is more.
So one call in hundreds makes two further round trips, and at most a 16th of the cap lies unused in shards that took a grant and
then had no calls. Grants only grow within a day, so a stale answer does no harm.
"""

from pathlib import Path

from redis.asyncio import Redis

from app.budget.hold import Hold
from app.budget.scopes import DAY_SECONDS, GLOBAL, SHARDS, key, windows_of
from app.budget.valkey_answers import number, read_of
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import MicroUSD

FURTHER = 3


class Grants:
    """Takes shares of the global day."""

    def __init__(self, valkey: Redis, *, cap: MicroUSD) -> None:
        """``cap`` in micro-dollars a UTC day."""
        self._valkey = valkey
        self._cap = cap
        self._grant = valkey.register_script((Path(__file__).parent / "grant.lua").read_text())

    async def more(self, hold: Hold, amount: MicroUSD, shard: list[int], *, tries: int) -> int:
        """Return the total now granted to the hold's shard. Raises BudgetExceeded if the cap leaves too little.

        ``shard``: what the hold's shard was granted, spent and holds. ``tries``: how often this call tried before. Other calls
        used the earlier grants first, so it requests more each time.
        """
        with read_of("hold.lua"):
            granted, spent, held = shard
            lacks = spent + held + amount - granted
        arguments = [hold.shard, granted, lacks, lacks + (FURTHER << tries) * amount, self._cap, DAY_SECONDS]
        keys = [day_key(hold.day)]
        known, total = await self._ask(keys, arguments, hold.day)
        if known:
            return total
        if known < 0:
            raise DependencyUnavailable("The day's grants are being rebuilt.", retry_after=1.0)
        resets_at = windows_of("UTC", hold.at).day_ends
        raise BudgetExceeded(scope=GLOBAL, limit=self._cap, spent=total, held=0, needed=amount, resets_at=resets_at, now=hold.at)

    async def granted(self, day: str) -> int:
        """The sum of all shards' grants on a UTC day."""
        return number(await self._valkey.hget(day_key(day), "granted"))

    async def _ask(self, keys: list[str], arguments: list[int], day: str) -> tuple[int, int]:
        known, total = _granted(await self._grant(keys=keys, args=arguments))
        if known == -1:  # a new day, or one that was lost: begin with what the shards hold
            shares = [number(await self._valkey.hget(key(s, "all", "day", day), "granted")) for s in range(SHARDS)]
            known, total = _granted(await self._grant(keys=keys, args=[*arguments, *shares]))
        return known, total


@read_of("grant.lua")
def _granted(answer: list[int]) -> tuple[int, int]:
    known, *total = answer
    return int(known), int(total[0]) if total else 0


def day_key(day: str) -> str:
    """The key of the grants of a UTC day."""
    return f"octant:{{all}}:day:{day}"
