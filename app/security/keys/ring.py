"""Identifies the holder of an API key, for each request. `administration` makes and changes keys.

`app.security.keys.token` describes a key's form. Its id finds the row; the secret, 32 random bytes, is compared as HMAC-SHA256
under the service's own secret, so a stolen table alone opens nothing. A slow hash would add nothing: the secret is random.

A key that Postgres found good is looked up again every few seconds. One that ended lately (revoked, replaced, expired) is taken
out of the memory twice a second, as stops are read: a thief need not be served until the look-up's end.

While Postgres is away a good key stays good for a bounded time, also for a worker that starts meanwhile (`known_keys`); a key
that is not known is refused with 503.
"""

import hmac
import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, Unauthenticated
from app.domain.periodic import Periodic
from app.security.keys import token as tokens
from app.security.keys.known_keys import Cached, KnownKeys
from app.security.keys.last_used import LastUsed
from app.security.keys.rows import OF_TENANT, identity_of
from app.security.remembered import Remembered
from app.security.tables import api_keys, tenants

MOST_CACHED = 10_000
FOLLOW_EVERY = 0.5  # seconds, as the kill switch reads its stores
LATELY = timedelta(seconds=10)  # longer than a look-up that began before a key's end lasts, and than a clock is wrong
_WRONG = "This API key is not valid."
_ENDED = select(api_keys.c.id, api_keys.c.tenant_id, api_keys.c.revoked_at, api_keys.c.expires_at).where(
    or_(
        api_keys.c.revoked_at > func.now() - LATELY,
        and_(api_keys.c.expires_at > func.now() - LATELY, api_keys.c.expires_at <= func.now()),
    )
)


class KeyRing:
    """Finds who holds a key. Look-ups are kept in the process for ``ttl`` seconds: the longest that a revoked key works on."""

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

        ``stale``: seconds that a key stays good while Postgres is away, from its last look-up. ``remembered``: the local file.
        """
        self._engine = engine
        self._secret = secret
        self._ttl = ttl
        self._cache = KnownKeys(self._look_up, stale=stale, remembered=remembered)
        self._wrong: dict[bytes, Cached] = {}  # apart, so that guesses push out no key that is right
        self._used = LastUsed(engine)
        away = (SQLAlchemyError, OSError)  # nothing is lost: a look-up does not succeed either, and it counts that
        self._following = Periodic("ended API keys", self._follow, every=FOLLOW_EVERY, at_once=False, survives=away)

    async def start(self) -> None:
        """Begin to write down, now and then, which keys were used and are known, and to follow which ones end."""
        await self._used.start()
        await self._cache.start()
        self._following.start()

    async def aclose(self) -> None:
        """Write down what is not yet, and stop."""
        await self._following.stop()
        await self._cache.aclose()
        await self._used.aclose()

    @property
    def knows_some(self) -> bool:
        """Return whether some caller's calls would be answered with Postgres away."""
        return self._cache.some_good

    def knows(self, token: str) -> bool:
        """Return whether this key is right or came a moment ago: it is no guess then."""
        return self._known(self._digest(token)) is not None

    def fresh(self, token: str) -> Identity | None:
        """Return who holds ``token`` if that was looked up a moment ago, as for nearly every request; else `authenticate`."""
        known = self._cache.kept.get(self._digest(token))
        if known is None or known.identity is None or known.until < time.monotonic():
            return None
        if known.expires_at and known.expires_at <= datetime.now(UTC):
            return None
        self._used.note(known.identity.key_id)
        return known.identity

    async def authenticate(self, token: str) -> Identity:
        """Return who holds ``token``. Raises Unauthenticated, or DependencyUnavailable while Postgres is away."""
        digest = self._digest(token)
        known = self._known(digest)
        key_id = known.identity.key_id if known and known.identity else tokens.key_id_of(token)
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
        if cached.revoked:  # its holder knows the whole key, so it is no guess, and has to learn why it ended
            raise _ended(f"This API key, {key_id}, was revoked. Use another one.", cached.tenant, key_id)
        if cached.identity is None:
            raise _unknown(guess=known is None)
        if cached.expires_at and cached.expires_at <= datetime.now(UTC):
            raise _ended("This API key has expired.", cached.identity.tenant.id, key_id)
        self._used.note(key_id)
        return cached.identity

    async def identify(self, key_id: str) -> Identity:
        """Return a key's identity now, for work that its holder left to us. Raises as `authenticate`. Not cached."""
        row = await self._row(key_id)
        if row is None or row.revoked_at or (row.expires_at and row.expires_at <= datetime.now(UTC)):
            raise Unauthenticated("The API key of this request is revoked or has expired.")
        return identity_of(row)

    async def _look_up(self, key_id: str, digest: bytes) -> Cached:
        row = await self._row(key_id)
        until = time.monotonic() + self._ttl
        if row is None or not hmac.compare_digest(row.digest, digest):
            return Cached(None, None, until)
        if row.revoked_at:
            return Cached(None, None, until, revoked=True, tenant=row.tenant_id)
        return Cached(identity_of(row), row.expires_at, until, time.time())

    async def _row(self, key_id: str) -> Row[Any] | None:
        """A key with its tenant, also a revoked one."""
        statement = (
            select(api_keys, *(column.label(f"{OF_TENANT}{column.name}") for column in tenants.c))
            .join(tenants, tenants.c.id == api_keys.c.tenant_id)
            .where(api_keys.c.id == key_id)
        )
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement)).one_or_none()
        except DataError:
            raise  # the store is there: a value cannot be held
        except (SQLAlchemyError, OSError) as error:
            raise DependencyUnavailable("API keys cannot be checked right now.", retry_after=5.0) from error

    async def _follow(self) -> None:
        """Take the keys that ended lately out of the memory; again and again, as a look-up under way may bring one back."""
        if not self._cache.kept:
            return
        async with self._engine.connect() as connection:
            ended = {row.id: row for row in await connection.execute(_ENDED)}
        for digest, known in list(self._cache.kept.items()) if ended else ():
            row = ended.get(known.identity.key_id) if known.identity else None
            if row and row.revoked_at:
                until = time.monotonic() + self._ttl
                self._remember(digest, Cached(None, None, until, revoked=True, tenant=row.tenant_id))
            elif row:
                self._cache.kept[digest] = replace(known, expires_at=row.expires_at)

    def _known(self, digest: bytes) -> Cached | None:
        """The cached look-up of a key. A wrong key is new again when its time is over, as it will be looked up again."""
        wrong = self._wrong.get(digest)
        return self._cache.kept.get(digest) or (wrong if wrong and wrong.until > time.monotonic() else None)

    def _remember(self, digest: bytes, found: Cached) -> None:
        """Keep an answer; when its kind is full the oldest goes, so guessing keys cannot grow memory."""
        right = self._cache.kept
        kept, other = (right, self._wrong) if found.identity else (self._wrong, right)
        if other.pop(digest, None) and other is right:
            self._cache.deny(digest, found)
        kept.pop(digest, None)  # the newest look-up comes last
        if len(kept) >= MOST_CACHED:
            kept.pop(next(iter(kept)))
        kept[digest] = found

    def _digest(self, token: str) -> bytes:
        """It is not kept, as a key in plain text would have to stay beside it."""
        return tokens.digest_of(token, self._secret)


def _unknown(*, guess: bool) -> Unauthenticated:
    error = Unauthenticated(_WRONG)
    error.guess = guess
    return error


def _ended(words: str, tenant: str, key_id: str) -> Unauthenticated:
    """The refusal of a key whose holder is known: a leaked one is looked for by it."""
    error = Unauthenticated(words)
    error.holder = tenant, key_id
    return error
