"""`octant kill …` and `octant resume`: the kill switch."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes
from app.cli.operator import user_name
from app.cli.stop_warnings import naming, warn_of_no_calls, warn_of_others, warn_of_routes, with_names
from app.cli.tables import print_line
from app.oncall.scopes import USER

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.oncall.switch import KillSwitch
    from app.releases.manifest import Release
    from app.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Kill switch: stop everything, or one part of it, on all workers within 2 s.")

Known = Callable[[str], Awaitable[Collection[str]]]  # the names of a scope; raises Misconfigured where they cannot be read
MOST_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Kind:
    """One scope that has names: what a stop of it does, what its name is, and which names there are."""

    effect: str
    name: str
    known: Known
    in_flight: bool = True


async def _providers(_: str) -> Collection[str]:
    from app.settings import load

    return load().all_providers()


async def _features(name: str) -> Collection[str]:
    """The vendors' APIs and the products; a name of one of their features is known, too."""
    from app.features.installed import installed
    from app.releases.used_by import BY_CLIENTS

    known = [*BY_CLIENTS, *(feature.name for feature in installed())]
    return [*known, name] if name.partition(".")[0] in known else known


async def _tenants(_: str) -> Collection[str]:
    from app.cli.database import database
    from app.security.keys.administration import KeyAdministration

    async with database() as (engine, settings):
        return [tenant.id for tenant in await KeyAdministration(engine, secret=settings.secret).list_tenants()]


def _live(names: "Callable[[Release], Collection[str]]") -> Known:
    """Names of the live release."""

    async def known(_: str) -> Collection[str]:
        from app.cli.releases import live_release, opened

        async with opened() as releases:
            release = await live_release(releases)
        return names(release) if release else ()

    return known


KINDS: Mapping[str, Kind] = {
    "provider": Kind("Pass a provider over; routes fall back to the next.", "Provider, such as anthropic.", _providers),
    "tenant": Kind("Refuse every call, side effect, job and webhook of a tenant.", "Tenant id.", _tenants),
    "model": Kind(
        "Refuse calls to an alias, or pass a provider's model over; routes fall back to the next.",
        "An alias such as smart, or one provider's model: anthropic/claude-sonnet-5-5.",
        _live(lambda release: release.models),
    ),
    "prompt": Kind(
        "Refuse every call with a prompt.",
        "Prompt of the live release, such as support/answer.",
        _live(lambda release: set(release.prompts)),
    ),
    "feature": Kind(
        "Refuse every call and side effect of a product, or the calls of one of its features.",
        "A product such as support, one of its features such as support.answer, or a vendors' API: chat or embeddings.",
        _features,
    ),
    "tool": Kind(
        "Keep a product's tool from running; the model has to answer without it, and a confirmation is refused.",
        "Tool of a prompt of the live release.",
        _live(lambda release: {tool for prompt in release.prompts.values() for tool in prompt.tools}),
        in_flight=False,  # it has ended before its model goes on
    ),
}

Reason = Annotated[str, typer.Option(help="Why; the status shows it, and callers do not.")]
Message = Annotated[str, typer.Option(help="One sentence that callers read in the error, at most 200 characters.")]
InFlight = Annotated[bool, typer.Option("--in-flight", help="End calls and streams under way, too, with an error.")]


@app.command("all")
@changes("kill all")
def kill_all(reason: Reason, message: Message = "", in_flight: InFlight = False) -> None:
    """Refuse every call, side effect, job and webhook."""
    _stop("all", "", reason, message, in_flight=in_flight)


def _add(scope: str, kind: Kind) -> None:
    """Add `octant kill SCOPE NAME`."""
    Name = Annotated[str, typer.Argument(help=kind.name)]  # noqa: N806 - a type

    def kill(name: Name, reason: Reason, message: Message = "", in_flight: InFlight = False) -> None:
        asyncio.run(_check(scope, name))
        _stop(scope, name, reason, message, in_flight=in_flight)
        if scope == "provider":
            asyncio.run(warn_of_others(name))

    def kill_tool(name: Name, reason: Reason, message: Message = "") -> None:
        kill(name, reason, message)

    command = kill if kind.in_flight else kill_tool
    command.__doc__ = kind.effect
    app.command(scope)(changes(f"kill {scope}")(command))


for _scope, _kind in KINDS.items():
    _add(_scope, _kind)


@app.command(USER)
@changes("kill user")
def kill_user(
    tenant: Annotated[str, typer.Argument(help="Tenant id.")],
    user: Annotated[str, typer.Argument(help="The user's id as its calls name it, or its pseudonym.")],
    reason: Reason,
    message: Message = "",
    in_flight: InFlight = False,
) -> None:
    """Refuse every call, side effect, job and webhook of one user of a tenant."""
    asyncio.run(_check("tenant", tenant))
    _stop(USER, f"{tenant}/{user}", reason, message, in_flight=in_flight)
    asyncio.run(warn_of_no_calls(tenant, user))


@app.command("status")
def status() -> None:
    """Show every stop."""
    from app.oncall.held import command_words

    async def show(switch: "KillSwitch") -> None:
        stops = await with_names(await switch.status())
        for stop in stops:
            more = " (calls under way were ended)" if stop.in_flight else ""
            since = f" at {stop.at}" if stop.at else ""
            print_line(f"{command_words(stop.scope, stop.name)}: stopped by {stop.by}{since}: {stop.reason}{more}")
            if stop.message:
                print_line(f"  callers read: {stop.message}")
        if not stops:
            print("Nothing is stopped.")
        for store in sorted({*switch.away, *_absent()}):
            typer.echo(f"octant: {_away(store)} was not read; this is what the other store says.", err=True)

    _run(show)


@app.command("self-test")
@changes("kill self-test")
def self_test(
    flips: Annotated[int, typer.Option(min=1, max=1000, help="How often the switch is flipped.")] = 2,
) -> None:
    """Flip the switch for a reserved scope that stops no call, and time until every worker has seen it.

    Exit code 1 if a worker does not see a flip within 2 s. The result is stored; the service does the same once a day.
    """
    asyncio.run(_self_test(flips))


async def _self_test(flips: int) -> None:
    from app.cli.database import database
    from app.domain.errors import DependencyUnavailable, Misconfigured
    from app.oncall.self_test import begin, flip, store
    from app.oncall.switch import KillSwitch
    from app.rooms import releases_of
    from app.stores import build_valkey

    async with database() as (engine, settings):
        valkey = build_valkey(settings)
        switch, by = KillSwitch(valkey, engine, file=None), user_name()
        try:
            async with engine.begin() as connection:
                test = await begin(connection, by=by)
            result = await flip(switch, engine, releases_of(settings, engine, valkey).workers, flips=flips, by=by)
            await store(engine, test, result)
        except DependencyUnavailable as error:
            raise Misconfigured(f"The self-test cannot be done: {error}") from None
        finally:
            await valkey.aclose()
    print(f"{result.flips} flips, {result.workers} workers, seconds from a flip until a worker has seen it:")
    print(f"p50 {result.quantile(0.5):.2f}  p99 {result.quantile(0.99):.2f}  max {result.slowest:.2f}")
    for store_away in sorted(result.away):
        typer.echo(f"octant: {store_away} did not answer: the flips went through the other store.", err=True)
    if result.problem:
        print(f"FAILED: {result.problem}")
        raise typer.Exit(1)


@changes("resume")
def resume(
    scope: Annotated[str, typer.Argument(help="all, provider, model, prompt, feature, tool, tenant or user.")],
    name: Annotated[str, typer.Argument(help="Which one; none for all; of a user the tenant.")] = "",
    user: Annotated[str, typer.Argument(help="The user's id, after the tenant's.")] = "",
) -> None:
    """End a stop. Others may go on; it names them."""
    from app.oncall.held import holding, subject_of

    which = f"{name}/{user}" if user else name

    async def release(switch: "KillSwitch") -> None:
        _report(await switch.resume(scope, which, by=user_name()), "released")
        print(f"{subject_of(scope, which)} is released; every worker knows within 2 seconds.")
        if left := holding(await with_names(await switch.status())):
            typer.echo(f"octant: {left}", err=True)

    _run(release)


async def _check(scope: str, name: str) -> None:
    """Refuse a name that is not known: a slip of the pen must not look like a stop.

    Where the names cannot be read, the switch works all the same, with a warning.
    """
    from app.domain.errors import Misconfigured, NotFound

    try:
        known = await KINDS[scope].known(name)
    except Misconfigured as error:
        typer.echo(f"Whether there is a {scope} {name!r} could not be checked: {error}", err=True)
        return
    if name not in known:
        shown = sorted(known)[:MOST_SHOWN] + ["…"] * (len(known) > MOST_SHOWN)
        raise NotFound(f"No {scope} {name!r}. Known: {', '.join(shown) or 'none'}.")


def _report(missing: frozenset[str], what: str) -> None:
    """Name the store that did not take the change. The other is enough; running workers carry it over."""
    for store in sorted({*missing, *_absent()}):
        typer.echo(
            f"octant: {_away(store)} does not know yet that this is {what}. The workers know it from the other "
            f"store and tell {store} when it answers; run `octant kill status` then.",
            err=True,
        )


def _stop(scope: str, name: str, reason: str, message: str, *, in_flight: bool) -> None:
    from app.oncall.held import command_words, subject_of

    async def stop(switch: "KillSwitch") -> None:
        public = _public(message)
        missing = await switch.stop(scope, name, by=user_name(), reason=reason, message=public, in_flight=in_flight)
        _report(missing, "stopped")
        way_back = f"octant resume {command_words(scope, name)}"
        print_line(f"{subject_of(scope, name)} is stopped; every worker knows within 2 seconds. `{way_back}` releases it.")
        if public:
            print_line(f"Callers read: {public}")
        if scope in ("provider", "model"):
            await warn_of_routes(switch)

    _run(stop)


def _public(message: str) -> str:
    from app.oncall.stops import public_message
    from app.security.redaction.redactor import Redactor
    from app.settings import load

    redactor = Redactor(load().secret)
    return public_message(message, lambda text: redactor.redact(text, tenant=""))


def _run(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    asyncio.run(_with_switch(act))


async def _with_switch(act: "Callable[[KillSwitch], Awaitable[None]]") -> None:
    """Act on the stores that are named: one of them is enough. A refusal says how everything is stopped without a store."""
    from app.cli.stores import settings_with_stores
    from app.domain.errors import DependencyUnavailable, Misconfigured
    from app.stores import build_engine, build_valkey

    try:
        settings = settings_with_stores(one_is_enough=True)
    except Misconfigured as error:
        raise Misconfigured(f"{error}\n  {_without_a_store()}") from None
    engine = build_engine(settings, pooled=False) if settings.database_url else None
    valkey = build_valkey(settings) if settings.valkey_url else None
    try:
        await act(switch_of(settings, engine, valkey))
    except DependencyUnavailable as error:
        raise Misconfigured(f"{error} {_without_a_store()}") from None
    finally:
        if valkey:
            await valkey.aclose()
        if engine:
            await engine.dispose()


def switch_of(settings: "Settings", engine: "AsyncEngine | None", valkey: "Redis | None") -> "KillSwitch":
    """The switch on the stores that a command has."""
    from app.oncall.scopes import parse
    from app.oncall.switch import KillSwitch

    fixed = parse(settings.stopped)
    return KillSwitch(valkey, engine, file=settings.kill_path, fixed=fixed, name_of=naming(settings.secret))


def _without_a_store() -> str:
    from app.domain.errors import Misconfigured
    from app.settings import load

    try:
        file, where = load().kill_path, ", in the folder where it was started"
    except Misconfigured:
        file, where = Path(".octant/stop"), ", in the folder where it was started, if OCTANT_STATE_DIR is not set there"
    place = "" if file.is_absolute() else where
    return f"To stop everything without a store: `touch {file}` on every replica{place}, or restart it with OCTANT_STOPPED=all"


def _absent() -> dict[str, str]:
    """The stores whose address is not set, each with its variable."""
    from app.oncall.switch import POSTGRES, VALKEY
    from app.settings import load

    settings = load()
    named = {POSTGRES: ("OCTANT_DATABASE_URL", settings.database_url), VALKEY: ("OCTANT_VALKEY_URL", settings.valkey_url)}
    return {store: variable for store, (variable, url) in named.items() if not url}


def _away(store: str) -> str:
    """Why a store took no part."""
    variable = _absent().get(store)
    return f"{variable} is not set here: {store}" if variable else f"{store} does not answer and"
