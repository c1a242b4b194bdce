"""The action that changes caps and rate limits, as `octant budget set`."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.audit.figures import least_held
from app.budget import change as changing
from app.budget import standing
from app.budget.change import AMOUNTS, LIMIT_FIELDS, LIMITS, Change
from app.budget.one_call import CAPS, too_small
from app.budget.scopes import scopes_of
from app.console import formats
from app.console.acting import Act, Asked, Choices, Done
from app.console.console import Console, link
from app.console.sessions import Session
from app.console.stop_actions import live_of
from app.domain.calls import Tenant
from app.domain.money import MicroUSD

WORDS = {
    **CAPS, "requests_per_minute": "requests a minute", "tokens_per_minute": "tokens a minute", "concurrency": "calls at once",
}  # fmt: skip
OPTIONAL = ("user", *AMOUNTS, *LIMITS, "time_zone")


def actions(console: Console) -> Iterator[Act]:
    """The action."""

    async def ask(values: Mapping[str, str]) -> Asked:
        return await _ask(console, values)

    async def do(values: Mapping[str, str], _reason: str, _session: Session) -> Done:
        shares = console.parts.policy.shares
        user = values.get("user", "")
        tenant = values["tenant"]
        before = await changing.apply(console.parts.engine, change_of(values), tenant=tenant, user=user, shares=shares)
        said = f"The caps of {user or tenant} are set; every worker counts with them within 5 seconds."
        return Done(said, changing.words_before(before))

    async def choices(_: Mapping[str, str]) -> Choices:
        read = await console.known.read("tenants", console.parts.keys.list_tenants())
        return {"tenant": [(tenant.id, tenant.id) for tenant in read.value or ()]}

    yield Act(
        name="budget-set", fields=("tenant", *OPTIONAL), optional=OPTIONAL, ask=ask, do=do, back="/console/budgets",
        label="Set caps", choices=choices,
    )  # fmt: skip


def change_of(values: Mapping[str, str]) -> Change:
    """The change in a form; an empty field stays as it is. Raises InvalidRequest."""
    amounts = {name: values.get(name, "").removeprefix("$") or None for name in AMOUNTS}
    limits = {name: values.get(name) or None for name in LIMITS}
    return changing.change_of(amounts, limits, values.get("time_zone") or None)


async def _ask(console: Console, values: Mapping[str, str]) -> Asked:
    user = values.get("user", "")
    change = change_of(values)
    changing.check(change, user=user)
    tenant = await console.parts.keys.tenant(values["tenant"])
    before = await _before(console, tenant, user)
    words = [_words(name, before.get(name), wanted) for name, wanted in {**change.money, **change.counts}.items()]
    if change.time_zone:
        words.append(f"its calendar will go from {tenant.time_zone} to {change.time_zone}")
    effect = "; ".join(words)
    effect = f"{effect[0].upper()}{effect[1:]}. {await _consequence(console, tenant, user, change)}".strip()
    beware = await beware_of(console, change.money)
    back = {name: before.get(name) for name in (*change.money, *change.counts)}
    zone = {"time_zone": tenant.time_zone} if change.time_zone else {}
    undone = {name: changing.text_of(name, value) for name, value in back.items()} | zone
    kept = {name: value for name, value in values.items() if name not in ("tenant", "user") and value}
    return Asked(
        title=f"Change the caps of {user or tenant.id}",
        effect=effect,
        harm=[beware] if beware else [],
        command=_command(tenant.id, user, kept),
        undo=_command(tenant.id, user, undone),
        undo_at=link("/console/do/budget-set", {"tenant": tenant.id, "user": user, **undone}),
        button="Set",
        strong=any(_lower(before.get(name), wanted) for name, wanted in {**change.money, **change.counts}.items()),
    )


async def _before(console: Console, tenant: Tenant, user: str) -> dict[str, int | None]:
    """The values now, by the names of the fields."""
    if user:
        own = (await standing.own_caps(console.parts.engine, tenant.id)).get(user, (None, None))
        return {"day": own[0], "month": own[1]}
    money = {name: getattr(tenant, column) for name, column in AMOUNTS.items()}
    return money | {name: getattr(tenant.limits, field) for name, field in LIMIT_FIELDS.items()}


async def _consequence(console: Console, tenant: Tenant, user: str, change: Change) -> str:
    """What the new caps do at once: calls are refused where more is spent already."""
    windows = [("day", "today", 2 if user else 0), ("month", "this month", 3 if user else 1)]
    name = console.parts.redactor.ledger_name(user, tenant=tenant.id) if user else ""
    scopes = scopes_of(tenant, name, datetime.now(UTC), (None, None))
    known = await console.known.read(
        ("counters", tenant.id, name), standing.counted(console.parts.valkey, [scope.key for scope in scopes])
    )
    if known.value is None:
        return "Valkey does not answer, so the money spent up to now is not known."
    said = []
    for field, when, place in windows:
        cap, (spent, held) = change.money.get(field), known.value.get(scopes[place].key, (0, 0))
        if cap is None:
            continue
        if spent + held >= cap:
            until = f"{scopes[place].resets_at:%Y-%m-%d %H:%M} UTC"
            said.append(f"{formats.usd(spent)} is spent {when}: every call of {user or tenant.id} will be refused until {until}.")
        else:
            said.append(f"{formats.usd(spent)} is spent {when}, so {formats.usd(cap - spent - held)} will be left.")
    return " ".join(said)


async def beware_of(console: Console, caps: Mapping[str, MicroUSD | None]) -> str:
    """A warning of caps into which calls of the live release do not fit; empty where they do, or where no release is known."""
    release = live_of(console)
    if release is None:
        return ""
    held = await console.known.read(("least held", release.id), least_held(console.parts.engine, release.prompts))
    return too_small(caps, release.routes.values(), release.prices, held.value or {})


def _words(name: str, before: int | None, wanted: int | None) -> str:
    if before == wanted:
        return f"{WORDS[name]} will stay {_shown(name, wanted)}"
    return f"{WORDS[name]} will go from {_shown(name, before)} to {_shown(name, wanted)}"


def _shown(name: str, value: int | None) -> str:
    if value is None:
        return "none"
    return formats.usd(value) if name in AMOUNTS else f"{value:,}"


def _lower(before: int | None, wanted: int | None) -> bool:
    return wanted is not None and (before is None or wanted < before)


def _command(tenant: str, user: str, values: Mapping[str, Any]) -> str:
    options = [("--user", user)] * bool(user) + [(changing.option(name), value) for name, value in values.items()]
    return shlex.join(["octant", "budget", "set", tenant, *(word for option in options for word in option)])
