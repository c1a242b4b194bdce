"""`octant webhook …`: the secret with which a tenant verifies our webhooks."""

from typing import Annotated

import typer

from app.cli.audited import changes

app = typer.Typer(no_args_is_help=True, help="Webhooks of jobs, signed as Standard Webhooks says.")


@app.callback()
def _group() -> None:
    """Keep `secret` a command of its own."""


@app.command("secret")
@changes("webhook secret")
def secret(tenant: Annotated[str, typer.Argument(help="Tenant id.")]) -> None:
    """Print the secret that a tenant's webhooks are signed with."""
    from app.security.webhooks import secret_of
    from app.settings import load

    print(secret_of(load().secret, tenant))
