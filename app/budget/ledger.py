"""The ledger: every micro-dollar spent, in Postgres, appended and never changed.

The scripts that count money write to their shard's stream in the same step, so every counted amount is written. From there any
worker carries the entries to Postgres in batches. It inserts them under the lease's id, so that a repetition finds them there,
and then removes them from the stream. While Postgres is away the stream grows (some 300 bytes a call); nothing is lost.

An entry that Postgres refuses, which must not happen, stays in the stream and is tried again every minute. It holds up no other.
"""

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import and_, func, select, text, tuple_
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.budget.round_trips import raise_first
from app.budget.scopes import ANONYMOUS, NAMES, SHARDS, key
from app.budget.tables import alerts, ledger
from app.domain.errors import DependencyUnavailable
from app.domain.json_text import compact
from app.domain.periodic import Periodic, report
from app.domain.turns import Turns

DRAIN_EVERY, AT_REST_EVERY = 0.25, 1.0  # seconds; at rest, where no entry waited: to ask was a quarter of an idle worker's CPU
AGAIN = 60.0  # seconds until a refused entry is tried again
BATCH = 500
MOST_REFUSED = 10 * BATCH  # of a shard: then it waits, rather than read them all at each look
NAMED = 5  # refused entries that a log line names
LOCK = 0x0C7A  # the first half of an advisory lock; the second is the shard
REMEMBERED = timedelta(minutes=10)
LONGEST_WINDOW = timedelta(days=32)  # a month, in any time zone

# Of values, not of the connection. An entry of a newer version may lack a field; a partition may be missing for a moment.
UNFIT = (DataError, IntegrityError, KeyError, ValueError)

_WINDOWS = (
    ("day", ledger.c.day, "%Y-%m-%d", 4),
    ("month", ledger.c.month, "%Y-%m", 34),
    ("all", ledger.c.global_day, "%Y-%m-%d", 4),
)

Streamed = tuple[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sum:
    """The value that a counter should have: ``key`` is the counter's, ``amount`` in micro-dollars."""

    key: str
    amount: int


class Ledger:
    """See the module."""

    def __init__(self, engine: AsyncEngine, valkey: Redis, *, on_pending: Callable[[int], None] = lambda _: None) -> None:
        """``on_pending`` gets how many entries wait for Postgres."""
        self._engine = engine
        self._valkey = valkey
        self._on_pending = on_pending
        self._refused: dict[int, tuple[float, set[str]]] = {}  # by shard: ids, and until when they are passed over
        self._draining = Periodic(
            "ledger", self.drain, every=DRAIN_EVERY, survives=(RedisError, SQLAlchemyError, OSError), complaint="ledger waits"
        )

    async def start(self) -> None:
        """Begin to carry entries over."""
        self._draining.start()

    async def aclose(self) -> None:
        """Stop; other workers carry over the rest, or this one after its next start."""
        await self._draining.stop()

    async def drain(self) -> int:
        """Carry over the waiting entries. Returns how many."""
        async with self._valkey.pipeline(transaction=False) as pipeline:
            for shard in range(SHARDS):
                pipeline.xlen(key(shard, "ledger"))
            answers = await pipeline.execute(raise_on_error=False)
        waiting = {shard: count for shard, count in enumerate(answers) if isinstance(count, int)}
        self._on_pending(sum(waiting.values()))
        if not any(waiting.values()):
            self._draining.retry_in(AT_REST_EVERY)
        carried = 0
        for shard in (s for s, count in waiting.items() if count):
            try:
                while (count := await self._carry(shard)) == BATCH:
                    carried += count
            except UNFIT:
                count = await self._carry(shard, one_by_one=True)
            carried += count
        raise_first(answers)  # of a stream that is none: it holds up no other
        return carried

    async def sums(self, shard: int, *, upto: tuple[int, int] | None = None, without: Sequence[str] = ()) -> list[Sum]:
        """The value that each counter of a shard should have, for windows that may still run.

        ``upto``: only entries up to this id of the stream; ``without``: ids to leave out. Raises DependencyUnavailable.
        """
        now = datetime.now(UTC)
        yesterday = now - timedelta(days=1)  # somewhere it still is
        found: list[Sum] = []
        c = ledger.c
        async with _reading(self._engine) as connection:
            for label, window, form, days in _WINDOWS:
                wanted = select(window.label("window"), func.sum(c.amount).label("amount"))
                since = now - timedelta(days=days)  # no part of a window that still runs is older
                wanted = wanted.where(c.shard == shard, c.at >= since, window >= yesterday.strftime(form))
                if upto is not None:
                    wanted = wanted.where(tuple_(c.stream_ms, c.stream_seq) <= upto)
                if without:
                    ids = func.concat(c.stream_ms, "-", c.stream_seq)
                    wanted = wanted.where(ids.not_in(without))
                if label == "all":
                    rows = (await connection.execute(wanted.group_by(window))).all()
                    found += [Sum(key(shard, "all", "day", row.window), int(row.amount)) for row in rows]
                    continue
                by_user = wanted.add_columns(c.tenant, c.user).group_by(window, c.tenant, c.user)
                totals: dict[str, int] = {}
                for row in (await connection.execute(by_user)).all():
                    tenant = key(shard, row.tenant, label, row.window)
                    found.append(Sum(f"{tenant}:user:{row.user or ANONYMOUS}", int(row.amount)))
                    totals[tenant] = totals.get(tenant, 0) + int(row.amount)
                found += [Sum(name, amount) for name, amount in totals.items()]
        return found

    async def recent(self, shard: int) -> list[tuple[str, str, int]]:
        """``(lease, kind, amount)`` of the last minutes, an expired lease with its correction. Raises DependencyUnavailable.

        The last before the newest entry: an outage, in which nothing is written, may have lasted longer.
        """
        c = ledger.c
        latest = and_(c.shard == shard, c.at >= func.now() - LONGEST_WINDOW)
        newest = select(func.max(c.written_at)).where(latest).scalar_subquery()
        whole = select(c.lease, func.sum(c.amount).label("amount"), func.max(c.kind).label("kind"), func.count().label("entries"))
        wanted = whole.where(latest, c.written_at >= newest - REMEMBERED).group_by(c.lease)
        async with _reading(self._engine) as connection:
            rows = (await connection.execute(wanted)).all()
        return [(row.lease, row.kind if row.entries == 1 else "corrected", int(row.amount)) for row in rows]

    async def top(
        self, *, tenant: str | None, since: datetime, count: int, until: datetime | None = None
    ) -> list[tuple[str, int, int]]:
        """``(tenant or user, micro-dollars, calls)`` of the largest spenders since then, up to ``until``."""
        who = ledger.c.user if tenant else ledger.c.tenant
        amount = func.sum(ledger.c.amount)
        wanted = select(who.label("who"), amount.label("amount"), func.count().label("calls")).where(ledger.c.at >= since)
        if tenant:
            wanted = wanted.where(ledger.c.tenant == tenant)
        if until is not None:
            wanted = wanted.where(ledger.c.at < until)
        async with _reading(self._engine) as connection:
            rows = (await connection.execute(wanted.group_by(who).order_by(amount.desc()).limit(count))).all()
        return [(row.who or ANONYMOUS, int(row.amount), row.calls) for row in rows]

    async def _carry(self, shard: int, *, one_by_one: bool = False) -> int:
        """Carry one batch of a shard. The worker with the shard's lock does it; the others find nothing to do.

        Raises one of `UNFIT` if an entry is refused, unless ``one_by_one``: then the others are carried, and it is reported.
        """
        stream = key(shard, "ledger")
        async with self._engine.begin() as connection:
            lock = select(func.pg_try_advisory_xact_lock(LOCK, shard))
            if not (await connection.execute(lock)).scalar_one():
                return 0
            entries = await self._waiting(shard)
            if not entries:
                return 0
            refused: Mapping[str, str] = {}
            if one_by_one:
                refused = await _insert_each(connection, shard, entries)
            else:
                await _insert(connection, shard, entries)
        if carried := [identity for identity, _ in entries if identity not in refused]:
            await self._valkey.xdel(stream, *carried)
        if refused:
            self._pass_over(shard, refused)
        return len(carried)

    async def _waiting(self, shard: int) -> list[Streamed]:
        """The first entries of a shard's stream, without those that were refused in the last minute."""
        until, refused = self._refused.get(shard, (0.0, set()))
        if time.monotonic() >= until:
            self._refused.pop(shard, None)
            refused = set()
        if len(refused) >= MOST_REFUSED:
            return []
        found = cast("list[Streamed]", await self._valkey.xrange(key(shard, "ledger"), count=BATCH + len(refused)))
        return [entry for entry in found if entry[0] not in refused]

    def _pass_over(self, shard: int, refused: Mapping[str, str]) -> None:
        """Report refused entries, by their ids in the stream, and leave them out for a minute."""
        until, before = self._refused.get(shard, (time.monotonic() + AGAIN, set()))
        self._refused[shard] = until, before | refused.keys()
        report(
            "ledger entries cannot be carried", "ledger", stream=key(shard, "ledger"), count=len(refused),
            entries=list(refused)[:NAMED], error_types=sorted(set(refused.values())),
        )  # fmt: skip


@asynccontextmanager
async def _reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection for reading. Raises DependencyUnavailable if Postgres is away."""
    try:
        async with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:
        raise DependencyUnavailable("The ledger cannot be read right now.", retry_after=5.0) from error


async def _insert_each(connection: AsyncConnection, shard: int, entries: Sequence[Streamed]) -> dict[str, str]:
    """Insert entries one by one. Returns the ids of those that are refused, with the type of each error."""
    refused = {}
    for entry in entries:
        try:
            async with connection.begin_nested():
                await _insert(connection, shard, [entry])
        except UNFIT as error:
            refused[entry[0]] = type(error).__name__
    return refused


async def _insert(connection: AsyncConnection, shard: int, entries: Sequence[Streamed]) -> None:
    turns, spent, alerted = Turns(), list[tuple[str, ...]](), list[dict[str, Any]]()
    for identity, fields in entries:
        if fields["kind"] == "alert":
            alerted.append(_alert(fields))
        else:
            spent.append(_entry(identity, fields))
        await turns.give()
    if spent:
        await connection.execute(_APPEND, {"shard": shard, "entries": compact(spent).decode()})
    if alerted:
        await connection.execute(postgresql.insert(alerts).on_conflict_do_nothing(), alerted)


# One JSON text that Postgres takes apart: an array for each column costs three times the CPU here, a row at a time ten times.
_APPEND = text(
    """
    INSERT INTO ledger (
        shard, lease, kind, amount, stream_ms, stream_seq,
        tenant, "user", key_id, feature, at, day, month, global_day
    )
    SELECT
        :shard, one ->> 0, one ->> 1, (one ->> 2)::bigint, (one ->> 3)::bigint, (one ->> 4)::bigint,
        about ->> 'tenant', about ->> 'user', about ->> 'key', about ->> 'feature',
        to_timestamp((about ->> 'at')::double precision), about ->> 'day', about ->> 'month', about ->> 'all'
    FROM json_array_elements(CAST(:entries AS json)) AS one, LATERAL (SELECT (one ->> 5)::json) AS known (about)
    ON CONFLICT DO NOTHING
    """.replace("::", "\\:\\:")
)


def _entry(identity: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """An entry as `_APPEND` reads it."""
    millis, _, sequence = identity.partition("-")
    return (fields["lease"], fields["kind"], fields["amount"], millis, sequence, fields["entry"])


def _alert(fields: Mapping[str, str]) -> dict[str, Any]:
    about = json.loads(fields["entry"])
    scope = NAMES[int(fields["scope"]) - 1]
    window = "day" if scope.endswith("day") else "month"
    return {
        "scope": scope,
        "tenant": about["tenant"],
        "subject": (about["user"] or ANONYMOUS) if scope.startswith("user") else "",
        "window": about[window],
        "share": int(fields["share"]),
        "limit": int(fields["limit"]),
        "spent": int(fields["spent"]),
        "ends_at": datetime.fromtimestamp(about["ends"][0 if window == "day" else 1], UTC),
    }
