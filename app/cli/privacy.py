"""`octant erase` and `octant export`: one user's data over all rooms, erased or exported."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.audited import changes, unchanged
from app.cli.files import private_file
from app.domain.store_errors import VALKEY, away

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.erasure.erasure import Person
    from app.security.redaction.redactor import Redactor
    from app.settings import Settings

Tenant = Annotated[str, typer.Option(help="Tenant id.")]
User = Annotated[str, typer.Option(help="The user's id, as the tenant sends it.")]
MARGIN = 45.0  # seconds that a call may be settled after its deadline: a lease ends, the ledger is carried over


@changes("erase")
def erase(
    tenant: Tenant,
    user: User,
    reason: Annotated[str, typer.Option(help="Why, as the number of the request; no names.")] = "",  # noqa: ARG001 - for the audit log
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really erase: it cannot be taken back.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Erase again when calls under way must have ended.")] = True,
) -> None:
    """Forget a user: records and texts are deleted, money stays in the ledger under a pseudonym. May be repeated."""
    if not asyncio.run(_erase(tenant, user, act=yes and not dry_run, wait=wait)) and not dry_run:
        print("Nothing was erased: give --yes.", file=sys.stderr)
        raise typer.Exit(1)


@changes("export")
def export(
    tenant: Tenant,
    user: User,
    out: Annotated[Path, typer.Option(help="File to write, a JSON object a line.", dir_okay=False)],
    reason: Annotated[str, typer.Option(help="Why, as the number of the request; no names.")] = "",  # noqa: ARG001 - for the audit log
) -> None:
    """Write everything there is of a user to a file: a row of a table on each line."""
    print(f"{asyncio.run(_export(tenant, user, out))} rows in {out}")
    unchanged()


async def _erase(tenant: str, user: str, *, act: bool, wait: bool) -> bool:
    from app.erasure import erasure

    async with _opened(tenant, user) as (engine, valkey, settings, redactor, person):
        if not act:
            unchanged()
            _show(await erasure.count(engine, person))
            return False
        done = await erasure.erase(engine, valkey, person, redactor)
        _show(done.rows)
        if done.under_way or wait:
            seconds = settings.request_deadline + MARGIN
            again = f"octant erase --tenant {tenant} --user … --yes"
            if not wait:
                print(f"Calls may be under way: run `{again}` again in {seconds:.0f} seconds.")
                return True
            print(f"Calls may be under way: erasing again in {seconds:.0f} seconds (Ctrl-C, and `{again}` later, does as well).")
            await asyncio.sleep(seconds)
            done = await erasure.erase(engine, valkey, person, redactor)
            _show(done.rows)
            if done.under_way:
                print(f"A call is still under way, such as a long stream: run `{again}` again when it has ended.")
    return True


async def _export(tenant: str, user: str, out: Path) -> int:
    """Write the file. Returns how many rows are in it."""
    from app.erasure import erasure

    count = 0
    async with _opened(tenant, user) as (engine, _, _, _, person):
        with private_file(out) as file:
            async for row in erasure.rows(engine, person):
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                count += 1
    return count


def _show(found: "dict[str, int]") -> None:
    for table, number in found.items():
        if number:
            print(f"{table:24} {number:>8}")
    print(f"{sum(found.values())} rows.")


@asynccontextmanager
async def _opened(tenant: str, user: str) -> "AsyncGenerator[tuple[AsyncEngine, Redis, Settings, Redactor, Person], None]":
    from redis.exceptions import RedisError

    from app.cli.database import database
    from app.domain.errors import InvalidRequest, Misconfigured
    from app.erasure.erasure import Person
    from app.security.keys.administration import KeyAdministration
    from app.security.redaction.redactor import Redactor
    from app.security.redaction.tenant_patterns import TenantPatterns
    from app.stores import build_valkey

    if not user:
        raise InvalidRequest("Name a user: calls without a user belong to no person.", param="user")
    async with database() as (engine, settings):
        patterns = TenantPatterns(engine)  # a user's id may be redacted by one: records hold it as that left it
        await patterns.refresh()
        redactor = Redactor(settings.secret, added=patterns)
        await KeyAdministration(engine, secret=b"").tenant(tenant)
        history = await patterns.history(tenant)
        if unusable := sorted({pattern.name for each in history for pattern in each if not pattern.usable}):
            names = ", ".join(unusable)
            print(
                f"Not found: records in which {names} redacted the id, as it cannot be used. See docs/redaction.md.",
                file=sys.stderr,
            )
        valkey = build_valkey(settings)
        try:
            yield engine, valkey, settings, redactor, Person.of(tenant, user, redactor, history)
        except (RedisError, OSError) as error:
            raise Misconfigured(away(VALKEY, error)) from None
        finally:
            await valkey.aclose()
