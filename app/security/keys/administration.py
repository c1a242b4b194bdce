"""Tenants and API keys: made, limited, rotated, revoked, listed. For operators' commands; no request needs it.

A key is shown once, when it is made, and kept as a keyed hash. A change reaches every worker when its cache of that key ends
(`KeyRing`, 5 seconds); the end of a key mostly within half a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Tenant
from app.domain.errors import InvalidRequest, NotFound
from app.domain.money import MicroUSD
from app.domain.user_ids import check_user
from app.security.keys import token as tokens
from app.security.keys.rows import tenant_of
from app.security.tables import api_keys, tenants, users

# Make calls; read one's own tenant's records; look at everything in the console; operate the service.
SCOPES = ("call", "read", "view", "admin")
MOST_LABEL = 200  # the columns'


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret."""

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


class KeyAdministration:
    """See the module."""

    def __init__(self, engine: AsyncEngine, *, secret: bytes) -> None:
        """``secret`` keys the hashes of new keys; without it (``b""``) no key that is made works."""
        self._engine = engine
        self._secret = secret

    async def create_tenant(self, tenant_id: str, name: str, daily_cap: MicroUSD, user_daily_cap: MicroUSD) -> Tenant:
        """Create a tenant. Raises InvalidRequest if the id is taken or not fit for a key name."""
        if not tenant_id.replace("-", "").isalnum() or not tenant_id.isascii() or len(tenant_id) > 64:
            raise InvalidRequest("A tenant id has letters, digits and hyphens, 64 at most.", param="id")
        _check_label(name)
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
        return tenant_of(row)

    async def change_tenant(self, tenant_id: str, **values: str | int | None) -> Tenant:
        """Change a tenant's caps, rate limits or time zone, on every replica within the cache's ttl. Raises NotFound."""
        async with self._engine.begin() as connection:
            result = await connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(values))
        if not result.rowcount:
            raise _no_tenant(tenant_id)
        return await self.tenant(tenant_id)

    async def limit_key(self, key_id: str, limits: Mapping[str, int | None]) -> Mapping[str, int | None]:
        """Set rate limits of a key's own by their columns; others stay. Returns those that were set before. Raises NotFound."""
        of_key = api_keys.c.id == key_id
        async with self._engine.begin() as connection:
            own = select(*(api_keys.c[name] for name in limits)).where(of_key).with_for_update()
            before = (await connection.execute(own)).mappings().one_or_none()
            if before is None:
                raise NotFound(f"No key {key_id!r}. `octant key list` shows all.")
            await connection.execute(update(api_keys).where(of_key).values(dict(limits)))
        return dict(before)

    async def create_user(self, tenant_id: str, user_id: str) -> None:
        """Note a user of a tenant; noting one twice is fine. Raises NotFound for an unknown tenant, InvalidRequest."""
        check_user(user_id)  # a key that is bound to an empty one would be bound to none, and could name any
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
        _check_label(name)
        token = tokens.new()
        if user is not None:
            await self.create_user(tenant_id, user)
        values = {
            "id": tokens.key_id_of(token),
            "tenant_id": tenant_id,
            "user_id": user,
            "name": name,
            "digest": tokens.digest_of(token, self._secret),
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
        """Return a new key with the identity of ``key_id``, which works for ``overlap`` more.

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
            values = {
                "id": new_id,
                "digest": tokens.digest_of(token, self._secret),
                "expires_at": expires_at or (now + life if life else None),
            }
            await connection.execute(insert(api_keys).values({**same, **values}))
            ends = min(now + overlap, old.expires_at or datetime.max.replace(tzinfo=UTC))
            replaced = update(api_keys).where(api_keys.c.id == key_id)
            await connection.execute(replaced.values(expires_at=ends, replaced_by=new_id))
        return token

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key, on every replica within the cache's ttl. Raises NotFound."""
        statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        async with self._engine.begin() as connection:
            result = await connection.execute(statement.values(revoked_at=datetime.now(UTC)))
        if not result.rowcount:
            raise _no_key(key_id)

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
        return [tenant_of(row) for row in rows]


_KEPT_BY_ROTATION = ("tenant_id", "user_id", "name", "scopes", "requests_per_minute", "tokens_per_minute", "concurrency")


def _check_label(name: str) -> None:
    """Raise InvalidRequest for a name for people that no list can show."""
    if not 0 < len(name) <= MOST_LABEL or not name.isprintable():
        raise InvalidRequest(f"A name has 1 to {MOST_LABEL} printable characters.", param="name")


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"No live key {key_id!r}. `octant key list` shows all.")


def _no_tenant(tenant_id: str) -> NotFound:
    return NotFound(f"No tenant {tenant_id!r}. `octant tenant create` makes one.")


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
