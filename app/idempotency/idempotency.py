"""One request does the work of a key; every other one gets its answer (G8, ADR 0010).

A row of Postgres is claimed by one statement. While the work runs, the row is leased and the lease renewed, so the key of a
worker that died is free soon. A lease also ends while Postgres is away, and its owner lives: so a lease that has ended is
challenged first, and taken over only if its owner does not renew it, while Postgres answers, until the challenge is over. Times
are Postgres' own. A request that carries no key never comes here.
"""

import asyncio
import hashlib
import hmac
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, Delete, Insert, Update, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.calls import Identity
from app.domain.errors import DependencyUnavailable, IdempotencyKeyInUse, IdempotencyKeyReused
from app.domain.periodic import Periodic, end
from app.domain.store_errors import why
from app.idempotency.tables import idempotency_keys as keys

STATEMENT_SECONDS = 3.0  # a Postgres that takes longer is as good as away
RETRY_FIRST, RETRY_MOST = 0.2, 1.0
WAITING_BYTES = 64 << 20  # of answers that wait for a Postgres that is away; beyond, a key is spent without its answer
SWEEP_EVERY = 60.0
SWEEP_BATCH = 500
SWEEP_GRACE = timedelta(minutes=10)
IN_USE_RETRY_SECONDS = 1.0
# Run every two seconds: built once.
_CHALLENGE = (
    update(keys)
    .where(keys.c.expires_at <= func.now(), keys.c.status.is_(None), keys.c.challenged_at.is_(None))
    .values(challenged_at=func.now())
)
HASHED = "h1:"  # how a stored key begins; a keyed hash in hexadecimal follows
ROLLOUT_SECONDS = 3600.0  # workers of an earlier version, which store keys as sent, may run this long beside this one

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to do the work of a key, and the duty to `store` or `release` it."""

    token: uuid.UUID


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that a key replays. ``body`` is None where it was larger than what is kept."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class Idempotency:
    """See the module."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        secret: bytes,
        on_outcome: Callable[[str], None],
        keep: float = 86_400.0,
        lease: float = 15.0,
        max_bytes: int = 8 << 20,
    ) -> None:
        """An answer is kept ``keep`` seconds if it has at most ``max_bytes``; a dead worker's key is free in ``lease`` seconds.

        ``secret`` keys the fingerprints: a stolen table does not tell whether a guessed request was made. ``on_outcome`` gets
        the outcome of each key: stored, replayed, in_flight, reused, released, or lost (an answer that could not be stored).
        """
        self.max_bytes = max_bytes
        self._engine = engine.execution_options(
            isolation_level="AUTOCOMMIT"
        )  # one statement each: no BEGIN, no COMMIT to wait for
        self._secret = secret
        self._on_outcome = on_outcome
        self._keep = timedelta(seconds=keep)
        # Together with the pause between two rounds of renewing, the two add up to less than ``lease``.
        self._lease = timedelta(seconds=lease / 2)
        self._challenge = timedelta(seconds=lease / 3)
        self._renew_every = lease / 8
        self._held: set[uuid.UUID] = set()
        self._renewing = Periodic("leases of idempotency keys", self._renew_and_challenge, every=self._renew_every, at_once=False)
        self._hashing = Periodic(
            "hashing of idempotency keys",
            self._hash_all,
            every=SWEEP_EVERY,
            survives=(SQLAlchemyError, OSError),
            complaint="idempotency keys not hashed, will retry",
        )
        self._sweeping = Periodic("old idempotency keys", self._sweep_all, every=SWEEP_EVERY, at_once=False)
        self._storing: set[asyncio.Task[None]] = set()
        self._raw_until = time.monotonic() + ROLLOUT_SECONDS
        self._waiting_bytes = 0

    async def start(self) -> None:
        """Begin to renew leases and to sweep."""
        for loop in (self._renewing, self._hashing, self._sweeping):
            loop.start()

    async def aclose(self, grace: float = 5.0) -> None:
        """Wait ``grace`` seconds at most for answers that are still to be stored."""
        if self._storing:
            _, late = await asyncio.wait(self._storing, timeout=grace)
            for _ in late:
                self._on_outcome("lost")
        loops = (self._renewing, self._hashing, self._sweeping)
        await asyncio.gather(end(*self._storing), *(loop.stop() for loop in loops))

    def fingerprint(self, method: str, target: str, body: bytes) -> bytes:
        """A hash that tells two requests apart. ``target`` is path and query."""
        digest = hmac.new(self._secret, b"idempotency", hashlib.sha256)
        for part in (method.encode(), target.encode(), body):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    async def claim(self, identity: Identity, key: str, fingerprint: bytes) -> Reservation | StoredAnswer:
        """Reserve ``key`` for one request, or return its stored answer.

        A key is its tenant's own and, where the API key is bound to a user, that user's. Raises IdempotencyKeyInUse,
        IdempotencyKeyReused, or DependencyUnavailable: without the store no worker can promise that work is done once.
        """
        owner = {"tenant": identity.tenant.id, "user": identity.user, "key": self._stored(identity.tenant.id, identity.user, key)}
        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                if time.monotonic() < self._raw_until:
                    await self._hash(owner, key)
                found = await self._claim(owner, fingerprint)
        except DataError:
            raise  # the store is there: a value cannot be held
        except (SQLAlchemyError, OSError) as error:
            log.warning("idempotency store failed", extra={"purpose": "claim", **why(error)})
            message = "The store of idempotency keys does not answer, so this cannot be promised to be done once."
            raise DependencyUnavailable(message, retry_after=5.0) from error
        if isinstance(found, Reservation):
            self._held.add(found.token)  # only now has it an owner who releases it
        return found

    async def store(self, claim: Reservation, answer: StoredAnswer) -> None:
        """Keep an answer. Never raises: it is paid for, and goes to its caller either way.

        While Postgres is away the key stays claimed, and storing goes on in the background for as long as this process lives.
        """
        if not await self._try_to_store(claim, answer):
            size = len(answer.body or b"")
            if self._waiting_bytes + size > WAITING_BYTES:
                answer, size = replace(answer, body=None), 0
            self._waiting_bytes += size
            task = asyncio.create_task(self._store_later(claim, answer))
            self._storing.add(task)
            task.add_done_callback(partial(self._stored_late, size))

    async def release(self, claim: Reservation) -> None:
        """Free the key: the next request with it is served. Never raises; what fails here, the end of the lease does."""
        self._held.discard(claim.token)
        self._on_outcome("released")
        await self._execute(delete(keys).where(keys.c.token == claim.token, keys.c.status.is_(None)), "release")

    def _stored(self, tenant: str, user: str, key: str) -> str:
        """The hash of a key, for the table: callers put order numbers and addresses into keys."""
        message = f"idempotency key\0{tenant}\0{user}\0{key}".encode()
        return HASHED + hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    async def _hash(self, owner: dict[str, str], key: str) -> None:
        """Hash one key that an earlier version stored as it was sent, before it is claimed."""
        raw = and_(*_of({**owner, "key": key}))
        async with self._engine.connect() as connection:
            await self._hash_row(connection, raw, owner)

    async def _hash_row(self, connection: AsyncConnection, raw: ColumnElement[bool], owner: dict[str, str]) -> None:
        """Hash a row's key. Of a raw row and a hashed one of the same key, the hashed one stays unless it is free to claim."""
        hashing = update(keys).where(raw).values(key=owner["key"])
        try:
            found = await connection.execute(hashing)
        except IntegrityError:  # the raw row may hold the answer that counts
            await connection.execute(delete(keys).where(*_of(owner), self._claimable()))
            try:
                found = await connection.execute(hashing)
            except IntegrityError:
                found = await connection.execute(delete(keys).where(raw))
        if found.rowcount:
            self._raw_until = time.monotonic() + ROLLOUT_SECONDS

    async def hash_old(self) -> int:
        """Hash a batch of keys that an earlier version stored raw. Returns their number.

        Raises what SQLAlchemy raises.
        """
        old = (
            select(keys.c.token, keys.c.tenant, keys.c.user, keys.c.key).where(~keys.c.key.startswith(HASHED)).limit(SWEEP_BATCH)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(old)).all()
            for row in rows:
                owner = {"tenant": row.tenant, "user": row.user, "key": self._stored(row.tenant, row.user, row.key)}
                await self._hash_row(connection, keys.c.token == row.token, owner)
        return len(rows)

    async def sweep(self) -> int:
        """Delete a batch of expired keys that no request claims. Returns how many; several workers may sweep at once."""
        expired = (
            select(keys.c.token)
            .where(keys.c.expires_at <= func.now() - SWEEP_GRACE, self._ownerless())
            .order_by(keys.c.expires_at)
            .limit(SWEEP_BATCH)
            .with_for_update(skip_locked=True)
            .cte("expired")
        )
        return await self._execute(delete(keys).where(keys.c.token.in_(select(expired.c.token))), "sweep") or 0

    async def _claim(self, owner: dict[str, str], fingerprint: bytes) -> Reservation | StoredAnswer:
        token = uuid.uuid4()
        while True:  # again only where a row went between the two statements
            async with self._engine.connect() as connection:
                if (await connection.execute(self._claiming(owner, fingerprint, token))).first():
                    return Reservation(token)
                found = await self._found(connection, owner, fingerprint)
            if found is not None:
                return found

    def _claiming(self, owner: dict[str, str], fingerprint: bytes, token: uuid.UUID) -> Insert:
        """Take the key if it is new, expired or abandoned. Returns a row only to its new owner."""
        values = {"fingerprint": fingerprint, "token": token, "expires_at": func.now() + self._lease, "challenged_at": None}
        return (
            postgresql.insert(keys)
            .values(**owner, **values)
            .on_conflict_do_update(
                index_elements=list(owner),
                set_={**values, "status": None, "headers": None, "body": None, "created_at": func.now()},
                where=self._claimable(),
            )
            .returning(keys.c.token)
        )

    def _claimable(self) -> ColumnElement[bool]:
        return and_(keys.c.expires_at <= func.now(), self._ownerless())

    def _ownerless(self) -> ColumnElement[bool]:
        """Of what has expired: the work was done, or its owner let a challenge pass."""
        return or_(keys.c.status.is_not(None), keys.c.challenged_at <= func.now() - self._challenge)

    async def challenge(self) -> None:
        """Challenge every lease that has ended. Its owner's next renewal answers."""
        await self._execute(_CHALLENGE, "challenge")

    async def renew(self) -> bool:
        """Renew the leases of this process, which also answers challenges. False: Postgres did not answer."""
        if not self._held:
            return True
        ours = keys.c.token.in_(list(self._held))
        values = {"expires_at": func.now() + self._lease, "challenged_at": None}
        return await self._execute(update(keys).where(ours, keys.c.status.is_(None)).values(values), "renew") is not None

    async def _found(self, connection: AsyncConnection, owner: dict[str, str], fingerprint: bytes) -> StoredAnswer | None:
        """The result of another request's claim; None if it was released just now."""
        columns = (keys.c.fingerprint, keys.c.status, keys.c.headers, keys.c.body)
        statement = select(*columns).where(*_of(owner))
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            self._on_outcome("reused")
            raise IdempotencyKeyReused("This Idempotency-Key was sent with another request. A new request needs a new key.")
        if row.status is None:
            self._on_outcome("in_flight")
            message = "The first request with this Idempotency-Key is still being answered. Ask again for its answer."
            raise IdempotencyKeyInUse(message, retry_after=IN_USE_RETRY_SECONDS)
        self._on_outcome("replayed")
        return StoredAnswer(row.status, tuple((name, value) for name, value in row.headers), row.body)

    async def _try_to_store(self, claim: Reservation, answer: StoredAnswer) -> bool:
        """Whether no further try is needed."""
        statement = (
            update(keys)
            .where(keys.c.token == claim.token)  # done before, by a statement whose answer was lost, it is done again
            .values(
                status=answer.status,
                headers=[list(header) for header in answer.headers],
                body=answer.body,
                expires_at=func.now() + self._keep,
            )
        )
        stored = await self._execute(statement, "store")
        if stored is None:
            return False
        self._held.discard(claim.token)
        if not stored:
            log.warning("idempotency key lost: its lease ended and another request took it")
        self._on_outcome("stored" if stored else "lost")
        return True

    async def _store_later(self, claim: Reservation, answer: StoredAnswer) -> None:
        delay = RETRY_FIRST
        while True:
            await asyncio.sleep(delay)
            if await self._try_to_store(claim, answer):
                return
            delay = min(delay * 2, RETRY_MOST)

    def _stored_late(self, size: int, task: "asyncio.Task[None]") -> None:
        self._waiting_bytes -= size
        self._storing.discard(task)

    async def _renew_and_challenge(self) -> None:
        if not await self.renew():
            self._renewing.retry_in(min(RETRY_FIRST, self._renew_every))
        await self.challenge()

    async def _hash_all(self) -> None:
        async with asyncio.timeout(SWEEP_EVERY):
            while time.monotonic() < self._raw_until and await self.hash_old() == SWEEP_BATCH:
                pass

    async def _sweep_all(self) -> None:
        while await self.sweep() == SWEEP_BATCH:
            pass

    async def _execute(self, statement: Update | Delete, purpose: str) -> int | None:
        """Run one statement. Returns how many rows it met, None if Postgres did not answer."""
        try:
            async with asyncio.timeout(STATEMENT_SECONDS), self._engine.connect() as connection:
                return (await connection.execute(statement)).rowcount
        except (SQLAlchemyError, OSError) as error:
            log.warning("idempotency store failed", extra={"purpose": purpose, **why(error)})
            return None


def _of(owner: dict[str, str]) -> list[ColumnElement[bool]]:
    """The row of one key."""
    return [keys.c[name] == value for name, value in owner.items()]
