"""`octant provider-key …`: our own keys at the providers, which are never shown."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.audit.provider_use import Use

app = typer.Typer(no_args_is_help=True, help="Our keys at the providers: where each comes from, how old it is, whether it works.")


@app.callback()
def group() -> None:
    """Keep `status` a command of its own: there will be more."""


@app.command("status")
def status() -> None:
    """Show each provider's key by its fingerprint. The running service reads the same files, within a second of a change."""
    from app.rooms import provider_keys_of, simulated_providers
    from app.settings import load

    uses, first = asyncio.run(_uses())
    settings = load()  # after the stores: a demo that is found brings its settings
    simulated = set(simulated_providers(settings))
    for key in provider_keys_of(settings).status():
        if key.fingerprint is None:
            file = settings.key_file(key.provider) or "a file in OCTANT_SECRETS_DIR"
            print(f"{key.provider:12} no key: set {key.source}, or put it into {file}")
            continue
        age = f"{_age(key.age)} old" if key.age is not None else _at_least(first.get((key.provider, key.fingerprint)))
        use = uses.get((key.provider, key.fingerprint)) if uses is not None else None
        fake = "  simulated: no vendor's key" if key.provider in simulated else ""
        print(f"{key.provider:12} {key.fingerprint}  {key.source}  {age}  {_last_use(use, known=uses is not None)}{fake}")


async def _uses() -> "tuple[dict[tuple[str, str], Use] | None, dict[tuple[str, str], datetime]]":
    """Read last and first uses from the records; None, with a message, where they cannot be read."""
    from app.audit.provider_use import first_uses, last_uses
    from app.cli.database import database
    from app.domain.errors import Misconfigured

    try:
        async with database() as (engine, _):
            uses = await last_uses(engine)
            return uses, await first_uses(engine, {print_ for _, print_ in uses})
    except Misconfigured as error:
        typer.echo(f"When they were last used could not be read: {error}", err=True)
        return None, {}


def _last_use(use: "Use | None", *, known: bool) -> str:
    if not known:
        return "last use unknown"
    return f"accepted {_at(use.accepted_at if use else None)}  denied {_at(use.denied_at if use else None)}"


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never in 7 days"


def _at_least(first: datetime | None) -> str:
    """The age of a variable, which carries no date: it is as old as its first call on record, or older."""
    return f"age unknown, at least {_age((datetime.now(UTC) - first).total_seconds())}" if first else "age unknown"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
