"""`octant tenant …` and `octant key …`: the callers of the service."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.amounts import MOST_DAYS, dollars, number
from app.cli.audited import changes
from app.cli.database import database

if TYPE_CHECKING:
    from app.security.keys.administration import KeyAdministration, KeyInfo
    from app.settings import Settings

tenant = typer.Typer(no_args_is_help=True, help="Tenants and their caps.")
key = typer.Typer(no_args_is_help=True, help="API keys: each is shown once, when it is made.")

TenantId = Annotated[str, typer.Argument(help="Tenant id.")]
KeyId = Annotated[str, typer.Argument(help="Key id, or the whole key.")]
EarlierDays = Annotated[
    float | None,
    typer.Option(min=0, max=MOST_DAYS, callback=number, hidden=True, help="Earlier form of --expires-in, in days."),
]
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Scope(StrEnum):
    """Rights of a key: make calls, read its own tenant's records, look at everything in the console, operate the service."""

    CALL = "call"
    READ = "read"
    VIEW = "view"
    ADMIN = "admin"


@tenant.command("create")
@changes("tenant create")
def create_tenant(
    tenant_id: TenantId,
    name: Annotated[str, typer.Option(help="Name for people; the id if left out.")] = "",
    day: Annotated[str, typer.Option(help="Dollars a day, UTC.")] = "100.00",
    user_day: Annotated[str, typer.Option(help="Dollars a day for each user; OCTANT_DEFAULT_USER_DAILY_CAP if left out.")] = "",
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="Succeed if the tenant exists already, and change nothing.")
    ] = False,
    daily_cap: Annotated[str, typer.Option(hidden=True, help="Earlier name of --day.")] = "",
    user_daily_cap: Annotated[str, typer.Option(hidden=True, help="Earlier name of --user-day.")] = "",
) -> None:
    """Create a tenant. `octant budget set` changes its caps."""
    caps = daily_cap or day, user_daily_cap or user_day
    asyncio.run(_create_tenant(tenant_id, name or tenant_id, *caps, exist_ok=exist_ok))


@tenant.command("list")
def list_tenants() -> None:
    """List all tenants and their caps."""
    asyncio.run(_list_tenants())


@key.command("create")
@changes("key create")
def create_key(
    tenant_id: TenantId,
    name: Annotated[str, typer.Option(help="Purpose of the key.")],
    user: Annotated[
        str | None, typer.Option(help="Bind the key to one user; without, the tenant names its user per call.")
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="A right of the key; `call` if left out. May be repeated.")] = None,
    expires_in: Annotated[str, typer.Option(help="How long it works: 90s, 30m, 24h, 7d; for ever if left out.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")] = False,
    days: EarlierDays = None,
) -> None:
    """Create a key and show it, this once."""
    expires_at = _expiry(expires_in, days)
    token = asyncio.run(_create_key(tenant_id, name, user, tuple(s.value for s in scope or (Scope.CALL,)), expires_at))
    _show(token, quiet=quiet)
    if not (quiet or expires_at):
        print("It works until it is revoked or rotated; with --expires-in 90d, a key ends by itself.")


@key.command("rotate")
@changes("key rotate")
def rotate_key(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old key works on: 90s, 30m, 24h, 7d, or 0.")] = "24h",
    expires_in: Annotated[str, typer.Option(help="How long the new key works; as long as the old one had if left out.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")] = False,
    days: EarlierDays = None,
) -> None:
    """Replace a key: the new one works now, the old one until the overlap ends. Same name, scopes, user and limits."""
    expires_at = _expiry(expires_in, days)
    known = _id_of(key_id)
    token = asyncio.run(_rotate_key(known, _duration(overlap), expires_at))
    _show(token, quiet=quiet)
    if not quiet:
        print(f"The old key {known} works for {overlap} more. `octant key list` shows when it was last used.")


@key.command("revoke")
@changes("key revoke")
def revoke_key(key_id: KeyId) -> None:
    """Revoke a key; every worker refuses it within 5 seconds."""
    known = _id_of(key_id)
    asyncio.run(_revoke_key(known))
    print(f"Key {known} is revoked; every worker refuses it within 5 seconds.")


@key.command("list")
def list_keys(
    tenant_id: Annotated[str | None, typer.Argument(help="Only this tenant's keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List keys, with who revoked one and when; the keys themselves are not kept."""
    found, by = asyncio.run(_list_keys(tenant_id))
    if as_json:
        for info in found:
            print(json.dumps({**asdict(info), "state": _state(info), "revoked_by": by.get(info.id)}, default=datetime.isoformat))
        return
    for info in found:
        user = info.user or "any user"
        until = f"expires {info.expires_at:%Y-%m-%d %H:%M} UTC" if info.expires_at else "never expires"
        used = f"last used {info.last_used_at:%Y-%m-%d %H:%M} UTC" if info.last_used_at else "never used"
        then = f" (replaced by {info.replaced_by})" if info.replaced_by else ""
        head = f"{info.id}  {_state(info):8} {info.tenant:20} {user:20} {','.join(info.scopes):12} {until:26} {used:27}"
        print(f"{head} {info.name}{then}{_revoked(info, by)}")
    if not found:
        print("No keys. `octant key create` makes one.")


def _revoked(info: "KeyInfo", by: Mapping[str, str]) -> str:
    """When a key was revoked, and by which operator, as far as the operators' log says it."""
    if info.revoked_at is None:
        return ""
    return f"  revoked {info.revoked_at:%Y-%m-%d %H:%M} UTC by {by.get(info.id, 'an unknown operator')}"


def _show(token: str, *, quiet: bool) -> None:
    print(token if quiet else f"{token}\n\nStore it now: only its hash is kept, so it cannot be shown again.")


def _id_of(id_or_key: str) -> str:
    """Return the id in a whole key, or the id itself. An operator may paste either; the key is not echoed."""
    return id_or_key.split("_")[1] if id_or_key.startswith("oct_") and id_or_key.count("_") >= 2 else id_or_key


def _duration(text: str) -> timedelta:
    from app.domain.errors import InvalidRequest

    found = re.fullmatch(r"(\d{1,6})([smhd])|0", text)
    if not found:
        raise InvalidRequest("A duration is a whole number and s, m, h or d, such as 24h.")
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found[2] else timedelta()


def _expiry(expires_in: str, days: float | None) -> datetime | None:
    if days is not None:
        return datetime.now(UTC) + timedelta(days=days)
    return datetime.now(UTC) + _duration(expires_in) if expires_in else None


def _state(info: "KeyInfo") -> str:
    if info.revoked_at:
        return "revoked"
    return "expired" if info.expires_at and info.expires_at <= datetime.now(UTC) else "live"


@asynccontextmanager
async def _keys() -> "AsyncGenerator[tuple[KeyAdministration, Settings], None]":
    from app.security.keys.administration import KeyAdministration

    async with database() as (engine, settings):
        yield KeyAdministration(engine, secret=settings.secret), settings


async def _create_tenant(tenant_id: str, name: str, daily_cap: str, user_daily_cap: str, *, exist_ok: bool) -> None:
    from app.cli.budget import warn_of_one_call
    from app.domain.figures import usd

    cap, own_cap = dollars(daily_cap), dollars(user_daily_cap) if user_daily_cap else None
    async with _keys() as (keys, settings):
        if exist_ok and any(t.id == tenant_id for t in await keys.list_tenants()):
            print(f"Tenant {tenant_id} exists.")
            return
        user_cap = own_cap if own_cap is not None else dollars(settings.default_user_daily_cap)
        made = await keys.create_tenant(tenant_id, name, cap, user_cap)
    print(f"Tenant {made.id}: {usd(made.daily_cap)} a day, {usd(made.user_daily_cap)} a user and day.")
    await warn_of_one_call({"day": made.daily_cap, "user_day": made.user_daily_cap})


async def _list_tenants() -> None:
    from app.domain.figures import usd

    async with _keys() as (keys, _):
        for t in await keys.list_tenants():
            print(f"{t.id:20} {usd(t.daily_cap):>9} a day  {usd(t.user_daily_cap):>9} a user and day  {t.name}")


async def _create_key(tenant_id: str, name: str, user: str | None, scopes: tuple[str, ...], expires_at: datetime | None) -> str:
    async with _keys() as (keys, _):
        return await keys.create_key(tenant_id, name=name, user=user, scopes=scopes, expires_at=expires_at)


async def _rotate_key(key_id: str, overlap: timedelta, expires_at: datetime | None) -> str:
    async with _keys() as (keys, _):
        return await keys.rotate_key(key_id, overlap, expires_at=expires_at)


async def _revoke_key(key_id: str) -> None:
    async with _keys() as (keys, _):
        await keys.revoke_key(key_id)


async def _list_keys(tenant_id: str | None) -> "tuple[list[KeyInfo], Mapping[str, str]]":
    from app.audit.revocations import revoked_by
    from app.security.keys.administration import KeyAdministration

    async with database() as (engine, settings):
        found = await KeyAdministration(engine, secret=settings.secret).list_keys(tenant_id)
        return found, await revoked_by(engine) if any(info.revoked_at for info in found) else {}
