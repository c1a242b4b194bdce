"""Sessions: an API key, or a person of the provider of sign-ins, becomes a row in Postgres and a cookie (S8).

The cookie holds 32 random bytes with a mark of ours, so a made-up one costs no query; the row holds their HMAC, so a stolen table
opens nothing. A session ends when it was not used
for `idle`, after `lifetime` in any case, when it is revoked, and when its key is revoked or expires, or its provider is no longer
the one that is set. It is looked up again every few seconds.
While Postgres is away a session that was good stays good for `AWAY`: the pages that need no store must open then.
"""

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Column, RowMapping, delete, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
RANDOM = 43  # characters of a token before its mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The opener of a session: a key and its tenant, or a subject of an issuer.

    ``subject``: redacted, as the operators' log names it. ``person``: a name to read. ``login``: the sign-in's mark, good for one
    session.
    """

    role: Role
    key_id: str = ""
    tenant: str = ""
    issuer: str | None = None
    subject: str | None = None
    person: str | None = None
    login: str | None = None

    @property
    def actor(self) -> str:
        """As the operators' log names it."""
        return f"key:{self.key_id} of {self.tenant}" if self.key_id else f"person:{self.subject}"

    @property
    def shown(self) -> str:
        """As pages name it."""
        return f"key {self.key_id}" if self.key_id else str(self.person)


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. ``csrf`` must come back in every form."""

    id: uuid.UUID
    holder: Holder
    csrf: str

    @property
    def role(self) -> Role:
        """The holder's."""
        return self.holder.role

    @property
    def actor(self) -> str:
        """As the operators' log names it."""
        return f"{self.holder.actor} in the console"

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
    holder: Holder
    browser: str
    began_at: datetime
    used_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None


def holder_of_key(identity: Identity) -> Holder:
    """A key's holder, in the role that its scopes give. Raises Forbidden where they give none."""
    for scope, role in ROLES.items():
        if scope in identity.scopes:
            return Holder(role=role, key_id=identity.key_id, tenant=identity.tenant.id)
    raise Forbidden("This API key opens no console. It needs the scope `admin`, or `view` to look only.")


class Sessions:
    """The sessions of one service."""

    def __init__(self, engine: AsyncEngine, *, secret: bytes, idle: timedelta, lifetime: timedelta, issuer: str = "") -> None:
        """``secret`` is the service's; a key of its own is derived. ``issuer``: whose people have sessions; empty for none."""
        self._engine = engine
        self._key = hmac.digest(secret, b"octant console sessions", hashlib.sha256)
        self._idle = idle
        self._lifetime = lifetime
        self._issuer = issuer
        self._known: dict[str, tuple[Session, float]] = {}

    async def begin(self, holder: Holder, browser: str) -> str:
        """Begin a session. Returns the cookie's token. Raises SQLAlchemyError (IntegrityError for a used login) or OSError."""
        token, now = self._marked(secrets.token_urlsafe(32)), datetime.now(UTC)
        values = {
            "id": uuid.uuid4(), "digest": self._digest(token), **asdict(holder),
            "browser": browser[:LONGEST_BROWSER], "began_at": now, "used_at": now, "ends_at": now + self._lifetime,
        }  # fmt: skip
        async with self._engine.begin() as connection:
            await connection.execute(insert(console_sessions).values(values))
        return token

    async def find(self, token: str, *, used: bool = True) -> Session | None:
        """The session of a cookie, None where it has ended. Raises SQLAlchemyError or OSError where that is not known.

        ``used``: by a person. What a page asks by itself must not keep a session open.
        """
        if not hmac.compare_digest(token.encode(), self._marked(token[:RANDOM]).encode()):
            return None  # anyone can send such a cookie, and as many as they like
        digest = self._digest(token)
        known = self._known.get(digest)
        if known and time.monotonic() < known[1] + FRESH:
            return known[0]
        try:
            session = await self._look_up(digest, used=used)
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
        s = console_sessions.c
        rest = (s.id, s.browser, s.began_at, s.used_at, s.ends_at, s.revoked_at, s.revoked_by)
        statement = select(*_holders(), *rest).order_by(s.used_at.desc()).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [Listed(holder=_holder(row), **{c.name: row[c.name] for c in rest}) for row in rows]

    def over(self, one: Listed, now: datetime | None = None) -> bool:
        """Whether a session has ended by time: too long ago begun, or not used for too long."""
        now = now or datetime.now(UTC)
        return one.ends_at <= now or one.used_at <= now - self._idle

    async def _look_up(self, digest: str, *, used: bool) -> Session | None:
        now, s = datetime.now(UTC), console_sessions.c
        good_key = api_keys.c.revoked_at.is_(None) & or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
        of_good_key = select(api_keys.c.id).where(api_keys.c.id == s.key_id, good_key).exists()
        statement = select(s.id, s.used_at, *_holders()).where(
            s.digest == digest, s.revoked_at.is_(None), s.ends_at > now, s.used_at > now - self._idle,
            or_(of_good_key, s.issuer == self._issuer),
        )  # fmt: skip
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
            if row and used and row["used_at"] < now - MINUTE:
                await connection.execute(update(console_sessions).where(s.id == row["id"]).values(used_at=now))
        return Session(row["id"], _holder(row), self._csrf(digest)) if row else None

    def _marked(self, random: str) -> str:
        return random + hmac.digest(self._key, b"cookie:" + random.encode(), hashlib.sha256).hex()

    def _digest(self, token: str) -> str:
        return hmac.digest(self._key, token.encode(), hashlib.sha256).hex()

    def _csrf(self, digest: str) -> str:
        return hmac.digest(self._key, b"form:" + digest.encode(), hashlib.sha256).hex()


async def forget(connection: AsyncConnection) -> None:
    """Delete sessions, and the names in them, that ended long ago. In the connection's transaction."""
    await connection.execute(delete(console_sessions).where(console_sessions.c.ends_at < datetime.now(UTC) - KEPT))


def _holders() -> list[Column[Any]]:
    return [console_sessions.c[one.name] for one in fields(Holder)]


def _holder(row: RowMapping) -> Holder:
    return Holder(**{one.name: row[one.name] for one in fields(Holder)})
