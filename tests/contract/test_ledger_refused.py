"""An entry that cannot be carried to Postgres holds up no other shard (C3)."""

from uuid import uuid4

from money import identity as a_user
from money import in_ledger, make_budget, opened, settled
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.ledger import Ledger
from app.budget.scopes import key, shard_of
from app.domain.calls import Identity
from app.domain.money import MicroUSD


def in_shards() -> tuple[Identity, Identity]:
    """Two tenants, the second in a later shard; the first's user does not fit into the ledger."""
    first, second = a_user(user="x" * 200), a_user()
    return (first, second) if shard_of(first.tenant.id) < shard_of(second.tenant.id) else in_shards()


async def test_the_other_shards_are_carried_over(valkey: Redis, engine: AsyncEngine) -> None:
    unfit, other = in_shards()
    budget = make_budget(valkey, engine)
    await opened(budget)
    for who in (unfit, other):
        hold = await budget.hold(who, MicroUSD(7), lease_id=uuid4().hex, seconds=10, feature="chat")
        hold.spend(MicroUSD(7))
        budget.settle(hold)
    await settled(budget)
    stream = key(shard_of(unfit.tenant.id), "ledger")
    try:
        await Ledger(engine, valkey).drain()
        assert (await in_ledger(engine, other), await in_ledger(engine, unfit)) == (7, 0)
        assert await valkey.xlen(stream) >= 1, "it is not lost either"
    finally:
        await valkey.delete(stream)  # of these tests alone: a shard that stands still would hold up the others


async def test_an_entry_of_a_newer_version_ends_no_carrying(valkey: Redis, engine: AsyncEngine) -> None:
    """After a rollback: an older worker does not know all that a newer one wrote."""
    first, second = in_shards()
    stream, budget = key(shard_of(first.tenant.id), "ledger"), make_budget(valkey, engine)
    await opened(budget)
    await valkey.xadd(stream, {"kind": "unheard of"})
    hold = await budget.hold(second, MicroUSD(7), lease_id=uuid4().hex, seconds=10, feature="chat")
    hold.spend(MicroUSD(7))
    budget.settle(hold)
    await settled(budget)
    try:
        await Ledger(engine, valkey).drain()
        assert await in_ledger(engine, second) == 7
    finally:
        await valkey.delete(stream)
