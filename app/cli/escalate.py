"""`octant escalate …`: a customer's escalation, with a snapshot of what decides; and every stored trigger of a rollback."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.audited import changes
from app.cli.operator import user_name
from app.cli.tables import print_line

if TYPE_CHECKING:
    from app.oncall.triggers import Trigger
    from app.settings import Settings

app = typer.Typer(help="Customers' escalations, and other triggers of a rollback.")

_FIGURES = ("calls", "not_ok_share", "p50_ms", "p95_ms", "cost_per_call")


@app.callback(invoke_without_command=True)
def escalate(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Tenant that escalates.")] = "",
    text: Annotated[str, typer.Option(help="What the customer says; it is redacted before it is stored.")] = "",
    call: Annotated[str, typer.Option(help="Id of a call or a request that it is about.")] = "",
) -> None:
    """Store a snapshot of a tenant's records, release, figures, stops and circuits; print the rollback to run."""
    if context.invoked_subcommand is not None:
        return
    if not tenant or not text.strip():
        raise typer.BadParameter("An escalation needs --tenant and --text.")

    @changes("escalate")
    def noted(*, tenant: str, call: str) -> None:  # without the text: rows of the operators' log are never erased
        asyncio.run(_escalate(tenant, text, call))

    noted(tenant=tenant, call=call)


escalate.changes = "escalate"  # type: ignore[attr-defined] # for the test that walks all commands; `noted` writes the row


@app.command("list")
def list_triggers(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    kind: Annotated[str, typer.Option(help="Only these: eval_drift, cost_drift or escalation.")] = "",
) -> None:
    """List triggers of a rollback, newest first: escalations, answers that drift, costs that rose."""
    for one in asyncio.run(_newest(limit, kind)):
        about = f"{one.kind:<10}  {one.subject:<20}  {one.release:<16}  {_short(one.text)}"
        print_line(f"{one.id:>5}  {one.at:%Y-%m-%d %H:%M} UTC  {about}")


@app.command("show")
def show(
    trigger: Annotated[int, typer.Argument(help="Number of a trigger, as listed.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show a trigger with its evidence and the rollback to run."""
    from app.domain.errors import NotFound

    found = asyncio.run(_one(trigger))
    if found is None:
        raise NotFound(f"No trigger {trigger}. `octant escalate list` shows all.")
    _whole(found, as_json=as_json)


async def _escalate(tenant: str, text: str, call: str) -> None:
    from app.cli.database import database
    from app.domain.errors import NotFound
    from app.security.keys.administration import KeyAdministration
    from app.security.redaction.redactor import Redactor
    from app.triggers.escalation import Report, escalate

    async with database() as (engine, settings):
        if tenant not in {known.id for known in await KeyAdministration(engine, secret=settings.secret).list_tenants()}:
            raise NotFound(f"No tenant {tenant!r}. `octant tenant list` shows all.")
        redactor = Redactor(settings.secret)
        stored = await escalate(
            engine,
            Report(tenant=tenant, text=text, by=user_name(), call=call),
            redact=lambda words: redactor.redact(words, tenant=tenant),
            around=await _around(engine, settings),
        )
    if call and not stored.evidence["records"]:
        typer.echo(f"octant: {tenant} has no record of {call} within a week.", err=True)
    _whole(stored)


async def _around(engine: Any, settings: "Settings") -> dict[str, Any]:  # noqa: ANN401 - an AsyncEngine
    """Stops and open circuits. With Valkey away the circuits are not known, and the snapshot says so."""
    from redis.exceptions import RedisError

    from app.cli.switch import switch_of
    from app.gateway.recovery.shared_circuits import read
    from app.stores import build_valkey

    valkey = build_valkey(settings)
    try:
        stops = await switch_of(settings, engine, valkey).status()
        try:
            circuits = [f"{one.target.provider}/{one.target.model}: {one.cause}" for one in await read(valkey)]
        except (RedisError, OSError):
            circuits = ["not known: Valkey does not answer"]
    finally:
        await valkey.aclose()
    return {"stops": [f"{stop.scope} {stop.name}".strip() for stop in stops], "circuits": circuits}


async def _newest(limit: int, kind: str) -> "list[Trigger]":
    from app.cli.database import database
    from app.oncall.triggers import newest

    async with database() as (engine, _):
        return await newest(engine, limit, kind)


async def _one(number: int) -> "Trigger | None":
    from app.cli.database import database
    from app.oncall.triggers import one

    async with database() as (engine, _):
        return await one(engine, number)


def _whole(trigger: "Trigger", *, as_json: bool = False) -> None:
    """Print a trigger: the text, the release and what it changed, the figures, the records, the command."""
    evidence = trigger.evidence
    if as_json:
        fields = {name: getattr(trigger, name) for name in ("id", "kind", "subject", "text", "by", "release", "command")}
        print(json.dumps({**fields, "at": f"{trigger.at:%Y-%m-%dT%H:%M:%S%z}", "evidence": evidence}, ensure_ascii=False))
        return
    print_line(f"trigger {trigger.id}: {trigger.kind} of {trigger.subject}, {trigger.at:%Y-%m-%d %H:%M} UTC, by {trigger.by}")
    print_line(f"  {trigger.text}")
    since = f" since {evidence['live_since'][:16]} (by {evidence['made_live_by']})" if evidence.get("live_since") else ""
    print_line(f"release {trigger.release or 'none'}{since}, before it {evidence.get('previous') or 'nothing'}")
    print_line(f"  changed: {', '.join(evidence.get('changes', ())) or 'nothing that is pinned'}")
    if canary := evidence.get("canary"):
        print(f"  canary {canary['release']} at {canary['share']:.0%}")
    for name, value in evidence.items():
        if name in ("last_hour", "week"):
            print(f"{name:<10} " + "  ".join(f"{one} {_number(value[one])}" for one in _FIGURES))
        elif name in ("scores_of_a_day", "costs_of_an_hour"):
            print(f"{name}: " + ", ".join(f"{release} {counts}" for release, counts in value.items()))
        elif name in ("stops", "circuits", "incident"):
            print_line(f"{name}: {value if isinstance(value, str) else ', '.join(value) or 'none'}")
    if records := evidence.get("records"):
        print(f"records ({len(records)}): " + " ".join(f"{one['id']}:{one['outcome']}" for one in records[:5]) + " …")
    print(f"To go back: {trigger.command}" if trigger.command else "There is no earlier release to go back to.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
