"""Hold money at worst case before a call, spend it as paid replies arrive, settle it after.

A hold is a lease in Valkey over every scope at once, taken by one atomic script in one round trip. Money that is not settled
still counts as held. If a lease outlives its call (the worker died), the sweeper settles it at its worst case. So a crash can
over-count, but never frees money unseen (C1, C3). Lost counters are rebuilt from the ledger before money is held again
(`restore`). Without Valkey, calls are refused or spend within a small allowance that the operator set (C7, ADR 0015).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from app.budget.caps import UserCaps
from app.budget.grants import Grants
from app.budget.healing import Healer
from app.budget.hold import REMEMBERED_EXPIRED, Hold, epoch_key, lease_prefix, leases_key
from app.budget.journal import Journal, Orphan
from app.budget.ledger import Ledger
from app.budget.refusals import check_request_cap, refusal
from app.budget.resending import Resending
from app.budget.restore import Restorer
from app.budget.round_trips import RoundTrips, Run, raise_first
from app.budget.scopes import SHARDS, Scope, key, scopes_of, windows_of
from app.budget.scripts import with_amounts
from app.budget.settled import Settled, Settlement
from app.budget.settling import Settling
from app.budget.valkey_answers import is_of_keys, number, swept
from app.budget.valkey_watch import Allowance, ValkeyWatch
from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, OctantError
from app.domain.money import ZERO, MicroUSD
from app.domain.periodic import Periodic, end
from app.domain.quick import replace
from app.domain.store_errors import why

EPOCHS_EVERY, SWEEP_EVERY = 1.0, 5.0
TRIES = 12
CHECK_MS = 5000
_SURVIVED = (RedisError, OSError, OctantError)  # by background work, which tries again
_UNHEARD = (ValkeyConnectionError, ValkeyTimeoutError, OSError)  # no answer; every other error is one

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """The operator's limits. ``shares``: percentages of a cap at which an alert fires.

    ``outage_allowance``: the amount that each worker process may spend while Valkey is away; at zero every call is refused then.
    """

    global_daily_cap: MicroUSD
    shares: tuple[int, ...] = (50, 80, 95)
    outage_allowance: MicroUSD = ZERO


class Budget:
    """Caps and rate limits, shared by every replica through Valkey."""

    def __init__(
        self,
        valkey: Redis,
        ledger: Ledger,
        caps: UserCaps,
        *,
        policy: BudgetPolicy,
        on_settle_failure: Callable[[], None] = lambda: None,
        name_of: Callable[[str, str], str] = lambda _tenant, user: user,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        journal: Journal | None = None,
    ) -> None:
        """``on_settle_failure`` is called when a try to settle fails; ``now`` gives the time that selects a call's windows.

        ``name_of`` maps a tenant and a user's id to the user's id in counters and ledger. ``journal``: a second memory of this
        worker's holds, and of those of dead workers.
        """
        self._valkey = valkey
        self._trips = RoundTrips(valkey)
        take = valkey.register_script(with_amounts("hold.lua"))
        self._hold = self._trips.joining(take)
        settle = valkey.register_script(with_amounts("settle.lua"))
        self._sweep = valkey.register_script(with_amounts("sweep.lua"))
        self._check = valkey.register_script((Path(__file__).parent / "check.lua").read_text())
        self._grants = Grants(valkey, cap=policy.global_daily_cap)
        self._restorer = Restorer(valkey, ledger)
        self._watch = ValkeyWatch(valkey)
        self._journal = journal
        self._allowance = Allowance(policy.outage_allowance)
        self._caps = caps
        self._ledger = ledger
        self.policy = policy
        self._name_of = name_of
        self._now = now
        self._healer, self._healing = Healer(valkey, ledger), set[int]()
        self._resending = Resending(self._trips, take, settle, self._healer)
        self._settling = Settling(
            self._trips, settle, policy.shares, on_taken=self._note_taken, on_settled=self._note_settled,
            on_failure=on_settle_failure, on_refused=self._heal_soon,
        )  # fmt: skip
        self._live: dict[str, Hold] = {}
        self._settled = Settled()
        self._epochs: dict[int, str] = {}
        self._restoring, self._lasting = dict[int, asyncio.Task[None]](), set[asyncio.Task[Any]]()
        # Failures to read the epochs are no failures to settle: two workers that start on an empty Valkey both want to rebuild
        # the counters, and one of them is refused.
        self._epoch_watch = Periodic(
            "counters' epochs", self.watch_epochs, every=EPOCHS_EVERY, survives=_SURVIVED,
            complaint="counters' epochs not read, will retry",
        )  # fmt: skip
        self._sweeping = Periodic(
            "expired leases", self.sweep, every=SWEEP_EVERY, at_once=False, survives=_SURVIVED,
            complaint="sweep failed, will retry", on_failure=on_settle_failure,
        )  # fmt: skip

    async def start(self) -> None:
        """Begin to settle, to sweep, and to check that the counters are still there."""
        self._settling.start()
        self._sweeping.start()
        self._epoch_watch.start()

    async def aclose(self, grace: float = 5.0) -> None:
        """Settle pending holds, for ``grace`` seconds at most; the journal has the prices of the rest for the next worker."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._settling.join()
        tasks = [*self._watch.tasks, *self._lasting]
        await asyncio.gather(
            self._settling.stop(grace), end(*tasks, within=grace), self._sweeping.stop(), self._epoch_watch.stop()
        )
        await self._trips.aclose()
        if self._journal:
            self._journal.close(self._settling.left())

    async def hold(
        self, identity: Identity, amount: MicroUSD, *, lease_id: str, seconds: float, feature: str = "", tokens: int = 0,
        trace_id: str = "", request_id: str = "",
    ) -> Hold:  # fmt: skip
        """Hold ``amount`` for a call that ends within ``seconds``.

        The call and its ``tokens`` count against the rate limits. Its ids find it while it runs (`under_way`).
        Raises BudgetExceeded, RateLimited or DependencyUnavailable.
        """
        at, own = self._now(), self._caps.of(identity)
        identity = self._named(identity)
        scopes = scopes_of(identity.tenant, identity.user, at, own)
        hold = Hold(
            lease_id=lease_id,
            identity=identity,
            feature=feature,
            at=at,
            scopes=scopes,
            day=windows_of("UTC", at).day,
            seconds=seconds,
            tokens=tokens,
            trace_id=trace_id,
            request_id=request_id,
        )
        try:
            await self._take(hold, amount, limited=True)
        except asyncio.CancelledError:
            self.settle(hold)  # the caller left during the take: money that Valkey grants now is given back
            raise
        return hold

    async def extend(self, hold: Hold, amount: MicroUSD) -> None:
        """Hold ``amount`` more, for a further attempt after a paid one.

        Raises the errors of `hold`; the lease is then unchanged.
        """
        if hold.taking:  # its caller may have left: takes are numbered, so each is over before the next begins
            await asyncio.wait([hold.taking])
        await self._take(hold, amount, limited=False)

    def settle(self, hold: Hold) -> None:
        """Give back unspent money: queued, never blocking, safe in a ``finally`` of a cancelled task."""
        self._live.pop(hold.lease_id, None)
        self._allowance.give_back(hold)
        self._settling.put(hold)

    async def flush(self) -> None:
        """Wait until everything queued so far is settled."""
        await self._settling.join()

    async def counted(self, identity: Identity) -> list[tuple[Scope, int, int]]:
        """Spent and held micro-dollars in each scope of a call made now."""
        own = self._caps.of(identity)
        scopes = scopes_of(identity.tenant, self._named(identity).user, self._now(), own)
        found = [await self._valkey.hmget(scope.key, "spent", "held") for scope in scopes]
        return [(scope, number(spent), number(held)) for scope, (spent, held) in zip(scopes, found, strict=True)]

    async def counted_globally(self) -> tuple[int, int, int]:
        """Today's global micro-dollars: spent, held, and granted to shards."""
        day = windows_of("UTC", self._now()).day
        shares = [await self._valkey.hmget(key(s, "all", "day", day), "spent", "held") for s in range(SHARDS)]
        granted = await self._grants.granted(day)
        return sum(number(spent) for spent, _ in shares), sum(number(held) for _, held in shares), granted

    def _named(self, identity: Identity) -> Identity:
        """The identity under the id that counters and ledger know."""
        name = self._name_of(identity.tenant.id, identity.user)
        return identity if name == identity.user else replace(identity, user=name)

    async def sweep(self) -> int:
        """Settle at worst case every lease that outlived its call. Returns how many."""
        answers = await self._trips.all(
            [
                Run(
                    self._sweep,
                    [epoch_key(shard), leases_key(shard), key(shard, "ledger")],
                    [lease_prefix(shard), REMEMBERED_EXPIRED],
                    swept,
                )
                for shard in range(SHARDS)
            ]
        )
        if ended := sum(int(answer[1]) for answer in answers if not isinstance(answer, Exception)):
            log.warning("expired leases settled at worst case", extra={"leases": ended})
        for shard, answer in enumerate(answers):
            if isinstance(answer, ResponseError):
                await self._healer.heal_shard(shard)
            elif not isinstance(answer, Exception) and answer[2:]:
                await self._healer.heal_leases(shard, answer[2:])
        raise_first(answers)
        return ended

    async def watch_epochs(self) -> None:
        """Check that every shard has its counters; rebuild lost ones and send our calls in flight again."""
        async with self._valkey.pipeline(transaction=False) as pipeline:
            for shard in range(SHARDS):
                pipeline.get(epoch_key(shard))
            epochs = await pipeline.execute(raise_on_error=False)
        lost = {shard for shard, epoch in enumerate(epochs) if not epoch or epoch != self._epochs.get(shard)}
        self._settled.forget(lost)
        orphans = await asyncio.to_thread(self._journal.orphans) if self._journal and lost else []
        failures: list[ResponseError] = []
        for shard in sorted(lost):
            try:
                await self._look_at(shard, epochs[shard], [orphan for orphan in orphans if orphan.shard == shard])
            except ResponseError as error:  # of this shard: it holds up no other
                failures.append(error)
        raise_first(failures)

    async def _look_at(self, shard: int, epoch: Any, left: list[Orphan]) -> None:  # noqa: ANN401 - an answer or an error
        if epoch is not None:
            await self._healer.heal_shard(shard)
            epoch = await self._valkey.get(epoch_key(shard))
        if epoch is None:
            await self._restored(shard, known=shard in self._epochs or bool(left))
            epoch = await self._valkey.get(epoch_key(shard))  # the one it has now
        if epoch and self._epochs.get(shard) != epoch:
            await self._resending.send_orphans(shard, left)
            if shard in self._epochs:
                live = [hold for hold in self._live.values() if hold.shard == shard and not hold.local]
                await self._resending.send(shard, live, self._settled)
            self._epochs[shard] = epoch

    async def check(self) -> None:
        """Raise DependencyUnavailable unless every shard can hold money now.

        The check makes a real write, with Valkey's own clock. So it fails where a call would fail: on a full Valkey, on a
        replica, and in a worker that has not read the users' caps yet. Also raises the client's errors.
        """
        self._caps.check()
        keys = [[epoch_key(shard), key(shard, "check")] for shard in range(SHARDS)]
        waits = await self._trips.all([Run(self._check, names, [CHECK_MS]) for names in keys])
        for failure in (wait for wait in waits if isinstance(wait, Exception)):
            raise DependencyUnavailable("The budget store takes no writes.", retry_after=5.0) from failure
        if any(wait != 0 for wait in waits):
            raise DependencyUnavailable("The budget's counters are being rebuilt.", retry_after=max(1.0, max(waits) / 1000))

    async def _take(self, hold: Hold, amount: MicroUSD, *, limited: bool) -> None:
        hold.takes += 1
        check_request_cap(hold, amount)
        for last in (False, True):
            if self._watch.away:
                self._take_locally(hold, amount)
                return
            try:
                await self._take_from_valkey(hold, amount, limited=limited)
            except (RedisError, OSError) as error:
                log.warning("budget store does not answer", extra=why(error))
                # One connection that failed is no outage: where a new one is answered, the take is repeated, and counts once.
                answers = await self._watch.failed() and not last
                if answers and is_of_keys(error):
                    await self._heal(hold)
                if answers and (isinstance(error, _UNHEARD) or is_of_keys(error)):
                    continue
                self._take_after_failure(hold, amount)
            return

    async def _take_from_valkey(self, hold: Hold, amount: MicroUSD, *, limited: bool) -> None:
        """Take in Valkey. Raises the errors of `hold`, and the client's where Valkey does not answer."""
        granted = 0
        for tries in range(TRIES):
            arguments = hold.take_arguments(amount, granted, limited=limited)
            keys = hold.take_keys(limited=limited)
            status, *rest = await self._hold(keys=keys, args=arguments, sent=hold.is_taking)  # `settle` waits for its end
            hold.taking = None
            if status == "ok":
                hold.amount, hold.taken = MicroUSD(hold.amount + amount), hold.takes
                self._live[hold.lease_id] = hold
                if self._journal:
                    self._journal.held(hold)
                if limited:
                    hold.note_rates(rest)
                return
            if status == "grant":
                granted = await asyncio.shield(self._begun(self._grants.more(hold, amount, rest, tries=tries)))
            elif status == "unknown":
                await self._restored(hold.shard, known=hold.shard in self._epochs)
            else:
                raise refusal(status, rest, hold, amount, self._now())
        raise DependencyUnavailable("The budget's counters are being rebuilt.", retry_after=1.0)

    async def _restored(self, shard: int, *, known: bool) -> None:
        """Rebuild a shard's lost counters once for all who wait for them. Raises as `Restorer.restore`."""
        task = self._restoring.get(shard)
        if task is None or task.done():
            task = self._restoring[shard] = self._begun(self._restorer.restore(shard, known=known))
        await asyncio.shield(task)

    def _begun(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work for all calls, in a task of its own: a caller that leaves now must not end it."""
        task = asyncio.create_task(work)
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)
        return task

    def _take_after_failure(self, hold: Hold, amount: MicroUSD) -> None:
        try:
            self._take_locally(hold, amount)
        except DependencyUnavailable:
            if not hold.amount:
                self.settle(hold)  # the script may run when Valkey is back: then it finds that this call is over
            raise

    def _take_locally(self, hold: Hold, amount: MicroUSD) -> None:
        """Take from the worker's own allowance. Raises DependencyUnavailable if it is absent or used up."""
        if not self._allowance.take(hold, amount):
            raise DependencyUnavailable("The budget store does not answer, so no money can be spent.", retry_after=5.0)
        hold.amount = MicroUSD(hold.amount + amount)

    def _heal_soon(self, hold: Hold) -> None:
        """Set a call's keys right, unless that is done in its shard: its settlement is tried again."""
        if hold.shard not in self._healing:
            self._healing.add(hold.shard)
            self._begun(self._heal(hold)).add_done_callback(lambda _: self._healing.discard(hold.shard))

    async def _heal(self, hold: Hold) -> None:
        try:
            await self._healer.heal_call(hold.shard, hold.settle_keys())
            await self._healer.heal_day(hold.day)
        except _SURVIVED as error:
            log.warning("keys of the budget not checked, will retry", extra=why(error))

    def _note_taken(self, hold: Hold) -> None:
        self._live.pop(hold.lease_id, None)
        self._allowance.give_back(hold)

    def _note_settled(self, done: Sequence[tuple[Hold, Run]]) -> None:
        if self._journal:
            self._journal.settled([hold for hold, _ in done])
        # Those that cost nothing, too: one that was swept at its worst case before is corrected by it.
        self._settled.note([Settlement(hold.shard, run.keys, run.arguments) for hold, run in done])


__all__ = ["Budget", "BudgetPolicy", "Hold"]
