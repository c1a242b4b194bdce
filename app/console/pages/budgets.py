"""Budgets: caps, spending and holds of every tenant, the largest spenders, open alerts, and the worst case."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.figures import DAY, HOUR, Capped, estimated_since, holds_by_tenant, refused_by_cap
from app.budget import exposure, standing
from app.budget.fullest import largest_users
from app.budget.scopes import ANONYMOUS, scopes_of
from app.budget.standing import Everything, Spending
from app.console import charts, formats, gamedays, live
from app.console.caps import NEAR, Cap, Window, caps_of, full_users, near_words, window
from app.console.console import ROUTES, VIEWING, Console, link
from app.console.health import of_stops
from app.console.known import Known
from app.console.navigation import BUDGETS
from app.console.pages import code
from app.console.ranges import Range
from app.console.readiness.spending import ROGUE
from app.domain.calls import Tenant
from app.domain.money import MICROS_PER_DOLLAR
from app.domain.whole_numbers import whole_number

PAGE = 50
TOP = 10
DRAWN = 4  # series of the chart, beside all the others
EVERY = 5.0
SOME = 5  # calls that a cap refused in the last hour, from which on they are worth a warning
NO_OWN = (None, None)
SORTS = {"share": "Used", "spent": "Spent today", "held": "Held now", "month": "This month", "cap": "Cap", "name": "Tenant"}


@dataclass(frozen=True, slots=True)
class Parallel:
    """Calls that fit at once: each holds its worst case until it ends.

    ``held``: the median and the largest worst case of a call; ``fit``: of the tenant's calls, by both; ``one_user``: of one user
    who has spent nothing yet, by the largest; None where nothing bounds them. ``limit``: the tenant's own, of calls at once.
    """

    held: tuple[int, int]
    left: int | None
    fit: tuple[int | None, int | None]
    one_user: int | None
    limit: int | None


def parallel_of(tenant: Tenant, windows: Sequence[Window], held: tuple[int, int] | None) -> Parallel | None:
    """How many calls of a tenant fit under what its windows have left; None where no call of the last day held money."""
    if held is None:
        return None
    left = min((window.left for window in windows if window.left is not None), default=None)
    limit = tenant.limits.concurrency
    caps = [cap for cap in (left, tenant.user_daily_cap, tenant.user_monthly_cap) if cap is not None]
    first, second = (exposure.at_once(left, each, limit=limit) for each in held)
    return Parallel(held, left, (first, second), exposure.at_once(min(caps, default=None), held[1], limit=limit), limit)


@dataclass(frozen=True, slots=True)
class Line:
    """One tenant. ``capped``: its calls of the last hour that a cap refused: one that is empty may be too small for a call."""

    tenant: Tenant
    day: Window
    month: Window
    worst: exposure.Worst
    parallel: Parallel | None = None
    capped: Capped | None = None

    @property
    def refused(self) -> int:
        """Their number."""
        return self.capped.calls if self.capped else 0

    @property
    def share(self) -> float:
        """The larger of both shares."""
        return max(self.day.share or 0, self.month.share or 0)

    @property
    def state(self) -> tuple[str, str]:
        """See `state_of`."""
        return state_of((self.day, self.month), self.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """All that the page knows. Of several reads, ``aways`` says which stores did not answer.

    ``users``: the users' caps that are the fullest. ``estimated``: the part of today's money that is for attempts without final
    figures.
    """

    tenants: Known[list[Tenant]]
    lines: list[Line]
    everything: Known[Everything]
    alerts: Known[tuple[list[dict[str, Any]], int]]
    spending: Known["TopSpending"]
    from_ledger: bool
    users: Known[list[Cap]]
    estimated: int | None = None
    aways: list[Known[Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TopSpending:
    """The largest spenders of a range, ``(name, micro-dollars, entries)``, and the spending of some of them over time.

    ``users``: of each tenant the user that spent most, and its micro-dollars.
    """

    top: Sequence[tuple[str, int, int]]
    spending: Spending
    users: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def router(console: Console) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/console", dependencies=VIEWING, **ROUTES)

    @made.get("/budgets")
    async def page(request: Request) -> Response:
        """The page."""
        values = await _values(console, dict(request.query_params))
        rogue = await asyncio.to_thread(gamedays.of_the_cap, console.parts.state_dir, ROGUE)
        return console.page(request, "budgets.html", BUDGETS, rogue=rogue, **values)

    @made.get("/live/budgets")
    async def part(request: Request) -> Response:
        """Its live part: the sentence, the figures and the tenants."""
        query = dict(request.query_params)

        async def write() -> str:
            return console.fragment("parts/budgets.html", **await _values(console, query))

        return live.stream(request, console, write, every=EVERY)

    return made


async def _values(console: Console, query: Mapping[str, str]) -> dict[str, Any]:
    range_ = await console.range(query, "24h")
    now = datetime.now(UTC)
    money = await _read(console, range_, now)
    wanted = query.get("name", "").strip()
    lines = [line for line in money.lines if wanted.lower() in f"{line.tenant.id} {line.tenant.name}".lower()]
    sort = query.get("sort", "share") if query.get("sort") in SORTS else "share"
    lines.sort(key=lambda line: _key(line, sort), reverse=sort != "name")
    skip = min(number_of(query.get("skip")), max(0, (len(lines) - 1) // PAGE * PAGE))
    kind, words = answer(money, console.parts.switch.stopped_words)
    of_tenants = {line.tenant.id: (line.day, line.month) for line in money.lines}
    fullest = caps_of(of_tenants, money.users.value or [], money.everything.value, now)
    shown = {name: value for name, value in query.items() if value and name in ("range", "since", "until", "sort", "name")}
    return {
        "range": range_, "money": money, "fullest": fullest[0] if fullest else None,
        "kind": kind, "words": words, "wanted": wanted, "sort": sort, "sorts": SORTS,
        "lines": lines[skip : skip + PAGE], "all": lines, "skip": skip, "more": skip + PAGE < len(lines), "shown": shown,
        "total": {name: sum(getattr(line.day, name) or 0 for line in lines) for name in ("spent", "held")}
        | {"month": sum(line.month.spent for line in lines)},
        "parallel": [line for line in lines[skip : skip + PAGE] if line.parallel],
        "is_stopped": console.parts.switch.user_stopped, "spent_link": spent_link, "top": top_lines(money.spending.value),
        "chart": chart(money.spending.value, range_), "outage": exposure.OUTAGE[bool(console.parts.policy.outage_allowance)],
        "everyone": exposure.of_everyone(money.tenants.value, console.parts.policy, workers=console.parts.workers)
        if money.tenants.value else None,
        "code_at": code.address, "enforced_by": exposure.ENFORCED_BY, "proven_by": exposure.PROVEN_BY, "page_size": PAGE,
    }  # fmt: skip


async def _read(console: Console, range_: Range, now: datetime) -> Money:
    parts, read = console.parts, console.known.read
    tenants = await read("tenants", parts.keys.list_tenants())
    known = tenants.value or []
    scopes = {tenant.id: scopes_of(tenant, "", now, NO_OWN)[:2] for tenant in known}
    keys = [scope.key for pair in scopes.values() for scope in pair]
    counters, everything, highest, alerts, spending, (holds, refused, estimated, users) = await asyncio.gather(
        read("tenants' counters", standing.counted(parts.valkey, keys)),
        read("global counters", standing.everything(parts.valkey, parts.policy.global_daily_cap, now)),
        read("own caps", exposure.highest_own_caps(parts.engine)),
        read("open alerts", standing.open_alerts(parts.engine, now)),
        read(("spending", *range_.query.items()), spending_of(console, range_)),
        asyncio.gather(
            read("holds", holds_by_tenant(parts.engine, DAY)),
            read("refused", refused_by_cap(parts.engine, HOUR)),
            read("estimated", estimated_since(parts.engine, now.replace(hour=0, minute=0, second=0, microsecond=0))),
            read("fullest users", full_users(console, known, now)),
        ),
    )
    sums: dict[str, tuple[int, int]] = {}
    if counters.away:  # the counters say it exactly; without them the ledger does
        sums = (await read("tenants' sums", standing.spent_by_tenant(parts.engine, known, now))).value or {}
    lines = []
    for tenant in known:
        day, month = (
            window(scope, tenant, (counters.value or {}).get(scope.key), sums.get(tenant.id, (0, 0))[place] if sums else None)
            for place, scope in enumerate(scopes[tenant.id])
        )
        worst = exposure.of(tenant, parts.policy, (highest.value or {}).get(tenant.id), workers=parts.workers)
        parallel = parallel_of(tenant, (day, month), (holds.value or {}).get(tenant.id))
        lines.append(Line(tenant, day, month, worst, parallel, (refused.value or {}).get(tenant.id)))
    return Money(
        tenants=tenants, lines=lines, everything=everything, alerts=alerts, spending=spending, from_ledger=bool(sums),
        users=users, estimated=estimated.value, aways=aways_of(counters, everything, tenants, alerts, spending, users),
    )  # fmt: skip


async def spending_of(console: Console, range_: Range, tenant: str = "") -> TopSpending:
    """The spending of a range: by tenant, or by user of one."""
    parts = console.parts
    top = await parts.ledger.top(tenant=tenant or None, since=range_.since, until=range_.until, count=TOP)
    names = [name for name, _, _ in top]
    found = await standing.over_time(parts.engine, range_.since, range_.until, range_.width, named=names, tenant=tenant)
    users = {} if tenant else await largest_users(parts.engine, range_.since, range_.until, names)
    return TopSpending(top, found, users)


def answer(money: Money, stopped: Sequence[str]) -> tuple[str, str]:
    """How the money stands, in one sentence of the data."""
    total = money.everything.value
    left = f" The global cap has {formats.usd(total.left)} of {formats.usd(total.cap)} left." if total else ""
    if stopped:
        return "bad", of_stops(stopped) + left
    if not money.lines:
        kind = "warn" if money.tenants.away else "none"
        return kind, ("The tenants are not known right now." if money.tenants.away else "There is no tenant yet.") + left
    if total and total.left == 0:
        return "bad", f"The global cap of {formats.usd(total.cap)} a day is used up: every call is refused until the day ends."
    users = f" {of_users}" if (of_users := near_words(money.users.value or [])) else ""
    full = [line for line in money.lines if line.share >= 1]
    if full:
        return "bad", f"{_names(full)} used up a cap: further calls are refused.{users}{left}"
    near = [line for line in money.lines if line.share >= NEAR]
    if near:
        first = max(near, key=lambda line: line.share)
        return "warn", f"{_names(near)} near a cap: {first.tenant.id} has used {formats.share(first.share)}.{users}{left}"
    spent = f": {formats.usd(total.spent)} spent today, {formats.usd(total.held)} held" if total else ""
    refusing = sorted((line for line in money.lines if line.refused), key=lambda line: -line.refused)
    kind = "warn" if money.aways or users or (refusing and refusing[0].refused >= SOME) else "good"
    count = formats.number(len(money.lines), "tenant is within its caps", "tenants are within their caps")
    return kind, f"{_refusing(refusing)}{count}{spent}.{users}{left}"


def state_of(windows: Sequence[Window], refused: int) -> tuple[str, str]:
    """Of the fuller window; one that is not full may refuse calls all the same."""
    kind, word = max(windows, key=lambda window: window.share or 0).state
    if kind == "good" and refused:
        return "warn" if refused >= SOME else "none", f"refused {formats.count(refused)} in 1 h"
    return kind, word


def _refusing(lines: Sequence[Line]) -> str:
    """Whose calls a cap refused though it is not used up; ``lines``: the most first. Empty without any."""
    if not lines or not lines[0].capped:
        return ""
    others = formats.number(len(lines) - 1, "more tenant")
    more = f" Calls of {others} were refused, too." if len(lines) > 1 else ""
    return f"{refused_words(lines[0].tenant.id, lines[0].capped)}{more} "


def refused_words(tenant: str, capped: Capped) -> str:
    """Whose calls a cap refused in the last hour: the tenant's, and most of them which user's."""
    user, number = next(iter(capped.users.items()))
    of_user = f", {'all' if number == capped.calls else formats.count(number)} of them of {user}" if user else ""
    return f"A cap refused {formats.number(capped.calls, 'call')} of {tenant} in the last hour{of_user}."


def _names(lines: Sequence[Line]) -> str:
    named = [line.tenant.id for line in sorted(lines, key=lambda line: -line.share)[:3]]
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    verb = "has" if len(lines) == 1 else "have"
    used_up = all(line.share >= 1 for line in lines)
    return f"{', '.join(named)}{more} {verb}" if used_up else f"{', '.join(named)}{more} {'is' if len(lines) == 1 else 'are'}"


def top_lines(found: TopSpending | None) -> dict[str, Any]:
    """The largest spenders, the others in one line, and the sum, each with its share of the largest."""
    if found is None:
        return {"lines": [], "amount": 0, "entries": 0}
    amount = sum(found.spending.by_name.values())
    entries = sum(found.spending.entries.values())
    lines = [(name, spent, calls) for name, spent, calls in found.top]
    rest = amount - sum(spent for _, spent, _ in lines)
    more = entries - sum(calls for _, _, calls in lines)
    most = max([*(spent for _, spent, _ in lines), rest, 1])
    shown = [(name, spent, calls, spent / most) for name, spent, calls in lines]
    return {"lines": shown, "rest": (rest, more, rest / most) if more > 0 else None, "amount": amount, "entries": entries}


def chart(found: TopSpending | None, range_: Range) -> dict[str, Any] | None:
    """Spending over time, of the largest and of all the others."""
    if found is None or not found.top:
        return None
    times = times_of(range_, [at for at, _ in found.spending.steps])
    drawn = [name for name, _, _ in found.top[:DRAWN]]
    rows = {name: [found.spending.steps.get((at, name), 0) for at in times] for name in drawn}
    others = [sum(a for (moment, name), a in found.spending.steps.items() if moment == at and name not in drawn) for at in times]
    series = [
        ("no user" if name == ANONYMOUS else name, [value / MICROS_PER_DOLLAR for value in values], f"s{n}")
        for n, (name, values) in enumerate(rows.items(), 1)
    ]
    if any(others):
        series.append(("others", [value / MICROS_PER_DOLLAR for value in others], "s5"))
    return charts.spec(times, series, unit="$", kind="stack")


def times_of(range_: Range, known: Collection[datetime]) -> list[datetime]:
    """The steps of a range. Where the data is of a moment ago, its steps lie between those of now: then they are taken."""
    shift = (min(known) - range_.since) % range_.width if known else timedelta()
    first = range_.since + shift - (range_.width if shift else timedelta())
    return [first + n * range_.width for n in range(-(-(range_.until - first) // range_.width))]


def aways_of(*known: Known[Any]) -> list[Known[Any]]:
    """One of each store that does not answer. The ledger is in Postgres."""
    return list(
        {
            one.away.replace("The ledger cannot be read right now", "Postgres does not answer"): one for one in known if one.away
        }.values()
    )


def spent_link(window: Window, tenant: str = "", user: str = "") -> str:
    """The calls of a counter's window, the dearest first."""
    since = f"{window.began:%Y-%m-%dT%H:%M:%SZ}"
    return link("/console/calls", {"tenant": tenant, "user": user, "since": since, "sort": "cost"})


def _key(line: Line, sort: str) -> Any:  # noqa: ANN401 - what sorts
    values = {
        "share": (line.share, line.day.spent), "spent": line.day.spent, "held": line.day.held or 0, "month": line.month.spent,
        "cap": line.tenant.daily_cap, "name": line.tenant.id,
    }  # fmt: skip
    return values[sort]


def number_of(text: str | None) -> int:
    """A number in an address; anything else is none."""
    return whole_number(text or "", digits=8) or 0
