"""The budget while Valkey is away (C7): it refuses, or spends each worker's small allowance.

A frozen Valkey is worse than a missing one: every command would wait for its timeout. So one failure counts for all calls, and
one probe checks whether Valkey is back.
"""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.budget.hold import Hold
from app.domain.money import MicroUSD

PROBE_EVERY = 0.25


class ValkeyWatch:
    """Knows whether Valkey is away."""

    def __init__(self, valkey: Redis) -> None:
        """Assume that Valkey answers until a command fails."""
        self._valkey = valkey
        self.away = False
        self._decided = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def failed(self) -> bool:
        """After a failed command, check whether Valkey answers at all. Returns the result.

        Perhaps only one connection died, so calls go on until the first probe fails too. After that, no call tries Valkey until a
        probe is answered.
        """
        if not self.tasks:
            self._decided.clear()
            task = asyncio.get_running_loop().create_task(self._probe())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        await self._decided.wait()
        return not self.away

    async def _probe(self) -> None:
        try:
            while not await self._answers():
                self.away = True
                self._decided.set()
                await asyncio.sleep(PROBE_EVERY)
            self.away = False
        finally:
            self._decided.set()

    async def _answers(self) -> bool:
        try:
            await self._valkey.ping()
        except (RedisError, OSError):
            return False
        return True


class Allowance:
    """Money that this process may spend without shared counters. A spent part returns only with a restart."""

    def __init__(self, limit: MicroUSD) -> None:
        """``limit`` in micro-dollars; zero: none."""
        self.limit = limit
        self._left: int = limit

    def take(self, hold: Hold, amount: MicroUSD) -> bool:
        """Take ``amount`` for a call, if that much is left."""
        if not self.limit or amount > self._left:
            return False
        self._left -= amount
        hold.local = MicroUSD(hold.local + amount)
        return True

    def give_back(self, hold: Hold) -> None:
        """Return the call's unspent part. Money that it held in Valkey counts as spent first."""
        spent_here = min(hold.local, max(0, hold.spent - (hold.amount - hold.local)))
        self._left += hold.local - spent_here
        hold.amount, hold.local = MicroUSD(hold.amount - hold.local), MicroUSD(0)
