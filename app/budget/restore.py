"""Rebuild Valkey's lost counters from the ledger before money is held again (C3).

One worker rebuilds a shard at a time. If calls may have been in flight, it keeps the shard closed for a moment, while the workers
send their calls (`Budget.watch_epochs`). So calls in flight count again before anything new is held.
"""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from redis.asyncio import Redis

from app.budget.hold import REMEMBERED, epoch_key, lease_prefix
from app.budget.ledger import Ledger
from app.budget.scopes import DAY_SECONDS, MONTH_SECONDS, key
from app.domain.errors import DependencyUnavailable

CLOSED_SECONDS = 3.0  # three times as long as workers take to look
LOCK_SECONDS = 30
AT_ONCE = 200

T = TypeVar("T")


class Restorer:
    """See the module."""

    def __init__(self, valkey: Redis, ledger: Ledger) -> None:
        """Sends nothing yet."""
        folder = Path(__file__).parent
        self._valkey = valkey
        self._ledger = ledger
        self._raise = valkey.register_script((folder / "raise.lua").read_text())
        self._open = valkey.register_script((folder / "open.lua").read_text())

    async def restore(self, shard: int, *, known: bool) -> None:
        """Rebuild a shard's counters, unless they exist. ``known``: this worker saw them before, so they were lost.

        Raises DependencyUnavailable while another worker does it, or Postgres is away.
        """
        token, lock = uuid.uuid4().hex, key(shard, "restoring")
        taken = await self._valkey.set(lock, token, nx=True, ex=LOCK_SECONDS)
        if not taken and await self._valkey.get(lock) != token:  # ours, where the answer to the first try was lost
            if await self._valkey.exists(epoch_key(shard)):
                return
            raise DependencyUnavailable("The budget's counters are being rebuilt.", retry_after=1.0)
        try:
            if await self._valkey.exists(epoch_key(shard)):
                return
            recent = await self._ledger.recent(shard)
            sums = [(s.key, s.amount) for s in await self._ledger.sums(shard)]
            for some in _batches(sums):
                keys, amounts = [name for name, _ in some], [amount for _, amount in some]
                await self._raise(keys=keys, args=[max(DAY_SECONDS, MONTH_SECONDS), *amounts])
            for those in _batches(recent):
                await self._remember(shard, those)
            closed = CLOSED_SECONDS if known or recent else 0.0
            await self._open(keys=[epoch_key(shard), lock], args=[token, uuid.uuid4().hex, round(closed * 1000)])
        finally:
            if await self._valkey.get(lock) == token:
                await self._valkey.delete(lock)

    async def _remember(self, shard: int, recent: Sequence[tuple[str, str, int]]) -> None:
        """Mark recent ledger entries as settled: sent again, they do not count twice."""
        async with self._valkey.pipeline(transaction=False) as pipeline:
            for lease, kind, amount in recent:
                name = lease_prefix(shard) + lease
                pipeline.hset(name, mapping={"settled": amount, "kind": kind})
                pipeline.expire(name, REMEMBERED)
            await pipeline.execute()


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), AT_ONCE):
        yield things[start : start + AT_ONCE]
