"""Asking for records: by any field, free text, time; sorted; page by page (O2).

What is rare is found through an index, what is frequent by reading newest first; a search that would be neither is ended after
`LONGEST` and says so, because at ten million rows it would keep the database busy for everybody.
"""

import base64
import binascii
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from psycopg.errors import QueryCanceled
from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.tables import FACETS, SEARCH_VECTOR, attempts, calls
from app.domain.errors import InvalidRequest
from app.domain.money import MICROS_PER_DOLLAR

LONGEST = "5s"
MOST = 10_000

Sort = Literal["at", "latency_ms", "cost"]
SORTS: tuple[str, ...] = get_args(Sort)
EXACT = ("id", "request_id", "trace_id", "tenant", "user")
FEW_VALUES = (
    "feature", "target", "release", "prompt", "prompt_version", "provider", "model", "model_answered", "outcome", "key_id",
)  # fmt: skip
RANGES = (
    "latency_ms", "ttft_ms", "overhead_ms", "cost", "held", "fallbacks", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
MONEY = ("cost", "held")

# The left sides are the indexes' expressions, letter by letter, or the indexes are not used.
_HAS_WORDS = text(SEARCH_VECTOR.replace(":", r"\:") + r" @@ websearch_to_tsquery('simple', translate(:words, '<>', '  '))")
_HAS_FACETS = text(FACETS.replace(":", r"\:") + " @> :facets").bindparams(bindparam("facets", type_=ARRAY(Text)))

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """What to look for; None does not restrict. ``text`` is searched in request and response.

    It reads as in a web search: all words must occur, ``"quoted words"`` together, ``-word`` not at all; case does not matter.
    ``ranges``: by field of `RANGES`, least and most, both included; money in micro-dollars. ``failed``: whether the outcome is
    other than ``ok``. ``after``: a cursor (`cursor_of`), from which on to go on in the same order.
    """

    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    tenant: str | None = None
    user: str | None = None
    key_id: str | None = None
    feature: str | None = None
    target: str | None = None
    release: str | None = None
    prompt: str | None = None
    prompt_version: str | None = None
    provider: str | None = None
    model: str | None = None
    model_answered: str | None = None
    outcome: str | None = None
    degraded: str | None = None
    stream: bool | None = None
    failed: bool | None = None
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: Sort = "at"
    ascending: bool = False
    after: str | None = None
    limit: int = 50


async def find_calls(engine: AsyncEngine, wanted: CallFilter) -> list[dict[str, Any]]:
    """Return matching calls, newest first unless sorted otherwise.

    Raises InvalidRequest for a cursor that is none, and where the search takes too long; what SQLAlchemy raises where
    Postgres is away.
    """
    return await _rows(engine, statement_of(wanted))


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


async def with_attempts(engine: AsyncEngine, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls, each with its attempts."""
    if not found:
        return []
    of_these = attempts.c.call_id.in_([row["id"] for row in found])
    times = [row["at"] for row in found]  # attempts lie in the partitions of their calls
    statement = select(attempts).where(of_these, attempts.c.at.between(min(times), max(times)))
    rows = await _rows(engine, statement.order_by(attempts.c.call_id, attempts.c.number))
    return [{**call, "attempts": [row for row in rows if row["call_id"] == call["id"]]} for call in found]


def statement_of(wanted: CallFilter) -> Select[Any]:
    """The filter as SQL. Raises InvalidRequest."""
    order = calls.c[wanted.sort]
    turned = order.asc() if wanted.ascending else order.desc()
    by_id = calls.c.id.asc() if wanted.ascending else calls.c.id.desc()
    statement = select(calls).where(*_conditions(wanted)).order_by(turned, by_id).limit(min(wanted.limit, MOST))
    if wanted.after:
        statement = statement.where(_after(wanted, order))
    return statement


def bounds_of(at_least: Sequence[str], at_most: Sequence[str]) -> dict[str, Bounds]:
    """Read bounds as people write them: ``latency_ms=500``, money in dollars as ``cost=0.01``. Raises InvalidRequest."""
    found: dict[str, Bounds] = {}
    for place, texts in enumerate((at_least, at_most)):
        for told in texts:
            name, _, number = told.partition("=")
            try:
                value = float(number) * (MICROS_PER_DOLLAR if name in MONEY else 1)
            except ValueError:
                value = math.nan
            if name not in RANGES or not math.isfinite(value):
                param = ("at_least", "at_most")[place]
                raise InvalidRequest(f"Not a bound: give FIELD=NUMBER with one of {', '.join(RANGES)}.", param=param)
            before = found.get(name, (None, None))
            found[name] = (value, before[1]) if place == 0 else (before[0], value)
    return found


def cursor_of(row: Mapping[str, Any], sort: Sort) -> str:
    """Where a page ended: given as ``after``, the next page begins behind this row."""
    value = row[sort].isoformat() if sort == "at" else row[sort]
    return base64.urlsafe_b64encode(json.dumps([sort, value, row["id"]]).encode()).decode()


def _conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    c = calls.c
    found: list[Any] = [c[name] == value for name in EXACT if (value := getattr(wanted, name)) is not None]
    facets = [f"{name}={value}" for name in FEW_VALUES if (value := getattr(wanted, name)) is not None]
    facets += [wanted.degraded] if wanted.degraded else []
    if facets:
        found.append(_HAS_FACETS.bindparams(facets=facets))
    if wanted.stream is not None:
        found.append(c.stream.is_(wanted.stream))
    if wanted.failed is not None:
        found.append(c.outcome != "ok" if wanted.failed else c.outcome == "ok")
    for name, (least, most) in wanted.ranges.items():
        found += [c[name] >= least] if least is not None else []
        found += [c[name] <= most] if most is not None else []
    found += [c.at >= wanted.since] if wanted.since else []
    found += [c.at < wanted.until] if wanted.until else []
    if wanted.text:
        found.append(_HAS_WORDS.bindparams(words=wanted.text))
    return found


def _after(wanted: CallFilter, order: ColumnElement[Any]) -> ColumnElement[bool]:
    """Behind the cursor. Said twice: the first condition alone is what an index can use."""
    try:
        sort, value, last = json.loads(base64.urlsafe_b64decode(wanted.after or ""))
        edge = literal(datetime.fromisoformat(value) if sort == "at" else float(value))
        same_order = sort == wanted.sort and isinstance(last, str)
    except (ValueError, TypeError, binascii.Error):
        same_order, edge, last = False, literal(0), ""
    if not same_order:
        raise InvalidRequest("The cursor is not one of this search: take `next` of its last page as it is.", param="after")
    if wanted.ascending:
        return and_(order >= edge, or_(order > edge, calls.c.id > last))
    return and_(order <= edge, or_(order < edge, calls.c.id < last))


async def _rows(engine: AsyncEngine, statement: Select[Any]) -> list[dict[str, Any]]:
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST}'"))
            result = await connection.execute(statement)
            return [dict(row._mapping) for row in result]  # noqa: SLF001 - SQLAlchemy's documented name
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        advice = f"The search took more than {LONGEST}. Narrow it: a time range, a tenant, a user, an id."
        raise InvalidRequest(advice) from error
