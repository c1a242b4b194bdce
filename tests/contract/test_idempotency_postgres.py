"""Idempotency-Keys on a real Postgres (G8)."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.calls import Identity, Tenant
from app.domain.errors import DependencyUnavailable, IdempotencyKeyInUse, IdempotencyKeyReused
from app.domain.money import MicroUSD
from app.idempotency import idempotency as module
from app.idempotency.idempotency import Idempotency, Reservation, StoredAnswer

SECRET = b"a secret for the idempotency tests"
ANSWER = StoredAnswer(200, (("content-type", "application/json"), ("octant-cost-usd", "0.000042")), b'{"text": "\xc3\xa4\x00"}')
SAME, OTHER = b"f" * 32, b"g" * 32


@pytest.fixture
def outcomes() -> Counter[str]:
    return Counter()


@pytest.fixture
def store(engine: AsyncEngine, outcomes: Counter[str]) -> Idempotency:
    return Idempotency(engine, secret=SECRET, on_outcome=lambda outcome: outcomes.update([outcome]))


@pytest_asyncio.fixture
async def other_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Another process, as far as Postgres can tell."""
    engine = create_async_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def identity() -> Identity:
    return who(f"t-{uuid4().hex[:8]}")


def who(tenant: str, user: str = "") -> Identity:
    return Identity(tenant=Tenant(tenant, tenant, MicroUSD(0), MicroUSD(0)), key_id="k", user=user)


async def claimed(store: Idempotency, identity: Identity, key: str = "k") -> Reservation:
    found = await store.claim(identity, key, SAME)
    assert isinstance(found, Reservation)
    return found


async def pass_time(engine: AsyncEngine, identity: Identity, interval: str) -> None:
    """For the rows of one tenant. Times are Postgres' own, so there is no clock to turn."""
    statement = text(
        "UPDATE idempotency_keys SET expires_at = expires_at - CAST(:by AS interval),"
        " challenged_at = challenged_at - CAST(:by AS interval) WHERE tenant = :tenant"
    )
    async with engine.begin() as connection:
        await connection.execute(statement, {"by": interval, "tenant": identity.tenant.id})


async def test_of_fifty_claims_on_two_engines_one_wins(
    store: Idempotency, other_engine: AsyncEngine, identity: Identity, outcomes: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 60.0)  # a busy machine does not answer fifty at once in three
    there = Idempotency(other_engine, secret=SECRET, on_outcome=lambda outcome: outcomes.update([outcome]))
    found = await asyncio.gather(
        *((store, there)[n % 2].claim(identity, "race", SAME) for n in range(50)), return_exceptions=True
    )
    assert Counter(type(f) for f in found) == {Reservation: 1, IdempotencyKeyInUse: 49}
    assert outcomes == {"in_flight": 49}


async def test_a_stored_answer_is_given_again_byte_for_byte_by_every_process(
    store: Idempotency, other_engine: AsyncEngine, identity: Identity, outcomes: Counter[str]
) -> None:
    await store.store(await claimed(store, identity), ANSWER)
    there = Idempotency(other_engine, secret=SECRET, on_outcome=lambda outcome: outcomes.update([outcome]))
    assert await there.claim(identity, "k", SAME) == ANSWER
    assert outcomes == {"stored": 1, "replayed": 1}


async def test_no_key_is_stored_as_it_was_sent(store: Idempotency, engine: AsyncEngine, identity: Identity) -> None:
    await claimed(store, identity, "order-4711-of-eve@example.org")
    assert [key[:3] for key in await stored_keys(engine, identity)] == ["h1:"]


@pytest.mark.parametrize("swept", [False, True])
async def test_a_key_of_an_earlier_version_gives_its_answer_and_is_hashed(
    store: Idempotency, engine: AsyncEngine, identity: Identity, swept: bool
) -> None:
    await store.store(await claimed(store, identity), ANSWER)
    plain = text("UPDATE idempotency_keys SET key = 'k' WHERE tenant = :tenant")
    async with engine.begin() as connection:
        await connection.execute(plain, {"tenant": identity.tenant.id})
    if swept:
        assert await store.hash_old() >= 1
    assert await store.claim(identity, "k", SAME) == ANSWER
    assert [key[:3] for key in await stored_keys(engine, identity)] == ["h1:"]


async def test_a_key_that_an_old_worker_takes_after_the_first_sweep_is_found(
    store: Idempotency, engine: AsyncEngine, identity: Identity
) -> None:
    """A rolling upgrade: workers of the version that stored keys as sent go on beside this one."""
    await store.start()
    while await raw_keys(engine):  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    await taken_by_an_old_worker(engine, store, identity)
    assert await store.claim(identity, "k", SAME) == ANSWER
    await store.aclose()


@pytest.mark.parametrize("swept", [False, True])
async def test_a_key_that_both_versions_took_has_one_answer(
    store: Idempotency, engine: AsyncEngine, identity: Identity, swept: bool
) -> None:
    await taken_by_an_old_worker(engine, store, identity)
    values = {"tenant": identity.tenant.id, "key": store._stored(identity.tenant.id, "", "k")}
    twin = text(
        'INSERT INTO idempotency_keys (tenant, "user", key, fingerprint, token, status, headers, body, expires_at)'
        ' SELECT tenant, "user", :key, fingerprint, gen_random_uuid(), status, headers, body, expires_at'
        " FROM idempotency_keys WHERE tenant = :tenant"
    )
    async with engine.begin() as connection:
        await connection.execute(twin, values)
    if swept:
        await store.hash_old()
    assert await store.claim(identity, "k", SAME) == ANSWER
    assert [key[:3] for key in await stored_keys(engine, identity)] == ["h1:"]


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("twin", ["expired answer", "dead owner"])
async def test_a_free_hashed_row_does_not_cost_a_raw_row_its_answer(
    store: Idempotency, engine: AsyncEngine, identity: Identity, twin: str, swept: bool
) -> None:
    """Deleted with the answer in it, the key would be claimed anew and the work done and billed twice."""
    await taken_by_an_old_worker(engine, store, identity)
    free = text(
        'INSERT INTO idempotency_keys (tenant, "user", key, fingerprint, token, status, expires_at, challenged_at)'
        ' SELECT tenant, "user", :key, fingerprint, gen_random_uuid(), CASE WHEN :answered THEN status END,'
        " now() - interval '1 minute', now() - interval '1 minute' FROM idempotency_keys WHERE tenant = :tenant"
    )
    async with engine.begin() as connection:
        key = store._stored(identity.tenant.id, "", "k")
        values = {"tenant": identity.tenant.id, "key": key, "answered": twin == "expired answer"}
        await connection.execute(free, values)
    if swept:
        await store.hash_old()
    assert await store.claim(identity, "k", SAME) == ANSWER
    assert [key[:3] for key in await stored_keys(engine, identity)] == ["h1:"]


async def test_the_table_is_not_searched_for_raw_keys_after_the_rollout(
    store: Idempotency, engine: AsyncEngine, identity: Identity
) -> None:
    await taken_by_an_old_worker(engine, store, identity)
    store._raw_until = 0.0
    await store._hash_all()
    assert await stored_keys(engine, identity) == ["k"]
    store._raw_until = time.monotonic() + 60
    await store._hash_all()
    assert [key[:3] for key in await stored_keys(engine, identity)] == ["h1:"]


async def taken_by_an_old_worker(engine: AsyncEngine, store: Idempotency, identity: Identity) -> None:
    await store.store(await claimed(store, identity), ANSWER)
    async with engine.begin() as connection:
        raw = text("UPDATE idempotency_keys SET key = 'k' WHERE tenant = :tenant")
        await connection.execute(raw, {"tenant": identity.tenant.id})


async def raw_keys(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(
            (await connection.execute(text("SELECT count(*) FROM idempotency_keys WHERE key NOT LIKE 'h1:%'"))).scalar_one()
        )


async def stored_keys(engine: AsyncEngine, identity: Identity) -> list[str]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT key FROM idempotency_keys WHERE tenant = :t"), {"t": identity.tenant.id})
        return list(found.scalars())


@pytest.mark.parametrize("answered", [False, True])
async def test_another_request_under_the_key_is_refused_while_it_runs_and_after(
    store: Idempotency, identity: Identity, outcomes: Counter[str], answered: bool
) -> None:
    claim = await claimed(store, identity)
    if answered:
        await store.store(claim, ANSWER)
    with pytest.raises(IdempotencyKeyReused):
        await store.claim(identity, "k", OTHER)
    assert outcomes["reused"] == 1


async def test_a_key_is_its_tenants_and_its_bound_users_own(store: Idempotency, identity: Identity) -> None:
    await store.store(await claimed(store, identity), ANSWER)
    assert isinstance(await store.claim(who(f"{identity.tenant.id}-2"), "k", OTHER), Reservation)
    assert isinstance(await store.claim(who(identity.tenant.id, "ada"), "k", OTHER), Reservation)
    assert isinstance(await store.claim(who(identity.tenant.id, "grace"), "k", OTHER), Reservation)


async def test_a_released_key_is_free_for_any_request(store: Idempotency, identity: Identity) -> None:
    await store.release(await claimed(store, identity))
    assert isinstance(await store.claim(identity, "k", OTHER), Reservation)


async def test_a_key_is_free_when_its_answer_has_expired(store: Idempotency, engine: AsyncEngine, identity: Identity) -> None:
    await store.store(await claimed(store, identity), ANSWER)
    await pass_time(engine, identity, "86399 seconds")
    assert await store.claim(identity, "k", SAME) == ANSWER
    await pass_time(engine, identity, "1 second")
    assert isinstance(await store.claim(identity, "k", OTHER), Reservation)


async def test_a_lease_that_has_ended_is_taken_over_once_a_challenge_has_passed(
    store: Idempotency, engine: AsyncEngine, identity: Identity
) -> None:
    """However long ago it ended: in all that time Postgres may have been away."""
    first = await claimed(store, identity)
    await pass_time(engine, identity, "1 hour")
    for wait in ("1 hour", "4 seconds"):
        with pytest.raises(IdempotencyKeyInUse):
            await store.claim(identity, "k", SAME)
        await store.challenge()
        if wait == "1 hour":
            store._held.add(first.token)
            assert await store.renew()  # the owner lives: the challenge is void, and the lease runs again
            await pass_time(engine, identity, wait)
        else:
            await pass_time(engine, identity, wait)
            with pytest.raises(IdempotencyKeyInUse):
                await store.claim(identity, "k", SAME)
            await pass_time(engine, identity, "1 second")
    assert await claimed(store, identity) != first


@pytest.mark.parametrize("answered", [False, True])
async def test_after_an_outage_longer_than_the_lease_a_live_owner_keeps_its_key(
    store: Idempotency, engine: AsyncEngine, other_engine: AsyncEngine, identity: Identity, outcomes: Counter[str], answered: bool
) -> None:
    """A repetition once Postgres is back does not do the work again.

    The call still runs, or its answer waits to be stored.
    """
    there = Idempotency(other_engine, secret=SECRET, on_outcome=lambda _: None)
    claim = await claimed(store, identity)
    postgres, store._engine = store._engine, create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none")
    if answered:
        await store.store(claim, ANSWER)
    await pass_time(engine, identity, "1 hour")
    assert not await store.renew()
    await there.challenge()
    with pytest.raises(IdempotencyKeyInUse):
        await there.claim(identity, "k", SAME)
    store._engine = postgres
    await store.start()
    if answered:
        await asyncio.wait_for(asyncio.gather(*store._storing), 120)
    else:
        assert await store.renew()
        await pass_time(engine, identity, "7 seconds")  # the lease, renewed, has not ended, and no challenge is open
        with pytest.raises(IdempotencyKeyInUse):
            await there.claim(identity, "k", SAME)
        await store.store(claim, ANSWER)
    assert await there.claim(identity, "k", SAME) == ANSWER
    assert outcomes == {"stored": 1}
    await store.aclose()


async def test_an_answer_whose_storing_was_not_confirmed_is_stored_and_not_lost(
    store: Idempotency, identity: Identity, outcomes: Counter[str]
) -> None:
    """The connection broke after Postgres had done it: it is done again."""
    claim = await claimed(store, identity)
    await store.store(claim, ANSWER)
    await store.store(claim, ANSWER)
    assert outcomes == {"stored": 2}


async def test_answers_that_wait_take_bounded_memory_and_their_keys_stay_spent(
    store: Idempotency, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", len(ANSWER.body or b"") + 5)
    claims = [await claimed(store, identity, key) for key in ("first", "second")]
    postgres, store._engine = store._engine, create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none")
    for claim in claims:
        await store.store(claim, ANSWER)
    store._engine = postgres
    await asyncio.wait_for(asyncio.gather(*store._storing), 120)
    assert await store.claim(identity, "first", SAME) == ANSWER
    second = await store.claim(identity, "second", SAME)
    assert isinstance(second, StoredAnswer)
    assert (second.status, second.body) == (200, None)


async def test_the_loser_of_a_lease_changes_nothing_of_the_next_claim(
    store: Idempotency, engine: AsyncEngine, identity: Identity, outcomes: Counter[str]
) -> None:
    first = await claimed(store, identity)
    await pass_time(engine, identity, "8 seconds")
    await store.challenge()
    await pass_time(engine, identity, "5 seconds")
    second = await claimed(store, identity)
    await store.store(first, StoredAnswer(200, (), b"late"))
    assert outcomes == {"lost": 1}
    await store.release(first)
    with pytest.raises(IdempotencyKeyInUse):
        await store.claim(identity, "k", SAME)
    await store.store(second, ANSWER)
    assert await store.claim(identity, "k", SAME) == ANSWER


async def test_the_lease_of_running_work_is_renewed_and_a_dead_workers_is_not(
    engine: AsyncEngine, other_engine: AsyncEngine, identity: Identity
) -> None:
    async def until_free() -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    return await there.release(await claimed(there, identity))
                except IdempotencyKeyInUse:
                    await asyncio.sleep(0.02)

    here = Idempotency(engine, secret=SECRET, on_outcome=lambda _: None, lease=3)
    there = Idempotency(other_engine, secret=SECRET, on_outcome=lambda _: None, lease=3)
    await here.start()
    await claimed(here, identity)
    await there.start()  # it challenges what has expired
    waiting = asyncio.create_task(until_free())
    _, still = await asyncio.wait({waiting}, timeout=4)
    assert waiting in still
    await here.aclose()
    await waiting
    await there.aclose()


async def test_expired_keys_are_swept_in_batches_and_no_others(
    store: Idempotency, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_BATCH", 2)
    while await store.sweep():
        pass  # what other tests left
    gone, kept = who(f"t-{uuid4().hex[:8]}"), who(f"t-{uuid4().hex[:8]}")
    for identity in (gone, kept):
        for key in ("running", "stored", "another"):
            claim = await claimed(store, identity, key)
            if key != "running":
                await store.store(claim, ANSWER)
    await pass_time(engine, gone, "1 day 10 minutes")
    await store.challenge()
    await pass_time(engine, gone, "5 seconds")
    await pass_time(engine, kept, "5 minutes")  # its lease ended, but not long ago
    assert [await store.sweep() for _ in range(3)] == [2, 1, 0]
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT tenant, count(*) FROM idempotency_keys WHERE tenant IN (:a, :b) GROUP BY tenant"),
            {"a": gone.tenant.id, "b": kept.tenant.id},
        )
        assert [tuple(row) for row in rows] == [(kept.tenant.id, 3)]


async def test_neither_the_request_nor_a_guess_of_it_can_be_read_from_the_table(store: Idempotency) -> None:
    """The fingerprint is keyed, and no two requests share one by where their parts end."""
    elsewhere = Idempotency(store._engine, secret=b"another secret", on_outcome=lambda _: None)
    made = store.fingerprint("POST", "/v1/messages?", b"{}")
    assert made == store.fingerprint("POST", "/v1/messages?", b"{}")
    others = [("POST", "/v1/messages?", b"{ }"), ("PUT", "/v1/messages?", b"{}"), ("POST", "/v1/messages?{", b"}")]
    assert len({made, elsewhere.fingerprint("POST", "/v1/messages?", b"{}"), *(store.fingerprint(*o) for o in others)}) == 5


async def test_without_postgres_nothing_is_promised(identity: Identity) -> None:
    away = create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none")
    with pytest.raises(DependencyUnavailable):
        await Idempotency(away, secret=SECRET, on_outcome=lambda _: None).claim(identity, "k", SAME)


async def test_an_answer_given_while_postgres_was_away_is_stored_when_it_is_back(
    store: Idempotency, identity: Identity, outcomes: Counter[str]
) -> None:
    claim = await claimed(store, identity)
    there, store._engine = store._engine, create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none")
    await store.store(claim, ANSWER)
    assert not outcomes
    store._engine = there
    await asyncio.wait_for(asyncio.gather(*store._storing), 120)
    assert outcomes == {"stored": 1}
    assert await store.claim(identity, "k", SAME) == ANSWER
    await store.aclose()
