"""One tenant's budget and its users', and one user's."""

import asyncio
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.figures import DAY, HOUR, Capped, holds_by_tenant, refused_by_cap
from app.budget import exposure, standing
from app.budget.change import AMOUNTS
from app.budget.scopes import ANONYMOUS, scopes_of
from app.budget.standing import Counted, UserLine, Users
from app.console import formats, live
from app.console.budget_actions import beware_of
from app.console.caps import FULL, NEAR, Window, window
from app.console.console import ROUTES, VIEWING, Console, first_page
from app.console.known import Known
from app.console.navigation import BUDGETS
from app.console.pages import code
from app.console.pages.budgets import (
    EVERY,
    NO_OWN,
    PAGE,
    SOME,
    TopSpending,
    aways_of,
    chart,
    number_of,
    parallel_of,
    refused_words,
    spending_of,
    spent_link,
    state_of,
    top_lines,
)
from app.console.ranges import Range
from app.domain.calls import Tenant
from app.domain.errors import InvalidRequest, NotFound

SORTS = {"share": "Used today", "day": "Spent today", "month": "This month", "name": "User"}
LABELS = {"tenant-day": "Today", "tenant-month": "This month", "user-day": "Today", "user-month": "This month"}
MOST_ID = 128
STOPPED = ("bad", "stopped")
_PSEUDONYM = re.compile(r"user#[0-9a-f]+")

Own = dict[str, tuple[Any, Any]]


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/budgets/{tenant_id}")
    async def page(request: Request, tenant_id: str) -> Response:
        """A tenant."""
        tenants, tenant = await _tenant(console, tenant_id)
        values = await _tenant_values(console, tenant, dict(request.query_params))
        first_page(request, values["skip"], values["users"].value.lines if values["users"].value else None)
        return console.page(request, "budget_tenant.html", BUDGETS, title=tenant.id, tenant=tenant, tenants=tenants, **values)

    @made.get("/live/budgets/{tenant_id}")
    async def part(request: Request, tenant_id: str) -> Response:
        """Its live part: the sentence, the figures and the alerts."""

        async def write() -> str:
            _, tenant = await _tenant(console, tenant_id)
            values = await _tenant_values(console, tenant, dict(request.query_params))
            return console.fragment("parts/budget_tenant.html", tenant=tenant, **values)

        return live.stream(request, console, write, every=EVERY)

    @made.get("/budgets/{tenant_id}/user")
    async def user_page(request: Request, tenant_id: str) -> Response:
        """A user of it. The id stands in the query: it may hold any character."""
        tenants, tenant = await _tenant(console, tenant_id)
        name = request.query_params.get("id", "")
        if not name or len(name) > MOST_ID:
            raise InvalidRequest(f"A user's id has 1 to {MOST_ID} characters.", param="id")
        values = await _user_values(console, tenant, name, await console.range(request.query_params, "7d"))
        return console.page(request, "budget_user.html", BUDGETS, title=name, tenant=tenant, tenants=tenants, **values)

    return made


async def _tenant(console: Console, tenant_id: str) -> tuple[Known[list[Tenant]], Tenant]:
    tenants = await console.known.read("tenants", console.parts.keys.list_tenants())
    found = next((one for one in tenants.value or () if one.id == tenant_id), None)
    if found is None:
        why = f"{tenants.away}, and this tenant is not known here." if tenants.away else f"There is no tenant {tenant_id!r}."
        raise NotFound(why)
    return tenants, found


async def _tenant_values(console: Console, tenant: Tenant, query: Mapping[str, str]) -> dict[str, Any]:
    parts, now, range_ = console.parts, datetime.now(UTC), await console.range(query, "24h")
    sort = query.get("sort", "share") if query.get("sort") in SORTS else "share"
    skip = number_of(query.get("skip"))
    windows, counters = await _windows(console, tenant, "", NO_OWN, now)
    raw, own = await _own(console, tenant)
    read = console.known.read
    users, spending, alerts, holds, refused = await asyncio.gather(
        read(
            ("users", tenant.id, sort, skip),
            standing.users_of(parts.engine, tenant, own, now, sort=sort, most=PAGE, skip=skip),
        ),
        read(("spending", tenant.id, *range_.query.items()), spending_of(console, range_, tenant=tenant.id)),
        read(("alerts", tenant.id), standing.open_alerts(parts.engine, now, tenant=tenant.id)),
        read("holds", holds_by_tenant(parts.engine, DAY)),
        read("refused", refused_by_cap(parts.engine, HOUR)),
    )
    held = await _held(console, tenant, users.value, now)
    highest = max((day for day, _ in own.values() if day is not None), default=None)
    lines = users.value.lines if users.value else ()
    capped = (refused.value or {}).get(tenant.id)
    by_user = {parts.redactor.ledger_name(user, tenant=tenant.id): n for user, n in (capped.users if capped else {}).items()}
    user_windows = {line.name: _user_windows(tenant, line, held, now) for line in lines}
    kind, words = _tenant_answer(tenant, windows[:2], capped)
    return {
        "range": range_, "kind": kind, "words": words, "windows": windows[:2], "labels": LABELS, "users": users, "raw": raw,
        "user_windows": user_windows,
        "states": {
            name: STOPPED if parts.switch.user_stopped(tenant.id, name) else state_of(both, by_user.get(name, 0))
            for name, both in user_windows.items()
        },
        "sort": sort, "sorts": SORTS, "skip": skip, "page_size": PAGE, "top": top_lines(spending.value),
        "shown": {name: value for name, value in query.items() if value and name in ("range", "since", "until", "sort")},
        "chart": chart(spending.value, range_), "alerts": alerts,
        "is_stopped": parts.switch.user_stopped, "spending": spending, "spent_link": spent_link,
        "beware": await beware_of(console, {name: getattr(tenant, column) for name, column in AMOUNTS.items()}),
        "worst": exposure.of(tenant, parts.policy, highest, workers=parts.workers),
        "code_at": code.address, "enforced_by": exposure.ENFORCED_BY,
        "aways": aways_of(counters, users, spending, alerts),
        "parallel": parallel_of(tenant, windows[:2], (holds.value or {}).get(tenant.id)),
    }  # fmt: skip


async def _user_values(console: Console, tenant: Tenant, name: str, range_: Range) -> dict[str, Any]:
    parts, now = console.parts, datetime.now(UTC)
    raw, own = await _own(console, tenant)
    name = name if name == ANONYMOUS else parts.redactor.ledger_name(name, tenant=tenant.id)
    caps = own.get(name, NO_OWN)
    windows, counters = await _windows(console, tenant, "" if name == ANONYMOUS else name, caps, now)
    spending = await console.known.read(
        ("user's spending", tenant.id, name, *range_.query.items()),
        standing.over_time(parts.engine, range_.since, range_.until, range_.width, named=[name], tenant=tenant.id),
    )
    found = spending.value
    amount, entries = (found.by_name.get(name, 0), found.entries.get(name, 0)) if found else (0, 0)
    only = TopSpending([(name, amount, entries)], _alone(found, name)) if found and entries else None
    alerts = await console.known.read(("alerts", tenant.id), standing.open_alerts(parts.engine, now, tenant=tenant.id))
    mine = [one for one in alerts.value[0] if one["subject"] == name] if alerts.value else []
    kind, words = _user_answer(tenant, name, windows, own.get(name))
    stopped = name != ANONYMOUS and parts.switch.user_stopped(tenant.id, name)
    if stopped:
        kind, words = "bad", f"{name} of {tenant.id} is stopped by an operator: every call is refused. {words}"
    return {
        "range": range_, "kind": kind, "words": words, "windows": windows, "labels": LABELS, "name": name,
        "raw": raw.get(name, "" if name == ANONYMOUS or _PSEUDONYM.fullmatch(name) else name), "own": caps,
        "amount": amount, "entries": entries, "chart": chart(only, range_), "alerts": mine, "spent_link": spent_link,
        "spending": spending, "command": _command(tenant, name),
        "anonymous": name == ANONYMOUS, "user_stopped": stopped,
        "is_stopped": parts.switch.user_stopped, "aways": aways_of(counters, spending, alerts),
    }  # fmt: skip


async def _windows(
    console: Console, tenant: Tenant, user: str, own: tuple[Any, Any], now: datetime
) -> tuple[list[Window], Known[dict[str, Counted]]]:
    """The four windows of a call made now; without Valkey the tenant's sums come from the ledger."""
    parts = console.parts
    scopes = scopes_of(tenant, user, now, own)
    keys = [scope.key for scope in scopes]
    counters = await console.known.read(("counters", tenant.id, user), standing.counted(parts.valkey, keys))
    sums: tuple[int, int] | tuple[None, None] = (None, None)
    if counters.away:
        read = await console.known.read(("sums", tenant.id), standing.spent_by_tenant(parts.engine, [tenant], now))
        sums = (read.value or {}).get(tenant.id, (None, None))
    places = [*sums, None, None]
    return [
        window(scope, tenant, (counters.value or {}).get(scope.key), ledger) for scope, ledger in zip(scopes, places, strict=True)
    ], counters


async def _own(console: Console, tenant: Tenant) -> tuple[dict[str, str], Own]:
    """Users' own caps under the names that the ledger knows, and the users' ids by those names."""
    known = await console.known.read(("own caps", tenant.id), standing.own_caps(console.parts.engine, tenant.id))
    names = {console.parts.redactor.ledger_name(user, tenant=tenant.id): user for user in known.value or {}}
    return names, {name: (known.value or {})[user] for name, user in names.items()}


async def _held(console: Console, tenant: Tenant, users: Users | None, now: datetime) -> dict[str, Counted]:
    keys = [scope.key for line in (users.lines if users else ()) for scope in _scopes(tenant, line, now)]
    found = await console.known.read(("held", tenant.id), standing.counted(console.parts.valkey, keys))
    return found.value or {}


def _scopes(tenant: Tenant, line: UserLine, now: datetime) -> Any:  # noqa: ANN401 - a pair of scopes
    return scopes_of(tenant, "" if line.name == ANONYMOUS else line.name, now, line.own)[2:]


def _user_windows(tenant: Tenant, line: UserLine, counted: Mapping[str, Counted], now: datetime) -> tuple[Window, Window]:
    """The ledger's sums, with the counters where they say more: a part of a second may lie between the two."""
    day, month = _scopes(tenant, line, now)
    return (
        window(day, tenant, counted.get(day.key), line.day),
        window(month, tenant, counted.get(month.key), line.month),
    )


def _alone(found: standing.Spending, name: str) -> standing.Spending:
    return standing.Spending(
        {key: amount for key, amount in found.steps.items() if key[1] == name}, {name: found.by_name.get(name, 0)},
        {name: found.entries.get(name, 0)},
    )  # fmt: skip


def _tenant_answer(tenant: Tenant, windows: list[Window], capped: Capped | None = None) -> tuple[str, str]:
    day, month = windows
    full = [one for one in windows if (one.share or 0) >= 1]
    if full:
        until = max(one.resets_at for one in full)
        return "bad", f"{tenant.id} has used up its cap: its calls are refused until {until:%Y-%m-%d %H:%M} UTC."
    held = f", and {formats.usd(day.held)} are held" if day.held else ""
    of_month = f", {formats.usd(month.spent)} this month" if month.spent != day.spent else ""
    share = max(day.share or 0, month.share or 0)
    words = f"{tenant.id} has spent {formats.usd(day.spent)} of {formats.usd(day.cap)} today{of_month}{held}."
    words = f"{refused_words(tenant.id, capped)} {words}" if capped else words
    many = capped is not None and capped.calls >= SOME
    return ("bad" if share >= FULL else "warn" if share >= NEAR or many else "good"), words


def _user_answer(tenant: Tenant, name: str, windows: list[Window], own: tuple[Any, Any] | None) -> tuple[str, str]:
    day, month = windows[2:]
    who = f"Calls of {tenant.id} that name no user have" if name == ANONYMOUS else f"{name} of {tenant.id} has"
    full = [one for one in windows if (one.share or 0) >= 1]
    if full:
        until = max(one.resets_at for one in full)
        whose = "own" if full[-1].name.startswith("user") else "tenant's"
        return "bad", f"{who} reached the {whose} cap: further calls are refused until {until:%Y-%m-%d %H:%M} UTC."
    share = max(day.share or 0, month.share or 0)
    cap = "a cap of their own" if own and own[0] is not None else "the cap of every user"
    words = f"{who} spent {formats.usd(day.spent)} of {formats.usd(day.cap)} today, by {cap}."
    return ("bad" if share >= FULL else "warn" if share >= NEAR else "good"), words


def _command(tenant: Tenant, name: str) -> str:
    return shlex.join(["octant", "budget", "show", tenant.id, *([] if name == ANONYMOUS else ["--user", name])])
