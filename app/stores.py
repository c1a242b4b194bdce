"""The stores, built from settings: for the composition root and for operators' commands alike.

Every wait on a store ends, whatever the store does: refuse, freeze, vanish behind a firewall, or come back as another server. The
limits are held here, below every room, by the connections themselves. A room decides what its failure means (ADR 0007).

Nothing here loads a vendor's SDK, so that a command at 3 a.m. answers at once.
"""

import asyncio
import contextlib
import os
import socket
import time
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app import store_credentials
from app.budget.valkey_answers import read_of, with_forms
from app.domain.errors import Misconfigured
from app.domain.postgres_session import BACKEND, ENCODING, ENDED, LIMITS, SESSION, Sessions, refuses
from app.settings import Settings

CONNECT_SECONDS = 2.0
POOL_SECONDS = 2.0  # how long a request waits for one of the pool's connections
PING_SECONDS = 1.0  # a connection that was idle answers within this, or another one is opened
SILENCE_SECONDS = 1.5  # after this much silence a new connection finds out whether Postgres answers at all
PROBE_SECONDS, PROBE_EVERY = 1.0, 0.5
LONGEST_SECONDS = 90.0  # the end of every wait on Postgres
VALKEY_TIMEOUT = 1.0
VALKEY_CONNECTIONS = 64  # a burst waits for one of these; it does not open a thousand

# The kernel ends a connection whose other side vanished: after 5 s idle, and 5 s of bytes without acknowledgement.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 5000}
_VALKEY_KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3, socket.TCP_USER_TIMEOUT: 5000}

RV = TypeVar("RV")


class PostgresWatch:
    """Whether Postgres answers. One finding serves all requests: a frozen server costs one timeout, not one each.

    A statement may be silent because it is long or waits for a lock. So after `SILENCE_SECONDS` one new connection asks. If that
    is not answered either, every statement under way is ended, new connections are refused, and the question is repeated.
    """

    def __init__(self) -> None:
        """Postgres is there until it is silent."""
        self.away = False
        self.sessions = Sessions()
        self.waiting: set[BoundedConnection] = set()
        self._connect_args: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._probing: asyncio.Task[None] | None = None

    def suspect(self) -> None:
        """Something was silent for too long: ask, unless that is under way."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def connect(self, *args: Any, **kwargs: Any) -> "BoundedConnection":  # noqa: ANN401 - psycopg's own
        """Open a connection, as psycopg would. Raises OperationalError, at once while Postgres is known to be away."""
        self._connect_args = args, kwargs
        if self._probing and not self._probing.done() and not self.away:
            await asyncio.wait([self._probing], timeout=PROBE_SECONDS)
        if self.away:
            raise _silent()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await BoundedConnection.connect(*args, **kwargs)
                await connection.set_autocommit(True)
                await connection.execute(LIMITS + SESSION)
                await connection.set_autocommit(False)
        except TimeoutError:
            self.suspect()
            raise _silent() from None
        connection.watch = self
        return connection

    async def _probe(self) -> None:
        while not await self._answers():
            self.away = True
            for connection in list(self.waiting):
                connection.hang_up()
            await asyncio.sleep(PROBE_EVERY)
        self.away = False

    async def _answers(self) -> bool:
        """Whether a new connection is answered; a refusal in words, such as a wrong password, is an answer too."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                args, kwargs = self._connect_args
                connection = await BoundedConnection.connect(*args, **kwargs)
                try:
                    await connection.execute("SELECT 1")
                finally:
                    await connection.close()
        except TimeoutError:
            return False
        except psycopg.Error:
            return True  # at least it does not hang: the next command raises the reason
        return True


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A connection to Postgres on which no wait is endless, and whose cancellation waits for nothing.

    psycopg answers a cancellation by asking the server to stop, and waits for it: a frozen server does not answer. Here the
    connection is closed instead; the pool sees that, and Postgres ends the statement at its own limit.
    """

    watch: PostgresWatch | None = None
    backend = 0

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:  # noqa: ASYNC109 - psycopg's
        """See psycopg. Raises OperationalError where the server is silent for too long."""
        silence = asyncio.get_running_loop().call_later(SILENCE_SECONDS, self.watch.suspect) if self.watch else None
        if self.watch:
            self.watch.waiting.add(self)
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout or LONGEST_SECONDS)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - psycopg has no public name for it
            if timeout:
                raise
            self.pgconn.finish()
            raise _silent() from None
        except asyncio.CancelledError:
            self.pgconn.finish()  # what it was doing is unknown: it may not be used again
            raise
        finally:
            if silence and self.watch:
                silence.cancel()
                self.watch.waiting.discard(self)

    async def ping(self) -> None:
        """Raise psycopg.Error unless the server answers on this connection at once."""
        before = self.autocommit
        await self.set_autocommit(True)  # no transaction to end afterwards
        try:
            async with asyncio.timeout(PING_SECONDS):
                answer = await (await self.execute(BACKEND, prepare=False)).fetchone()
        except TimeoutError:
            raise _silent() from None
        await self.set_autocommit(before)
        known, self.backend = self.backend, answer[0] if answer else 0
        if self.watch and self.watch.sessions.shared_by(known, self.backend):
            self.prepare_threshold = None

    def hang_up(self) -> None:
        """End the connection under tasks that wait on it: the end of the stream wakes them."""
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as end:
            end.shutdown(socket.SHUT_RDWR)


def build_engine(settings: Settings, *, pooled: bool = True) -> AsyncEngine:
    """The one engine of the process. The texts of its errors do not quote what was to be written.

    Without a pool, for a command, each use opens a connection of its own, and prepares no statement.
    """
    limits = {"pool_size": 5, "max_overflow": 5, "pool_timeout": POOL_SECONDS}
    watch = PostgresWatch()
    own = {"async_creator_fn": watch.connect, "prepare_threshold": 5 if pooled else None, **_KEEPALIVE, **ENCODING}
    pool: dict[str, Any] = {"connect_args": own, **(limits if pooled else {"poolclass": NullPool})}
    engine = create_async_engine(settings.database_url, hide_parameters=True, **pool)

    def check(connection: Any, record: Any, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event
        if not record.info:  # it was opened a moment ago
            record.info["pinged"] = True
            return
        if watch.away:
            raise InvalidatePoolError  # the pool opens another one, which `watch` refuses
        try:
            connection.run_async(BoundedConnection.ping)
        except psycopg.Error as error:
            watch.suspect()
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "do_connect", store_credentials.of_postgres(settings))
    event.listen(engine.sync_engine, "checkout", check)
    event.listen(engine.sync_engine, "handle_error", _as_away)
    return engine


def _silent() -> psycopg.OperationalError:
    return psycopg.OperationalError("Postgres does not answer.")


def _as_away(context: ExceptionContext) -> OperationalError | None:
    """A server that ends sessions or takes no writes counts as away, with all connections of the pool; so does a refusal."""
    sqlstate = getattr(context.original_exception, "sqlstate", None)
    if not refuses(sqlstate):
        return None
    context.is_disconnect = sqlstate in ENDED
    return OperationalError(context.statement, None, context.original_exception, hide_parameters=True)


class ValkeyPool(BlockingConnectionPool):
    """Connections to Valkey. When one fails, older ones are no longer trusted: each is reopened.

    So a restart, or a firewall that forgot about us, costs one command and not one for each connection.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - redis-py's own
        """See `BlockingConnectionPool`."""
        super().__init__(**options)
        self.connection_class = type("Connection", (_Sending, self.connection_class), {})
        self._opened: WeakKeyDictionary[AbstractConnection, float] = WeakKeyDictionary()
        self._trusted_since = 0.0

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Make sure that a connection is open and was opened after the last failure. Raises what redis raises."""
        if connection.is_connected and self._opened.get(connection, 0.0) < self._trusted_since:
            await connection.disconnect(nowait=True)
        fresh = not connection.is_connected
        with read_of("the greeting"):
            await super().ensure_connection(connection)
        if fresh:
            self._opened[connection] = time.monotonic()

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back. One that comes back closed has failed."""
        if not connection.is_connected:
            self._trusted_since = time.monotonic()
        await super().release(connection)


class _Sending:
    """A connection that sends without a task of its own: redis-py starts one for each command, to limit its time."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's
        """Write at once what the system takes at once; the rest, and whatever is wrong, the client's own way."""
        writer = getattr(self, "_writer", None)
        if writer is None or writer.transport.is_closing() or writer.transport.get_write_buffer_size():
            await super().send_packed_command(command, check_health)  # type: ignore[misc] # of the class beside
            return
        writer.writelines([command] if isinstance(command, bytes) else command)
        if writer.transport.get_write_buffer_size():
            await super().send_packed_command(b"", check_health)  # type: ignore[misc] # waits until all has left


def build_valkey(settings: Settings) -> Redis:
    """The one client of the process. It fails fast: each use has its own rule for an outage (ADR 0007). Raises Misconfigured.

    A command whose connection was closed is sent once more on a new one: every script and command of ours may be repeated. One
    that was not answered in time is not. Maintenance notifications are off: with them redis-py 8.1 hands out connections that
    the server has closed.
    """
    tcp = not settings.valkey_url.startswith("unix:")
    options: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": _VALKEY_KEEPALIVE} if tcp else {}
    options |= {
        "max_connections": VALKEY_CONNECTIONS,
        **dict.fromkeys(("timeout", "socket_timeout", "socket_connect_timeout"), VALKEY_TIMEOUT),
        "decode_responses": True,
        "encoding_errors": "replace",  # bytes that are no text are a wrong answer, not an error of ours
        "retry": Retry(NoBackoff(), 1, supported_errors=(LostError,)),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    try:
        pool = ValkeyPool.from_url(settings.valkey_url, **options)
        store_credentials.of_valkey(settings, pool)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, RedisError) as error:
        raise Misconfigured(f"OCTANT_VALKEY_URL: what follows its `?` is no option of the client there. ({error})") from error
    return with_forms(Redis.from_pool(pool))
