"""What the budget does while Valkey is away (C7): refuses, or spends within a small allowance of each worker process.

Frozen is worse than gone: every question would wait for its timeout. So one failure is believed for all, and one probe asks
whether Valkey is back.
"""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.budget.hold import Hold
from app.domain.money import MicroUSD

PROBE_EVERY = 0.25


class Watch:
    """Whether Valkey is away."""

    def __init__(self, valkey: Redis) -> None:
        """It is there until a question fails."""
        self._valkey = valkey
        self.away = False
        self.tasks: set[asyncio.Task[None]] = set()

    def failed(self) -> None:
        """A question was not answered: nobody asks again before a probe was."""
        if not self.away:
            self.away = True
            task = asyncio.get_running_loop().create_task(self._probe())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _probe(self) -> None:
        while self.away:
            await asyncio.sleep(PROBE_EVERY)
            try:
                await self._valkey.ping()
                self.away = False
            except (RedisError, OSError):
                continue


class Allowance:
    """Money that this process may spend while nobody counts for all. What was spent of it does not come back until a restart."""

    def __init__(self, limit: MicroUSD) -> None:
        """``limit`` in micro-dollars; zero: none."""
        self.limit = limit
        self._left: int = limit

    def take(self, hold: Hold, amount: MicroUSD) -> bool:
        """Take ``amount`` for a call, if it is there."""
        if amount > self._left:
            return False
        self._left -= amount
        hold.local = MicroUSD(hold.local + amount)
        return True

    def give_back(self, hold: Hold) -> None:
        """Return what the call did not spend of it. What it held in Valkey counts as spent first."""
        spent_here = min(hold.local, max(0, hold.spent - (hold.amount - hold.local)))
        self._left += hold.local - spent_here
        hold.amount, hold.local = MicroUSD(hold.amount - hold.local), MicroUSD(0)
