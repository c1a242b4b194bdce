"""Sessions: an API key becomes a row in Postgres and a cookie (S8).

The cookie holds 32 random bytes; the row holds their HMAC, so a stolen table opens nothing. A session ends when it was not used
for `idle`, after `lifetime` in any case, when it is revoked, and when its key is revoked or expires. It is looked up again every
few seconds. While Postgres is away a session that was good stays good for `AWAY`: the pages that need no store must open then.
"""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.console.tables import console_sessions
from app.domain.calls import Identity
from app.domain.errors import Forbidden, NotFound
from app.security.tables import api_keys

Role = Literal["viewer", "operator"]
ROLES: dict[str, Role] = {"admin": "operator", "view": "viewer"}  # by the key's scope, the strongest first
FRESH = 5.0  # seconds that a look-up counts
AWAY = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)
KEPT = timedelta(days=30)  # an ended session, for the list
MOST_KNOWN = 1000
LONGEST_BROWSER = 200


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. ``csrf`` must come back in every form."""

    id: uuid.UUID
    key_id: str
    tenant: str
    role: Role
    csrf: str

    @property
    def actor(self) -> str:
        """As the operators' log names it."""
        return f"key:{self.key_id} of {self.tenant} in the console"

    def signed(self, *words: str) -> str:
        """A mark for words that come back in an address: a link can be written by anyone."""
        return hmac.digest(self.csrf.encode(), "\0".join(words).encode("utf-8", "replace"), hashlib.sha256).hex()

    @property
    def may_act(self) -> bool:
        """Whether it may change anything."""
        return self.role == "operator"


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as the list shows it."""

    id: uuid.UUID
    key_id: str
    tenant: str
    role: Role
    browser: str
    began_at: datetime
    used_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None


def role_of(identity: Identity) -> Role:
    """The role that a key's scopes give. Raises Forbidden where they give none."""
    for scope, role in ROLES.items():
        if scope in identity.scopes:
            return role
    raise Forbidden("This API key opens no console. It needs the scope `admin`, or `view` to look only.")


class Sessions:
    """The sessions of one service."""

    def __init__(self, engine: AsyncEngine, *, secret: bytes, idle: timedelta, lifetime: timedelta) -> None:
        """``secret`` is the service's; a key of its own is derived."""
        self._engine = engine
        self._key = hmac.digest(secret, b"octant console sessions", hashlib.sha256)
        self._idle = idle
        self._lifetime = lifetime
        self._known: dict[str, tuple[Session, float]] = {}

    async def begin(self, identity: Identity, browser: str) -> str:
        """Begin a session. Returns the cookie's token. Raises Forbidden, SQLAlchemyError or OSError."""
        role, token, now = role_of(identity), secrets.token_urlsafe(32), datetime.now(UTC)
        values = {
            "id": uuid.uuid4(), "digest": self._digest(token), "key_id": identity.key_id, "tenant": identity.tenant.id,
            "role": role,
            "browser": browser[:LONGEST_BROWSER], "began_at": now, "used_at": now, "ends_at": now + self._lifetime,
        }  # fmt: skip
        async with self._engine.begin() as connection:
            await connection.execute(delete(console_sessions).where(console_sessions.c.ends_at < now - KEPT))
            await connection.execute(insert(console_sessions).values(values))
        return token

    async def find(self, token: str) -> Session | None:
        """The session of a cookie, None where it has ended. Raises SQLAlchemyError or OSError where that is not known."""
        digest = self._digest(token)
        known = self._known.get(digest)
        if known and time.monotonic() < known[1] + FRESH:
            return known[0]
        try:
            session = await self._look_up(digest)
        except (SQLAlchemyError, OSError):
            if known and time.monotonic() < known[1] + AWAY.total_seconds():
                return known[0]
            raise
        self._known.pop(digest, None)
        if session:
            while len(self._known) >= MOST_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[digest] = session, time.monotonic()
        return session

    async def end(self, session: uuid.UUID, *, by: str) -> None:
        """End a session on every worker within a few seconds, on this one now. Raises NotFound, SQLAlchemyError or OSError."""
        of_it = console_sessions.c.id == session, console_sessions.c.revoked_at.is_(None)
        async with self._engine.begin() as connection:
            done = await connection.execute(
                update(console_sessions).where(*of_it).values(revoked_at=datetime.now(UTC), revoked_by=by)
            )
        self._known = {digest: known for digest, known in self._known.items() if known[0].id != session}
        if not done.rowcount:
            raise NotFound("No such session is open.")

    async def list(self, limit: int = 100) -> Sequence[Listed]:
        """The sessions, the last used first. Raises SQLAlchemyError or OSError."""
        columns = [c for c in console_sessions.c if c.name != "digest"]
        statement = select(*columns).order_by(console_sessions.c.used_at.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [Listed(**row) for row in (await connection.execute(statement)).mappings()]

    def over(self, one: Listed, now: datetime | None = None) -> bool:
        """Whether a session has ended by time: too long ago begun, or not used for too long."""
        now = now or datetime.now(UTC)
        return one.ends_at <= now or one.used_at <= now - self._idle

    async def _look_up(self, digest: str) -> Session | None:
        now, s = datetime.now(UTC), console_sessions.c
        good_key = api_keys.c.revoked_at.is_(None) & or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
        statement = select(s.id, s.key_id, s.tenant, s.role, s.used_at).where(
            s.digest == digest, s.revoked_at.is_(None), s.ends_at > now, s.used_at > now - self._idle,
            select(api_keys.c.id).where(api_keys.c.id == s.key_id, good_key).exists(),
        )  # fmt: skip
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
            if row and row.used_at < now - MINUTE:
                await connection.execute(update(console_sessions).where(s.id == row.id).values(used_at=now))
        return Session(row.id, row.key_id, row.tenant, row.role, self._csrf(digest)) if row else None

    def _digest(self, token: str) -> str:
        return hmac.digest(self._key, token.encode(), hashlib.sha256).hex()

    def _csrf(self, digest: str) -> str:
        return hmac.digest(self._key, b"form:" + digest.encode(), hashlib.sha256).hex()
