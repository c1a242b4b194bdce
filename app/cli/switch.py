"""`octant kill …` and `octant resume`: the kill switch."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes

if TYPE_CHECKING:
    from app.oncall.switch import KillSwitch
    from app.releases.manifest import Release

app = typer.Typer(no_args_is_help=True, help="Kill switch: stop everything, or one part of it, on all workers within 2 s.")

Reason = Annotated[str, typer.Option(help="Why; the status shows it.")]
InFlight = Annotated[bool, typer.Option("--in-flight", help="End calls and streams under way, too, with an error.")]


@app.command("all")
@changes("kill all")
def kill_all(reason: Reason, in_flight: InFlight = False) -> None:
    """Refuse every call, side effect, job and webhook."""
    _stop("all", "", reason, in_flight=in_flight)


@app.command("provider")
@changes("kill provider")
def kill_provider(
    name: Annotated[str, typer.Argument(help="Provider, such as anthropic.")],
    reason: Reason,
    in_flight: InFlight = False,
) -> None:
    """Pass a provider over; routes fall back to the next."""
    from app.domain.errors import NotFound
    from app.settings import load

    known = load().all_providers()
    if name not in known:  # a slip of the pen must not look like a stopped provider
        raise NotFound(f"No provider {name!r}. Known: {', '.join(known)}.")
    _stop("provider", name, reason, in_flight=in_flight)


@app.command("tenant")
@changes("kill tenant")
def kill_tenant(
    name: Annotated[str, typer.Argument(help="Tenant id.")],
    reason: Reason,
    in_flight: InFlight = False,
) -> None:
    """Refuse every call, side effect, job and webhook of a tenant."""
    asyncio.run(_check_tenant(name))
    _stop("tenant", name, reason, in_flight=in_flight)


@app.command("model")
@changes("kill model")
def kill_model(
    name: Annotated[str, typer.Argument(help="An alias such as smart, or one provider's model: anthropic/claude-sonnet-5-5.")],
    reason: Reason,
    in_flight: InFlight = False,
) -> None:
    """Refuse calls to an alias, or pass a provider's model over; routes fall back to the next."""
    asyncio.run(_check_live(name, lambda release: {*release.routes, *_targets(release)}, "model"))
    _stop("model", name, reason, in_flight=in_flight)


@app.command("prompt")
@changes("kill prompt")
def kill_prompt(
    name: Annotated[str, typer.Argument(help="Prompt of the live release, such as support/answer.")],
    reason: Reason,
    in_flight: InFlight = False,
) -> None:
    """Refuse every call with a prompt."""
    asyncio.run(_check_live(name, lambda release: set(release.prompts), "prompt"))
    _stop("prompt", name, reason, in_flight=in_flight)


@app.command("feature")
@changes("kill feature")
def kill_feature(
    name: Annotated[str, typer.Argument(help="A product such as support, one of its features such as support.answer, or chat.")],
    reason: Reason,
    in_flight: InFlight = False,
) -> None:
    """Refuse every call and side effect of a product, or the calls of one of its features."""
    from app.domain.errors import NotFound
    from app.features.installed import installed

    known = ["chat", *(feature.name for feature in installed())]
    if name.partition(".")[0] not in known:
        raise NotFound(f"No feature {name!r}. Known: {', '.join(known)}.")
    _stop("feature", name, reason, in_flight=in_flight)


@app.command("tool")
@changes("kill tool")
def kill_tool(name: Annotated[str, typer.Argument(help="Tool of a prompt of the live release.")], reason: Reason) -> None:
    """Keep a product's tool from running; the model has to answer without it, and a confirmation is refused."""
    asyncio.run(_check_live(name, lambda release: {tool for prompt in release.prompts.values() for tool in prompt.tools}, "tool"))
    _stop("tool", name, reason, in_flight=False)


@app.command("status")
def status() -> None:
    """Show every stop."""

    async def show(switch: "KillSwitch") -> None:
        stops = await switch.status()
        for stop in stops:
            more = " (calls under way were ended)" if stop.in_flight else ""
            print(f"{stop.scope} {stop.name}".strip() + f": stopped by {stop.by} at {stop.at}: {stop.reason}{more}")
        if not stops:
            print("Nothing is stopped.")
        for store in sorted(switch.away):
            typer.echo(f"octant: {store} does not answer: this is what the other store says.", err=True)

    _run(show)


@changes("resume")
def resume(
    scope: Annotated[str, typer.Argument(help="all, provider, model, prompt, feature, tool or tenant.")],
    name: Annotated[str, typer.Argument(help="Which one; none for all.")] = "",
) -> None:
    """End a stop."""

    async def release(switch: "KillSwitch") -> None:
        _report(await switch.resume(scope, name, by=getpass.getuser()), "released")
        print(f"{name or scope} is released; every worker knows within 2 seconds.")

    _run(release)


def _targets(release: "Release") -> set[str]:
    targets = (target for route in release.routes.values() for target in (*route.targets, *route.degrade.cheaper))
    return {f"{target.provider}/{target.model}" for target in targets}


async def _check_live(name: str, known_in: "Callable[[Release], set[str]]", what: str) -> None:
    """Refuse a name that the live release does not know. Where that cannot be read, the switch works with a warning."""
    from app.cli.releases import live_release, opened
    from app.domain.errors import Misconfigured, NotFound

    try:
        async with opened() as releases:
            release = await live_release(releases)
    except Misconfigured as error:
        typer.echo(f"Whether there is a {what} {name!r} could not be checked: {error}", err=True)
        return
    known = sorted(known_in(release)) if release else []
    if name not in known:
        raise NotFound(f"No {what} {name!r} in the live release. Known: {', '.join(known) or 'none'}.")


async def _check_tenant(name: str) -> None:
    """Refuse a name that no tenant has. With Postgres away the switch works all the same, with a warning."""
    from app.cli.database import database
    from app.domain.errors import Misconfigured, NotFound
    from app.security.keys.administration import KeyAdministration

    try:
        async with database() as (engine, settings):
            keys = KeyAdministration(engine, secret=settings.secret)
            known = [tenant.id for tenant in await keys.list_tenants()]
    except Misconfigured as error:
        typer.echo(f"Whether there is a tenant {name!r} could not be checked: {error}", err=True)
        return
    if name not in known:
        raise NotFound(f"No tenant {name!r}. `octant tenant list` shows all.")


def _report(missing: frozenset[str], what: str) -> None:
    """Name the store that did not take the change. The other is enough; running workers carry it over."""
    for store in sorted(missing):
        typer.echo(
            f"octant: {store} does not answer and does not know yet that this is {what}. The workers know it from the other "
            f"store and tell {store} when it answers; run `octant kill status` then.",
            err=True,
        )


def _stop(scope: str, name: str, reason: str, *, in_flight: bool) -> None:
    async def stop(switch: "KillSwitch") -> None:
        _report(await switch.stop(scope, name, by=getpass.getuser(), reason=reason, in_flight=in_flight), "stopped")
        print(
            f"{name or scope} is stopped; every worker knows within 2 seconds. `octant resume {scope} {name}".rstrip()
            + "` releases it."
        )

    _run(stop)


def _run(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    asyncio.run(_with_switch(act))


async def _with_switch(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    from app.cli.stores import settings_with_stores
    from app.domain.errors import DependencyUnavailable, Misconfigured
    from app.oncall.switch import KillSwitch
    from app.stores import build_engine, build_valkey

    settings = settings_with_stores()
    engine, valkey = build_engine(settings, pooled=False), build_valkey(settings)
    try:
        await act(KillSwitch(valkey, engine, file=settings.kill_path))
    except DependencyUnavailable as error:
        way = f"`touch {settings.kill_path}` on every replica"
        raise Misconfigured(f"{error} To stop everything without a store: {way}.") from None
    finally:
        await valkey.aclose()
        await engine.dispose()
