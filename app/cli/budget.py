"""`octant budget …`: spent and held money, caps and limits, largest spenders, and the worst case."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.amounts import MOST_DAYS, number
from app.cli.audited import add, changes, unchanged
from app.cli.tables import print_line
from app.domain import figures
from app.domain.store_errors import VALKEY, away

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.budget.budget import Budget
    from app.domain.money import MicroUSD
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Spend, caps and rate limits.")

LOOK_SECONDS = 3.0  # for the live release's prices
TIMES = 10  # from so many times a cap on, its use is no share in per cent
TenantId = Annotated[str, typer.Argument(help="Tenant id.")]
User = Annotated[str, typer.Option(help="End user; left out: calls that name none.")]


@app.callback()
def _group() -> None:
    """Spend, caps and rate limits."""


@app.command("show")
def show(tenant: TenantId, user: User = "") -> None:
    """Show spent, held and cap of the tenant's and the user's day and month, and of everything today."""
    asyncio.run(_show(tenant, user))


@app.command("set")
@changes("budget set")
def set_caps(  # noqa: PLR0917 - options of a command
    tenant: TenantId,
    user: Annotated[str, typer.Option(help="Only this user's own caps (--day, --month).")] = "",
    day: Annotated[str | None, typer.Option(help="Dollars a day; for a user `none` is the tenant's for its users.")] = None,
    month: Annotated[str | None, typer.Option(help="Dollars a month, or `none`.")] = None,
    user_day: Annotated[str | None, typer.Option(help="Dollars a day for each user who has no cap of their own.")] = None,
    user_month: Annotated[str | None, typer.Option(help="The same for a month, or `none`.")] = None,
    request: Annotated[str | None, typer.Option(help="Dollars for one call with all its attempts, or `none`.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Whose calendar counts, as Europe/Berlin.")] = None,
    requests_per_minute: Annotated[str | None, typer.Option(help="Rate limit, or `none`.")] = None,
    tokens_per_minute: Annotated[str | None, typer.Option(help="Rate limit, or `none`.")] = None,
    concurrency: Annotated[str | None, typer.Option(help="Calls at once, or `none`.")] = None,
    key: Annotated[str, typer.Option(help="Set the three rate limits of this key instead of its tenant's.")] = "",
) -> None:
    """Change caps and rate limits; every worker counts with them within five seconds."""
    amounts = {"day": day, "month": month, "user_day": user_day, "user_month": user_month, "request": request}
    limits = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrency": concurrency,
    }
    asyncio.run(_set(tenant, user, key, amounts, limits, time_zone))


@app.command("top")
def top(
    tenant: Annotated[str, typer.Argument(help="Its users; left out: all tenants.")] = "",
    days: Annotated[float, typer.Option(min=0, max=MOST_DAYS, callback=number, help="How far back.")] = 1.0,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 10,
) -> None:
    """Show the largest spenders, from the ledger."""
    asyncio.run(_top(tenant, days, count))


@app.command("worst-case")
def worst_case(tenant: Annotated[str, typer.Argument(help="Tenant id; left out: every tenant.")] = "") -> None:
    """Show the most that one rogue user can spend in a day, and the code that enforces it."""
    asyncio.run(_worst_case(tenant))


@app.command("reconcile")
@changes("budget reconcile")
def reconcile(
    fix: Annotated[bool, typer.Option("--fix", help="Raise counters that say less than the ledger.")] = False,
    lower: Annotated[bool, typer.Option("--lower", help="With --fix: also lower those that say more.")] = False,
) -> None:
    """Compare counters and ledger, exactly, while both move. Exit code 1 where they differ and nothing was fixed."""
    if asyncio.run(_reconcile(fix=fix, lower=lower)):
        raise typer.Exit(1)


MOST_THRESHOLDS = 10  # of one subject


@app.command("alerts")
def alerts(count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20) -> None:
    """Show the last budget alerts, newest first: of one subject the highest threshold that it passed."""
    asyncio.run(_alerts(count))


@dataclass(frozen=True, slots=True)
class _Rooms:
    engine: "AsyncEngine"
    valkey: "Redis"
    settings: "Settings"
    budget: "Budget"


@asynccontextmanager
async def _rooms() -> AsyncGenerator[_Rooms, None]:
    from redis.exceptions import RedisError

    from app.budget.budget import Budget
    from app.budget.caps import UserCaps
    from app.budget.ledger import Ledger
    from app.cli.database import database
    from app.domain.errors import Misconfigured
    from app.rooms import budget_policy
    from app.security.redaction.redactor import Redactor
    from app.security.redaction.tenant_patterns import TenantPatterns
    from app.stores import build_valkey

    async with database() as (engine, settings):
        valkey = build_valkey(settings)
        caps = UserCaps(engine)
        await caps.read()
        try:
            patterns = TenantPatterns(engine)
            await patterns.refresh()
            redactor = Redactor(settings.secret, added=patterns)
            budget = Budget(
                valkey,
                Ledger(engine, valkey),
                caps,
                policy=budget_policy(settings),
                name_of=lambda tenant, user: redactor.ledger_name(user, tenant=tenant),
            )
            yield _Rooms(engine, valkey, settings, budget)
        except (RedisError, OSError) as error:
            raise Misconfigured(f"{away(VALKEY, error)} No money can be spent now.") from None
        finally:
            await valkey.aclose()


async def _show(tenant_id: str, user: str) -> None:
    from app.domain.calls import Identity
    from app.security.keys.administration import KeyAdministration

    async with _rooms() as rooms:
        tenant = await KeyAdministration(rooms.engine, secret=b"").tenant(tenant_id)
        for scope, spent, held in await rooms.budget.counted(Identity(tenant=tenant, key_id="", user=user)):
            whose = f", {user or 'calls that name no user'}" if scope.name.startswith("user") else ""
            print(_line(scope.name, spent, held, scope.limit, f"until {scope.resets_at:%Y-%m-%d %H:%M} UTC{whose}"))
        if tenant.request_cap is not None:
            print(f"{'request':46} cap {_usd(tenant.request_cap):>9}")
        for name, limit in zip(("requests", "tokens", "at once"), _limits(tenant.limits), strict=True):
            if limit is not None:
                print(f"{name:13} {limit:,}{'' if name == 'at once' else ' per minute'}")
        spent, held, _ = await rooms.budget.counted_globally()
        print(_line("everything", spent, held, rooms.budget.policy.global_daily_cap, "of all tenants, a day in UTC"))


def _line(name: str, spent: int, held: int, limit: int | None, more: str) -> str:
    """A row of `octant budget show`, in micro-dollars. Above ten times a cap, a share is a multiple: the columns stay."""
    used = (spent + held) / limit if limit else None
    share = "" if used is None else f"({100 * used:.1f} %)" if used < TIMES else f"({figures.count(used)} times)"
    cap = "none" if limit is None else _usd(limit)
    return f"{name:13} spent {_usd(spent):>9}  held {_usd(held):>9}  cap {cap:>9}  {share:13} {more}".rstrip()


async def _set(
    tenant: str, user: str, key: str, amounts: dict[str, str | None], limits: dict[str, str | None], time_zone: str | None
) -> None:
    from app.budget import change as changing

    change = changing.change_of(amounts, limits, time_zone)
    async with _rooms() as rooms:
        shares = rooms.budget.policy.shares
        before = await changing.apply(rooms.engine, change, tenant=tenant, user=user, key=key, shares=shares)
    was = changing.words_before(before)
    print(f"Set; every worker counts with it within 5 seconds.{f' B{was[1:]}' if was else ''}")
    if was:
        add(was)
    await warn_of_one_call(change.money)


async def warn_of_one_call(caps: Mapping[str, "MicroUSD | None"]) -> None:
    """Say if calls of the live release cannot fit into a cap. Is silent where it cannot know."""
    from app.audit.figures import least_held
    from app.budget.one_call import too_small
    from app.cli.database import database
    from app.cli.releases import live_release, opened
    from app.domain.errors import Misconfigured

    try:
        async with asyncio.timeout(LOOK_SECONDS), opened() as releases, database() as (engine, _):
            release = await live_release(releases)
            held = await least_held(engine, release.prompts) if release else {}
    except (Misconfigured, TimeoutError):
        return
    if release and (words := too_small(caps, release.routes.values(), release.prices, held)):
        print(words)


async def _top(tenant: str, days: float, count: int) -> None:
    from app.budget.fullest import largest_users
    from app.budget.ledger import Ledger
    from app.budget.scopes import ANONYMOUS

    async with _rooms() as rooms:
        ledger, now = Ledger(rooms.engine, rooms.valkey), datetime.now(UTC)
        since = now - timedelta(days=days)
        found = await ledger.top(tenant=tenant or None, since=since, count=count)
        users = {} if tenant else await largest_users(rooms.engine, since, now, [who for who, *_ in found])
    for who, amount, calls in found:
        user, of_user = users.get(who, ("", 0))
        most = f"  {of_user / amount:.0%} of it by {'no user' if user == ANONYMOUS else user}" if user and amount else ""
        print(f"{who:40} {_usd(amount):>9}  {calls:>9,} calls{most}")
    if not found:
        print("No tenant or user spent anything.")


async def _worst_case(tenant_id: str) -> None:
    from app.budget import exposure as worst
    from app.security.keys.administration import KeyAdministration

    async with _rooms() as rooms:
        keys = KeyAdministration(rooms.engine, secret=b"")
        tenants = [await keys.tenant(tenant_id)] if tenant_id else await keys.list_tenants()
        policy = rooms.budget.policy
        highest = await worst.highest_own_caps(rooms.engine)
    for tenant in tenants:
        case = worst.of(tenant, policy, highest.get(tenant.id), workers=rooms.settings.workers)
        print(f"{tenant.id}")
        print(f"  one user, a day              {_usd(case.user):>9}  {case.why_user}")
        print(f"  one user, a night            {_usd(case.user_night):>9}  it has a part of two days")
        print(f"  one user, a month            {_usd(case.user_month):>9}")
        print(f"  any holder of its key, a day {_usd(case.tenant):>9}  {case.why_tenant}")
        print(f"  the same, a month            {_usd(case.tenant_month):>9}")
        own = f": octant budget set {tenant.id} --request DOLLARS" if case.call != tenant.request_cap else ""
        print(f"  one call                     {_usd(case.call):>9}  {case.why_call}{own}")
    if not tenant_id:
        day, month = worst.of_everyone(tenants, policy, workers=rooms.settings.workers)
        print(f"All tenants together: {_usd(day)} a day, {_usd(month)} a month, by their caps and the global one")
    print(f"Any 24 hours touch two calendar days, so at most twice that. {worst.OUTAGE[bool(policy.outage_allowance)]}")
    print("\nEnforced by\n" + "\n".join(f"  {place}" for place in worst.ENFORCED_BY))
    print("Proven by\n" + "\n".join(f"  {test}" for test in worst.PROVEN_BY))


async def _reconcile(*, fix: bool, lower: bool) -> bool:
    from app.budget import reconcile as room
    from app.budget.ledger import Ledger
    from app.domain.money import to_dollars

    async with _rooms() as rooms:
        ledger = Ledger(rooms.engine, rooms.valkey)
        await ledger.drain()
        found = await room.differences(rooms.valkey, ledger)
        for difference in found:  # to the last digit: a difference of one micro-dollar is one
            print(f"{difference.key}  counter ${to_dollars(difference.counter)}  ledger ${to_dollars(difference.ledger)}")
        mended = await room.mend(rooms.valkey, found, lower=lower) if fix and found else 0
    if not mended:
        unchanged()
    print(f"{len(found)} counters differ from the ledger, {mended} mended." if found else "Counters and ledger agree.")
    return len(found) > mended


async def _alerts(count: int) -> None:
    from sqlalchemy import select

    from app.budget.alert_words import reached
    from app.budget.alerts import one_each
    from app.budget.tables import alerts as table

    lately = select(table).order_by(table.c.id.desc()).limit(MOST_THRESHOLDS * count).subquery()
    each = one_each(lately).subquery()
    async with _rooms() as rooms, rooms.engine.connect() as connection:
        rows = (await connection.execute(select(each).order_by(each.c.id.desc()).limit(count))).mappings().all()
    for row in rows:
        state = "resolved" if row["resolved_at"] else "open    "
        what = reached(dict(row)) + (f", cap {_usd(row['limit'])}" if row["tenant"] else "")
        print_line(f"{row['at']:%Y-%m-%d %H:%M} UTC  {state}  {row['scope']:12} {row['tenant']:20} {row['subject']:20} {what}")
    if not rows:
        print("No alerts.")


def _limits(limits: object) -> tuple[int | None, ...]:
    return tuple(getattr(limits, name) for name in ("requests", "tokens", "concurrency"))


def _usd(amount: int) -> str:
    from app.domain.figures import usd

    return usd(amount)
