"""Settles calls in the background, many at a time. One that Valkey refuses holds up no other."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from app.budget.hold import REMEMBERED, Hold
from app.budget.round_trips import RoundTrips, Run
from app.budget.valkey_answers import is_of_keys
from app.domain.backlog import Backlog
from app.domain.periodic import end, spawn
from app.domain.store_errors import why

RETRY_FIRST, RETRY_MOST = 0.1, 5.0
GIVE_UP = REMEMBERED  # seconds of refusals, while others are settled, until a lease is left to the sweeper
MOST_AT_ONCE = 200

log = logging.getLogger(__name__)


class Settling:
    """See the module."""

    def __init__(
        self,
        trips: RoundTrips,
        script: AsyncScript,
        shares: Sequence[int],
        *,
        on_taken: Callable[[Hold], None],
        on_settled: Callable[[Sequence[tuple[Hold, Run]]], None],
        on_failure: Callable[[], None],
        on_refused: Callable[[Hold], None],
    ) -> None:
        """``on_taken`` gets each call before it is settled; ``on_refused`` one that Valkey answered with an error."""
        self._trips = trips
        self._script = script
        self._shares = shares
        self._on_taken = on_taken
        self._on_settled = on_settled
        self._on_failure = on_failure
        self._on_refused = on_refused
        self._pending, self._unsettled = Backlog[Hold](), list[Hold]()  # these are on their way, or settled
        self._refused = list[Hold]()  # these wait for the timer
        self._since = dict[str, float]()  # by lease: its first refusal, or the last one of an outage
        self._retry: asyncio.TimerHandle | None = None
        self._delay = RETRY_FIRST
        self._settled_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Begin."""
        self._closing = False
        self._task = spawn("settling", self._settle_forever())

    def put(self, hold: Hold) -> None:
        """Settle a call; never waits."""
        self._pending.put(hold)

    async def join(self) -> None:
        """Wait until all is settled."""
        await self._pending.join()

    async def stop(self, within: float) -> None:
        """End after one more try."""
        self._closing = True
        if self._task:
            await end(self._task, within=within)

    def left(self) -> list[Hold]:
        """The calls that are not settled, or were a moment ago."""
        return [*self._unsettled, *self._refused, *self._pending.take(len(self._pending))]

    async def _settle_forever(self) -> None:
        """Many calls at a time: one by one, a busy worker would fall behind and money stay held."""
        while not self._closing:
            await self._pending.some()
            batch = self._pending.take(MOST_AT_ONCE)
            if taking := [hold.taking for hold in batch if hold.taking]:
                await asyncio.gather(*taking, return_exceptions=True)
            for hold in batch:  # money that was granted after its caller had left
                hold.taking = None
                self._on_taken(hold)
            await self.settle(batch)

    async def settle(self, batch: list[Hold]) -> None:
        """Retry while Valkey is away; until then the money counts as held. A second settlement changes nothing.

        One that is refused is tried again later, by itself, and at last left to the sweeper.
        """
        delay, self._unsettled = RETRY_FIRST, batch
        while not (self._closing and delay > RETRY_FIRST):
            runs = [Run(self._script, hold.settle_keys(), hold.settle_arguments(self._shares)) for hold in batch]
            try:
                results = await self._trips.all(runs)
            except (RedisError, OSError) as error:
                self._failed(batch, why(error), delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST)
                continue
            self._note(list(zip(batch, runs, results, strict=True)))
            return

    def _note(self, answered: list[tuple[Hold, Run, object]]) -> None:
        done = [(hold, run) for hold, run, result in answered if result in (0, 1)]
        if done:
            self._settled_at = time.monotonic()
            self._on_settled(done)
        for hold, _ in done:
            self._since.pop(hold.lease_id, None)
        self._pending.done(len(done))
        if refused := [(hold, result) for hold, _, result in answered if result not in (0, 1)]:
            self._try_later(refused)
        if not self._since:
            self._delay = RETRY_FIRST

    def _try_later(self, refused: Sequence[tuple[Hold, object]]) -> None:
        """All that are refused wait for one timer: a store that refuses all gets one batch, and the log one line."""
        for hold, result in refused:
            of_keys, now = is_of_keys(result), time.monotonic()
            since = self._since.setdefault(hold.lease_id, now)
            if not of_keys:  # an outage: however long it was, its end is none of a refusal
                self._since[hold.lease_id] = now
            elif self._settled_at - since > GIVE_UP:
                self._give_up(hold)
                continue
            self._refused.append(hold)
            if of_keys:
                self._on_refused(hold)
        if self._retry is None and self._refused:
            errors = [result for _, result in refused if isinstance(result, Exception)]
            self._failed(refused, why(errors[0]) if errors else {"reason": "counters lost"}, self._delay)
            self._retry = asyncio.get_running_loop().call_later(self._delay, self._again)
            self._delay = min(self._delay * 2, RETRY_MOST)

    def _again(self) -> None:
        self._retry, refused, self._refused = None, self._refused, []
        for hold in refused:
            self._pending.put(hold)
        self._pending.done(len(refused))

    def _give_up(self, hold: Hold) -> None:
        del self._since[hold.lease_id]
        self._pending.done(1)
        log.error(
            "settlement given up, its lease ends at its worst case",
            extra={"lease": hold.lease_id, "tenant": hold.identity.tenant.id, "spent": hold.spent, "held": hold.amount},
        )

    def _failed(self, batch: Sequence[object], reason: dict[str, str], delay: float) -> None:
        self._on_failure()
        log.warning("settle failed, will retry", extra={**reason, "leases": len(batch), "retry_s": delay})
