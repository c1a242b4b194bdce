"""Every kind of search of `octant calls` on a filled database: how long, and by which plan."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.call_filter import CallFilter
from app.audit.query import cursor_of, find_calls, get_call
from app.domain.errors import InvalidRequest

WARM = 7
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timed:
    """One search. Milliseconds: the first time after others went through the cache, then the middle and the worst of `WARM`."""

    name: str
    rows: int
    first: float
    p50: float
    worst: float
    plan: str


async def searches(engine: AsyncEngine) -> list[tuple[str, CallFilter]]:
    """The searches, with values that this database really holds."""
    newest = (await find_calls(engine, CallFilter(limit=1)))[0]
    old = (await find_calls(engine, CallFilter(until=newest["at"] - 20 * DAY, limit=1)))[0]
    middle = newest["at"] - 15 * DAY
    field: dict[str, tuple[Any, Any]] = {
        "tenant": ("tenant-0", "tenant-199"), "user": ("user-0", old["user"]), "key_id": ("key0000", "key0199"),
        "feature": ("shop.answer", "shop.translate"), "target": ("shop/answer", "shop/translate"),
        "release": ("r-0", "canary"), "prompt": ("shop/answer", "shop/translate"), "prompt_version": ("v1", "v9"),
        "provider": ("anthropic", "backup"), "model": ("anthropic-large", "backup-large"),
        "model_answered": ("anthropic-large-2026-10-01", "backup-large-2026-10-01"), "outcome": ("ok", "internal"),
        "degraded": ("cheaper_model", "last_resort"), "stream": (True, False), "failed": (True, False),
    }  # fmt: skip
    found: list[tuple[str, CallFilter]] = [("newest", CallFilter())]
    for name, values in field.items():
        for frequency, value in zip(("frequent", "rare"), values, strict=True):
            found.append(
                (f"{name}, {frequency}" if name not in ("stream", "failed") else f"{name}={value}", CallFilter(**{name: value}))
            )
    for name in ("id", "request_id", "trace_id"):
        found.append((name, _with(name, old[name])))
        found.append((f"{name}, none such", _with(name, "0" * 32)))
    for name, usual, high in (
        ("latency_ms", 500, 25_000), ("ttft_ms", 100, 8_000), ("overhead_ms", 2, 25), ("cost", 100, 60_000),
        ("held", 9000, 60_000), ("fallbacks", 1, 2), ("input_tokens", 500, 60_000), ("output_tokens", 100, 4_000),
        ("cached_input_tokens", 1, 40_000), ("cache_write_tokens", 1, 500), ("reasoning_tokens", 1, 2_000),
    ):  # fmt: skip
        found += [
            (f"{name} ≥ usual", CallFilter(ranges={name: (usual, None)})),
            (f"{name} ≥ rare", CallFilter(ranges={name: (high, None)})),
        ]
    for name, words in {
        "frequent word (20 %)": "refund", "common word (2 %)": "tent", "uncommon word (0.2 %)": "torn", "rare word": "zyzzyva",
        "order number": "NW-15000077", "phrase": '"arrived torn"', "words, one not": "refund -tent", "no such word": "qqqq",
    }.items():  # fmt: skip
        found.append((f"text: {name}", CallFilter(text=words)))
    found += [
        ("one hour, old", CallFilter(since=middle, until=middle + timedelta(hours=1))),
        ("since 7 days, oldest first", CallFilter(since=newest["at"] - 7 * DAY, ascending=True)),
        ("oldest first", CallFilter(ascending=True)),
    ]
    for sort in ("latency_ms", "cost"):
        for way in (False, True):
            sorted_so = CallFilter(sort=sort, ascending=way)
            found.append((f"by {sort} {'↑' if way else '↓'}", sorted_so))
            found.append((f"by {sort} {'↑' if way else '↓'}, one day", replace(sorted_so, since=middle, until=middle + DAY)))
    deep = {"at": middle, "id": "call_8"}
    found += [
        ("page deep in time", CallFilter(after=cursor_of(deep, "at"))),
        ("page among equal costs", CallFilter(sort="cost", ascending=True, after=cursor_of({**deep, "cost": 0}, "cost"))),
        ("page deep in cost", CallFilter(sort="cost", after=cursor_of({**deep, "cost": 500}, "cost"))),
        ("page deep in latency", CallFilter(sort="latency_ms", after=cursor_of({**deep, "latency_ms": 900.5}, "latency_ms"))),
        ("tenant and user", CallFilter(tenant=old["tenant"], user=old["user"])),
        ("frequent tenant, failed", CallFilter(tenant="tenant-0", failed=True)),
        ("frequent tenant, rare word", CallFilter(tenant="tenant-0", text="zyzzyva")),
        ("frequent tenant, uncommon word", CallFilter(tenant="tenant-0", text="torn")),
        ("rare tenant, frequent word", CallFilter(tenant="tenant-199", text="refund")),
        ("frequent tenant by latency ↓", CallFilter(tenant="tenant-0", sort="latency_ms")),
        ("rare tenant by cost ↓", CallFilter(tenant="tenant-199", sort="cost")),
        ("failed by cost ↓, one day", CallFilter(failed=True, sort="cost", since=middle, until=middle + DAY)),
        ("feature, provider, outcome, slow", CallFilter(feature="shop.answer", provider="openai", outcome="invalid_output",
                                                        ranges={"latency_ms": (3000, None)})),
        ("canary and word", CallFilter(release="canary", text="tent")),
        ("word, old week", CallFilter(text="torn", since=middle, until=middle + 7 * DAY)),
        ("1,000 rows", CallFilter(limit=1000)),
    ]  # fmt: skip
    return found


def _with(name: str, value: Any) -> CallFilter:  # noqa: ANN401 - any field's
    field: dict[str, Any] = {name: value}
    return CallFilter(**field)


async def measure(engine: AsyncEngine) -> list[Timed]:
    """Each search `WARM` times after a first time for each."""
    wanted = await searches(engine)
    first = {name: (await _timed(engine, one))[0] for name, one in wanted}
    found = []
    for name, one in wanted:
        times = sorted([(await _timed(engine, one))[0] for _ in range(WARM)])
        _, rows, plan = await _timed(engine, one, explain=True)
        found.append(Timed(name, rows, first[name], times[WARM // 2], times[-1], plan))
    newest = (await find_calls(engine, CallFilter(limit=1)))[0]["id"]
    began = time.perf_counter()
    await get_call(engine, newest)
    found.append(Timed("one call with attempts", 1, 0, (time.perf_counter() - began) * 1000, 0, ""))
    return found


async def _timed(engine: AsyncEngine, wanted: CallFilter, *, explain: bool = False) -> tuple[float, int, str]:
    """Milliseconds as a caller sees them, rows found, and the plans of the statements that it took."""
    statements: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:  # noqa: ANN401
        statements.append((statement, parameters))

    if explain:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    began = time.perf_counter()
    try:
        rows = len(await find_calls(engine, wanted))
    except InvalidRequest:
        rows = -1
    finally:
        if explain:
            event.remove(engine.sync_engine, "before_cursor_execute", note)
    took = (time.perf_counter() - began) * 1000
    plans = [await _plan(engine, s, p) for s, p in statements if "FROM calls" in s and rows >= 0]
    return took, rows, _summary(plans)


async def _plan(engine: AsyncEngine, statement: str, parameters: Any) -> Any:  # noqa: ANN401 - JSON
    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None  # noqa: S101 - an open connection has one
        await raw.execute("SET LOCAL jit = off")
        answer = await (await raw.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)).fetchone()
        return answer[0][0] if not isinstance(answer[0], str) else json.loads(answer[0])[0]


def _summary(plans: Sequence[Any]) -> str:
    """Which indexes, in how many days, how many rows were read and pages touched; over all statements of a search."""
    indexes: dict[str, int] = {}
    buffers = 0

    def walk(node: Any) -> None:  # noqa: ANN401 - JSON
        if node["Actual Loops"]:
            name = node.get("Index Name") or (node.get("Relation Name") if "Seq" in node["Node Type"] else None)
            if name:
                label = re.sub(r"^calls_\d{8}_?", "", name) or "whole day read"
                indexes[label] = indexes.get(label, 0) + 1
        for inner in node.get("Plans", []):
            walk(inner)

    for plan in plans:
        buffers += plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0)
        walk(plan["Plan"])
    used = ", ".join(f"{name.removesuffix('_idx')} x{count}" for name, count in sorted(indexes.items()))
    return f"{len(plans)} statement{'s' * (len(plans) != 1)}: {used or 'nothing read'}; {buffers:,} pages"
