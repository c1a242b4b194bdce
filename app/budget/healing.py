"""Keys of the budget that no script can use: another program, or a hand, has overwritten them. They are set right.

Every script reads all that may fail before it writes: one that fails is not undone, and each repetition would count again. A key
that is no counter is removed: the scripts make it anew. A counter begins anew with the ledger's sum, and what leases hold.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

from redis.asyncio import Redis

from app.budget.grants import day_key
from app.budget.hold import epoch_key, lease_prefix, leases_key
from app.budget.ledger import Ledger
from app.budget.reconcile import compared, mend
from app.budget.scopes import key
from app.budget.scripts import with_amounts
from app.budget.valkey_answers import places
from app.domain.errors import DependencyUnavailable

OF_A_CALL = ("epoch", "lease", "zset", *("counter",) * 5, "stream")  # then a bucket and a set of live calls for each subject
COUNTERS = ("4", "5", "6", "7", "8")  # fields of a lease

log = logging.getLogger(__name__)


class Healer:
    """See the module."""

    def __init__(self, valkey: Redis, ledger: Ledger) -> None:
        """Sends nothing yet."""
        self._valkey = valkey
        self._ledger = ledger
        self._heal = valkey.register_script(with_amounts("heal.lua"))
        self._turns = defaultdict[int, asyncio.Lock](asyncio.Lock)
        self._unread: dict[int, float] = {}  # when the ledger could not be read for a shard

    async def heal_call(self, shard: int, keys: Sequence[str]) -> None:
        """Set the keys of ``settle.lua`` right, or the first of them.

        Raises DependencyUnavailable, where the ledger cannot be read, and the client's errors.
        """
        kinds = [*OF_A_CALL, *("hash", "zset") * len(keys)][: len(keys)]
        await self._set_right(shard, keys, kinds)

    async def heal_day(self, day: str) -> None:
        """The same for the grants of a global day; the shards' own records of them make it anew."""
        await self._heal(keys=[day_key(day)], args=["hash"])

    async def heal_shard(self, shard: int) -> None:
        """The same for the keys of a shard that are of no call."""
        await self._set_right(shard, [epoch_key(shard), leases_key(shard), key(shard, "ledger")], ["epoch", "zset", "stream"])

    async def heal_leases(self, shard: int, leases: Sequence[str]) -> None:
        """Set right the counters of leases, given by their ids. Raises as `heal_call`."""
        for lease in leases:
            known = await self._valkey.hgetall(lease_prefix(shard) + lease)
            counters = [str(known[place]) for place in COUNTERS if place in known]
            await self._set_right(shard, counters, ["counter"] * len(counters))

    async def _set_right(self, shard: int, keys: Sequence[str], kinds: Sequence[str]) -> None:
        """One at a time: all calls of a shard meet the same key, and the ledger is read for the first of them alone.

        Those who waited while it could not be read do not try it one after the other: each would wait for all before it.
        """
        since = time.monotonic()
        async with self._turns[shard]:
            if self._unread.get(shard, -1.0) >= since:
                raise DependencyUnavailable("The ledger could not be read a moment ago.", retry_after=5.0)
            found = [place - 1 for place in places(await self._heal(keys=list(keys), args=list(kinds)))]
            if not found:
                return
            log.error("keys of the budget that no script could use are set right", extra={"shard": shard, "keys": len(found)})
            if counters := [keys[place] for place in found if kinds[place] == "counter"]:
                try:
                    await mend(self._valkey, await compared(self._valkey, self._ledger, shard, counters))
                except DependencyUnavailable:
                    self._unread[shard] = time.monotonic()
                    raise
