"""Money is held at worst case before a call, spent as paid replies arrive, and settled after.

A hold is a lease in Valkey over every scope at once, taken by one atomic script in one round trip. What is not settled
stays counted as held; a lease that outlives its call (the worker died) is settled at its worst case by the sweeper, so a
crash can only over-count, never free money unseen (C1, C3). With Valkey away no call is made: money fails closed (C7).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.budget.scopes import Scope, scopes_of
from app.domain.calls import Identity
from app.domain.errors import BudgetExceeded, DependencyUnavailable
from app.domain.money import ZERO, MicroUSD

COUNTER_SECONDS = 3 * 24 * 3600
LEASE_MARGIN = 30.0
RETRY_FIRST, RETRY_MOST = 0.1, 5.0
MOST_AT_ONCE = 200

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Hold:
    """One call's lease. ``amount`` is held in Valkey; ``spent`` grows as paid replies arrive; ``asking``: for more, right now."""

    lease_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    lease_seconds: int
    amount: MicroUSD = ZERO
    spent: MicroUSD = ZERO
    asking: asyncio.Future[None] | None = None
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Name the keys the scripts work on."""
        self.keys = [_lease_key(self.tenant, self.lease_id), _index_key(self.tenant), *(s.key for s in self.scopes)]

    def spend(self, cost: MicroUSD) -> None:
        """Count a paid reply. It is charged even if the call fails later."""
        self.spent = MicroUSD(self.spent + cost)

    @property
    def room(self) -> MicroUSD:
        """What is held and not spent yet."""
        return MicroUSD(self.amount - self.spent)


class Budget:
    """Caps over tenant and user, shared by every replica through Valkey."""

    def __init__(self, valkey: Redis, *, on_settle_failure: Callable[[], None], sweep_every: float = 5.0) -> None:
        """``on_settle_failure`` is called for each failed try to settle; ``sweep_every`` in seconds."""
        folder = Path(__file__).parent
        self._valkey = valkey
        self._hold = valkey.register_script((folder / "hold.lua").read_text())
        self._settle = valkey.register_script((folder / "settle.lua").read_text())
        self._sweep = valkey.register_script((folder / "sweep.lua").read_text())
        self._on_settle_failure = on_settle_failure
        self._sweep_every = sweep_every
        self._pending: asyncio.Queue[Hold] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, tenants: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Begin to settle and to sweep. ``tenants`` lists the ids whose leases are swept."""
        self._tasks = [asyncio.create_task(self._settle_forever()), asyncio.create_task(self._sweep_forever(tenants))]

    async def aclose(self, grace: float = 5.0) -> None:
        """Settle what is pending, for ``grace`` seconds at most; the sweepers of other replicas take what is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._pending.join()
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # bounded: a task inside the client may take its cancellation late
            await asyncio.wait(self._tasks, timeout=grace)

    async def hold(self, identity: Identity, amount: MicroUSD, *, lease_id: str, seconds: float) -> Hold:
        """Hold ``amount`` for a call that ends within ``seconds``. Raises BudgetExceeded or DependencyUnavailable."""
        scopes = scopes_of(identity, datetime.now(UTC))
        hold = Hold(lease_id, identity.tenant.id, scopes, lease_seconds=round(seconds + LEASE_MARGIN))
        try:
            await self.extend(hold, amount)
        except asyncio.CancelledError:
            self.settle(hold)  # the caller left while we asked: what Valkey grants now is given back
            raise
        return hold

    async def extend(self, hold: Hold, amount: MicroUSD) -> None:
        """Hold ``amount`` more, for a further attempt after a paid one. Raises as `hold` does; the lease stays as it was.

        Shielded: a script that was sent may run, whoever stopped waiting for it. `settle` waits until it has.
        """
        hold.asking = asyncio.ensure_future(self._take(hold, amount))
        await asyncio.shield(hold.asking)

    async def _take(self, hold: Hold, amount: MicroUSD) -> None:
        limits = [str(s.limit) for s in hold.scopes]
        arguments = [str(amount), hold.lease_id, str(hold.lease_seconds), str(COUNTER_SECONDS), *limits]
        try:
            full, *rest = await self._hold(keys=hold.keys, args=arguments)
        except (RedisError, OSError) as error:
            message = "The budget store does not answer, so no money can be spent."
            raise DependencyUnavailable(message, retry_after=5.0) from error
        if full:
            scope = hold.scopes[full - 1]
            spent, held = rest
            raise BudgetExceeded(
                scope=scope.name, limit=scope.limit, spent=spent, held=held, needed=amount, resets_at=scope.resets_at
            )
        hold.amount = MicroUSD(hold.amount + amount)

    def settle(self, hold: Hold) -> None:
        """Give back what was not spent: queued, never blocking, safe in a ``finally`` of a cancelled task."""
        self._pending.put_nowait(hold)

    async def flush(self) -> None:
        """Wait until everything queued so far is settled."""
        await self._pending.join()

    async def spent_and_held(self, identity: Identity) -> dict[str, tuple[int, int, int]]:
        """``{scope: (spent, held, limit)}`` now, in micro-dollars."""
        found: dict[str, tuple[int, int, int]] = {}
        for scope in scopes_of(identity, datetime.now(UTC)):
            spent, held = await self._valkey.hmget(scope.key, "spent", "held")
            found[scope.name] = (int(spent or 0), int(held or 0), scope.limit)
        return found

    async def sweep(self, tenant: str) -> int:
        """Settle at worst case every lease of ``tenant`` that outlived its call. Returns how many."""
        return int(await self._sweep(keys=[_index_key(tenant)], args=[_lease_key(tenant, "")]))

    async def _settle_forever(self) -> None:
        """Settle what is queued, many at a time: one by one, a busy worker would fall behind and money stay held."""
        while True:
            batch = [await self._pending.get()]
            while len(batch) < MOST_AT_ONCE and not self._pending.empty():
                batch.append(self._pending.get_nowait())
            await asyncio.gather(*(hold.asking for hold in batch if hold.asking), return_exceptions=True)
            await self._settle_until_done(batch)
            for _ in batch:
                self._pending.task_done()

    async def _settle_until_done(self, batch: list[Hold]) -> None:
        """Retry while Valkey is away: the money stays counted as held in the meantime. Settling twice does it once."""
        delay = RETRY_FIRST
        while batch:
            try:
                async with self._valkey.pipeline(transaction=False) as pipeline:
                    for hold in batch:
                        await self._settle(keys=hold.keys, args=[str(hold.spent), hold.lease_id], client=pipeline)
                    results = await pipeline.execute(raise_on_error=False)
                batch = [hold for hold, result in zip(batch, results, strict=True) if isinstance(result, Exception)]
                failure = next((type(r).__name__ for r in results if isinstance(r, Exception)), "")
            except (RedisError, OSError) as error:
                failure = type(error).__name__
            if batch:
                self._on_settle_failure()
                log.warning("settle failed, will retry", extra={"error_type": failure, "leases": len(batch), "retry_s": delay})
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST)

    async def _sweep_forever(self, tenants: Callable[[], Awaitable[Sequence[str]]]) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            try:
                for tenant in await tenants():
                    swept = await self.sweep(tenant)
                    if swept:
                        log.warning("expired leases settled at worst case", extra={"tenant": tenant, "leases": swept})
            except Exception as error:  # noqa: BLE001 - the sweeper must outlive any outage; the next round tries again
                self._on_settle_failure()
                log.warning("sweep failed, will retry", extra={"error_type": type(error).__name__})


def _lease_key(tenant: str, lease_id: str) -> str:
    return f"octant:{{{tenant}}}:lease:{lease_id}"


def _index_key(tenant: str) -> str:
    return f"octant:{{{tenant}}}:leases"
