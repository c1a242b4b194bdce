"""Hypothesis drives the budget through any order of events.

The stores are real; a simple model counts beside them.

Events: calls that hold, hold more, spend, settle, settle twice; workers that die; sweeps; workers that come back; entries carried
over to the ledger; all counters lost.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from money import counted, identity, in_ledger, make_budget
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine

from app.budget import reconcile
from app.budget.budget import Budget, Hold
from app.budget.hold import epoch_key
from app.budget.ledger import Ledger
from app.domain.errors import BudgetExceeded
from app.domain.money import MicroUSD
from app.stack.embedded import embedded_valkey

T = TypeVar("T")
USER_CAP, TENANT_CAP = 1000, 1500
DEAD = -1000.0  # seconds left to a call whose lease is over at once


class World:
    """The stores, and a loop to speak to them from a machine that knows no async."""

    def __init__(self, valkey_url: str, database_url: str) -> None:
        self.runner = asyncio.Runner()
        self.valkey = Redis.from_url(valkey_url, decode_responses=True)
        self.engine = create_async_engine(database_url)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def close(self) -> None:
        self.run(self.valkey.aclose())
        self.run(self.engine.dispose())
        self.runner.close()


class Machine(RuleBasedStateMachine):
    """``open`` and ``dead`` hold what is held; ``spent`` is what each user spent."""

    world: World
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.tenant = f"t{uuid4().hex[:12]}"
        self.spent = {"ada": 0, "grace": 0}
        self.open: dict[str, Hold] = {}
        self.dead: dict[str, Hold] = {}
        self.swept: dict[str, int] = {}
        self.budget = self.a_worker()
        self.run(self.opened())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.world.run(coroutine)

    def a_worker(self) -> Budget:
        return make_budget(self.world.valkey, self.world.engine)

    async def opened(self) -> None:
        """Ensure that the counters are there.

        The pause after a loss is cut short: no other worker has calls in flight here.
        """
        await self.budget.watch_epochs()
        for shard in range(16):
            epoch = await self.world.valkey.get(epoch_key(shard))
            await self.world.valkey.set(epoch_key(shard), f"{str(epoch).partition(':')[0]}:0")
        await self.budget.watch_epochs()

    def held(self, user: str | None = None) -> int:
        holds = [*self.open.values(), *self.dead.values()]
        return sum(h.amount for h in holds if user in (None, h.identity.user))

    def who(self, user: str) -> Any:  # noqa: ANN401 - an identity
        return identity(tenant=self.tenant, user=user, tenant_cap=TENANT_CAP, user_cap=USER_CAP)

    @rule(target=holds, user=st.sampled_from(["ada", "grace"]), amount=st.integers(0, 700), dies=st.booleans())
    def hold(self, user: str, amount: int, dies: bool) -> Hold | None:
        fits = self.spent[user] + self.held(user) + amount <= USER_CAP
        fits = fits and sum(self.spent.values()) + self.held() + amount <= TENANT_CAP
        seconds = DEAD if dies else 600.0
        try:
            hold = self.run(self.budget.hold(self.who(user), MicroUSD(amount), lease_id=uuid4().hex, seconds=seconds))
        except BudgetExceeded:
            assert not fits
            return None
        assert fits
        (self.dead if dies else self.open)[hold.lease_id] = hold
        return hold

    @rule(hold=holds, amount=st.integers(1, 300))
    def hold_more(self, hold: Hold | None, amount: int) -> None:
        if hold is None or hold.lease_id not in self.open:
            return
        user = hold.identity.user
        fits = self.spent[user] + self.held(user) + amount <= USER_CAP
        fits = fits and sum(self.spent.values()) + self.held() + amount <= TENANT_CAP
        try:
            self.run(self.budget.extend(hold, MicroUSD(amount)))
        except BudgetExceeded:
            assert not fits
        else:
            assert fits

    @rule(hold=holds, share=st.integers(0, 100), twice=st.booleans())
    def settle(self, hold: Hold | None, share: int, twice: bool) -> None:
        if hold is None or self.open.pop(hold.lease_id, None) is None:
            return
        hold.spend(MicroUSD(hold.room * share // 100))
        self.spent[hold.identity.user] += hold.spent
        self.settled(hold, 1 + twice)

    @rule()
    def sweep(self) -> None:
        self.run(self.budget.sweep())
        for lease, hold in self.dead.items():
            self.swept[lease] = hold.amount
            self.spent[hold.identity.user] += hold.amount
        self.dead.clear()

    @rule(hold=holds, share=st.integers(0, 100), twice=st.booleans())
    def comes_back(self, hold: Hold | None, share: int, twice: bool) -> None:
        """A worker that was frozen: swept or not, it reports the cost of its call."""
        if hold is None or hold.lease_id not in {*self.dead, *self.swept}:
            return
        hold.spend(MicroUSD(hold.room * share // 100))
        self.spent[hold.identity.user] += hold.spent - self.swept.pop(hold.lease_id, 0)
        self.dead.pop(hold.lease_id, None)
        self.settled(hold, 1 + twice)

    @rule()
    def carry_over(self) -> None:
        self.run(Ledger(self.world.engine, self.world.valkey).drain())

    @precondition(lambda self: not self.dead)
    @rule()
    def lose_all_counters(self) -> None:
        """But for the dead workers' holds, which no process can report: they stay open (ADR 0015)."""
        if self.swept:
            self.carry_over()
        self.run(self.lost())
        self.run(self.settle_queue())

    async def lost(self) -> None:
        await self.world.valkey.flushall()
        await self.opened()

    @invariant()
    def no_cap_is_passed_and_every_micro_dollar_is_counted(self) -> None:
        for user in self.spent:
            now = self.run(counted(self.budget, self.who(user)))
            assert now["user-day"][:2] == (self.spent[user], self.held(user))
            assert now["user-month"][:2] == now["user-day"][:2]
            assert now["tenant-day"][:2] == (sum(self.spent.values()), self.held())
            assert self.spent[user] + self.held(user) <= USER_CAP
        assert sum(self.spent.values()) + self.held() <= TENANT_CAP

    def teardown(self) -> None:
        for hold in [*self.open.values(), *self.dead.values()]:
            self.spent[hold.identity.user] += hold.spent
            self.settled(hold, 1)
        ledger = Ledger(self.world.engine, self.world.valkey)
        assert [d for d in self.run(reconcile.differences(self.world.valkey, ledger)) if self.tenant in d.key] == []
        self.run(ledger.drain())
        assert self.run(in_ledger(self.world.engine, self.who("ada"))) == sum(self.spent.values())
        assert [d for d in self.run(reconcile.differences(self.world.valkey, ledger)) if self.tenant in d.key] == []

    def settled(self, hold: Hold, times: int) -> None:
        for _ in range(times):
            self.budget.settle(hold)
        self.run(self.settle_queue())

    async def settle_queue(self) -> None:
        task = asyncio.create_task(self.budget._settling._settle_forever())
        await self.budget.flush()
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with embedded_valkey(None) as url:
        world = World(url, database_url)
        yield world
        world.close()


def test_no_order_of_events_passes_a_cap_or_loses_a_micro_dollar(world: World) -> None:
    """C1, C3."""
    Machine.world = world
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("share", [0, 50, 100])
def test_a_swept_call_that_reports_its_cost_keeps_it_after_a_loss_of_all_counters(world: World, share: int) -> None:
    """C3. One that had cost nothing was not sent again: after the loss it counted at its worst case."""
    Machine.world = world
    machine = Machine()
    hold = machine.hold(amount=100, dies=True, user="ada")
    machine.sweep()
    machine.lose_all_counters()
    machine.comes_back(hold=hold, share=share, twice=False)
    machine.lose_all_counters()
    machine.no_cap_is_passed_and_every_micro_dollar_is_counted()
    assert machine.spent["ada"] == share
    machine.teardown()
