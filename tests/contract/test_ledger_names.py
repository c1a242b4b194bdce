"""Ids in the ledger and in the names of counters: none is an e-mail address (S5)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from money import opened
from redis.asyncio import Redis
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.budget.budget import Budget, BudgetPolicy
from app.budget.caps import UserCaps
from app.budget.ledger import Ledger
from app.budget.scopes import key, shard_of, windows_of
from app.budget.tables import ledger
from app.domain.calls import Identity, Tenant
from app.domain.errors import BudgetExceeded
from app.domain.money import MicroUSD
from app.erasure.erasure import Person, count
from app.erasure.pseudonyms import put_under_pseudonyms
from app.security.redaction.limits import RedactionStalled
from app.security.redaction.redactor import Redactor, TenantPattern

EMAIL = "eve@planted.example.org"
REDACTOR = Redactor(b"a secret of these tests")


def who(user: str) -> Identity:
    tenant = f"t-{uuid4().hex[:8]}"
    return Identity(tenant=Tenant(tenant, tenant, MicroUSD(10_000), MicroUSD(1_000)), key_id="k", user=user)


def a_budget(engine: AsyncEngine, valkey: Redis) -> Budget:
    def name_of(tenant: str, user: str) -> str:
        return REDACTOR.ledger_name(user, tenant=tenant)

    policy = BudgetPolicy(global_daily_cap=MicroUSD(10**12))
    return Budget(valkey, Ledger(engine, valkey), UserCaps(engine), policy=policy, name_of=name_of)


def test_an_id_that_redaction_keeps_stays_and_others_are_one_pseudonym_a_tenant() -> None:
    assert [REDACTOR.ledger_name(user, tenant="a") for user in ("", "ada", "customer-1042")] == ["", "ada", "customer-1042"]
    name = REDACTOR.ledger_name(EMAIL, tenant="a")
    assert name.startswith("user#")
    assert name == REDACTOR.ledger_name(EMAIL, tenant="a") == REDACTOR.ledger_name(name, tenant="a")
    assert name != REDACTOR.ledger_name(EMAIL, tenant="b")


async def test_an_e_mail_address_is_in_no_counter_and_no_entry_and_its_cap_holds(engine: AsyncEngine, valkey: Redis) -> None:
    identity, budget = who(EMAIL), a_budget(engine, valkey)
    await opened(budget)  # a loss that another test made leaves it closed for a while
    await budget.start()
    hold = await budget.hold(identity, MicroUSD(900), lease_id=f"l-{uuid4().hex}", seconds=60)
    with pytest.raises(BudgetExceeded, match="user-day"):
        await budget.hold(identity, MicroUSD(200), lease_id=f"l-{uuid4().hex}", seconds=60)
    hold.spend(MicroUSD(900))
    budget.settle(hold)
    await budget.flush()
    await budget.aclose()
    carrier = Ledger(engine, valkey)
    while await carrier.drain():
        pass
    names = [str(name) async for name in valkey.scan_iter(match=f"*{identity.tenant.id}*")]
    assert any("user#" in name for name in names)
    assert not any("eve" in name for name in names)
    assert {spent for scope, spent, _ in await budget.counted(identity) if scope.name.startswith("user")} == {900}
    async with engine.connect() as connection:
        users = (await connection.scalars(select(ledger.c.user).where(ledger.c.tenant == identity.tenant.id))).all()
    assert users == [REDACTOR.ledger_name(EMAIL, tenant=identity.tenant.id)]
    found = await count(engine, Person.of(identity.tenant.id, EMAIL, REDACTOR))
    assert found["ledger"] == 1, "export and erasure find it by the id as the tenant sends it"


async def test_what_an_earlier_version_counted_as_sent_is_counted_on_under_the_pseudonym(
    engine: AsyncEngine, valkey: Redis
) -> None:
    identity, now = who(EMAIL), datetime.now(UTC)
    tenant, windows = identity.tenant.id, windows_of("UTC", now)
    row = {
        "lease": f"l-{uuid4().hex}", "kind": "settled", "shard": shard_of(tenant), "tenant": tenant, "user": EMAIL, "key_id": "k",
        "feature": "chat", "amount": 700, "at": now, "day": windows.day, "month": windows.month, "global_day": windows.day,
        "stream_ms": 1, "stream_seq": 0,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(ledger).values(row))
    counter = key(shard_of(tenant), tenant, "day", windows.day) + f":user:{EMAIL}"
    await valkey.hset(counter, mapping={"spent": 700, "held": 0})
    assert await put_under_pseudonyms(engine, valkey, REDACTOR) >= 1
    assert await put_under_pseudonyms(engine, valkey, REDACTOR) == 0
    assert not await valkey.exists(counter)
    spent = {scope.name: spent for scope, spent, _ in await a_budget(engine, valkey).counted(identity)}
    assert spent["user-day"] == 700
    async with engine.connect() as connection:
        users = (await connection.scalars(select(ledger.c.user).where(ledger.c.tenant == tenant))).all()
    assert users == [REDACTOR.ledger_name(EMAIL, tenant=tenant)]


def test_a_user_has_one_name_although_the_tenants_patterns_are_not_known_yet() -> None:
    """A worker that starts while Postgres is away counts under the same name.

    Otherwise a cap could be passed.
    """

    def unknown(_: str) -> Sequence[TenantPattern]:
        raise RedactionStalled

    blind = Redactor(b"key", added=unknown)
    knowing = Redactor(b"key")
    for user in ("ada", "ada@example.com", "customer-1042"):
        assert blind.ledger_name(user, tenant="a") == knowing.ledger_name(user, tenant="a")
