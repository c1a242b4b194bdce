"""Tenants and API keys: made once, shown once, kept only as a keyed hash.

`app.security.keys.token` says how a key is written. Its id finds the row; the secret, 32 random bytes, is compared as HMAC-SHA256
under the service's own secret, so a stolen table alone opens nothing. A slow hash would add nothing: the secret is random.

A key that Postgres found good is looked up again every few seconds. While Postgres is away it stays good for a bounded time, also
for a worker that starts meanwhile (`known_keys`); a key that is not known is refused with 503.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Table, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity, RateLimits, Tenant
from app.domain.errors import DependencyUnavailable, InvalidRequest, NotFound, Unauthenticated
from app.domain.money import MicroUSD
from app.security.keys import token as tokens
from app.security.keys.known_keys import Cached, KnownKeys
from app.security.keys.last_used import LastUsed
from app.security.remembered import Remembered
from app.security.tables import api_keys, tenants, users

SCOPES = ("call", "read", "admin")  # make calls; read one's own tenant's records; operate the service
MOST_CACHED = 10_000
OF_TENANT = "of_tenant_"  # before the tenant's columns in a key's row
_WRONG = "This API key is not valid."


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be told of a key."""

    id: str
    tenant: str
    user: str | None
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None


class KeyRing:
    """Finds who holds a key. Look-ups are kept in the process for ``ttl`` seconds: a revoked key works that much longer."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        secret: bytes,
        ttl: float = 5.0,
        stale: float = 0.0,
        remembered: Remembered | None = None,
    ) -> None:
        """``secret`` keys the hashes: changing it makes every key invalid.

        ``stale``: seconds that a key stays good while Postgres is away, since it last said so. ``remembered``: the local file.
        """
        self._engine = engine
        self._secret = secret
        self._ttl = ttl
        self._cache = KnownKeys(self._look_up, stale=stale, remembered=remembered)
        self._wrong: dict[bytes, Cached] = {}  # apart, so that guesses push out no key that is right
        self._used = LastUsed(engine)

    async def start(self) -> None:
        """Begin to write down, now and then, which keys were used and are known."""
        await self._used.start()
        await self._cache.start()

    async def aclose(self) -> None:
        """Write down what is not yet, and stop."""
        await self._cache.aclose()
        await self._used.aclose()

    @property
    def knows_some(self) -> bool:
        """Whether some caller's calls would be answered with Postgres away."""
        return self._cache.some_good

    def knows(self, token: str) -> bool:
        """Whether this key is right or came a moment ago: it is no guess then."""
        return self._known(self._digest(token)) is not None

    async def authenticate(self, token: str) -> Identity:
        """Return who holds ``token``. Raises Unauthenticated, or DependencyUnavailable while Postgres is away."""
        key_id, digest = tokens.key_id_of(token), self._digest(token)
        known = self._known(digest)
        if key_id is None:
            self._remember(digest, Cached(None, None, math.inf))  # never looked up
            raise _unknown(guess=known is None)
        cached = known
        if cached is None:
            cached = await self._cache.first(key_id, digest)
        elif cached.until < time.monotonic():
            cached = await self._cache.refreshed(key_id, digest, cached)
        if cached is not known:
            self._remember(digest, cached)
        if cached.identity is None:
            raise _unknown(guess=known is None)
        if cached.expires_at and cached.expires_at <= datetime.now(UTC):
            raise Unauthenticated("This API key has expired.")
        self._used.note(key_id)
        return cached.identity

    async def identify(self, key_id: str) -> Identity:
        """Return whom a key stands for now, for work that its holder left to us. Raises as `authenticate`. Not cached."""
        row = await self._row(key_id)
        if row is None or (row.expires_at and row.expires_at <= datetime.now(UTC)):
            raise Unauthenticated("The API key that this was asked with is revoked or has expired.")
        return _identity(row)

    async def create_tenant(self, tenant_id: str, name: str, daily_cap: MicroUSD, user_daily_cap: MicroUSD) -> Tenant:
        """Create a tenant. Raises InvalidRequest if the id is taken or not fit for a key name."""
        if not tenant_id.replace("-", "").isalnum() or not tenant_id.isascii() or len(tenant_id) > 64:
            raise InvalidRequest("A tenant id has letters, digits and hyphens, 64 at most.", param="id")
        values = {"id": tenant_id, "name": name, "daily_cap": daily_cap, "user_daily_cap": user_daily_cap}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(tenants).values(values))
        except IntegrityError:
            raise InvalidRequest(f"There is already a tenant {tenant_id!r}.", param="id") from None
        return Tenant(tenant_id, name, daily_cap, user_daily_cap)

    async def tenant(self, tenant_id: str) -> Tenant:
        """One tenant. Raises NotFound."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(tenants).where(tenants.c.id == tenant_id))).one_or_none()
        if row is None:
            raise _no_tenant(tenant_id)
        return _tenant(row)

    async def change_tenant(self, tenant_id: str, **values: str | int | None) -> Tenant:
        """Change a tenant's caps, rate limits or time zone, on every replica within the cache's ttl. Raises NotFound."""
        async with self._engine.begin() as connection:
            result = await connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(values))
        if not result.rowcount:
            raise _no_tenant(tenant_id)
        self._cache.kept.clear()
        return await self.tenant(tenant_id)

    async def limit_key(self, key_id: str, limits: RateLimits) -> None:
        """Set a key's own rate limits. Raises NotFound."""
        values = {"requests_per_minute": limits.requests, "tokens_per_minute": limits.tokens, "concurrency": limits.concurrency}
        async with self._engine.begin() as connection:
            result = await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(values))
        if not result.rowcount:
            raise NotFound(f"No key {key_id!r}. `octant key list` shows all.")
        self._cache.kept.clear()

    async def create_user(self, tenant_id: str, user_id: str) -> None:
        """Note a user of a tenant; noting one twice is fine. Raises NotFound for an unknown tenant."""
        statement = postgresql.insert(users).values(tenant_id=tenant_id, id=user_id).on_conflict_do_nothing()
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            raise _no_tenant(tenant_id) from None

    async def create_key(
        self,
        tenant_id: str,
        *,
        name: str,
        user: str | None = None,
        scopes: Sequence[str] = ("call",),
        expires_at: datetime | None = None,
    ) -> str:
        """Create a key and return it: the only time it is seen. Raises NotFound for an unknown tenant, InvalidRequest."""
        unknown = set(scopes) - set(SCOPES)
        if unknown or not scopes:
            raise InvalidRequest(f"A key's scopes are of: {', '.join(SCOPES)}.", param="scopes")
        token = tokens.new()
        if user is not None:
            await self.create_user(tenant_id, user)
        values = {
            "id": tokens.key_id_of(token),
            "tenant_id": tenant_id,
            "user_id": user,
            "name": name,
            "digest": self._digest(token),
            "scopes": list(scopes),
            "expires_at": expires_at,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(api_keys).values(values))
        except IntegrityError:
            raise _no_tenant(tenant_id) from None
        return token

    async def rotate_key(self, key_id: str, overlap: timedelta, *, expires_at: datetime | None = None) -> str:
        """Return a new key that stands for the same as ``key_id``, which itself works for ``overlap`` more and no longer.

        Name, scopes, user and limits are the same; the new key lives as long as the old one was meant to, unless ``expires_at``
        says otherwise. Raises NotFound for a key that is not live, InvalidRequest for one that was replaced already.
        """
        now = datetime.now(UTC)
        token = tokens.new()
        async with self._engine.begin() as connection:
            found = select(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).with_for_update()
            old = (await connection.execute(found)).one_or_none()
            if old is None or (old.expires_at and old.expires_at <= now):
                raise _no_key(key_id)
            if old.replaced_by:
                raise InvalidRequest(f"Key {key_id} was replaced by {old.replaced_by}: rotate that one.", param="key")
            life = old.expires_at - old.created_at if old.expires_at else None
            same = {name: getattr(old, name) for name in _KEPT_BY_ROTATION}
            new_id = tokens.key_id_of(token)
            values = {"id": new_id, "digest": self._digest(token), "expires_at": expires_at or (now + life if life else None)}
            await connection.execute(insert(api_keys).values({**same, **values}))
            ends = min(now + overlap, old.expires_at or datetime.max.replace(tzinfo=UTC))
            replaced = update(api_keys).where(api_keys.c.id == key_id)
            await connection.execute(replaced.values(expires_at=ends, replaced_by=new_id))
        self._cache.kept.clear()
        return token

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key, on every replica within the cache's ttl. Raises NotFound."""
        statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        async with self._engine.begin() as connection:
            result = await connection.execute(statement.values(revoked_at=datetime.now(UTC)))
        if not result.rowcount:
            raise _no_key(key_id)
        self._cache.kept.clear()

    async def list_keys(self, tenant_id: str | None = None) -> list[KeyInfo]:
        """All keys, or one tenant's, oldest first."""
        statement = select(api_keys).order_by(api_keys.c.created_at)
        if tenant_id:
            statement = statement.where(api_keys.c.tenant_id == tenant_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [_info(row) for row in rows]

    async def oldest_age(self) -> float:
        """Seconds since the oldest key that works was made; 0 where none works."""
        now = datetime.now(UTC)
        live = api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
        async with self._engine.connect() as connection:
            oldest = (await connection.execute(select(func.min(api_keys.c.created_at)).where(*live))).scalar_one()
        return (now - oldest).total_seconds() if oldest else 0.0

    async def list_tenants(self) -> list[Tenant]:
        """All tenants by id."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(tenants).order_by(tenants.c.id))).all()
        return [_tenant(row) for row in rows]

    async def _look_up(self, key_id: str, digest: bytes) -> Cached:
        row = await self._row(key_id)
        until = time.monotonic() + self._ttl
        if row is None or not hmac.compare_digest(row.digest, digest):
            return Cached(None, None, until)
        return Cached(_identity(row), row.expires_at, until, time.time())

    async def _row(self, key_id: str) -> Row[Any] | None:
        """A live key with its tenant."""
        statement = (
            select(api_keys, *(column.label(f"{OF_TENANT}{column.name}") for column in tenants.c))
            .join(tenants, tenants.c.id == api_keys.c.tenant_id)
            .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        )
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement)).one_or_none()
        except DataError:
            raise  # the store is there: a value cannot be held
        except (SQLAlchemyError, OSError) as error:
            raise DependencyUnavailable("API keys cannot be checked right now.", retry_after=5.0) from error

    def _known(self, digest: bytes) -> Cached | None:
        """What is kept of a key. A wrong one is new again when its time is over, for it will be looked up again."""
        wrong = self._wrong.get(digest)
        return self._cache.kept.get(digest) or (wrong if wrong and wrong.until > time.monotonic() else None)

    def _remember(self, digest: bytes, found: Cached) -> None:
        """Keep an answer; when its kind is full the oldest goes, so guessing keys cannot grow memory."""
        right = self._cache.kept
        kept, other = (right, self._wrong) if found.identity else (self._wrong, right)
        if other.pop(digest, None) and other is right:
            self._cache.deny(digest, found)
        kept.pop(digest, None)  # what was found last stands last
        if len(kept) >= MOST_CACHED:
            kept.pop(next(iter(kept)))
        kept[digest] = found

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._secret, token.encode(), hashlib.sha256)


def _identity(row: Row[Any]) -> Identity:
    tenant = _tenant(row, OF_TENANT)
    return Identity(
        tenant=tenant,
        key_id=row.id,
        user=row.user_id or "",
        scopes=frozenset(row.scopes),
        limits=_limits(_columns(row, api_keys)),
    )


_KEPT_BY_ROTATION = ("tenant_id", "user_id", "name", "scopes", "requests_per_minute", "tokens_per_minute", "concurrency")


def _unknown(*, guess: bool) -> Unauthenticated:
    error = Unauthenticated(_WRONG)
    error.guess = guess
    return error


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"No live key {key_id!r}. `octant key list` shows all.")


def _no_tenant(tenant_id: str) -> NotFound:
    return NotFound(f"No tenant {tenant_id!r}. `octant tenant create` makes one.")


def _tenant(row: Row[Any], prefix: str = "") -> Tenant:
    of = _columns(row, tenants, prefix)
    return Tenant(
        id=of["id"],
        name=of["name"],
        daily_cap=MicroUSD(of["daily_cap"]),
        user_daily_cap=MicroUSD(of["user_daily_cap"]),
        monthly_cap=_money(of["monthly_cap"]),
        user_monthly_cap=_money(of["user_monthly_cap"]),
        request_cap=_money(of["request_cap"]),
        time_zone=of["time_zone"],
        limits=_limits(of),
    )


def _columns(row: Row[Any], table: Table, prefix: str = "") -> dict[str, Any]:
    return {column.name: getattr(row, prefix + column.name) for column in table.c}


def _limits(of: Mapping[str, Any]) -> RateLimits:
    return RateLimits(of["requests_per_minute"], of["tokens_per_minute"], of["concurrency"])


def _money(amount: int | None) -> MicroUSD | None:
    return None if amount is None else MicroUSD(amount)


def _info(row: Row[tuple[object, ...]]) -> KeyInfo:
    return KeyInfo(
        id=row.id,
        tenant=row.tenant_id,
        user=row.user_id,
        name=row.name,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        replaced_by=row.replaced_by,
    )
