"""`octant budget …`: what a tenant and a user have spent today, and what is held by calls in flight."""

import asyncio
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Spend and caps.")


@app.callback()
def _group() -> None:
    """Spend and caps."""


@app.command("show")
def show(
    tenant: Annotated[str, typer.Argument(help="Tenant id.")],
    user: Annotated[str, typer.Option(help="End user; empty shows the counter of calls that name none.")] = "",
) -> None:
    """Show spent, held and cap of the tenant's day and the user's day."""
    from app.domain.money import to_dollars

    for scope, (spent, held, limit) in asyncio.run(_counters(tenant, user)).items():
        share = 100 * (spent + held) / limit if limit else 100.0
        print(f"{scope:11} spent ${to_dollars(spent)}  held ${to_dollars(held)}  cap ${to_dollars(limit)}  ({share:.1f} %)")


async def _counters(tenant_id: str, user: str) -> dict[str, tuple[int, int, int]]:
    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import create_async_engine

    from app.budget.budget import Budget
    from app.domain.calls import Identity
    from app.domain.errors import NotFound
    from app.security.keys import KeyRing
    from app.settings import load

    settings = load()
    settings.require_stores()
    engine = create_async_engine(settings.database_url)
    valkey = Redis.from_url(settings.valkey_url, decode_responses=True)
    try:
        tenants = await KeyRing(engine, secret=settings.secret_key.get_secret_value().encode()).list_tenants()
        tenant = next((t for t in tenants if t.id == tenant_id), None)
        if tenant is None:
            raise NotFound(f"No tenant {tenant_id!r}. `octant tenant list` shows all.")
        budget = Budget(valkey, on_settle_failure=lambda: None)
        return await budget.spent_and_held(Identity(tenant=tenant, key_id="", user=user))
    finally:
        await valkey.aclose()
        await engine.dispose()
