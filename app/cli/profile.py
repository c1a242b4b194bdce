"""`octant release profile` and `compare`: whether staging exercises what production serves (B7)."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.releases import app, opened

if TYPE_CHECKING:
    from app.releases.profile import Profile


@app.command("profile")
def profile() -> None:
    """Print what answers here, as JSON: the live manifest, the code's version, and each provider's address. No key is in it."""
    print(asyncio.run(_profile()).model_dump_json(indent=1))


@app.command("compare")
def compare(
    against: Annotated[
        str, typer.Argument(metavar="PROFILE", help="The file of another environment's profile; - reads it here.")
    ],
) -> None:
    """Compare what answers here with another environment's profile. Exit code 1 lists what differs."""
    from pathlib import Path

    from app.domain.errors import Misconfigured
    from app.releases.profile import differences, read

    try:
        text = sys.stdin.read() if against == "-" else Path(against).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{against} is not readable: {error}.") from None
    other, here = read(text, against), asyncio.run(_profile())
    found = differences(here, other)
    for difference in found:
        print(difference)
    if found:
        raise typer.Exit(1)
    print(f"This {here.environment} exercises the same models, prompts and indexes as that {other.environment}.")


async def _profile() -> "Profile":
    from urllib.parse import urlsplit

    from app import __version__
    from app.domain.errors import Misconfigured
    from app.releases.profile import Profile, ProviderProfile
    from app.rooms import simulated_providers
    from app.settings import load

    async with opened() as releases:
        live = await releases.live_text()
    if live is None:
        raise Misconfigured("No release is live: `octant release activate ID` makes one live.")
    settings = load()
    simulated = frozenset(simulated_providers(settings))
    providers = {
        name: ProviderProfile(
            kind=found.kind, host=urlsplit(found.base_url).netloc.rpartition("@")[2], simulated=name in simulated
        )
        for name, found in settings.all_providers().items()
    }
    return Profile(environment=settings.environment, version=__version__, manifest=live, providers=providers)
