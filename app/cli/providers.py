"""`octant providers`: the circuit of each model of the live release, and closing one by hand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.amounts import number
from app.cli.audited import changes
from app.cli.tables import print_table
from app.cli.times import moment
from app.domain.store_errors import VALKEY, away

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from app.domain.routes import Target
    from app.gateway.recovery.shared_circuits import Shared

app = typer.Typer(help="Circuit breakers: which models take calls, which rest, and why.")


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Show every model of the live release: closed (takes calls), open (passed over) or half_open (the next call is a probe)."""
    if context.invoked_subcommand is None:
        asyncio.run(_show())


@app.command("close")
@changes("providers close")
def close(target: Annotated[str, typer.Argument(help="PROVIDER/MODEL, as shown.")]) -> None:
    """Close a circuit on all workers within a second: the provider works again."""
    asyncio.run(_close(target))


@app.command("times")
def times(
    since: Annotated[str, typer.Option(help="The begin: a time, or an age such as 2m, 15m, 1h.")] = "15m",
    slow: Annotated[
        float, typer.Option(min=0.001, max=3600, callback=number, help="Seconds from which an answer is slow.")
    ] = 2.0,
) -> None:
    """Compare the providers: the shares of attempts that were answered, timed out or failed, and that were slow; and all calls.

    A stream counts by its first token. If one provider alone is slow, stop it; if all are, stop none.
    """
    asyncio.run(_times(moment(since) or datetime.now(UTC), slow))


async def _times(since: datetime, slow: float) -> None:
    from app.audit.attempt_times import attempt_times
    from app.cli.database import database
    from app.console import formats

    async with database() as (engine, _):
        found = await attempt_times(engine, since, datetime.now(UTC), slow_ms=slow * 1000)
    if not found:
        print("No calls in this time.")
        return

    def share(part: int, whole: int) -> str:
        return formats.share(part / whole) if part else "none"

    columns = ("", "attempts", "answered", "timed out", "failed", f"took {slow:g} s or more", "p50", "p95")
    rows = [
        (t.name, formats.count(t.number), *(share(part, t.number) for part in (t.answered, t.silent, t.failed)),
         f"{share(t.slow, t.number)} slow", formats.ms(t.p50), formats.ms(t.p95))
        for t in found
    ]  # fmt: skip
    print_table(columns, rows)


async def _show() -> None:
    from app.domain.routes import Target
    from app.gateway.recovery.shared_circuits import Shared, read
    from app.oncall.switch import KillSwitch

    async with _valkey() as valkey:
        found: dict[Target, Shared] = {shared.target: shared for shared in await read(valkey)}
        stopped = {stop.name for stop in await KillSwitch(valkey, file=None).status() if stop.scope == "provider"}
    targets = [*(await _live_targets()), *found]
    for target in dict.fromkeys(targets):
        print(_line(target.provider, target.model, found.get(target), stopped=target.provider in stopped))


def _line(provider: str, model: str, circuit: "Shared | None", *, stopped: bool) -> str:
    from app.console.provider_strips import tried_next

    state, detail = "closed", ""
    if circuit:
        state = "open" if circuit.rest > 0 else "half_open"
        when = f"probed in {circuit.rest:.0f} s" if circuit.rest > 0 else tried_next(circuit)
        detail = f"{circuit.cause}, rest {circuit.trips} in a row, found by {circuit.by}; {when}"
    if stopped:
        detail = " · ".join(filter(None, ("provider stopped by an operator", detail)))
    return f"{provider + '/' + model:<40} {state:<10} {detail}".rstrip()


async def _close(name: str) -> None:
    from app.domain.errors import NotFound
    from app.domain.routes import Target
    from app.gateway.recovery.shared_circuits import forget

    provider, _, model = name.partition("/")
    async with _valkey() as valkey:
        if not await forget(valkey, Target(provider, model)):
            raise NotFound(f"{name} is not open. `octant providers` shows all.")
    print(f"{name} is closed; every worker knows within a second. It opens again if it fails again.")


async def _live_targets() -> list["Target"]:
    """The targets of the live release, in order of its routes; none, with a message, where Postgres does not answer."""
    from app.cli.database import database
    from app.domain.errors import Misconfigured
    from app.domain.routes import Target
    from app.rooms import releases_of
    from app.stores import build_valkey

    try:
        async with database() as (engine, settings):
            valkey = build_valkey(settings)
            try:
                releases = releases_of(settings, engine, valkey)
                live = await releases.live()
            finally:
                await valkey.aclose()
    except Misconfigured as error:
        typer.echo(f"The live release could not be read: {error}", err=True)
        return []
    if live is None:
        return []
    answering = [Target(pin.provider, pin.model) for route in live.routes.values() for pin in route.targets]
    return [*answering, *(Target(pin.provider, pin.model) for alias in live.embeddings.values() for pin in alias.targets)]


@asynccontextmanager
async def _valkey() -> "AsyncGenerator[Redis, None]":
    from redis.exceptions import RedisError

    from app.cli.stores import settings_with_stores
    from app.domain.errors import Misconfigured
    from app.stores import build_valkey

    settings = settings_with_stores()
    valkey = build_valkey(settings)
    try:
        yield valkey
    except (RedisError, OSError) as error:
        raise Misconfigured(f"{away(VALKEY, error)} Workers judge each for itself now.") from None
    finally:
        await valkey.aclose()
