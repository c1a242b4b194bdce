"""Search for records: by any field, free text, time; sorted; page by page (O2).

By time the days are walked one after the other, then in steps that double: what is frequent is found in the first, what is rare
through the indexes of all, and what is neither never makes Postgres read and sort a month for one page. A search that takes
longer than `LONGEST` ends with an error, because it would keep the database busy for all. Figures: `docs/records.md`.
"""

import base64
import binascii
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Float,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit import partitions, searching
from app.audit.call_filter import CallFilter, Sort
from app.audit.searching import Where
from app.audit.tables import ERRORS_VECTOR, FACETS, MAGNITUDES, SEARCH_VECTOR, STEPS, attempts, calls, magnitude
from app.domain.errors import InvalidRequest
from app.domain.records import NO_MODEL, REFUSALS

SIDES = ("request", "response")
MOST = 10_000
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

EXACT = ("id", "request_id", "trace_id", "tenant", "user")
FEW_VALUES = (
    "feature", "target", "release", "prompt", "prompt_version", "provider", "model", "model_answered", "outcome", "key_id",
)  # fmt: skip
ONE_PLACE = ("id", "request_id", "trace_id")  # an index of each day finds it at once
TEXTS = (*EXACT, *FEW_VALUES, "tried", "attempt", "degraded", "text")

# The left sides are the indexes' expressions, letter by letter, or the indexes are not used.
_MATCH = "@@ websearch_to_tsquery('simple', translate(:words, '<>', '  '))"
_IN_ERRORS = f"(errors IS NOT NULL AND {ERRORS_VECTOR} {_MATCH})"
_HAS_WORDS = text(f"({SEARCH_VECTOR} {_MATCH} OR {_IN_ERRORS})".replace("::", r"\:\:"))
_FACETS = literal_column(FACETS.replace("%", "%%"), ARRAY(Text))


async def find_calls(engine: Where, wanted: CallFilter, *, brief: bool = False) -> list[dict[str, Any]]:
    """Return matching calls, newest first unless sorted otherwise. ``brief``: without their texts, each of which may be large.

    Raises InvalidRequest for a cursor that is none, a text that no record holds, and where the search takes too long; what
    SQLAlchemy raises where Postgres is away.
    """
    if wanted.sort != "at" or any(getattr(wanted, name) for name in ONE_PLACE):
        async with searching.connected(engine) as connection:
            return await _rows(connection, _columns(statement_of(wanted), brief=brief))
    found: list[dict[str, Any]] = []
    one_day = _DaySearch.of(wanted, engine.dialect, brief=brief)  # refuse a wrong search before any query runs
    began = time.monotonic()
    async with searching.connected(engine) as connection:
        for days in windows_of(wanted, set((await partitions.partitions(connection)).values())):
            found += await one_day.over(connection, days, limit=wanted.limit - len(found))
            if len(found) >= wanted.limit:
                break
            if time.monotonic() - began > searching.LONGEST:
                raise searching.too_long()
    return found


def windows_of(wanted: CallFilter, days: Collection[date]) -> Iterator[list[CallFilter]]:
    """Split a search by days: one day, one more, two, four and so on, in its order; together they are the whole."""
    after = _place(wanted.after, "at")[0] if wanted.after else None
    since = max(filter(None, (wanted.since, after if wanted.ascending else None)), default=FIRST)
    until = min(
        filter(None, (wanted.until, min(after, LAST - MOMENT) + MOMENT if after and not wanted.ascending else None)), default=LAST
    )
    touched = [day for day in days if since < _midnight(day) + DAY and _midnight(day) < until]
    ordered = [
        replace(wanted, since=max(since, _midnight(day)), until=min(until, _midnight(day) + DAY))
        for day in sorted(touched, reverse=not wanted.ascending)
    ]
    start = 0
    while start < len(ordered):
        yield ordered[start : start + max(start, 1)]
        start += max(start, 1)


@dataclass(frozen=True, slots=True)
class _DaySearch:
    """A search of one day as SQL, compiled once and repeated for each day: building SQLAlchemy's tree for thirty takes 100 ms."""

    sql: str
    parameters: Mapping[str, Any]
    order: str

    @classmethod
    def of(cls, wanted: CallFilter, dialect: Dialect, *, brief: bool) -> "_DaySearch":
        """Compile a search. Raises InvalidRequest."""
        compiled = _columns(statement_of(replace(wanted, since=FIRST, until=LAST)), brief=brief).compile(dialect=dialect)
        way = "ASC" if wanted.ascending else "DESC"
        return cls(str(compiled), dict(compiled.params), f"at {way}, id {way}")

    async def over(self, connection: AsyncConnection, days: Sequence[CallFilter], *, limit: int) -> list[dict[str, Any]]:
        """The first ``limit`` of several days, in one statement that plans each day by itself.

        With all days at once, the planner expects to find enough on its way through the newest, and reads all where it is wrong.
        """
        each, parameters = [], {**self.parameters, "most": min(limit, MOST)}
        for number, day in enumerate(days):
            each.append(f"({self.sql})".replace("%(since)s", f"%(since_{number})s").replace("%(until)s", f"%(until_{number})s"))
            parameters |= {f"since_{number}": day.since, f"until_{number}": day.until}
        together = " UNION ALL ".join(each)
        statement = f"SELECT * FROM ({together}) AS days ORDER BY {self.order} LIMIT %(most)s"  # noqa: S608 - values are parameters
        return [dict(row) for row in (await connection.exec_driver_sql(statement, parameters)).mappings()]


INPUTS = ("input_tokens", "cached_input_tokens", "cache_write_tokens")
_INPUT = calls.c.input_tokens.cast(BigInteger) + calls.c.cached_input_tokens + calls.c.cache_write_tokens  # as `input_of`
_REFUSED = or_(*(calls.c.outcome == name for name in sorted(REFUSALS)))
_NEEDED_MODEL = and_(*(calls.c.outcome != name for name in sorted(NO_MODEL)))


@dataclass(frozen=True, slots=True)
class Total:
    """All calls of a search, whatever its page: their number, failed and refused ones, micro-dollars and tokens.

    ``refused``: on purpose, by one of `REFUSALS`; they are not in ``failed``. ``unneeded``: they needed no model (`NO_MODEL`).
    ``input_tokens``: with those read from the prompt cache and those written to it. ``bound``: an upper bound is in the money.
    """

    calls: int
    failed: int
    refused: int
    unneeded: int
    cost: int
    input_tokens: int
    output_tokens: int
    bound: bool


async def total_of(engine: Where, wanted: CallFilter) -> Total:
    """The sums over a search: the same conditions as its pages, so their rows add up to it. Raises as `find_calls`."""
    c, _ = calls.c, statement_of(wanted)
    failed = func.count().filter(c.outcome != "ok", _NEEDED_MODEL, not_(_REFUSED))
    refused = func.count().filter(_REFUSED)
    summed = {"cost": c.cost, "input_tokens": _INPUT, "output_tokens": c.output_tokens}
    sums = [func.coalesce(func.sum(column), 0).cast(BigInteger).label(name) for name, column in summed.items()]
    counts = [func.count().label("calls"), failed.label("failed"), refused.label("refused")]
    counts.append(func.count().filter(not_(_NEEDED_MODEL)).label("unneeded"))
    bound = func.coalesce(func.bool_or(c.usage_estimated), false()).label("bound")
    async with searching.connected(engine) as connection:
        row = (await connection.execute(select(*counts, *sums, bound).where(*_conditions(wanted)))).mappings().one()
    return Total(**row)


def input_of(row: Mapping[str, Any]) -> int:
    """All input tokens of a call or attempt: those from the prompt cache and those written to it have prices of their own.

    Pages show them, totals add them up, and a bound on ``input_tokens`` is about them.
    """
    return sum(int(row[name]) for name in INPUTS)


async def is_in_errors(engine: Where, words: str, since: datetime) -> bool:
    """Whether the words stand in the text of an error of a call, or of one of its attempts. Raises as `find_calls`."""
    in_errors = text(_IN_ERRORS.replace("::", r"\:\:")).bindparams(words=words)
    async with searching.connected(engine) as connection:
        found = await connection.execute(select(calls.c.id).where(in_errors, calls.c.at >= since).limit(1))
        return found.first() is not None


async def every_call(engine: AsyncEngine, wanted: CallFilter) -> AsyncIterator[list[dict[str, Any]]]:
    """All matching calls up to ``wanted.limit``, a page at a time, for an export. Raises as `find_calls`."""
    left = wanted.limit
    while left > 0:
        page = await find_calls(engine, replace(wanted, limit=min(left, 500)))
        if not page:
            return
        yield page
        left -= len(page)
        wanted = replace(wanted, after=cursor_of(page[-1], wanted.sort))


async def get_call(engine: AsyncEngine, call_id: str) -> dict[str, Any] | None:
    """Return one call with its attempts under ``attempts``, or None."""
    found = await find_calls(engine, CallFilter(id=call_id, limit=1))
    return (await with_attempts(engine, found))[0] if found else None


async def calls_of_trace(engine: AsyncEngine, trace_id: str, limit: int) -> list[dict[str, Any]]:
    """The calls of a trace as they began, with their attempts, without their texts."""
    wanted = statement_of(CallFilter(trace_id=trace_id, ascending=True, limit=limit))
    async with searching.connected(engine) as connection:
        found = await _rows(connection, _columns(wanted, brief=True))
    return await with_attempts(engine, found)


async def traces_of(engine: AsyncEngine, request_id: str, most: int) -> list[str]:
    """The traces of requests with this id, newest first: a caller chooses the id, so two requests can have the same."""
    newest = func.max(calls.c.at).desc()
    wanted = select(calls.c.trace_id).where(calls.c.request_id == request_id).group_by(calls.c.trace_id).order_by(newest)
    async with searching.connected(engine) as connection:
        return list((await connection.execute(wanted.limit(most))).scalars())


async def texts_of(engine: AsyncEngine, found: Sequence[Mapping[str, Any]], most: int) -> dict[str, dict[str, tuple[str, int]]]:
    """Up to ``most`` characters of request and response of these calls, and their whole length; by the call's id."""
    if not found:
        return {}
    times = [row["at"] for row in found]
    columns = [
        c
        for name in SIDES
        for c in (func.left(calls.c[name], most).label(name), func.length(calls.c[name]).label(f"{name}_length"))
    ]
    of_these = calls.c.id.in_([row["id"] for row in found]), calls.c.at.between(min(times), max(times))
    async with searching.connected(engine) as connection:
        rows = await _rows(connection, select(calls.c.id, *columns).where(*of_these))
    return {row["id"]: {name: (row[name], row[f"{name}_length"]) for name in SIDES} for row in rows}


async def with_attempts(engine: AsyncEngine, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls, each with its attempts."""
    if not found:
        return []
    of_these = attempts.c.call_id.in_([row["id"] for row in found])
    times = [row["at"] for row in found]  # attempts lie in the partitions of their calls
    statement = select(attempts).where(of_these, attempts.c.at.between(min(times), max(times)))
    by_call: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in found}
    async with searching.connected(engine) as connection:
        for row in await _rows(connection, statement.order_by(attempts.c.call_id, attempts.c.number)):
            by_call[row["call_id"]].append(row)
    return [{**call, "attempts": by_call[call["id"]]} for call in found]


def statement_of(wanted: CallFilter) -> Select[Any]:
    """The filter as SQL. Raises InvalidRequest."""
    for name in TEXTS:
        if not _storable(getattr(wanted, name) or ""):
            raise InvalidRequest("Postgres holds no NUL and no half of a surrogate pair, so no record does.", param=name)
    order = [calls.c[name] for name in dict.fromkeys((wanted.sort, "at", "id"))]
    turned = [column.asc() if wanted.ascending else column.desc() for column in order]
    most = bindparam("most", min(wanted.limit, MOST), Integer)
    statement = select(calls).where(*_conditions(wanted)).order_by(*turned).limit(most)
    if wanted.after:
        statement = statement.where(_after(wanted, order))
    return statement


def _columns(statement: Select[Any], *, brief: bool) -> Select[Any]:
    """The statement, ``brief`` without the texts."""
    return statement.with_only_columns(*(column for column in calls.c if column.name not in SIDES)) if brief else statement


def cursor_of(row: Mapping[str, Any], sort: Sort) -> str:
    """Where a page ended: given as ``after``, the next page begins behind this row."""
    place = [sort, None if sort == "at" else row[sort], row["at"].isoformat(), row["id"]]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    c = calls.c
    found: list[Any] = [c[name] == value for name in EXACT if (value := getattr(wanted, name)) is not None]
    facets = [f"{name}={value}" for name in FEW_VALUES if (value := getattr(wanted, name)) is not None]
    facets += [wanted.degraded] if wanted.degraded else []
    if facets:
        found.append(_FACETS.contains(facets))
    found += _of_attempt(wanted)
    if wanted.stream is not None:
        found.append(c.stream.is_(wanted.stream))
    found += _of_outcome(wanted)
    for name, (least, most) in wanted.ranges.items():
        column = _INPUT if name == "input_tokens" else c[name]
        found += [column >= _fitting(column, least, math.ceil)] if least is not None else []
        found += [column <= _fitting(column, most, math.floor)] if most is not None else []
        if name == "input_tokens":
            found += _of_input(least, most)
        elif name in MAGNITUDES:
            found += _of_magnitude(name, least, most)
    found += [c.at >= bindparam("since", wanted.since, c.at.type)] if wanted.since else []
    found += [c.at < bindparam("until", wanted.until, c.at.type)] if wanted.until else []
    if wanted.text:
        found.append(_HAS_WORDS.bindparams(words=wanted.text))
    return found


def _of_attempt(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """One attempt that fits. By call: the key of `attempts` begins with the call's id."""
    a, c = attempts.c, calls.c
    fits = [a.provider == wanted.tried] if wanted.tried is not None else []
    fits += [a.outcome == wanted.attempt] if wanted.attempt is not None else []
    return [exists().where(a.call_id == c.id, a.at == c.at, *fits)] if fits else []


def _of_outcome(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """How the call ended, in kinds."""
    found: list[ColumnElement[bool]] = []
    if wanted.failed is not None:
        found += [calls.c.outcome != "ok", _NEEDED_MODEL] if wanted.failed else [calls.c.outcome == "ok"]
    if wanted.refused is not None:
        found.append(_REFUSED if wanted.refused else not_(_REFUSED))
    if wanted.needed_model is not None:
        found.append(_NEEDED_MODEL if wanted.needed_model else not_(_NEEDED_MODEL))
    return found


def _of_magnitude(name: str, least: float | None, most: float | None) -> list[ColumnElement[bool]]:
    """The magnitudes a range touches, for the index; none where it touches all."""
    first = 0 if least is None else magnitude(least)
    last = len(STEPS) if most is None else magnitude(most)
    if (first, last) == (0, len(STEPS)):
        return []
    return [_FACETS.overlap([f"{name}~{n}" for n in range(first, last + 1)])]


def _of_input(least: float | None, most: float | None) -> list[ColumnElement[bool]]:
    """The same for the sum of `INPUTS`: one of them is a third of it or more, and each is at most all of it."""
    found = [condition for name in INPUTS for condition in _of_magnitude(name, None, most)]
    first = 0 if least is None else magnitude(least / len(INPUTS))
    if first:
        found.append(_FACETS.overlap([f"{name}~{n}" for name in INPUTS for n in range(first, len(STEPS) + 1)]))
    return found


def _after(wanted: CallFilter, order: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Behind the cursor. As a comparison of rows, which an index on their first columns can begin with."""
    place = _place(wanted.after or "", wanted.sort)
    edge = tuple_(*(literal(value, column.type) for value, column in zip(place, order, strict=True)))
    return tuple_(*order) > edge if wanted.ascending else tuple_(*order) < edge


def _place(cursor: str, wanted: Sort) -> tuple[Any, ...]:
    """The values of a cursor, in order of the sort. Raises InvalidRequest."""
    try:
        sort, value, at, last = json.loads(base64.urlsafe_b64decode(cursor))
        place = () if sort == "at" else (float(value),)
        moment = datetime.fromisoformat(at)
        if sort == wanted and isinstance(last, str) and _storable(last) and all(map(math.isfinite, place)) and moment.tzinfo:
            return (*(_fitting(calls.c[wanted], value, round) for value in place), moment, last)
    except (ValueError, TypeError, binascii.Error):
        pass
    raise InvalidRequest("The cursor is not one of this search: take `next` of its last page as it is.", param="after")


def _fitting(column: ColumnElement[Any], bound: float, rounded: Callable[[float], int]) -> float:
    """A bound as a value of the column: a whole number within its range, where it holds those."""
    if isinstance(column.type, Float):
        return bound
    highest: int = 2 ** (63 if isinstance(column.type, BigInteger) else 31) - 1
    return max(-highest, min(highest, rounded(bound)))


def _storable(value: str) -> bool:
    return "\0" not in value and value.encode("utf-8", "replace").decode() == value


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in await connection.execute(statement)]  # noqa: SLF001 - SQLAlchemy's documented name
