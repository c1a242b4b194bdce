"""After a loss of Valkey's data: sends again what the ledger may lack. A repetition counts once."""

import logging
from collections.abc import Sequence

from redis.commands.core import AsyncScript
from redis.exceptions import ResponseError

from app.budget.healing import Healer
from app.budget.hold import Hold
from app.budget.journal import Orphan
from app.budget.round_trips import RoundTrips, Run, raise_first
from app.budget.settled import Settled
from app.budget.valkey_answers import words

log = logging.getLogger(__name__)


class Resending:
    """See the module."""

    def __init__(self, trips: RoundTrips, take: AsyncScript, settle: AsyncScript, healer: Healer) -> None:
        """``take`` and ``settle``: the scripts ``hold.lua`` and ``settle.lua``."""
        self._trips = trips
        self._take = take
        self._settle = settle
        self._healer = healer

    async def send(self, shard: int, live: Sequence[Hold], settled: Settled) -> None:
        """Send calls in flight, and those that were settled a moment ago. Raises the client's errors."""
        await self._send(shard, [self._taking(hold) for hold in live])
        for settlements in settled.of(shard):
            await self._send(shard, [Run(self._settle, one.keys, one.arguments) for one in settlements])

    async def send_orphans(self, shard: int, orphans: Sequence[Orphan]) -> None:
        """Hold or settle leases of dead workers again; the sweeper ends them. Raises the client's errors."""
        for one in orphans:
            run = Run(self._settle, one.keys, one.arguments) if one.settled else Run(self._take, one.keys, one.arguments, words)
            await self._send(shard, [run])
        if orphans:
            log.warning("leases of dead workers are sent again", extra={"leases": len(orphans)})

    def _taking(self, hold: Hold) -> Run:
        arguments = hold.take_arguments(hold.amount, 0, limited=False, forced=True)
        return Run(self._take, hold.take_keys(limited=False), arguments, words)

    async def _send(self, shard: int, runs: Sequence[Run]) -> None:
        """Send all; those that are refused once more, with their keys set right. Raises the first failure that is left."""
        answers = await self._trips.all(runs)
        if refused := [run for run, answer in zip(runs, answers, strict=True) if isinstance(answer, ResponseError)]:
            for run in refused:
                await self._healer.heal_call(shard, run.keys)
            answers = await self._trips.all(refused)
        raise_first(answers)
