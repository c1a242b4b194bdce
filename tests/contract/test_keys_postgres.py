"""Tenants and API keys on a real Postgres (S6)."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from client import eventually
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.domain.calls import Tenant
from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound, Unauthenticated
from app.domain.money import MicroUSD
from app.security.keys import ring as keys_module
from app.security.keys.administration import KeyAdministration
from app.security.keys.known_keys import _write
from app.security.keys.last_used import LastUsed
from app.security.keys.ring import KeyRing
from app.security.keys.token import PATTERN, write
from app.security.remembered import Remembered

SECRET = b"a secret for the key tests, 32 bytes"


@pytest.fixture
def keys(engine: AsyncEngine) -> KeyRing:
    return KeyRing(engine, secret=SECRET)


@pytest.fixture
def admin(engine: AsyncEngine) -> KeyAdministration:
    return KeyAdministration(engine, secret=SECRET)


@pytest_asyncio.fixture
async def tenant(admin: KeyAdministration) -> Tenant:
    return await admin.create_tenant(f"t-{uuid4().hex[:8]}", "A tenant", MicroUSD(10_000_000), MicroUSD(1_000_000))


async def test_a_key_proves_its_tenant_its_scopes_and_no_user(keys: KeyRing, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="first", scopes=("call", "admin"))
    identity = await keys.authenticate(token)
    assert identity.tenant == tenant
    assert (identity.user, identity.scopes) == ("", frozenset({"call", "admin"}))
    assert token.startswith(f"oct_{identity.key_id}_")


async def test_only_a_key_that_was_found_good_a_moment_ago_is_fresh(
    engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant
) -> None:
    keys = KeyRing(engine, secret=SECRET, ttl=3.0)
    token = await admin.create_key(tenant.id, name="first")
    assert keys.fresh(token) is None
    identity = await keys.authenticate(token)
    assert keys.fresh(token) == identity
    assert keys.fresh(write(token.split("_")[1], "x" * 43)) is None
    with pytest.raises(Unauthenticated):
        await keys.authenticate("no key")
    assert keys.fresh("no key") is None
    expiring = await admin.create_key(tenant.id, name="brief", expires_at=datetime.now(UTC) + timedelta(seconds=3))
    lasting = KeyRing(engine, secret=SECRET, ttl=3600)
    await lasting.authenticate(expiring)
    assert lasting.fresh(expiring)

    async def old_and_expired() -> bool:
        return keys.fresh(token) is None and lasting.fresh(expiring) is None

    await eventually(old_and_expired)


async def test_a_bound_key_proves_its_user(keys: KeyRing, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="ada's", user="ada")
    assert (await keys.authenticate(token)).user == "ada"


async def test_nothing_of_a_key_but_its_id_is_stored(engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="secret")
    secret = token.split("_", 2)[2]
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT api_keys::text, digest FROM api_keys"))).all()
    assert not any(secret in row[0] or secret.encode() in row[1] for row in rows)


NOT_KEYS = ["", "oct", "oct__", "sk-abcdef", "oct_abcdefgh_short", "oct_abcdefgh_" + "x" * 500]
NOT_KEYS += ["oct_äbcdefgh_" + "x" * 43, "oct_abcdefgh_" + "x" * 43]


@pytest.mark.parametrize("token", NOT_KEYS)
async def test_what_is_not_a_key_is_refused(keys: KeyRing, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await keys.authenticate(token)


async def test_a_known_id_with_another_secret_is_refused(keys: KeyRing, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="real")
    with pytest.raises(Unauthenticated):
        await keys.authenticate(write(token.split("_")[1], "x" * 43))


async def test_another_service_secret_opens_nothing(engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="real")
    with pytest.raises(Unauthenticated):
        await KeyRing(engine, secret=b"another secret").authenticate(token)


async def test_an_expired_key_is_refused_even_from_the_cache(keys: KeyRing, admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="brief", expires_at=datetime.now(UTC) + timedelta(seconds=2))
    await keys.authenticate(token)
    with pytest.raises(Unauthenticated, match="expired"):
        await _use_until_refused(keys, token)


async def test_a_revoked_key_is_refused_when_its_cache_ends(
    engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant
) -> None:
    token = await admin.create_key(tenant.id, name="doomed")
    keys = KeyRing(engine, secret=SECRET, ttl=0.2)
    identity = await keys.authenticate(token)
    await admin.revoke_key(identity.key_id)
    with pytest.raises(Unauthenticated, match=f"{identity.key_id}, was revoked") as refused:
        await _use_until_refused(keys, token)
    assert refused.value.holder == (tenant.id, identity.key_id)
    assert not refused.value.guess, "its holder knows all of it"
    with pytest.raises(Unauthenticated, match="is not valid") as guessed:
        await keys.authenticate(write(identity.key_id, "x" * 43))
    assert guessed.value.guess, "its id alone says nothing of it"
    assert guessed.value.holder == ("", "")


@pytest.mark.parametrize("way", ["revoked", "replaced"])
async def test_a_key_that_ended_is_refused_long_before_its_cache_ends(
    engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant, way: str
) -> None:
    """On a worker that looked it up just before, also where a look-up that began earlier brings it back; no other key is."""
    doomed, other = [await admin.create_key(tenant.id, name=name) for name in ("doomed", "other")]
    keys = KeyRing(engine, secret=SECRET, ttl=3600)
    await keys.start()
    identity, _ = await keys.authenticate(doomed), await keys.authenticate(other)
    before = dict(keys._cache.kept)
    end = admin.revoke_key(identity.key_id) if way == "revoked" else admin.rotate_key(identity.key_id, timedelta())
    await end

    async def refused() -> bool:
        return keys.fresh(doomed) is None

    for _ in range(2):
        await eventually(refused)
        with pytest.raises(Unauthenticated, match="was revoked" if way == "revoked" else "has expired") as ended:
            await keys.authenticate(doomed)
        assert ended.value.holder == (tenant.id, identity.key_id), "for the list of failed answers"
        assert keys.fresh(other)
        keys._wrong.clear()
        keys._cache.kept |= before  # a look-up that began before the end and is late
    await keys.aclose()


async def test_keys_that_ended_lately_are_found_without_reading_all(engine: AsyncEngine, tenant: Tenant) -> None:
    many = """
        INSERT INTO api_keys (id, tenant_id, name, digest, scopes, expires_at, revoked_at)
        SELECT 'many' || n, :tenant, 'one of many', '', '{call}', now() + n * interval '1 hour',
               CASE WHEN n % 2 = 0 THEN now() - n * interval '1 hour' END
        FROM generate_series(1, 20000) AS n"""
    asked = str(keys_module._ENDED.compile(engine, compile_kwargs={"literal_binds": True}))
    async with engine.connect() as connection:  # and rolled back
        await connection.execute(text(many), {"tenant": tenant.id})
        await connection.execute(text("ANALYZE api_keys"))
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {asked}"))).scalars())
    assert "Seq Scan" not in plan
    assert plan.count("Bitmap Index Scan") == 2


async def test_two_keys_of_a_tenant_work_side_by_side_so_that_one_can_replace_the_other(
    keys: KeyRing, admin: KeyAdministration, tenant: Tenant
) -> None:
    old, new = await admin.create_key(tenant.id, name="old"), await admin.create_key(tenant.id, name="new")
    assert (await keys.authenticate(old)).tenant == (await keys.authenticate(new)).tenant
    await admin.revoke_key(old.split("_")[1])
    assert (await keys.authenticate(new)).tenant == tenant


async def test_answers_are_cached_the_negative_ones_too(
    engine: AsyncEngine, keys: KeyRing, admin: KeyAdministration, tenant: Tenant
) -> None:
    token = await admin.create_key(tenant.id, name="busy")
    wrong = write("00000000", "x" * 43)
    statements: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        for _ in range(5):
            await keys.authenticate(token)
            with pytest.raises(Unauthenticated):
                await keys.authenticate(wrong)
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
    assert len([s for s in statements if "api_keys" in s]) == 2


async def test_guessing_keys_does_not_grow_memory_and_pushes_out_no_right_key(
    engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "MOST_CACHED", 5)
    keys = KeyRing(engine, secret=SECRET)
    right = await admin.create_key(tenant.id, name="right")
    await keys.authenticate(right)
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await keys.authenticate(write(f"{number:08d}", "x" * 43))
    assert (len(keys._cache.kept), len(keys._wrong)) == (1, 5)
    assert keys.knows(right)


async def test_while_postgres_is_away_no_unknown_key_is_let_in() -> None:
    nowhere = create_async_engine("postgresql+psycopg://absent@127.0.0.1:9/nothing")
    with pytest.raises(DependencyUnavailable):
        await KeyRing(nowhere, secret=SECRET).authenticate(write("abcdef00", "x" * 43))
    await nowhere.dispose()


async def test_lists_tell_everything_but_the_key(admin: KeyAdministration, tenant: Tenant) -> None:
    token = await admin.create_key(tenant.id, name="listed", user="grace")
    (info,) = await admin.list_keys(tenant.id)
    assert (info.id, info.tenant, info.user, info.name, info.scopes) == (
        token.split("_")[1],
        tenant.id,
        "grace",
        "listed",
        ("call",),
    )
    assert token.split("_", 2)[2] not in repr(info)
    assert tenant in await admin.list_tenants()


async def test_mistakes_raise_errors_of_their_own_types(admin: KeyAdministration, tenant: Tenant) -> None:
    with pytest.raises(InvalidRequest, match="already"):
        await admin.create_tenant(tenant.id, "again", MicroUSD(1), MicroUSD(1))
    with pytest.raises(InvalidRequest):
        await admin.create_tenant("not a name!", "x", MicroUSD(1), MicroUSD(1))
    with pytest.raises(NotFound):
        await admin.create_key("unknown", name="x")
    with pytest.raises(NotFound):
        await admin.create_user("unknown", "ada")
    with pytest.raises(NotFound):
        await admin.revoke_key("00000000")


async def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(
    keys: KeyRing, admin: KeyAdministration, tenant: Tenant
) -> None:
    """S6: no downtime, and both stand for the same."""
    old = await admin.create_key(tenant.id, name="backend", user="ada", scopes=("call", "read"))
    old_id = old.split("_")[1]
    await admin.limit_key(old_id, {"requests_per_minute": 5, "tokens_per_minute": 6, "concurrency": 7})
    new = await admin.rotate_key(old_id, timedelta(seconds=2))
    before, after = await keys.authenticate(old), await keys.authenticate(new)
    assert replace(after, key_id=before.key_id) == before
    listed = {info.id: (info.name, info.replaced_by) for info in await admin.list_keys(tenant.id)}
    assert listed == {before.key_id: ("backend", after.key_id), after.key_id: ("backend", None)}
    with pytest.raises(Unauthenticated, match="expired"):
        await _use_until_refused(keys, old)
    assert (await keys.authenticate(new)).user == "ada"


async def test_a_key_is_rotated_once_and_its_life_is_as_long_as_before(admin: KeyAdministration, tenant: Tenant) -> None:
    old = await admin.create_key(tenant.id, name="brief", expires_at=datetime.now(UTC) + timedelta(hours=2))
    old_id = old.split("_")[1]
    new = await admin.rotate_key(old_id, timedelta(days=7))
    expiry = {info.id: info.expires_at for info in await admin.list_keys(tenant.id)}
    left = timedelta(hours=2)
    for at in expiry.values():
        assert at is not None
        assert left - timedelta(minutes=1) < at - datetime.now(UTC) <= left  # the overlap gives the old one no more than it had
    with pytest.raises(InvalidRequest, match=new.split("_")[1]):
        await admin.rotate_key(old_id, timedelta())
    with pytest.raises(NotFound):
        await admin.rotate_key("00000000", timedelta())
    await admin.revoke_key(new.split("_")[1])
    with pytest.raises(NotFound):
        await admin.rotate_key(new.split("_")[1], timedelta())


async def test_a_scope_that_does_not_exist_cannot_be_given(admin: KeyAdministration, tenant: Tenant) -> None:
    for scopes in ((), ("call", "root")):
        with pytest.raises(InvalidRequest):
            await admin.create_key(tenant.id, name="x", scopes=scopes)


@pytest.mark.parametrize("user", ["", "a" * 129, "a\0", "a\x1b[31m", "\udcff"])
async def test_a_key_is_bound_to_a_user_that_calls_can_name_or_not_made(
    admin: KeyAdministration, tenant: Tenant, user: str
) -> None:
    """An empty name, as of a script's unset variable, would make a key that may act for every user."""
    with pytest.raises(InvalidRequest, match="user's id"):
        await admin.create_key(tenant.id, name="x", user=user)
    assert await admin.list_keys(tenant.id) == []


@pytest.mark.parametrize("name", ["", "a" * 201, "a\0", "\udcff"])
async def test_a_name_that_no_list_can_show_is_refused(admin: KeyAdministration, tenant: Tenant, name: str) -> None:
    with pytest.raises(InvalidRequest, match="printable"):
        await admin.create_key(tenant.id, name=name)
    with pytest.raises(InvalidRequest, match="printable"):
        await admin.create_tenant(f"{tenant.id}-2", name, MicroUSD(1), MicroUSD(1))


async def test_a_key_has_a_form_that_scanners_find_and_a_checksum(admin: KeyAdministration, tenant: Tenant) -> None:
    """A mistyped key is refused without a query to Postgres."""
    token = await admin.create_key(tenant.id, name="formed")
    assert re.fullmatch(PATTERN, token)
    nowhere = create_async_engine(
        "postgresql+psycopg://absent@127.0.0.1:9/nothing"
    )  # a lookup there raises DependencyUnavailable
    swapped = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    with pytest.raises(Unauthenticated) as refused:
        await KeyRing(nowhere, secret=SECRET).authenticate(swapped)
    await nowhere.dispose()
    assert refused.value.guess


async def test_last_use_is_written_once_a_minute_however_often_and_wherever_a_key_is_used(
    engine: AsyncEngine, keys: KeyRing, admin: KeyAdministration, tenant: Tenant
) -> None:
    """S6."""
    token = await admin.create_key(tenant.id, name="busy")
    key_id = (await keys.authenticate(token)).key_id
    one, other = LastUsed(engine), LastUsed(engine)
    written: list[int] = []

    def count(_c: object, cursor: Any, statement: str, *_: object) -> None:  # noqa: ANN401 - a driver's cursor
        if "last_used_at" in statement and "UPDATE" in statement:
            written.append(cursor.rowcount)

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    try:
        for worker in (one, other, one, other):
            for _ in range(50):
                worker.note(key_id)
            await worker.write()
    finally:
        event.remove(engine.sync_engine, "after_cursor_execute", count)
    assert written == [1, 0]  # the first worker's; the other's came within the minute; what was noted since, in neither
    (info,) = await admin.list_keys(tenant.id)
    assert info.last_used_at is not None
    assert datetime.now(UTC) - info.last_used_at < timedelta(seconds=30)


async def test_a_use_is_noted_by_authentication_and_written_at_the_end(
    engine: AsyncEngine, admin: KeyAdministration, tenant: Tenant
) -> None:
    keys = KeyRing(engine, secret=SECRET)
    await keys.start()
    used, unused = await admin.create_key(tenant.id, name="used"), await admin.create_key(tenant.id, name="unused")
    await keys.authenticate(used)
    await keys.aclose()
    listed = {info.name: info.last_used_at for info in await admin.list_keys(tenant.id)}
    assert listed["used"] is not None
    assert (listed["unused"], unused[:4]) == (None, "oct_")


async def _use_until_refused(keys: KeyRing, token: str) -> None:
    async with asyncio.timeout(120):
        while True:
            await keys.authenticate(token)
            await asyncio.sleep(0.02)


async def test_a_wrong_key_is_a_guess_again_when_it_would_be_looked_up_again(engine: AsyncEngine) -> None:
    """S8: otherwise a guesser could have as many lookups at once as came before."""
    ring, wrong = KeyRing(engine, secret=b"s", ttl=0.0), write("0a0b0c0d", "x" * 43)
    for _ in range(2):
        assert not ring.knows(wrong)
        with pytest.raises(Unauthenticated) as refused:
            await ring.authenticate(wrong)
        assert refused.value.guess


async def test_a_malformed_key_that_is_repeated_is_one_guess(engine: AsyncEngine) -> None:
    ring = KeyRing(engine, secret=b"s")
    guesses = []
    for _ in range(3):
        with pytest.raises(Unauthenticated) as refused:
            await ring.authenticate("sk-of-another-vendor")
        guesses.append(refused.value.guess)
    assert guesses == [True, False, False]
    assert ring.knows("sk-of-another-vendor")


async def test_with_postgres_away_known_keys_last_a_while_and_unknown_ones_are_refused(
    admin: KeyAdministration, engine: AsyncEngine, tmp_path: Path
) -> None:
    """Also for a worker that starts meanwhile, or never saw the key.

    It reads the file that the other workers of its machine write.
    """
    await admin.create_tenant(tenant := f"t-{uuid4().hex[:8]}", "A tenant", MicroUSD(1), MicroUSD(1))
    known, unknown = [await admin.create_key(tenant, name=name, user="ada") for name in ("known", "unknown")]

    def ring(of: AsyncEngine, *, stale: float = 60.0) -> KeyRing:
        file = Remembered(tmp_path / "keys.json", secret=SECRET, seconds=stale)
        return KeyRing(of, secret=SECRET, ttl=0.0, stale=stale, remembered=file)

    here = ring(engine)
    identity = await here.authenticate(known)
    file = Remembered(tmp_path / "keys.json", secret=SECRET, seconds=60.0)
    _write(file, {digest.hex(): cached for digest, cached in here._cache.kept.items()})
    nowhere = create_async_engine("postgresql+psycopg://absent@127.0.0.1:1/none")
    here._engine = nowhere
    newcomer, neighbour = ring(nowhere), ring(nowhere)
    await newcomer.start()
    for without in (here, newcomer, neighbour):
        assert await without.authenticate(known) == identity
        assert without.knows_some
        with pytest.raises(DependencyUnavailable):
            await without.authenticate(unknown)
    busy = ring(nowhere)
    assert await asyncio.gather(*(busy.authenticate(known) for _ in range(20))) == [identity] * 20
    here._cache._stale = 0.0
    with pytest.raises(DependencyUnavailable):
        await here.authenticate(known)
    newcomer._engine = engine
    newcomer._cache._quiet_until = 0.0
    (info,) = [key for key in await admin.list_keys(tenant) if key.name == "known"]
    await admin.revoke_key(info.id)
    with pytest.raises(Unauthenticated):
        await newcomer.authenticate(known)
    newcomer._wrong.clear()  # its five seconds are over
    newcomer._engine = nowhere
    with pytest.raises(Unauthenticated):  # though the file of the other workers still has the key
        await newcomer.authenticate(known)
    newcomer._used._noted.clear()
    await newcomer.aclose()
