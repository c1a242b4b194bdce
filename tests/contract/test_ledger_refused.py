"""An entry that cannot be carried to Postgres holds up no other, of its shard or of another one (C3)."""

import asyncio
import time
from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest
from money import identity as a_user
from money import in_ledger, make_budget, opened, settled
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget import ledger
from app.budget.ledger import Ledger
from app.budget.reconcile import differences
from app.budget.scopes import key, shard_of
from app.domain.calls import Identity
from app.domain.money import MicroUSD
from app.domain.periodic import FIELDS


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
        assert await valkey.xlen(stream) == 1, "it is not lost either"
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


async def test_the_entries_behind_it_are_carried_and_it_is_reported(
    valkey: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "BATCH", 2)
    unfit = a_user(user="x" * 200)
    other = replace(unfit, user="ada")
    budget, stream = make_budget(valkey, engine), key(shard_of(unfit.tenant.id), "ledger")
    await opened(budget)
    for who in (unfit, other, unfit, other, other):
        hold = await budget.hold(who, MicroUSD(7), lease_id=uuid4().hex, seconds=10, feature="chat")
        hold.spend(MicroUSD(7))
        budget.settle(hold)
        await settled(budget)
    await valkey.xadd(stream, {"kind": "unheard of"})
    waiting = cast("list[tuple[str, dict[str, str]]]", await valkey.xrange(stream))
    refused = [i for i, fields in waiting if "x" * 200 in fields.get("entry", "x" * 200)]
    reported = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.extend(context[FIELDS]["entries"]))
    carrier = Ledger(engine, valkey)
    try:
        for _ in range(4):
            await carrier.drain()
        assert await in_ledger(engine, unfit) == 21, "all that fit"
        left = cast("list[tuple[str, dict[str, str]]]", await valkey.xrange(stream))
        assert [i for i, _ in left] == refused == sorted(reported)
        assert len(refused) == 3
        await differences(valkey, carrier)
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + ledger.AGAIN)
        await carrier.drain()
        assert len(reported) > 3, "they are tried again after a minute"
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
        await valkey.delete(stream)
