"""`octant kill …` and `octant resume`: the kill switch."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes

if TYPE_CHECKING:
    from app.oncall.switch import KillSwitch

app = typer.Typer(no_args_is_help=True, help="Kill switch: stop everything, a provider or a tenant, on all workers within 2 s.")

Reason = Annotated[str, typer.Option(help="Why; the status shows it.")]


@app.command("all")
@changes("kill all")
def kill_all(reason: Reason) -> None:
    """Refuse every call."""
    _stop("all", "", reason)


@app.command("provider")
@changes("kill provider")
def kill_provider(name: Annotated[str, typer.Argument(help="Provider, such as anthropic.")], reason: Reason) -> None:
    """Pass a provider over; routes fall back to the next."""
    from app.domain.errors import NotFound
    from app.settings import load

    known = load().all_providers()
    if name not in known:  # a slip of the pen must not look like a stopped provider
        raise NotFound(f"No provider {name!r}. Known: {', '.join(known)}.")
    _stop("provider", name, reason)


@app.command("tenant")
@changes("kill tenant")
def kill_tenant(name: Annotated[str, typer.Argument(help="Tenant id.")], reason: Reason) -> None:
    """Refuse every call of a tenant."""
    asyncio.run(_check_tenant(name))
    _stop("tenant", name, reason)


@app.command("status")
def status() -> None:
    """Show what is stopped."""

    async def show(switch: "KillSwitch") -> None:
        stops = await switch.status()
        for stop in stops:
            print(f"{stop.scope} {stop.name}".strip() + f": stopped by {stop.by} at {stop.at}: {stop.reason}")
        if not stops:
            print("Nothing is stopped.")

    _run(show)


@changes("resume")
def resume(
    scope: Annotated[str, typer.Argument(help="all, provider or tenant.")],
    name: Annotated[str, typer.Argument(help="Which one; none for all.")] = "",
) -> None:
    """Release what is stopped."""

    async def release(switch: "KillSwitch") -> None:
        await switch.resume(scope, name)
        print(f"{name or scope} is released; every worker knows within 2 seconds.")

    _run(release)


async def _check_tenant(name: str) -> None:
    """Refuse a name that no tenant has. With Postgres away the switch works all the same, with a warning."""
    from app.cli.database import database
    from app.domain.errors import Misconfigured, NotFound
    from app.security.keys import KeyRing

    try:
        async with database() as (engine, settings):
            ring = KeyRing(engine, secret=settings.secret)
            known = [tenant.id for tenant in await ring.list_tenants()]
    except Misconfigured as error:
        typer.echo(f"Whether there is a tenant {name!r} could not be checked: {error}", err=True)
        return
    if name not in known:
        raise NotFound(f"No tenant {name!r}. `octant tenant list` shows all.")


def _stop(scope: str, name: str, reason: str) -> None:
    async def stop(switch: "KillSwitch") -> None:
        await switch.stop(scope, name, by=getpass.getuser(), reason=reason)
        print(
            f"{name or scope} is stopped; every worker knows within 2 seconds. `octant resume {scope} {name}".rstrip()
            + "` releases it."
        )

    _run(stop)


def _run(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    asyncio.run(_with_switch(act))


async def _with_switch(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    from redis.exceptions import RedisError

    from app.domain.errors import Misconfigured
    from app.oncall.switch import KillSwitch
    from app.settings import load
    from app.stores import build_valkey

    settings = load()
    settings.require_stores()
    valkey = build_valkey(settings)
    try:
        await act(KillSwitch(valkey, file=settings.kill_file))
    except (RedisError, OSError) as error:
        way = "create the file that OCTANT_KILL_FILE names on every replica"
        raise Misconfigured(f"Valkey does not answer ({type(error).__name__}). To stop everything without it: {way}.") from None
    finally:
        await valkey.aclose()
