"""`octant redaction …`: a tenant's own patterns to redact, and a trial of them."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes
from app.cli.database import database

if TYPE_CHECKING:
    from app.security.redaction.redactor import Redactor
    from app.security.redaction.tenant_patterns import Pattern, TenantPatterns

app = typer.Typer(no_args_is_help=True, help="A tenant's own patterns to redact, besides personal data and secrets.")

TenantId = Annotated[str, typer.Argument(help="Tenant id.")]
Name = Annotated[str, typer.Argument(help="Small letters: what its tokens show, as <name:…>.")]


@app.command("add")
@changes("redaction add")
def add(tenant: TenantId, name: Name, pattern: Annotated[str, typer.Argument(help="RE2, 200 characters at most.")]) -> None:
    """Redact matches of a pattern in all texts of a tenant that are kept from now on. Stored ones stay as they are."""
    asyncio.run(_add(tenant, name, pattern))
    print(f"{tenant}: what matches {name} is redacted on every worker within 5 seconds.")


@app.command("list")
def list_patterns(
    tenant: Annotated[str | None, typer.Argument(help="Only this tenant's.")] = None,
    earlier: Annotated[str | None, typer.Option("--tenant", hidden=True, help="Earlier form of the argument.")] = None,
) -> None:
    """List the patterns that tenants have."""
    found = asyncio.run(_listed(tenant or earlier))
    for each in found:
        unusable = "" if each.usable else "  (cannot be used: every text of this tenant is replaced whole until it is removed)"
        print(f"{each.tenant:20} {each.name:20} {each.pattern}{unusable}")
    if not found:
        print("No patterns. `octant redaction add` makes one.")


@app.command("remove")
@changes("redaction remove")
def remove(tenant: TenantId, name: Name) -> None:
    """Stop redacting matches of a tenant's pattern. Text that was redacted stays redacted."""
    asyncio.run(_remove(tenant, name))
    print(f"{tenant}: {name} is redacted no more, on every worker within 5 seconds.")


@app.command("test")
def test(tenant: TenantId, text: Annotated[str, typer.Argument(help="Any text; - reads standard input.")]) -> None:
    """Show a text as it would be kept for a tenant. Nothing is stored."""
    redactor = asyncio.run(_redactor(tenant))
    print(redactor.redact(sys.stdin.read() if text == "-" else text, tenant=tenant))


@asynccontextmanager
async def _patterns() -> "AsyncGenerator[TenantPatterns, None]":
    from app.security.redaction.tenant_patterns import TenantPatterns

    async with database() as (engine, _):
        yield TenantPatterns(engine)


async def _add(tenant: str, name: str, pattern: str) -> None:
    async with _patterns() as patterns:
        await patterns.add(tenant, name, pattern)


async def _remove(tenant: str, name: str) -> None:
    async with _patterns() as patterns:
        await patterns.remove(tenant, name)


async def _listed(tenant: str | None) -> "list[Pattern]":
    async with _patterns() as patterns:
        return await patterns.listed(tenant)


async def _redactor(tenant: str) -> "Redactor":
    """The redactor as the service has it, so that tokens are those of its records."""
    from app.security.redaction.redactor import Redactor
    from app.security.redaction.tenant_patterns import TenantPatterns

    async with database() as (engine, settings):
        patterns = TenantPatterns(engine)
        await patterns.listed(tenant)
    return Redactor(settings.secret, added=patterns)
